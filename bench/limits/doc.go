// Package limits measures, side by side in one run, what Keystone does against the least that the same
// work could cost on the same machine: a bare HTTP server, a bare signature, a bare password hash, a bare
// log. What comes out are ratios, which hold on a noisy machine as well as on a quiet one.
//
// Unlike package bench it looks inside: it knows what the least would be made of.
package limits
