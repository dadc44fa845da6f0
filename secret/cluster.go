package secret

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
)

// redacted stands for the cluster secret wherever it would be printed by accident.
const redacted = "[secret]"

// Labels separate what is derived from one secret, so that a leaked gossip key, say, tells nothing
// about the key that seals signing keys. Changing one locks every cluster out of its own data.
const (
	labelCA          = "keystone cluster CA v1"
	labelGossip      = "keystone gossip v1"
	labelSealing     = "keystone sealing v1"
	labelFingerprint = "keystone sealing fingerprint v1"
	labelAudit       = "keystone audit checkpoint v1"
)

const (
	clusterSecretBytes  = 32
	clusterSecretLength = len(clusterSecretPrefix) + 43 + 6
)

// ClusterSecret is the one secret that all nodes of a cluster are given. It prints as "[secret]"
// whatever prints it; only Reveal tells it. The zero value is no secret.
//
// The bytes lie behind a function because fmt ignores the methods of unexported fields: inside another
// struct it would print an array number by number, and for some verbs follow a pointer to one. Of a
// function it never prints more than the address.
type ClusterSecret struct{ key func() []byte }

func clusterSecretOf(key [clusterSecretBytes]byte) ClusterSecret {
	return ClusterSecret{key: func() []byte { return key[:] }}
}

// NewClusterSecret makes one.
func NewClusterSecret() ClusterSecret {
	var key [clusterSecretBytes]byte
	_, _ = rand.Read(key[:])
	return clusterSecretOf(key)
}

// ParseClusterSecret reads the form that Reveal gives. White space around it is ignored, for it
// mostly comes out of files and environment variables. Errors never repeat what was given.
func ParseClusterSecret(text string) (ClusterSecret, error) {
	text = strings.TrimSpace(text)
	body, found := strings.CutPrefix(text, clusterSecretPrefix)
	switch {
	case text == "":
		return ClusterSecret{}, errors.New("the cluster secret is empty: it must be the text beginning with kss_ that the first node made")
	case !found:
		return ClusterSecret{}, errors.New("the cluster secret does not begin with kss_: it must be the whole text that the first node made")
	case len(text) < clusterSecretLength:
		return ClusterSecret{}, fmt.Errorf("the cluster secret is too short: it has %d characters and must have %d", len(text), clusterSecretLength)
	case len(text) > clusterSecretLength:
		return ClusterSecret{}, fmt.Errorf("the cluster secret is too long: it has %d characters and must have %d", len(text), clusterSecretLength)
	}
	var key [clusterSecretBytes]byte
	n, err := base64.RawURLEncoding.Decode(key[:], []byte(body[:43]))
	s := clusterSecretOf(key)
	if err != nil || n != len(key) || s.Reveal() != text {
		return ClusterSecret{}, errors.New("the cluster secret has a mistyped or missing character: copy it again from a node that works")
	}
	return s, nil
}

// ParseClusterSecrets reads one secret or several with white space or commas between them. The first one counts,
// and the others are taken too, while the secret is being exchanged.
func ParseClusterSecrets(text string) (current ClusterSecret, others []ClusterSecret, err error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(words) == 0 {
		words = []string{""}
	}
	for i, word := range words {
		s, err := ParseClusterSecret(word)
		switch {
		case err != nil:
			return ClusterSecret{}, nil, err
		case i == 0:
			current = s
		default:
			others = append(others, s)
		}
	}
	return current, others, nil
}

// IsZero tells whether there is no secret.
func (s ClusterSecret) IsZero() bool { return s.key == nil }

// Reveal returns the text form, for the file that keeps it and the operator who asked for it.
func (s ClusterSecret) Reveal() string {
	return withChecksum(clusterSecretPrefix + base64.RawURLEncoding.EncodeToString(s.key()))
}

// CAKey is the key of the certificate authority that every holder of the secret computes alike.
func (s ClusterSecret) CAKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(expand(s.key(), labelCA, ed25519.SeedSize))
}

// GossipKey is the AES-256 key of gossip.
func (s ClusterSecret) GossipKey() []byte { return expand(s.key(), labelGossip, 32) }

// expand derives a key for one use. The input must be as hard to guess as the key has to be.
func expand(input []byte, label string, length int) []byte {
	key, err := hkdf.Key(sha256.New, input, nil, label, length)
	if err != nil {
		panic("BUG: key derivation: " + err.Error())
	}
	return key
}

// String keeps the secret out of what is printed.
func (ClusterSecret) String() string { return redacted }

// GoString keeps the secret out of %#v.
func (ClusterSecret) GoString() string { return redacted }

// Format keeps the secret out of every other verb, %x and %d included.
func (ClusterSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the secret out of logs.
func (ClusterSecret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON and its like.
func (ClusterSecret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
