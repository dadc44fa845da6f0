package view

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/token"
)

var inactive = []byte(`{"active":false}`)

// Introspect appends the answer to an introspection of the token (RFC 7662 §2.2) to dst. It keeps
// neither slice.
func (v *View) Introspect(dst, raw []byte, now iam.Time) []byte {
	if t := v.alive(raw, now); t != nil {
		return append(dst, t.text[t.raw:]...)
	}
	return append(dst, inactive...)
}

// Verify returns what a bearer token says if it is genuine, alive and not revoked; raw is not kept. The
// claims are shared and must not be changed. The error is an *iam.Error with code InvalidToken.
func (v *View) Verify(raw []byte, now iam.Time) (*token.Claims, error) {
	if t := v.alive(raw, now); t != nil {
		return &t.claims, nil
	}
	return nil, errInvalid()
}

// alive returns what is known of a token that is genuine, alive and not revoked, and nil of every other.
func (v *View) alive(raw []byte, now iam.Time) *remembered {
	m := v.memory.Load()
	t := m.verified.get(raw)
	if t == nil {
		t = m.learn(string(raw), now)
	}
	if t == nil || now.Unix() >= t.claims.ExpiresAt || m.dead(t) {
		return nil
	}
	return t
}

func errInvalid() error {
	return iam.Errorf(iam.InvalidToken, "The access token is not valid: it is malformed, expired or revoked.")
}

// learn verifies the signature once and remembers what it found, good tokens only: garbage must not
// push them out.
func (m *memory) learn(raw string, now iam.Time) *remembered {
	claims, err := m.keys.Verify(raw, token.Expect{Issuer: m.settings.Issuer, Now: now})
	if err != nil {
		return nil
	}
	if client, known := m.clients.Load(claims.ClientID); known {
		claims.ClientID = client.ClientID // one text for all tokens of a client
	}
	t := &remembered{
		text: string(appendActive([]byte(raw), claims)), raw: len(raw), key: keyOf(claims.ID), claims: *claims,
	}
	m.verified.add(t, now)
	return t
}

// appendActive renders the answer for a token that is alive.
func appendActive(dst []byte, c *token.Claims) []byte {
	dst = append(dst, `{"active":true`...)
	dst = appendText(dst, "scope", iam.JoinScopes(c.Scope))
	if c.ClientID != "" {
		dst = appendText(dst, "client_id", c.ClientID)
	}
	if c.Username != "" {
		dst = appendText(dst, "username", c.Username)
	}
	dst = append(dst, `,"token_type":"Bearer"`...)
	dst = appendNumber(dst, "exp", c.ExpiresAt)
	dst = appendNumber(dst, "iat", c.IssuedAt)
	if c.NotBefore != 0 {
		dst = appendNumber(dst, "nbf", c.NotBefore)
	}
	dst = appendText(dst, "sub", c.Subject)
	dst = append(dst, `,"aud":`...)
	if len(c.Audience) == 1 {
		dst = appendQuoted(dst, c.Audience[0])
	} else {
		dst = appendList(dst, c.Audience)
	}
	dst = appendText(dst, "iss", c.Issuer)
	dst = appendText(dst, "jti", c.ID)
	if c.Type == token.TypeAccess {
		dst = append(dst, `,"roles":`...)
		dst = appendList(dst, c.Roles)
	}
	if !c.SessionID.IsZero() {
		dst = appendText(dst, "sid", c.SessionID.String())
	}
	return append(dst, '}')
}

func appendText(dst []byte, name, value string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendQuoted(dst, value)
}

func appendNumber(dst []byte, name string, value int64) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, value, 10)
}

func appendList(dst []byte, values []string) []byte {
	dst = append(dst, '[')
	for i, value := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, value)
	}
	return append(dst, ']')
}

// appendQuoted writes a JSON string. Claims are UTF-8, for nothing else passes the verifier.
func appendQuoted(dst []byte, value string) []byte {
	quoted, err := jsontext.AppendQuote(dst, value)
	if err != nil {
		return append(dst, `""`...)
	}
	return quoted
}
