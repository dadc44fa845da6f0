package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// Sealing has its own tests, and a room that this one does not know. Here it only has to be
// invertible and to notice when the aad is another one.
func seal(plaintext, aad []byte) []byte {
	return bytes.Join([][]byte{aad, plaintext}, []byte{0})
}

func open(sealed, aad []byte) ([]byte, error) {
	plaintext, ok := bytes.CutPrefix(sealed, append(bytes.Clone(aad), 0))
	if !ok {
		return nil, errors.New("belongs elsewhere")
	}
	return plaintext, nil
}

const issuer = "keystone-auth"

// The day on which all of these tests run.
var now = iam.TimeOf(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))

var shared = []byte("the secret that the old system and its services share")

func newKey(t testing.TB, algorithm string, signFrom iam.Time) iam.Key {
	t.Helper()
	var k iam.Key
	var err error
	if algorithm == hs256 {
		k, err = ImportHS256(shared, signFrom, now, seal)
	} else {
		k, err = NewKey(algorithm, signFrom, now, seal)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSet(t testing.TB, keys ...iam.Key) *KeySet {
	t.Helper()
	s, err := NewKeySet(keys, open)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func someClaims() *Claims {
	return &Claims{
		Issuer: issuer, Subject: "01890a5d-ac96-774b-bcce-b302099a8057", Audience: []string{issuer},
		ExpiresAt: now.Unix() + 900, IssuedAt: now.Unix(), NotBefore: now.Unix(), ID: "jti-1",
		ClientID: "web", Scope: []string{"read:demo", "write:demo"},
		SessionID: iam.ID{0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b, 0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a, 0x80, 0x58},
		AuthTime:  now.Unix() - 60, Type: TypeAccess, Roles: []string{"user"}, Username: "alice",
	}
}

func expected() Expect { return Expect{Issuer: issuer, Now: now} }

func mustSign(t testing.TB, s *KeySet, c *Claims) string {
	t.Helper()
	signed, err := s.Sign(c, now)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// forge signs whatever header and claims it is given, with a real key.
func forge(t testing.TB, k *key, head, claims string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(head)) + "." + b64([]byte(claims))
	signature, err := k.method.Sign(text, k.private)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(signature)
}

func wantInvalid(t *testing.T, s *KeySet, token string, expect Expect) {
	t.Helper()
	c, err := s.Verify(token, expect)
	var e *iam.Error
	if c != nil || !errors.As(err, &e) || e.Code != iam.InvalidToken {
		t.Errorf("Verify(%.60q…) = %v, %v", token, c, err)
		return
	}
	if e.Message != "The token is not valid." && e.Message != "The token has expired." {
		t.Errorf("the refusal tells more than it should: %s", e.Message)
	}
}

// part decodes one of the three parts of a token.
func part(t testing.TB, token string, i int) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
