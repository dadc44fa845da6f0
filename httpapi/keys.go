package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// keys lists the signing keys, in the order in which they begin to sign.
func (s *Server) keys(context.Context, *exchange, nothing) (api.Keys, error) {
	all, err := s.OAuth.Keys()
	return api.Keys{Keys: each(all, s.describeKey)}, err
}

// rotateKey makes a new signing key.
func (s *Server) rotateKey(ctx context.Context, x *exchange, r api.RotateKeyRequest) (api.Key, error) {
	key, index, err := s.OAuth.RotateKey(ctx, x.origin(), r.Immediately)
	if err != nil {
		return api.Key{}, err
	}
	x.reflects(index)
	return s.describeKey(key), nil
}

// describeKey is a key as administrators see it: when it does what, and nothing of the key itself.
func (s *Server) describeKey(k iam.Key) api.Key {
	now := iam.Now()
	status := "retired"
	if signer, _, _ := s.View.Keys().Signer(now); signer == k.ID {
		status = "signing"
	} else if k.SignFrom > now {
		status = "published"
	}
	return api.Key{
		ID: k.ID, Algorithm: k.Algorithm, Created: k.CreatedAt.Std(), SignFrom: k.SignFrom.Std(),
		VerifyUntil: timeOrNull(k.VerifyUntil), Status: status,
	}
}
