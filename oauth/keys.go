package oauth

import (
	"cmp"
	"context"
	"slices"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// Keys returns the signing keys, in the order in which they begin to sign.
func (s *Service) Keys() (keys []iam.Key, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		keys = r.Keys()
		return nil
	})
	slices.SortFunc(keys, func(a, b iam.Key) int { return cmp.Compare(a.SignFrom, b.SignFrom) })
	return keys, err
}

// RotateKey publishes a fresh key, made and sealed on this node, and returns it with the log index at which
// it is known. It signs when every verifier has had time to fetch it. Alone is for when a key was stolen: then
// the new one signs at once, every other one is forgotten, and all tokens that they signed are dead.
func (s *Service) RotateKey(ctx context.Context, origin fsm.Origin, alone bool) (iam.Key, uint64, error) {
	algorithm, now := s.View.Settings().Algorithm, s.Now()
	if algorithm == "HS256" {
		return iam.Key{}, 0, iam.Errorf(iam.Conflict, "In the compatible mode the key is the secret that other services know: change JWT_SECRET_KEY on every node instead.")
	}
	keys, err := s.Keys()
	if err != nil {
		return iam.Key{}, 0, err
	}
	signFrom := now
	if !alone {
		// Every key is kept until what it signed has expired, so they must not be made faster than they sign.
		if slices.ContainsFunc(keys, func(k iam.Key) bool { return k.SignFrom > now }) {
			return iam.Key{}, 0, iam.Errorf(iam.Conflict, "A new key is published already and waits to sign.")
		}
		signFrom = token.PlanRotation(keys, now, token.PublishWait)
	}
	key, err := token.NewKey(algorithm, signFrom, now, s.Seal)
	if err != nil {
		return iam.Key{}, 0, err
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.AddKey{Key: key, Alone: alone})
	if err != nil {
		return iam.Key{}, 0, err
	}
	stored, known, err := read(s, func(r *store.Reader) (iam.Key, bool) { return r.Key(key.ID) })
	if err == nil && !known {
		err = iam.Errorf(iam.Conflict, "Another rotation took the new key's place.")
	}
	return stored, res.Index, err
}
