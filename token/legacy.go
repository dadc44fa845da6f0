package token

import (
	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/iam"
)

// LegacyRefresh is what a refresh token of the old system says: a JWT under the secret of the compatible
// mode.
type LegacyRefresh struct {
	User      iam.ID
	IssuedAt  iam.Time // 0 = not said
	ExpiresAt iam.Time
}

// legacyType is the claim "type" of those tokens. No token that Verify takes has it.
const legacyType = "refresh"

// VerifyLegacyRefresh tells whether a refresh token of the old system is genuine and alive. That is not
// enough to go by: the services that verify tokens by themselves know the secret too, and could make one. Whether
// the old system did, the hash of the whole token says, which was kept there. There are no such tokens where
// no key is shared. The error is [iam.InvalidGrant].
func (s *KeySet) VerifyLegacyRefresh(token string, expect Expect) (LegacyRefresh, error) {
	p, ok := split(token)
	if !ok {
		return LegacyRefresh{}, errNotRefresh()
	}
	if k := s.verifier(p, expect.Now); k == nil || !k.compatible() {
		return LegacyRefresh{}, errNotRefresh()
	}
	var c struct {
		Issuer    *string `json:"iss"`
		Subject   iam.ID  `json:"sub"`
		ExpiresAt int64   `json:"exp"`
		IssuedAt  int64   `json:"iat"`
		NotBefore int64   `json:"nbf"`
		Type      string  `json:"type"`
	}
	now := expect.Now.Unix()
	if json.Unmarshal(p.claims, &c) != nil || c.Type != legacyType || c.Subject.IsZero() ||
		c.Issuer != nil && *c.Issuer != expect.Issuer ||
		c.ExpiresAt <= now || c.ExpiresAt > latest || c.IssuedAt < 0 || c.IssuedAt > now+skewSeconds || c.NotBefore > now+skewSeconds {
		return LegacyRefresh{}, errNotRefresh()
	}
	return LegacyRefresh{User: c.Subject, IssuedAt: seconds(c.IssuedAt), ExpiresAt: seconds(c.ExpiresAt)}, nil
}

// latest is the last second of the year 9999; what comes after it would overflow.
const latest = 253402300799

func seconds(n int64) iam.Time { return iam.Time(n * 1e6) }
