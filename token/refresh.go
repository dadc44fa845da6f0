package token

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"

	"github.com/keystone-auth/keystone/iam"
)

// The bytes of a refresh token: the session's id, the family secret that all tokens of the session
// share, and the secret of this one token.
const (
	familyFrom   = 16
	secretFrom   = familyFrom + 16
	refreshBytes = secretFrom + 32

	refreshPrefix = "ksr_"
	refreshBody   = (refreshBytes*8 + 5) / 6
	redacted      = "[refresh token]"
)

// RefreshToken continues a session once. It prints as "[refresh token]" whatever prints it; only
// Reveal tells it. The zero value is no token.
//
// The family secret tells an old token from a forged one. A token whose family is right and whose
// secret is neither the current nor the previous one was once genuine, so somebody has a copy, and
// the session must end. Whoever only knows the session's id, which access tokens show, cannot make
// such a token, and so cannot end a stranger's session.
//
// The bytes lie behind a function because fmt ignores the methods of unexported fields: inside another
// struct it would print an array number by number, and for some verbs follow a pointer to one. Of a
// function it never prints more than the address.
type RefreshToken struct{ raw func() []byte }

func refreshTokenOf(raw [refreshBytes]byte) RefreshToken {
	return RefreshToken{raw: func() []byte { return raw[:] }}
}

// NewRefreshToken makes the first token of a session.
func NewRefreshToken(session iam.ID) RefreshToken {
	var raw [refreshBytes]byte
	copy(raw[:], session[:])
	_, _ = rand.Read(raw[familyFrom:])
	return refreshTokenOf(raw)
}

// Next makes the token that replaces this one.
func (t RefreshToken) Next() RefreshToken {
	next := [refreshBytes]byte(t.raw())
	_, _ = rand.Read(next[secretFrom:])
	return refreshTokenOf(next)
}

// ParseRefreshToken reads the form that Reveal gives, in its only spelling. It says no more than that
// the text has the form: what it is worth, the session knows.
func ParseRefreshToken(text string) (RefreshToken, error) {
	if len(text) != len(refreshPrefix)+refreshBody+6 || !strings.HasPrefix(text, refreshPrefix) {
		return RefreshToken{}, errNotRefresh()
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[len(refreshPrefix) : len(refreshPrefix)+refreshBody])
	if err != nil || len(raw) != refreshBytes {
		return RefreshToken{}, errNotRefresh()
	}
	t := refreshTokenOf([refreshBytes]byte(raw))
	if t.Reveal() != text {
		return RefreshToken{}, errNotRefresh()
	}
	return t, nil
}

func errNotRefresh() error { return iam.Errorf(iam.InvalidGrant, "The refresh token is not valid.") }

// Reveal returns the text form, for the answer to the person whose token it is. The checksum tells a
// cut or mistyped token from a wrong one before anything is looked up; it protects nothing.
func (t RefreshToken) Reveal() string {
	text := refreshPrefix + base64.RawURLEncoding.EncodeToString(t.raw())
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text)))
	return text + base64.RawURLEncoding.EncodeToString(sum)
}

// IsZero tells whether there is no token.
func (t RefreshToken) IsZero() bool { return t.raw == nil }

// Session is the session that the token says it continues.
func (t RefreshToken) Session() iam.ID { return iam.ID(t.raw()[:familyFrom]) }

// Family is the digest of what all tokens of the session share; [iam.Session] keeps it.
func (t RefreshToken) Family() []byte {
	return labelled("keystone refresh family v1", t.raw()[:secretFrom])
}

// Digest is the digest of this token; [iam.Session] keeps it in place of the token.
func (t RefreshToken) Digest() []byte { return labelled("keystone refresh token v1", t.raw()) }

// labelled keeps the two digests apart, whatever they are taken of.
func labelled(label string, secret []byte) []byte {
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte(label), secret}, []byte{0}))
	return sum[:]
}

// String keeps the token out of what is printed.
func (RefreshToken) String() string { return redacted }

// GoString keeps the token out of %#v.
func (RefreshToken) GoString() string { return redacted }

// Format keeps the token out of every other verb, %x and %d included.
func (RefreshToken) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the token out of logs.
func (RefreshToken) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the token out of JSON and its like.
func (RefreshToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }
