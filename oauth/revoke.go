package oauth

import (
	"context"
	"net/netip"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/token"
)

// Caller is whoever asks: by a bearer token, by client credentials, or over the operator's socket.
type Caller struct {
	Claims   *token.Claims
	Foreign  bool // the token was made for others than Keystone: it decides about its own life alone
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

// Permissions is what the caller may do. Client credentials alone permit nothing: a token says what a
// client may do. Nor does a token that was made for others: they have it too, and could use it here.
func (c Caller) Permissions() iam.Permissions {
	p := iam.Permissions{All: c.Operator}
	if c.Claims != nil && !c.Foreign {
		p.Scopes = c.Claims.Scope
	}
	return p
}

// Grants tells whether the caller holds a scope.
func (c Caller) Grants(scope string) bool { return c.Permissions().Grants(scope) }

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
// over without a word: the answer must not tell whether a token is good. It returns the log index at
// which the token is dead.
func (s *Service) Revoke(ctx context.Context, c Caller, raw string, origin fsm.Origin) (uint64, error) {
	cmd, err := s.revocation(ctx, c, raw, origin)
	if err != nil {
		return 0, err
	}
	if cmd == nil {
		// Whoever ended the session of a refresh token may still wait until that holds on every node.
		// Nothing is written for it: anybody can make up a token that looks like one.
		receipt, err := s.Confirm(ctx)
		if err != nil {
			return 0, err
		}
		origin.Receipts.Add(receipt)
		return receipt.Index, nil
	}
	res, err := s.Proposer.Propose(ctx, origin, cmd)
	return res.Index, err
}

// revocation returns the command that takes the token back, or nil when there is nothing to do.
func (s *Service) revocation(ctx context.Context, c Caller, raw string, origin fsm.Origin) (fsm.Command, error) {
	if refresh, err := token.ParseRefreshToken(raw); err == nil {
		if _, known, err := s.chain(ctx, refresh); err != nil || !known {
			return nil, err
		}
		return c.refreshRevocation(refresh), nil
	}
	if cmd, err := s.legacyRevocation(ctx, c, raw, origin); cmd != nil || err != nil {
		return cmd, err
	}
	claims, err := s.View.Keys().Verify(raw, token.Expect{Issuer: s.View.Issuer(), Now: s.Now()})
	if err != nil || !c.owns(claims) {
		return nil, nil
	}
	return &fsm.RevokeToken{Jti: claims.ID}, nil
}

// refreshRevocation ends the session of a refresh token. Whose it is, and whether the token is of
// that session's chain, is for the state machine to say.
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

// legacyRevocation takes back a refresh token of the old system, which belongs to nobody but its user: the old
// system did not say through which client it was issued.
func (s *Service) legacyRevocation(ctx context.Context, c Caller, raw string, origin fsm.Origin) (fsm.Command, error) {
	presented, err := s.View.Keys().VerifyLegacyRefresh(raw, token.Expect{Issuer: s.View.Issuer(), Now: s.Now()})
	if err != nil {
		return nil, nil
	}
	if user, ok := c.User(); !c.Grants(iam.ScopeAdminTokens) && !(ok && user == presented.User) {
		return nil, nil
	}
	from, _ := netip.ParseAddr(origin.IP) // of the operator's socket there is none
	row, proven, err := s.legacy(ctx, raw, from)
	if err != nil || !proven {
		return nil, err
	}
	return &fsm.EndLegacy{User: row.UserID, ID: row.ID}, nil
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

// Logout ends the caller's session, or all of the caller's sessions, and returns how many ended and
// the log index at which they are. The access token that it came with is dead as well.
func (s *Service) Logout(ctx context.Context, c Caller, all bool, origin fsm.Origin) (ended int, index uint64, err error) {
	if c.Claims == nil {
		return 0, 0, iam.Errorf(iam.Unauthorized, "A bearer token is needed.")
	}
	user, isUser := c.User()
	if isUser && !all && c.Claims.SessionID.IsZero() { // a token of the old system
		res, err := s.Proposer.Propose(ctx, origin, &fsm.EndLegacy{User: user, Jti: c.Claims.ID})
		return 0, res.Index, err
	}
	if !isUser {
		res, err := s.Proposer.Propose(ctx, origin, &fsm.RevokeToken{Jti: c.Claims.ID})
		return 0, res.Index, err
	}
	cmd := &fsm.EndSessions{User: user, Session: c.Claims.SessionID, Jti: c.Claims.ID}
	if all {
		cmd.Session = iam.ID{}
	}
	res, err := s.Proposer.Propose(ctx, origin, cmd)
	if err != nil {
		return 0, 0, err
	}
	err = res.Decode(&ended)
	return ended, res.Index, err
}
