package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"strings"
)

// Digest is what is kept of a machine secret. One SHA-256 is enough for 256 random bits: there is
// nothing to guess, and callers present such secrets thousands of times a second.
type Digest [sha256.Size]byte

// DigestOf is the digest of a secret that Keystone made. It is not for passwords.
func DigestOf(s string) Digest {
	var onStack [64]byte // as long as any secret that is made here: callers ask thousands of times a second
	return sha256.Sum256(append(onStack[:0], s...))
}

// Equal compares with a stored digest in constant time. A client without a digest equals nothing.
func (d Digest) Equal(stored []byte) bool { return subtle.ConstantTimeCompare(d[:], stored) == 1 }

// Prefixes let people and secret scanners recognise what leaked.
const (
	clientSecretPrefix  = "ksc_"
	clusterSecretPrefix = "kss_"
	ticketPrefix        = "kst_"
)

// NewClientSecret makes the secret of a confidential client: ksc_, 256 random bits and a checksum.
func NewClientSecret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	return withChecksum(clientSecretPrefix + base64.RawURLEncoding.EncodeToString(raw[:]))
}

// NewTicket makes a secret that is sent to a mailbox: kst_, 256 random bits and a checksum, in characters
// that need no escape in a link.
func NewTicket() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	return withChecksum(ticketPrefix + base64.RawURLEncoding.EncodeToString(raw[:]))
}

// withChecksum appends six characters of CRC-32, which tell a mistyped secret and a chance match of a
// scanner from the real thing. It protects nothing.
func withChecksum(s string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s)))
	return s + base64.RawURLEncoding.EncodeToString(sum)
}

// The letters of generated passwords, without those that look alike in print.
const (
	upperLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	lowerLetters = "abcdefghijkmnopqrstuvwxyz"
	digits       = "23456789"
)

// GeneratePassword makes a password of four groups of five characters with hyphens between them:
// 23 characters, over 115 bits, with upper and lower case, digits and a special character.
func GeneratePassword() string {
	for {
		p := passwordCandidate()
		if strings.ContainsAny(p, upperLetters) && strings.ContainsAny(p, lowerLetters) && strings.ContainsAny(p, digits) {
			return p
		}
	}
}

func passwordCandidate() string {
	const alphabet = upperLetters + lowerLetters + digits
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet)))) // even: it draws again rather than reduce
		if err != nil {
			panic("BUG: the system's random source failed: " + err.Error())
		}
		b.WriteByte(alphabet[n.Int64()])
	}
	return b.String()
}
