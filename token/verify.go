package token

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keystone-auth/keystone/iam"
)

// skewSeconds is how far the clock of the node that issued a token may be ahead of this one's. There
// is no such grace for exp: a token is dead when it says so.
const skewSeconds = 5

const longestSeconds = int64(iam.MaxTokenLifetime / 1e9)

type rawJSON = jsontext.Value

// Expect is what a token must be good for.
type Expect struct {
	Issuer   string
	Audience string // "" = whatever audience
	Now      iam.Time
}

// Verify tells whether a token is genuine and alive, and returns what it says. Whether it was revoked
// is for others to say. The error is [iam.InvalidToken] and never tells what was wrong, except that a
// genuine token has expired.
//
// Every part is decoded once, strictly, and only what was decoded here counts: golang-jwt gets the
// signature to check and never parses, so the two cannot come to read different things.
func (s *KeySet) Verify(token string, expect Expect) (*Claims, error) {
	p, ok := split(token)
	if !ok {
		return nil, errInvalid()
	}
	k := s.verifier(p, expect.Now)
	if k == nil {
		return nil, errInvalid()
	}
	c, ok := decodeClaims(p.claims, k.compatible())
	if !ok || !c.complete() {
		return nil, errInvalid()
	}
	now := expect.Now.Unix()
	// Revocations are remembered for MaxTokenLifetime. A token of the old system may say that it lives
	// longer than that; believing it would bring revoked tokens back to life.
	if c.ExpiresAt-longestSeconds > c.IssuedAt {
		c.ExpiresAt = c.IssuedAt + longestSeconds
	}
	switch {
	case c.Issuer != expect.Issuer,
		expect.Audience != "" && !slices.Contains(c.Audience, expect.Audience),
		c.IssuedAt > now+skewSeconds,
		c.NotBefore > now+skewSeconds:
		return nil, errInvalid()
	case c.ExpiresAt <= now:
		return nil, iam.Errorf(iam.InvalidToken, "The token has expired.")
	}
	return c, nil
}

func errInvalid() error { return iam.Errorf(iam.InvalidToken, "The token is not valid.") }

// parts is a token taken to pieces, nothing of it believed yet.
type parts struct {
	header    header
	claims    []byte
	signed    string // what the signature covers
	signature []byte
}

func split(token string) (parts, bool) {
	if len(token) > MaxBytes || strings.Count(token, ".") != 2 {
		return parts{}, false
	}
	end := strings.LastIndexByte(token, '.')
	head, body, _ := strings.Cut(token[:end], ".")
	p := parts{signed: token[:end]}
	headText, ok1 := decode64(head)
	claims, ok2 := decode64(body)
	signature, ok3 := decode64(token[end+1:])
	if !ok1 || !ok2 || !ok3 || json.Unmarshal(headText, &p.header) != nil {
		return parts{}, false
	}
	p.claims, p.signature = claims, signature
	return p, true
}

// decode64 takes only the canonical spelling, so that a token cannot be given a second one which a
// list of revoked or remembered tokens does not know.
func decode64(s string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return raw, err == nil && !strings.ContainsAny(s, "\r\n") // which the decoder passes over
}

// verifier returns the key whose signature the token carries, or nil.
func (s *KeySet) verifier(p parts, now iam.Time) *key {
	if p.header.Critical != nil { // no extension is understood here (RFC 7515 §4.1.11)
		return nil
	}
	if p.header.KeyID != nil {
		if k := s.byID[*p.header.KeyID]; k != nil && k.signedBy(p, now) {
			return k
		}
		return nil
	}
	for _, k := range s.shared {
		if k.signedBy(p, now) {
			return k
		}
	}
	return nil
}

// signedBy holds the token to what the key says, never the other way round: were the algorithm taken
// from the token, a public key could be presented as the secret of HS256.
func (k *key) signedBy(p parts, now iam.Time) bool {
	return k.aliveAt(now) && p.header.Algorithm == k.algorithm && k.takes(p.header.Type) &&
		k.method.Verify(p.signed, p.signature, k.public) == nil
}

// takes tells whether typ marks an access token of this key. Media types have no letter case, and
// "application/" may be left out (RFC 7515 §4.1.9).
func (k *key) takes(typ string) bool {
	if k.compatible() {
		return strings.EqualFold(typ, "JWT")
	}
	return strings.EqualFold(typ, "at+jwt") || strings.EqualFold(typ, "application/at+jwt")
}
