package oauth

import (
	"context"
	"slices"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
	"github.com/keystone-auth/keystone/view"
)

// The grants (RFC 6749 §4.3, §6, §4.4).
const (
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// Service issues and revokes tokens. Its fields are set once, before the first call.
type Service struct {
	Store    *store.Store
	View     *view.View
	Proposer fsm.Proposer
	Login    *login.Service
	Now      func() iam.Time

	proven provenSecrets
}

// Request is one token request, whatever the wire said.
type Request struct {
	Grant        string
	Username     string
	Password     string
	RefreshToken string
	Scope        string // as in RFC 6749 §3.3; "" = all that is held
	Audience     []string
	Client       ClientAuth
	Origin       fsm.Origin
}

// Answer is what a token request gives.
type Answer struct {
	AccessToken  string
	RefreshToken string // "" for service tokens
	Scope        string
	TokenID      string // jti of the access token
	SessionID    iam.ID // zero for service tokens
	ExpiresIn    int64  // seconds
}

// request is what every grant gets: the request with its scope read and its client authenticated.
type request struct {
	Request
	scope  []string
	client *iam.Client // nil when none was named
}

// Token answers a token request. Errors are *iam.Error with the codes of RFC 6749 §5.2 and those for
// disabled and locked accounts.
func (s *Service) Token(ctx context.Context, r Request) (Answer, error) {
	grants := map[string]func(context.Context, request) (Answer, error){
		GrantPassword:          s.password,
		GrantRefreshToken:      s.refresh,
		GrantClientCredentials: s.clientCredentials,
	}
	grant, known := grants[r.Grant]
	if !known {
		return Answer{}, iam.Errorf(iam.UnsupportedGrantType, "The grant type is not supported: use password, refresh_token or client_credentials.")
	}
	scope, err := iam.ParseScopes(r.Scope)
	if err != nil {
		return Answer{}, err
	}
	req := request{Request: r, scope: scope}
	if r.Client.ID != "" {
		client, err := s.AuthenticateClient(ctx, r.Client)
		if err != nil {
			return Answer{}, err
		}
		req.client = &client
	}
	return grant(ctx, req)
}

// holder is a user as tokens describe them: with the names of roles and scopes at this moment.
type holder struct {
	user   iam.User
	roles  []string
	scopes []string
}

// holder reads a user and expands the roles.
func (s *Service) holder(id iam.ID) (h holder, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		user, ok := r.User(id)
		if !ok {
			return iam.Errorf(iam.InvalidGrant, "The credentials are not valid.")
		}
		h = expand(r, user)
		return nil
	})
	return h, err
}

// expand turns roles into names and scopes. A superuser holds every scope there is.
func expand(r *store.Reader, user iam.User) holder {
	h := holder{user: user, roles: []string{}, scopes: []string{}}
	for _, id := range user.Roles {
		if role, ok := r.Role(id); ok {
			h.roles = append(h.roles, role.Name)
			h.scopes = append(h.scopes, scopeNames(r, role.Scopes)...)
		}
	}
	if user.Superuser {
		for _, scope := range r.Scopes(iam.ID{}, 10_000) {
			h.scopes = append(h.scopes, scope.Name)
		}
	}
	slices.Sort(h.roles)
	slices.Sort(h.scopes)
	h.scopes = slices.Compact(h.scopes)
	return h
}

func scopeNames(r *store.Reader, ids []iam.ID) []string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		if scope, ok := r.Scope(id); ok {
			names = append(names, scope.Name)
		}
	}
	slices.Sort(names)
	return names
}

// sign fills in what all tokens share and signs. The audience is that of the token, or the issuer
// where it has none.
func (s *Service) sign(c *token.Claims, client *iam.Client, issued, lifetime int64) (string, error) {
	settings := s.View.Settings()
	c.Issuer = settings.Issuer
	if len(c.Audience) == 0 {
		c.Audience = []string{settings.Issuer}
	}
	if client != nil && client.AccessLifetime > 0 {
		lifetime = client.AccessLifetime
	}
	c.IssuedAt, c.NotBefore, c.ExpiresAt = issued, issued, issued+lifetime
	return s.View.Keys().Sign(c, s.Now())
}
