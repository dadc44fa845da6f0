package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

const (
	// maxLegacyRead bounds the rows that are looked at for one token. The old system kept a row for each refresh
	// until it expired, so that one person may have thousands.
	maxLegacyRead = 10_000
	// maxLegacyTried bounds those of them whose hash is computed, each of which takes a tenth of a second.
	maxLegacyTried = 8
	// nearby is how far the times in a row may be from those in its token, which the old system took from two
	// clocks one after the other.
	nearby = 2 * time.Minute
)

// redeem continues a session of the old system with one of its refresh tokens: the grant of refresh for
// what is no token of ours. The answer is like that of a refresh, the session is a new one of ours, and
// the token is used up: whoever loses the answer has to log in again.
func (s *Service) redeem(ctx context.Context, r request) (Answer, error) {
	old, proven, err := s.legacy(ctx, r.RefreshToken, r.Client.IP)
	if err != nil {
		return Answer{}, err
	}
	if !proven {
		return Answer{}, badRefresh()
	}
	if err := s.checkNarrowing(iam.Session{UserID: old.UserID}, r.scope); err != nil {
		return Answer{}, err
	}
	id := iam.NewID()
	refresh := token.NewRefreshToken(id)
	origin := r.Origin
	origin.Actor = old.UserID.String()
	origin.RequestID = iam.ID{} // as of a login: the answer could not be given again
	session := iam.Session{
		ID: id, UserID: old.UserID, Narrowed: r.scope, Family: refresh.Family(), Refresh: refresh.Digest(),
		TokenID: iam.NewID().String(), ExpiresAt: s.sessionEnd(r.client), IP: origin.IP, UserAgent: origin.UserAgent,
	}
	if r.client != nil {
		session.ClientID = r.client.ClientID
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.RedeemLegacy{ID: old.ID, TokenHash: old.TokenHash, Session: session})
	if err != nil {
		return Answer{}, err
	}
	if err := res.Decode(&session); err != nil {
		return Answer{}, err
	}
	return s.answer(session, res.Index, refresh.Reveal(), session.CreatedAt)
}

// legacy finds the row of a refresh token of the old system, which is the one whose hash is of the whole
// token.
func (s *Service) legacy(ctx context.Context, raw string, from netip.Addr) (row iam.LegacySession, proven bool, err error) {
	presented, err := s.View.Keys().VerifyLegacyRefresh(raw, token.Expect{Issuer: s.View.Issuer(), Now: s.Now()})
	if err != nil {
		return row, false, nil
	}
	// An import on another node may have brought the row a moment ago. Only who knows the shared secret comes
	// to here.
	if err := s.Login.CatchUp(ctx); err != nil {
		return row, false, err
	}
	candidates, err := s.candidates(presented)
	if err != nil || len(candidates) == 0 {
		return row, false, err
	}
	counted, err := s.countGuess("old refresh tokens from ", from)
	if err != nil {
		return row, false, err
	}
	for _, row := range candidates {
		fits, err := s.Login.Hasher.Verify(ctx, row.TokenHash, raw)
		if errors.Is(err, secret.ErrUnusableHash) {
			continue
		}
		if err != nil || fits {
			s.takeBack(counted)
			return row, fits, err
		}
	}
	return row, false, nil
}

// candidates are the rows that a token may belong to, the likeliest first: those with its times, and then the
// newest.
func (s *Service) candidates(t token.LegacyRefresh) (rows []iam.LegacySession, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		rows = r.LegacySessionsOf(t.User, maxLegacyRead)
		return nil
	})
	now := s.Now()
	rows = slices.DeleteFunc(rows, func(row iam.LegacySession) bool { return row.ExpiresAt <= now })
	slices.SortFunc(rows, func(a, b iam.LegacySession) int {
		return cmp.Or(cmp.Compare(distance(a, t), distance(b, t)), cmp.Compare(b.IssuedAt, a.IssuedAt), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return rows[:min(len(rows), maxLegacyTried)], err
}

// distance is how far a row's end is from that of the token, or the same for all that are not nearby.
func distance(row iam.LegacySession, t token.LegacyRefresh) time.Duration {
	return min(row.ExpiresAt.Sub(t.ExpiresAt).Abs(), nearby)
}
