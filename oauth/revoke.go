package oauth

import (
	"context"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/token"
)

// Caller is whoever asks: by a bearer token, by client credentials, or over the operator's socket.
type Caller struct {
	Claims   *token.Claims
	Client   *iam.Client
	Operator bool
}

// Actor names the caller in the audit log.
func (c Caller) Actor() string {
	switch {
	case c.Operator:
		return "operator"
	case c.Client != nil:
		return c.Client.ClientID
	case c.Claims != nil:
		return c.Claims.Subject
	}
	return ""
}

// Grants tells whether the caller holds a scope. Client credentials alone hold none: a token says
// what a client may do.
func (c Caller) Grants(scope string) bool {
	return c.Operator || c.Claims != nil && iam.Grants(c.Claims.Scope, scope)
}

// User returns the id of the person who calls, and false for programs and the operator.
func (c Caller) User() (iam.ID, bool) {
	if c.Claims == nil || c.Claims.Type != token.TypeAccess {
		return iam.ID{}, false
	}
	id, err := iam.ParseID(c.Claims.Subject)
	return id, err == nil
}

// MayIntrospect refuses whoever is neither a program with a secret nor an administrator of tokens:
// an answer says to whom a token belongs (RFC 7662 §4).
func (s *Service) MayIntrospect(c Caller) error {
	switch {
	case c.Client != nil && c.Client.Type == iam.Confidential,
		c.Claims != nil && c.Claims.Type == token.TypeService,
		c.Grants(iam.ScopeAdminTokens):
		return nil
	}
	return iam.Errorf(iam.Forbidden, "Only clients with a secret and administrators of tokens may introspect.")
}

// Revoke takes a token back (RFC 7009 §2). What is no token, and what belongs to others, is passed
// over without a word: the answer must not tell whether a token is good.
func (s *Service) Revoke(ctx context.Context, c Caller, raw string, origin fsm.Origin) error {
	cmd := s.revocation(c, raw)
	if cmd == nil {
		return nil
	}
	_, err := s.Proposer.Propose(ctx, origin, cmd)
	return err
}

// revocation returns the command that takes the token back, or nil when there is nothing to do.
func (s *Service) revocation(c Caller, raw string) fsm.Command {
	if refresh, err := token.ParseRefreshToken(raw); err == nil {
		return c.refreshRevocation(refresh)
	}
	claims, err := s.View.Keys().Verify(raw, token.Expect{Issuer: s.View.Settings().Issuer, Now: s.Now()})
	if err != nil || !c.owns(claims) {
		return nil
	}
	return &fsm.RevokeToken{Jti: claims.ID}
}

// refreshRevocation ends the session of a refresh token. Whose it is, and whether the token is of
// that session's chain, is left to the state machine: this node may not have heard of the session
// yet, and would let it live.
func (c Caller) refreshRevocation(refresh token.RefreshToken) fsm.Command {
	cmd := &fsm.EndSessions{Session: refresh.Session(), Family: refresh.Family()}
	if c.Grants(iam.ScopeAdminTokens) {
		return cmd
	}
	if user, ok := c.User(); ok {
		cmd.User = user
		return cmd
	}
	switch {
	case c.Client != nil:
		cmd.Client = c.Client.ClientID
	case c.Claims != nil:
		cmd.Client = c.Claims.ClientID
	}
	if cmd.Client == "" {
		return nil
	}
	return cmd
}

// owns tells whether a token is the caller's own: theirs, or issued through the client that calls.
func (c Caller) owns(t *token.Claims) bool {
	if c.Grants(iam.ScopeAdminTokens) {
		return true
	}
	if c.Client != nil {
		return t.ClientID == c.Client.ClientID
	}
	if c.Claims == nil {
		return false
	}
	if c.Claims.Type == token.TypeService {
		return t.ClientID == c.Claims.ClientID
	}
	return t.Type == token.TypeAccess && t.Subject == c.Claims.Subject
}

// Logout ends the caller's session, or all of the caller's sessions, and returns how many ended. The
// access token that it came with is dead as well.
func (s *Service) Logout(ctx context.Context, c Caller, all bool, origin fsm.Origin) (int, error) {
	if c.Claims == nil {
		return 0, iam.Errorf(iam.Unauthorized, "A bearer token is needed.")
	}
	user, isUser := c.User()
	if !isUser || !all && c.Claims.SessionID.IsZero() {
		_, err := s.Proposer.Propose(ctx, origin, &fsm.RevokeToken{Jti: c.Claims.ID})
		return 0, err
	}
	cmd := &fsm.EndSessions{User: user, Session: c.Claims.SessionID, Jti: c.Claims.ID}
	if all {
		cmd.Session = iam.ID{}
	}
	res, err := s.Proposer.Propose(ctx, origin, cmd)
	if err != nil {
		return 0, err
	}
	ended := 0
	return ended, res.Decode(&ended)
}
