package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// What can go wrong when something sealed is opened.
var (
	// ErrOtherSecret says that it was sealed under a cluster secret which this node was not given.
	ErrOtherSecret = errors.New("sealed under another cluster secret: give this node the secret of the cluster that the data belongs to")
	// ErrBroken says that the bytes, or what they belong to, are not those that were sealed.
	ErrBroken = errors.New("sealed data is damaged or belongs elsewhere")
)

const (
	sealVersion      = 1
	fingerprintBytes = 8
	headerBytes      = 1 + fingerprintBytes
)

// Sealer encrypts keys for the disk and the log: AES-256-GCM under a key from the cluster secret.
// The nonces are random, which is good for 2^32 seals under one secret; signing keys are few.
type Sealer struct {
	keys []sealingKey // the first one seals, all open
}

type sealingKey struct {
	header []byte // version and fingerprint: which key it was
	aead   cipher.AEAD
}

// NewSealer makes a Sealer that seals under current and opens what any of the secrets sealed, so that
// the cluster secret can be exchanged while the cluster runs.
func NewSealer(current ClusterSecret, previous ...ClusterSecret) *Sealer {
	s := &Sealer{}
	for _, c := range append([]ClusterSecret{current}, previous...) {
		s.keys = append(s.keys, sealingKey{
			header: append([]byte{sealVersion}, expand(c.key(), labelFingerprint, fingerprintBytes)...),
			aead:   newAEAD(expand(c.key(), labelSealing, 32)),
		})
	}
	return s
}

// Seal encrypts. The same aad is needed to open it again, so sealed bytes cannot be moved to where
// they do not belong.
func (s *Sealer) Seal(plaintext, aad []byte) []byte {
	k := s.keys[0]
	return k.aead.Seal(bytes.Clone(k.header), nil, plaintext, join(k.header, aad))
}

// Open is the inverse of Seal: [ErrOtherSecret] and [ErrBroken] tell what is wrong.
func (s *Sealer) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < headerBytes || sealed[0] != sealVersion {
		return nil, ErrBroken
	}
	for _, k := range s.keys {
		if !bytes.HasPrefix(sealed, k.header) {
			continue
		}
		plaintext, err := k.aead.Open(nil, nil, sealed[headerBytes:], join(k.header, aad))
		if err != nil {
			return nil, ErrBroken
		}
		return plaintext, nil
	}
	return nil, ErrOtherSecret
}

// Current tells whether it was sealed under the current secret. What was not has to be sealed again
// before the previous secret is dropped.
func (s *Sealer) Current(sealed []byte) bool { return bytes.HasPrefix(sealed, s.keys[0].header) }

// SealUnder encrypts under a key from a secret that Keystone made, such as a refresh token, so that
// only who presents that secret gets to the plaintext. The label names the use.
func SealUnder(secret, label string, plaintext []byte) []byte {
	return newAEAD(expand([]byte(secret), label, 32)).Seal([]byte{sealVersion}, nil, plaintext, []byte{sealVersion})
}

// OpenUnder is the inverse of SealUnder. The error is [ErrBroken], for a wrong secret too.
func OpenUnder(secret, label string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1 || sealed[0] != sealVersion {
		return nil, ErrBroken
	}
	plaintext, err := newAEAD(expand([]byte(secret), label, 32)).Open(nil, nil, sealed[1:], sealed[:1])
	if err != nil {
		return nil, ErrBroken
	}
	return plaintext, nil
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: AES key: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("BUG: GCM: " + err.Error())
	}
	return aead
}

// join copies, because append to a shared header would write into its spare room.
func join(header, aad []byte) []byte {
	return append(bytes.Clone(header), aad...)
}
