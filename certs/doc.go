// Package certs keeps the certificate of the API and speaks TLS with it. The certificate comes from two files,
// which are read again when they change, or from a certificate authority by ACME, with everything that belongs
// to it in the replicated state.
//
// It exists so that what strangers reach before they have said a word, and where private keys are, can be read in
// one place. What must not go in: HTTP beyond the answer to a challenge, and the TLS between the nodes, which
// has other rules.
package certs
