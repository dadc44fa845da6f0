// Package fsm is every change that the replicated state can go through: one command each, with its
// checks and its transition side by side, applied in the order of the log on every node.
//
// Applying must be deterministic. No clock, no randomness, no environment, no map order and no
// goroutine decides anything here; ids, times, hashes and ciphertexts come inside the command, and
// no command holds a secret in the clear. Rules that may change between releases are checked before
// the log, by those who propose.
package fsm
