package oauth

import (
	"context"
	"slices"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

// Draft is a client that is being changed, with the names of its scopes.
type Draft struct {
	iam.Client
	ScopeNames []string
}

// draft reads a client as its editor sees it.
func draft(clientID string) func(*store.Reader) (Draft, bool) {
	return func(r *store.Reader) (Draft, bool) {
		c, known := r.ClientByClientID(clientID)
		return Draft{Client: c, ScopeNames: login.ScopeNames(r, c.Scopes)}, known
	}
}

// rights are what whoever speaks in the client's name may do.
func (d Draft) rights() []string { return d.Rights(d.ScopeNames) }

// UpdateClient changes a client, and returns it with the log index at which the change holds. Whoever
// changes it must hold the administrative rights that the client has, and may give what is new.
func (s *Service) UpdateClient(ctx context.Context, e Edit, clientID string, change func(*Draft)) (iam.Client, uint64, error) {
	res, err := edit(ctx, s, e, draft(clientID), func(old Draft) (fsm.Command, error) {
		next := old
		next.ScopeNames = slices.Clone(old.ScopeNames)
		change(&next)
		if err := mayChange(e.By, old, next); err != nil {
			return nil, err
		}
		var err error
		next.Scopes, err = s.scopeIDs(next.ScopeNames)
		return &fsm.UpdateClient{Client: next.Client, If: old.Changed}, err
	})
	return clientOf(res, err)
}

func mayChange(by iam.Permissions, old, next Draft) error {
	if err := by.MayAlter(old.rights()); err != nil {
		return err
	}
	switch {
	case next.ClientID != old.ClientID:
		return iam.Invalid("client_id", "cannot be changed: make another client")
	case next.Type != old.Type:
		return iam.Invalid("client_type", "cannot be changed: make another client")
	}
	return by.MayGive(without(next.rights(), old.rights()))
}

// without returns what of all is not among some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(some, name) })
}

func clientOf(res fsm.Result, err error) (iam.Client, uint64, error) {
	if err != nil {
		return iam.Client{}, 0, err
	}
	var c iam.Client
	err = res.Decode(&c)
	return c, res.Index, err
}

// DeleteClient removes a client, and returns the log index at which it is gone.
func (s *Service) DeleteClient(ctx context.Context, e Edit, clientID string) (uint64, error) {
	res, err := edit(ctx, s, e, draft(clientID), func(old Draft) (fsm.Command, error) {
		return &fsm.DeleteClient{ID: old.ID, If: old.Changed}, e.By.MayAlter(old.rights())
	})
	return res.Index, err
}

// LockDownClient takes everything from a client that is in the wrong hands, and returns how many sessions
// that ended.
func (s *Service) LockDownClient(ctx context.Context, e Edit, clientID string) (ended int, index uint64, err error) {
	res, err := edit(ctx, s, e, draft(clientID), func(old Draft) (fsm.Command, error) {
		return &fsm.LockDownClient{ID: old.ID}, e.By.MayAlter(old.rights())
	})
	if err == nil {
		err = res.Decode(&ended)
	}
	return ended, res.Index, err
}

// RotateSecret gives a client a new secret; the old one is good for as many seconds as grace says.
func (s *Service) RotateSecret(ctx context.Context, e Edit, clientID string, grace int64) (NewClient, error) {
	made := NewClient{}
	var digest []byte
	made.Secret, digest = newSecret()
	res, err := edit(ctx, s, e, draft(clientID), func(old Draft) (fsm.Command, error) {
		return &fsm.RotateSecret{ID: old.ID, Digest: digest, Grace: grace, If: old.Changed}, e.By.MayAlter(old.rights())
	})
	if err != nil {
		return NewClient{}, err
	}
	made.Index = res.Index
	return made, res.Decode(&made.Client)
}
