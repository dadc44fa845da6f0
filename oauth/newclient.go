package oauth

import (
	"context"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// NewClient is a client that was made.
type NewClient struct {
	iam.Client
	Secret string // shown this once, for only its digest is kept; "" for a public client
	Index  uint64 // the log index at which the client exists
}

// CreateClient makes a client that holds the scopes of these names, if by may give them.
func (s *Service) CreateClient(ctx context.Context, origin fsm.Origin, c iam.Client, scopes []string, by iam.Permissions) (NewClient, error) {
	var err error
	if c.Scopes, err = s.scopeIDs(scopes); err != nil {
		return NewClient{}, err
	}
	if err := by.MayGive(c.Rights(scopes)); err != nil {
		return NewClient{}, err
	}
	made := NewClient{}
	if c.Type == iam.Confidential {
		made.Secret, c.SecretDigest = newSecret()
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.CreateClient{Client: c})
	if err != nil {
		return NewClient{}, err
	}
	made.Index = res.Index
	return made, res.Decode(&made.Client)
}

// newSecret makes a secret and the digest under which it is kept.
func newSecret() (text string, digest []byte) {
	text = secret.NewClientSecret()
	d := secret.DigestOf(text)
	return text, d[:]
}

// scopeIDs turns names into ids.
func (s *Service) scopeIDs(names []string) (ids []iam.ID, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		for _, name := range names {
			scope, ok := r.ScopeByName(name)
			if !ok {
				return iam.Invalid("scopes", "names a scope that does not exist")
			}
			ids = append(ids, scope.ID)
		}
		return nil
	})
	return ids, err
}
