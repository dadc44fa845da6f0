package oauth

import (
	"context"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/token"
)

// password is the grant of RFC 6749 §4.3: a person's name and password for a session.
func (s *Service) password(ctx context.Context, r request) (Answer, error) {
	if r.Username == "" || r.Password == "" {
		return Answer{}, iam.Errorf(iam.InvalidRequest, "Both username and password are needed.")
	}
	answer, proof, err := s.logIn(ctx, r)
	if proof.Rehashed != "" && iam.CodeOf(err) == iam.InvalidGrant {
		// Another login with the same password replaced the weak hash in between: what was proven
		// against the old one has to be proven against the new one.
		answer, _, err = s.logIn(ctx, r)
	}
	return answer, err
}

// logIn proves the password and opens a session.
func (s *Service) logIn(ctx context.Context, r request) (Answer, login.Proof, error) {
	proof, err := s.Login.Password(ctx, login.Attempt{Name: r.Username, Password: r.Password, Origin: r.Origin})
	if err != nil {
		return Answer{}, proof, err
	}
	answer, err := s.start(ctx, r, proof)
	return answer, proof, err
}

// start opens the session, by one command, if anything of the scope that was asked for is held.
func (s *Service) start(ctx context.Context, r request, proof login.Proof) (Answer, error) {
	h, err := s.holder(proof.User.ID)
	if err != nil {
		return Answer{}, err
	}
	if _, err := iam.Narrow(r.scope, h.scopes); err != nil {
		return Answer{}, err
	}
	id := iam.NewID()
	refresh := token.NewRefreshToken(id)
	origin := r.Origin
	origin.Actor = proof.User.ID.String()
	// Not under the caller's idempotency key: the answer holds a fresh refresh token, of which only
	// a digest is kept, so that it could not be given again.
	origin.RequestID = iam.ID{}
	session := iam.Session{
		ID: id, UserID: proof.User.ID, Scope: r.scope,
		Family: refresh.Family(), Refresh: refresh.Digest(), TokenID: iam.NewID().String(),
		ExpiresAt: s.sessionEnd(r.client), IP: origin.IP, UserAgent: origin.UserAgent,
	}
	if r.client != nil {
		session.ClientID = r.client.ClientID
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.StartSession{
		Session: session, Proven: proof.User.PasswordHash, Rehashed: proof.Rehashed,
	})
	if err != nil {
		return Answer{}, err
	}
	if err := res.Decode(&session); err != nil {
		return Answer{}, err
	}
	return s.answer(session, res.Index, refresh.Reveal(), session.CreatedAt)
}

// sessionEnd is when a refresh token that is issued now expires.
func (s *Service) sessionEnd(client *iam.Client) iam.Time {
	seconds := s.View.Settings().RefreshSeconds
	if client != nil && client.RefreshLifetime > 0 {
		seconds = client.RefreshLifetime
	}
	return s.Now().Add(time.Duration(seconds) * time.Second)
}

// answer issues the access token of a session as it stands since the log entry at index, so that the
// answer to a retry is the answer to the request itself.
func (s *Service) answer(session iam.Session, index uint64, refresh string, issued iam.Time) (Answer, error) {
	h, err := s.holder(session.UserID)
	if err != nil {
		return Answer{}, err
	}
	scope, err := grantedNow(session, h.scopes)
	if err != nil {
		return Answer{}, err
	}
	client, err := s.clientOf(session)
	if err != nil {
		return Answer{}, err
	}
	claims := &token.Claims{
		Type: token.TypeAccess, Subject: session.UserID.String(), ID: session.TokenID,
		SessionID: session.ID, Epoch: s.View.Epoch().Of(session.Index), Scope: scope, AuthTime: session.AuthTime.Unix(),
		Roles: h.roles, Username: h.user.Username, Email: h.user.Email, Superuser: h.user.Superuser,
	}
	if client != nil {
		claims.Audience = client.Audiences
	}
	// Not beyond the session, by whose end every token of it can be taken back.
	seconds := min(lifetime(client, s.View.Settings().AccessSeconds), session.ExpiresAt.Unix()-issued.Unix())
	access, err := s.sign(claims, client, issued.Unix(), seconds)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		AccessToken: access, RefreshToken: refresh, Scope: iam.JoinScopes(scope),
		TokenID: session.TokenID, SessionID: session.ID, ExpiresIn: claims.ExpiresAt - claims.IssuedAt, Index: index,
	}, nil
}

// clientOf returns the client through which the session was opened, or nil. This node has applied the
// session, so a client that it does not know is gone.
func (s *Service) clientOf(session iam.Session) (*iam.Client, error) {
	if session.ClientID == "" {
		return nil, nil
	}
	client, known := s.View.Client(session.ClientID)
	if !known {
		return nil, iam.Errorf(iam.InvalidClient, "The client is not valid.")
	}
	return client, nil
}

// grantedNow is what was asked for at the login, and perhaps narrower at the refresh, of what the
// user holds at this moment: a role change shows in the next token.
func grantedNow(session iam.Session, held []string) ([]string, error) {
	scope, err := iam.Narrow(session.Scope, held)
	if err != nil {
		return nil, err
	}
	return iam.Narrow(session.Narrowed, scope)
}
