// Package view is what the hot path needs to know, in memory: the keys, what was revoked, the
// clients, and the tokens that were verified before.
//
// It is made from the store at the start and follows every commit of the state machine. It answers
// from memory alone: no disk, no log, no other node, and no lock that all requests share. What it
// does not keep, it does not decide.
package view
