package iam

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The forms in which a client's secret is written where there is one text for it, beside those of password hashes.
// A system that does not know them takes no secret for either.
const (
	secretSHA256 = "{keystone-sha256}" // with the SHA-256 of a secret that Keystone made, in hexadecimal digits
	secretNone   = "{keystone-none}"   // there is no secret
)

// SecretForm is one text for what is kept of a client's secret: its hash if it was imported, or the digest.
func SecretForm(hash string, digest []byte) string {
	switch {
	case hash != "":
		return hash
	case len(digest) > 0:
		return secretSHA256 + hex.EncodeToString(digest)
	}
	return secretNone
}

// ParseSecretForm is the inverse of SecretForm. What is in none of its forms is a hash, of whatever kind.
func ParseSecretForm(text string) (hash string, digest []byte) {
	if text == secretNone {
		return "", nil
	}
	if digits, tagged := strings.CutPrefix(text, secretSHA256); tagged {
		if digest, err := hex.DecodeString(digits); err == nil && len(digest) == sha256.Size {
			return "", digest
		}
	}
	return text, nil
}
