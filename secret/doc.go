// Package secret turns human passwords into hashes, machine secrets into digests, and seals keys at
// rest.
//
// It exists so that every use of a key, a salt or a nonce can be read in one place. Passwords are
// guessable, so they cost Argon2id behind a bounded pool; hashes that came from other systems are computed there
// as these made them, within bounds. Secrets that Keystone made are not, so one
// SHA-256 is enough for them. What must not go in: who may log in, what a password has to look like,
// where anything is stored, and any log line.
package secret
