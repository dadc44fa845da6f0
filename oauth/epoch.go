package oauth

import (
	"context"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/token"
)

// InvalidateAll begins a new epoch: nothing that was issued before is good any more. It is for an operator who
// must assume the worst, and belongs after every restore of a backup, which brings back to life whatever was
// revoked since. In the compatible mode the key stays, for it is the secret that other services know: they
// go on taking the old tokens until these expire, or until JWT_SECRET_KEY is another one.
func (s *Service) InvalidateAll(ctx context.Context, origin fsm.Origin, reason string) (iam.Epoch, uint64, error) {
	cmd := &fsm.RaiseEpoch{Reason: reason}
	if algorithm, now := s.View.Settings().Algorithm, s.Now(); algorithm != "HS256" {
		key, err := token.NewKey(algorithm, now, now, s.Seal)
		if err != nil {
			return iam.Epoch{}, 0, err
		}
		cmd.Key = key
	}
	res, err := s.Proposer.Propose(ctx, origin, cmd)
	if err != nil {
		return iam.Epoch{}, 0, err
	}
	var e iam.Epoch
	return e, res.Index, res.Decode(&e)
}
