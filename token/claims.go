package token

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keystone-auth/keystone/iam"
)

// What a token is for: the claim "type".
const (
	TypeAccess  = "access"  // a person's
	TypeService = "service" // a client's own
)

// Claims is what an access or service token says. Times are seconds since the Unix epoch.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	ExpiresAt int64
	IssuedAt  int64
	NotBefore int64  // 0 = not said
	ID        string // jti
	ClientID  string
	// ClientGeneration is the generation of the client under which the token was issued: the private
	// claim client_gen. 0 in a token without a client, and in those of the old system.
	ClientGeneration uint64
	// Epoch is the cluster's epoch in which the token was issued: the private claim epoch. 0 in the first
	// one, and in tokens of the old system.
	Epoch uint64

	Scope     []string
	SessionID iam.ID // zero for service tokens
	AuthTime  int64  // when the password was proven; 0 = not said
	Type      string // TypeAccess or TypeService
	Roles     []string
	Username  string
	Email     string // in compatible mode only, like Superuser
	Superuser bool
}

// wireClaims is the JSON of the claims (RFC 7519 §4.1, RFC 9068 §2.2). Decoding is strict about what
// is named here and passes over the rest, as RFC 7519 §4 asks.
type wireClaims struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Audience  audience  `json:"aud,omitempty"`
	ExpiresAt int64     `json:"exp"`
	IssuedAt  int64     `json:"iat"`
	NotBefore int64     `json:"nbf,omitzero"`
	ID        string    `json:"jti"`
	ClientID  string    `json:"client_id,omitzero"`
	ClientGen uint64    `json:"client_gen,omitzero"`
	Epoch     uint64    `json:"epoch,omitzero"`
	Scope     *string   `json:"scope,omitzero"`
	SessionID iam.ID    `json:"sid,omitzero"`
	AuthTime  int64     `json:"auth_time,omitzero"`
	Type      string    `json:"type"`
	Roles     []string  `json:"roles,omitzero"`
	Username  string    `json:"username,omitzero"`
	Scopes    *[]string `json:"scopes,omitzero"` // these three in compatible mode only
	Email     string    `json:"email,omitzero"`
	Superuser *bool     `json:"is_superuser,omitzero"`
}

// audience is one string or a list of them (RFC 7519 §4.1.3).
type audience []string

// MarshalJSONTo writes a single audience as a string, which every verifier understands.
func (a audience) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(a) == 1 {
		return enc.WriteToken(jsontext.String(a[0]))
	}
	return json.MarshalEncode(enc, []string(a))
}

// UnmarshalJSONFrom reads both forms.
func (a *audience) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		return json.UnmarshalDecode(dec, (*[]string)(a))
	}
	var one string
	if err := json.UnmarshalDecode(dec, &one); err != nil {
		return err
	}
	*a = audience{one}
	return nil
}

// encode renders the claims. In compatible mode it adds what services of the old system read.
func (c *Claims) encode(compatible bool) ([]byte, error) {
	scope := iam.JoinScopes(c.Scope)
	w := wireClaims{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ExpiresAt: c.ExpiresAt,
		IssuedAt: c.IssuedAt, NotBefore: c.NotBefore, ID: c.ID, ClientID: c.ClientID, ClientGen: c.ClientGeneration, Epoch: c.Epoch, Scope: &scope,
		SessionID: c.SessionID, AuthTime: c.AuthTime, Type: c.Type, Roles: c.Roles, Username: c.Username,
	}
	if c.Type == TypeAccess && w.Roles == nil {
		w.Roles = []string{} // a person without roles, which is not the same as a service
	}
	if compatible {
		w.Scopes, w.Email = &c.Scope, c.Email
		if c.Type == TypeAccess {
			w.Superuser = &c.Superuser
		}
	}
	return json.Marshal(&w)
}

// decodeClaims reads claims strictly: a name given twice, another letter case or broken UTF-8 would
// let two readers of one token see two different things.
func decodeClaims(text []byte, compatible bool) (*Claims, bool) {
	var w wireClaims
	if json.Unmarshal(text, &w) != nil {
		return nil, false
	}
	c := &Claims{
		Issuer: w.Issuer, Subject: w.Subject, Audience: w.Audience, ExpiresAt: w.ExpiresAt,
		IssuedAt: w.IssuedAt, NotBefore: w.NotBefore, ID: w.ID, ClientID: w.ClientID, ClientGeneration: w.ClientGen, Epoch: w.Epoch,
		SessionID: w.SessionID, AuthTime: w.AuthTime, Type: w.Type, Roles: w.Roles, Username: w.Username,
	}
	if compatible {
		c.Email = w.Email
		c.Superuser = w.Superuser != nil && *w.Superuser
	}
	var ok bool
	c.Scope, ok = w.scope(compatible)
	return c, ok
}

// scope takes the claim of RFC 9068 §2.2.3, or the list of the old system where that is missing.
func (w *wireClaims) scope(compatible bool) ([]string, bool) {
	if w.Scope != nil {
		names, err := iam.ParseScopes(*w.Scope)
		return names, err == nil
	}
	if !compatible || w.Scopes == nil {
		return nil, true
	}
	names := slices.Clone(*w.Scopes)
	for _, name := range names {
		if iam.CheckScopeName(name) != nil { // a blank inside would make two names of one
			return nil, false
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// complete tells whether the claims that every decision needs are there.
func (c *Claims) complete() bool {
	return c.Issuer != "" && c.Subject != "" && c.ID != "" && c.ExpiresAt > 0 && c.IssuedAt > 0 &&
		(c.Type == TypeAccess || c.Type == TypeService)
}
