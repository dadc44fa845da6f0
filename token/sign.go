package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// MaxBytes bounds a token, both those that are signed and those that are looked at.
const MaxBytes = 8 << 10

// header is the JOSE header (RFC 7515 §4). What it does not name, such as jwk, jku or x5c, is never
// looked at: a token must not bring the key that it is verified with.
type header struct {
	Algorithm string  `json:"alg"`
	Type      string  `json:"typ"`
	KeyID     *string `json:"kid,omitzero"`
	Critical  rawJSON `json:"crit,omitempty"`
}

// Sign makes a token with the key that signs at that instant. The caller fills in all claims; what
// Verify would not take is refused here as well.
func (s *KeySet) Sign(c *Claims, now iam.Time) (string, error) {
	if !c.complete() {
		return "", errors.New("claims to be signed lack iss, sub, jti, exp, iat or type")
	}
	if c.ExpiresAt-c.IssuedAt > longestSeconds {
		return "", errors.New("claims to be signed live longer than revocations are remembered")
	}
	k := s.signer(now)
	if k == nil {
		return "", iam.Unavailable(time.Second, "This node has no signing key yet; try again in a moment.")
	}
	body, err := c.encode(k.compatible())
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString(render(header{Algorithm: k.algorithm, Type: k.typ(), KeyID: &k.id})) + "." + b64.EncodeToString(body)
	signature, err := k.method.Sign(text, k.private)
	if err != nil {
		return "", fmt.Errorf("signing with key %s: %w", k.id, err)
	}
	signed := text + "." + b64.EncodeToString(signature)
	if len(signed) > MaxBytes {
		return "", iam.Errorf(iam.InvalidScope, "The token would be too large; ask for fewer scopes.")
	}
	return signed, nil
}
