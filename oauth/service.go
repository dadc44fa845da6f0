package oauth

import (
	"context"
	"crypto/sha256"
	"slices"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
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
	// Confirm returns when no node answers by an older state than this node's, see cluster.Node.Confirm.
	Confirm func(context.Context) (*fsm.Receipt, error)

	Limiter *tally.Tally // nil: no limits
	Guesses limit.Limit  // how many wrong client secrets an address may have hashed

	// Seal encrypts a signing key that is made on this node.
	Seal func(plaintext, aad []byte) []byte

	proven provenSecrets
	uses   uses
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
	Index        uint64 // of the log entry that it comes from; 0 for service tokens, which need none
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
		req.client = client
		req.Origin.RequestID = boundTo(client, r.Origin.RequestID)
	}
	return grant(ctx, req)
}

// boundTo makes a request id into that of one client. The outcome of a request is given again to
// whoever repeats it: were the client no part of the id, a refresh token that leaked would be good for
// everybody who sends it with the same idempotency key, though it is bound to the client that was
// authenticated here (RFC 6749 §6).
func boundTo(client *iam.Client, request iam.ID) iam.ID {
	if request.IsZero() {
		return request
	}
	sum := sha256.Sum256(append(request[:], client.ClientID...))
	return iam.ID(sum[:len(request)])
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
			h.scopes = append(h.scopes, login.ScopeNames(r, role.Scopes)...)
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

// lifetime is how long a token lives, in seconds: as its client says, or the given default.
func lifetime(client *iam.Client, seconds int64) int64 {
	if client != nil && client.AccessLifetime > 0 {
		return client.AccessLifetime
	}
	return seconds
}

// sign fills in what all tokens share and signs. The audience is that of the token, or the issuer
// where it has none.
func (s *Service) sign(c *token.Claims, client *iam.Client, issued, lifetime int64) (string, error) {
	settings := s.View.Settings()
	c.Issuer = settings.Issuer
	if len(c.Audience) == 0 {
		c.Audience = []string{settings.Issuer}
	}
	if client != nil {
		c.ClientID, c.ClientGeneration = client.ClientID, client.Generation
	}
	c.IssuedAt, c.NotBefore, c.ExpiresAt = issued, issued, issued+lifetime
	return s.View.Keys().Sign(c, s.Now())
}
