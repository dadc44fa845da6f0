package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// labelBackup is of the same kind as those of cluster.go.
const labelBackup = "keystone backup v1"

// SignBackup proves to whoever has the secret that a backup with that digest was made by a node that had
// it. Encryption alone does not: everybody may encrypt for a public key.
func (s ClusterSecret) SignBackup(digest []byte) []byte {
	mac := hmac.New(sha256.New, expand(s.key(), labelBackup, sha256.Size))
	mac.Write(digest)
	return mac.Sum(nil)
}

// SignedBackup tells whether SignBackup of that secret made the signature.
func (s ClusterSecret) SignedBackup(digest, signature []byte) bool {
	return hmac.Equal(s.SignBackup(digest), signature)
}

// Fingerprint tells secrets apart and says nothing about them. Whatever is sealed carries it too.
func (s ClusterSecret) Fingerprint() string {
	return hex.EncodeToString(expand(s.key(), labelFingerprint, fingerprintBytes))
}
