package secret

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/keystone-auth/keystone/iam"
)

// Notary signs checkpoints of the audit log under a key from the cluster secret, and tells whether one
// was signed under it. The public half can be given to whoever is to prove the log without the secret.
type Notary struct {
	// The private key lies behind a function for the reason that ClusterSecret names.
	private func() ed25519.PrivateKey
	keys    []ed25519.PublicKey // the first one signs, all count
}

// NewNotary makes a Notary that signs under current and takes what any of the secrets signed, so that
// the cluster secret can be exchanged.
func NewNotary(current ClusterSecret, previous ...ClusterSecret) *Notary {
	private := current.auditKey()
	n := &Notary{private: func() ed25519.PrivateKey { return private }}
	for _, s := range append([]ClusterSecret{current}, previous...) {
		n.keys = append(n.keys, s.auditKey().Public().(ed25519.PublicKey))
	}
	return n
}

// NotaryOf makes a Notary of a public key, as Key gives it. It only takes signatures.
func NotaryOf(key string) (*Notary, bool) {
	raw, err := hex.DecodeString(key)
	return &Notary{keys: []ed25519.PublicKey{raw}}, err == nil && len(raw) == ed25519.PublicKeySize
}

func (s ClusterSecret) auditKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(expand(s.key(), labelAudit, ed25519.SeedSize))
}

// Key is the public key that counts now, in hexadecimal digits.
func (n *Notary) Key() string { return hex.EncodeToString(n.keys[0]) }

// Sign fills in the key and the signature.
func (n *Notary) Sign(c iam.AuditCheckpoint) iam.AuditCheckpoint {
	c.Key = bytes.Clone(n.keys[0])
	c.Signature = ed25519.Sign(n.private(), c.Message())
	return c
}

// Current tells whether the checkpoint names the key that signs now.
func (n *Notary) Current(c iam.AuditCheckpoint) bool { return bytes.Equal(c.Key, n.keys[0]) }

// Check tells what is wrong with a checkpoint's signature. The key that the checkpoint names proves
// nothing: whoever can write into the file can sign under a key of their own.
func (n *Notary) Check(c iam.AuditCheckpoint) error {
	for _, key := range n.keys {
		if !bytes.Equal(c.Key, key) {
			continue
		}
		if ed25519.Verify(key, c.Message(), c.Signature) {
			return nil
		}
		return errors.New("its signature is not good")
	}
	return fmt.Errorf("it is signed under the key %x, which is not that of this cluster secret: if the secret was exchanged, give the earlier one as KEYSTONE_SECRET_PREVIOUS", c.Key)
}
