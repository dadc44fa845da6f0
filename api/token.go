package api

import "encoding/json"

// TokenRequest logs a person in.
type TokenRequest struct {
	GrantType    string `json:"grant_type,omitzero"` // "password", or absent
	Username     string `json:"username"`            // name or e-mail address, in any letter case
	Password     string `json:"password"`
	Scope        string `json:"scope,omitzero"` // space-separated; absent: all that is held
	ClientID     string `json:"client_id,omitzero"`
	ClientSecret string `json:"client_secret,omitzero"` // for a confidential client, unless it sends Basic
}

// RefreshRequest exchanges a refresh token for new tokens.
type RefreshRequest struct {
	GrantType    string `json:"grant_type,omitzero"` // "refresh_token", or absent
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope,omitzero"` // narrower only
	ClientID     string `json:"client_id,omitzero"`
	ClientSecret string `json:"client_secret,omitzero"`
}

// ServiceTokenRequest obtains a token for a client itself. The credentials may come as HTTP Basic
// instead.
type ServiceTokenRequest struct {
	GrantType    string     `json:"grant_type,omitzero"` // "client_credentials", or absent
	ClientID     string     `json:"client_id,omitzero"`
	ClientSecret string     `json:"client_secret,omitzero"`
	Scope        string     `json:"scope,omitzero"`
	Audience     StringList `json:"audience,omitzero"`
}

// GrantRequest is a request to the standard token endpoint, which takes every grant as a form
// (RFC 6749 §4.3.2, §4.4.2, §6).
type GrantRequest struct {
	GrantType    string     `json:"grant_type"`
	Username     string     `json:"username,omitzero"`
	Password     string     `json:"password,omitzero"`
	RefreshToken string     `json:"refresh_token,omitzero"`
	Scope        string     `json:"scope,omitzero"`
	Audience     StringList `json:"audience,omitzero"`
	ClientID     string     `json:"client_id,omitzero"`
	ClientSecret string     `json:"client_secret,omitzero"`
}

// TokenResponse is the answer of every grant (RFC 6749 §5.1).
type TokenResponse struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitzero"` // none for services
	TokenType    string `json:"token_type"`             // always "Bearer"
	ExpiresIn    int64  `json:"expires_in"`             // seconds
	Scope        string `json:"scope"`
	TokenID      string `json:"jti"`
	SessionID    string `json:"session_id,omitzero"` // none for services
}

// RevokeRequest makes a token dead (RFC 7009 §2.1).
type RevokeRequest struct {
	Token         string `json:"token"`
	TokenTypeHint string `json:"token_type_hint,omitzero"` // taken and not needed
	ClientID      string `json:"client_id,omitzero"`
	ClientSecret  string `json:"client_secret,omitzero"`
}

// IntrospectRequest asks about a token (RFC 7662 §2.1).
type IntrospectRequest struct {
	Token         string `json:"token"`
	TokenTypeHint string `json:"token_type_hint,omitzero"` // taken and not needed
	ClientID      string `json:"client_id,omitzero"`
	ClientSecret  string `json:"client_secret,omitzero"`
}

// Introspection is what a token says (RFC 7662 §2.2). Of one that is not active only Active is sent.
type Introspection struct {
	Active    bool       `json:"active"`
	Scope     string     `json:"scope,omitzero"`
	ClientID  string     `json:"client_id,omitzero"`
	Username  string     `json:"username,omitzero"`
	TokenType string     `json:"token_type,omitzero"`
	ExpiresAt int64      `json:"exp,omitzero"`
	IssuedAt  int64      `json:"iat,omitzero"`
	NotBefore int64      `json:"nbf,omitzero"`
	Subject   string     `json:"sub,omitzero"`
	Audience  StringList `json:"aud,omitzero"`
	Issuer    string     `json:"iss,omitzero"`
	TokenID   string     `json:"jti,omitzero"`
	Roles     []string   `json:"roles,omitzero"`
	SessionID string     `json:"sid,omitzero"`
}

// LogoutRequest ends the session of the bearer's token, or all sessions of its user.
type LogoutRequest struct {
	AllSessions bool `json:"all_sessions,omitzero"`
}

// LogoutResponse says how many sessions were ended.
type LogoutResponse struct {
	Message            string `json:"message"`
	SessionsTerminated int    `json:"sessions_terminated"`
}

// ServerMetadata tells standard clients where everything is (RFC 8414 §2).
type ServerMetadata struct {
	Issuer                            string   `json:"issuer"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	GrantTypesSupported               []string `json:"grant_types_supported"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported"`
}

// StringList is one string or a list of them on the wire, as "audience" is.
type StringList []string

// UnmarshalJSON reads both forms.
func (l *StringList) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '"' {
		return json.Unmarshal(text, (*[]string)(l))
	}
	var one string
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	*l = StringList{one}
	return nil
}

// Verified tells a proxy whose request it may let through. The same stands in the headers of the answer, which are
// X-Auth-Subject, X-Auth-Type, X-Auth-Client-Id, X-Auth-Username, X-Auth-Scope and X-Auth-Roles.
type Verified struct {
	Subject  string   `json:"sub"`
	Type     string   `json:"type"` // access: a person's, service: a client's own
	ClientID string   `json:"client_id,omitzero"`
	Username string   `json:"username,omitzero"`
	Scope    string   `json:"scope"` // space-separated
	Roles    []string `json:"roles,omitzero"`
}
