package oauth

import (
	"context"
	"crypto/subtle"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// replayLabel separates this use of a refresh token from every other.
const replayLabel = "keystone refresh replay v1"

// refresh is the grant of RFC 6749 §6 with rotation (RFC 9700 §4.14.2). The token that is issued is
// sealed under the one that was presented and kept with the session: who lost the answer and asks
// again gets the same one, and nobody else can open it.
func (s *Service) refresh(ctx context.Context, r request) (Answer, error) {
	presented, err := token.ParseRefreshToken(r.RefreshToken)
	if err != nil {
		return s.redeem(ctx, r) // it may be one of the old system
	}
	session, known, err := s.chain(ctx, presented)
	if err != nil {
		return Answer{}, err
	}
	if !known {
		return Answer{}, badRefresh()
	}
	if err := s.checkNarrowing(session, r.scope); err != nil {
		return Answer{}, err
	}
	next := presented.Next()
	cmd := &fsm.RotateSession{
		ID: presented.Session(), Family: presented.Family(), Presented: presented.Digest(), Next: next.Digest(),
		Replay:  secret.SealUnder(presented.Reveal(), replayLabel, []byte(next.Reveal())),
		TokenID: iam.NewID().String(), ExpiresAt: s.sessionEnd(r.client), Narrowed: r.scope,
	}
	if r.client != nil {
		cmd.ClientID = r.client.ClientID
	}
	res, err := s.Proposer.Propose(ctx, r.Origin, cmd)
	if err != nil {
		return Answer{}, err
	}
	var rotation fsm.Rotation
	if err := res.Decode(&rotation); err != nil {
		return Answer{}, err
	}
	if rotation.Killed {
		return Answer{}, badRefresh()
	}
	// Read back rather than taken from next: this may be the answer to an earlier try.
	issued, err := secret.OpenUnder(presented.Reveal(), replayLabel, rotation.Session.Replay)
	if err != nil {
		return Answer{}, badRefresh()
	}
	return s.answer(rotation.Session, res.Index, string(issued), rotation.Session.RotatedAt)
}

// chain finds the session that a refresh token belongs to. Anybody can make up a token that looks like
// one, so nothing is proposed for it before this was asked: a change of the log costs every node.
func (s *Service) chain(ctx context.Context, presented token.RefreshToken) (session iam.Session, known bool, err error) {
	find := func(r *store.Reader) error {
		session, known = r.Session(presented.Session())
		return nil
	}
	err = s.Store.View(find)
	if err == nil && !known {
		// It may have been opened on another node a moment ago.
		if err = s.Login.CatchUp(ctx); err == nil {
			err = s.Store.View(find)
		}
	}
	fits := subtle.ConstantTimeCompare(session.Family, presented.Family()) == 1
	return session, known && fits, err
}

// checkNarrowing refuses a scope of which nothing would be left before the token is used up for it.
func (s *Service) checkNarrowing(session iam.Session, scope []string) error {
	return s.Store.View(func(r *store.Reader) error {
		user, ok := r.User(session.UserID)
		if !ok {
			return badRefresh()
		}
		session.Narrowed = scope
		_, err := grantedNow(session, expand(r, user).scopes)
		return err
	})
}

func badRefresh() error { return iam.Errorf(iam.InvalidGrant, "The refresh token is not valid.") }
