package oauth

import (
	"context"
	"slices"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

// RoleDraft is a role that is being changed, with the names of its scopes.
type RoleDraft struct {
	iam.Role
	ScopeNames []string
}

// RoleByKey finds a role by its id or its name. A name that is spelled like an id is not that id.
func RoleByKey(r *store.Reader, key string) (iam.Role, bool) {
	if id, err := iam.ParseID(key); err == nil {
		if role, known := r.Role(id); known {
			return role, true
		}
	}
	return r.RoleByName(key)
}

// ScopeByKey finds a scope by its id or its name.
func ScopeByKey(r *store.Reader, key string) (iam.Scope, bool) {
	if id, err := iam.ParseID(key); err == nil {
		if scope, known := r.Scope(id); known {
			return scope, true
		}
	}
	return r.ScopeByName(key)
}

func roleDraft(key string) func(*store.Reader) (RoleDraft, bool) {
	return func(r *store.Reader) (RoleDraft, bool) {
		role, known := RoleByKey(r, key)
		return RoleDraft{Role: role, ScopeNames: login.ScopeNames(r, role.Scopes)}, known
	}
}

// CreateRole makes a role that holds the scopes of these names, if by may give them.
func (s *Service) CreateRole(ctx context.Context, origin fsm.Origin, role iam.Role, scopes []string, by iam.Permissions) (iam.Role, uint64, error) {
	var err error
	if role.Scopes, err = s.scopeIDs(scopes); err != nil {
		return iam.Role{}, 0, err
	}
	if err := by.MayGive(scopes); err != nil {
		return iam.Role{}, 0, err
	}
	return roleOf(s.Proposer.Propose(ctx, origin, &fsm.PutRole{Role: role}))
}

// UpdateRole changes a role, and returns it with the log index at which the change holds. Who puts scopes
// into it must be allowed to give them, and who takes administrative ones out must hold them.
func (s *Service) UpdateRole(ctx context.Context, e Edit, key string, change func(*RoleDraft)) (iam.Role, uint64, error) {
	return roleOf(edit(ctx, s, e, roleDraft(key), func(old RoleDraft) (fsm.Command, error) {
		next := old
		next.ScopeNames = slices.Clone(old.ScopeNames)
		change(&next)
		if err := e.By.MayAlter(without(old.ScopeNames, next.ScopeNames)); err != nil {
			return nil, err
		}
		if err := e.By.MayGive(without(next.ScopeNames, old.ScopeNames)); err != nil {
			return nil, err
		}
		var err error
		next.Scopes, err = s.scopeIDs(next.ScopeNames)
		return &fsm.PutRole{Role: next.Role, If: old.Changed}, err
	}))
}

// DeleteRole removes a role that nobody holds, and returns the log index at which it is gone.
func (s *Service) DeleteRole(ctx context.Context, e Edit, key string) (uint64, error) {
	res, err := edit(ctx, s, e, roleDraft(key), func(old RoleDraft) (fsm.Command, error) {
		return &fsm.DeleteRole{ID: old.ID, If: old.Changed}, e.By.MayAlter(old.ScopeNames)
	})
	return res.Index, err
}

// UpdateScope changes what is said of a scope, and returns it with the log index at which that holds.
func (s *Service) UpdateScope(ctx context.Context, e Edit, key string, change func(*iam.Scope)) (iam.Scope, uint64, error) {
	find := func(r *store.Reader) (iam.Scope, bool) { return ScopeByKey(r, key) }
	res, err := edit(ctx, s, e, find, func(old iam.Scope) (fsm.Command, error) {
		next := old
		change(&next)
		return &fsm.PutScope{Scope: next, If: old.Changed}, nil
	})
	if err != nil {
		return iam.Scope{}, 0, err
	}
	var scope iam.Scope
	err = res.Decode(&scope)
	return scope, res.Index, err
}

// DeleteScope removes a scope that no role and no client holds, and returns the log index at which it is
// gone.
func (s *Service) DeleteScope(ctx context.Context, e Edit, key string) (uint64, error) {
	find := func(r *store.Reader) (iam.Scope, bool) { return ScopeByKey(r, key) }
	res, err := edit(ctx, s, e, find, func(old iam.Scope) (fsm.Command, error) {
		return &fsm.DeleteScope{ID: old.ID, If: old.Changed}, nil
	})
	return res.Index, err
}

func roleOf(res fsm.Result, err error) (iam.Role, uint64, error) {
	if err != nil {
		return iam.Role{}, 0, err
	}
	var role iam.Role
	err = res.Decode(&role)
	return role, res.Index, err
}
