package fsm

import (
	"errors"
	"slices"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// PutRole adds a role, or replaces the one with its id. Invariant: a name names one role; every
// scope in it exists; the seeded roles keep their names. Its value is the iam.Role.
type PutRole struct {
	Role iam.Role `cbor:"1,keyasint"`
	If   uint64   `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*PutRole) Kind() Kind { return kindPutRole }

// Denies implements Command. A role may lose a scope, which whoever asks what its holders may do must not
// be told of any more. Tokens show it from the next one on.
func (*PutRole) Denies() bool { return true }

func (c *PutRole) event() Event { return Event{"role.saved", c.Role.ID.String()} }

// Validate implements Command.
func (c *PutRole) Validate() error {
	if c.Role.ID.IsZero() {
		return iam.Errorf(iam.InternalError, "A role needs an id.")
	}
	if err := iam.CheckText("description", c.Role.Description, 10_000); err != nil {
		return err
	}
	return about("name", iam.CheckRoleName(c.Role.Name))
}

// about names the field of a request in which something is wrong.
func about(field string, err error) error {
	var refusal *iam.Error
	if !errors.As(err, &refusal) || len(refusal.Fields) != 1 {
		return err
	}
	return iam.Invalid(field, "%s", refusal.Fields[0].Message)
}

func (c *PutRole) apply(tx *store.Tx, m Meta) (any, error) {
	r := c.Role
	if other, taken := tx.RoleByName(r.Name); taken && other.ID != r.ID {
		return nil, iam.Errorf(iam.Conflict, "A role of this name exists.")
	}
	if err := checkScopes(tx, r.Scopes); err != nil {
		return nil, err
	}
	old, exists := tx.Role(r.ID)
	if err := unchanged(c.If, old.Changed); err != nil {
		return nil, err
	}
	if exists && r.Name != old.Name && fixed(tx, old.Name) {
		return nil, iam.Errorf(iam.Conflict, "The roles admin, user and service, and the one that new users get, keep their names.")
	}
	if err := keepsAdministration(tx, old, r); err != nil {
		return nil, err
	}
	r.Scopes, r.CreatedAt, r.UpdatedAt, r.Changed = distinct(r.Scopes), m.At, m.At, m.Index
	if exists {
		r.CreatedAt = old.CreatedAt
	}
	tx.PutRole(r)
	return r, nil
}

// keepsAdministration refuses to take from the role admin what only it may hold: afterwards nobody could
// give it back.
func keepsAdministration(tx *store.Tx, old, r iam.Role) error {
	if old.Name != iam.RoleAdmin {
		return nil
	}
	for _, id := range old.Scopes {
		if scope, ok := tx.Scope(id); ok && iam.Administered(scope.Name) && !slices.Contains(r.Scopes, id) {
			return iam.Errorf(iam.Conflict, "The role admin keeps the scopes of Keystone's own administration.")
		}
	}
	return nil
}

// fixed tells whether something besides users leads to the role by its name.
func fixed(tx *store.Tx, role string) bool {
	s, _ := tx.Settings()
	return role == iam.RoleAdmin || role == iam.RoleUser || role == iam.RoleService || role == s.DefaultRole
}

func checkScopes(tx *store.Tx, scopes []iam.ID) error {
	for _, id := range scopes {
		if _, ok := tx.Scope(id); !ok {
			return iam.Invalid("scopes", "names a scope that does not exist")
		}
	}
	return nil
}

// DeleteRole removes a role that nobody holds.
type DeleteRole struct {
	ID iam.ID `cbor:"1,keyasint"`
	If uint64 `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*DeleteRole) Kind() Kind { return kindDeleteRole }

// Denies implements Command.
func (*DeleteRole) Denies() bool { return true }

func (c *DeleteRole) event() Event { return Event{"role.deleted", c.ID.String()} }

// Validate implements Command.
func (c *DeleteRole) Validate() error { return nil }

func (c *DeleteRole) apply(tx *store.Tx, _ Meta) (any, error) {
	r, ok := tx.Role(c.ID)
	if !ok {
		return nil, iam.Errorf(iam.NotFound, "There is no such role.")
	}
	if err := unchanged(c.If, r.Changed); err != nil {
		return nil, err
	}
	switch {
	case fixed(tx, r.Name):
		return nil, iam.Errorf(iam.Conflict, "The roles admin, user and service, and the one that new users get, cannot be deleted.")
	case len(tx.UsersWithRole(r.ID, 1)) > 0:
		return nil, iam.Errorf(iam.Conflict, "The role is in use.")
	}
	tx.DeleteRole(r.ID)
	return nil, nil
}

// PutScope adds a scope, or replaces the one with its id. Invariant: a name names one scope and is
// never changed, for tokens carry it. Its value is the iam.Scope.
type PutScope struct {
	Scope iam.Scope `cbor:"1,keyasint"`
	If    uint64    `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*PutScope) Kind() Kind { return kindPutScope }

// Denies implements Command.
func (*PutScope) Denies() bool { return false }

func (c *PutScope) event() Event { return Event{"scope.saved", c.Scope.ID.String()} }

// Validate implements Command.
func (c *PutScope) Validate() error {
	if c.Scope.ID.IsZero() {
		return iam.Errorf(iam.InternalError, "A scope needs an id.")
	}
	for _, err := range []error{
		iam.CheckText("description", c.Scope.Description, 10_000),
		iam.CheckText("resource", c.Scope.Resource, 50),
		iam.CheckText("action", c.Scope.Action, 50),
	} {
		if err != nil {
			return err
		}
	}
	return about("name", iam.CheckScopeName(c.Scope.Name))
}

func (c *PutScope) apply(tx *store.Tx, m Meta) (any, error) {
	s := c.Scope
	if other, taken := tx.ScopeByName(s.Name); taken && other.ID != s.ID {
		return nil, iam.Errorf(iam.Conflict, "A scope of this name exists.")
	}
	old, exists := tx.Scope(s.ID)
	if err := unchanged(c.If, old.Changed); err != nil {
		return nil, err
	}
	if exists && old.Name != s.Name {
		return nil, iam.Errorf(iam.Conflict, "A scope keeps its name: make a new one instead.")
	}
	s.CreatedAt, s.UpdatedAt, s.Changed = m.At, m.At, m.Index
	if exists {
		s.CreatedAt = old.CreatedAt
	}
	tx.PutScope(s)
	return s, nil
}

// DeleteScope removes a scope that no role and no client holds.
type DeleteScope struct {
	ID iam.ID `cbor:"1,keyasint"`
	If uint64 `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*DeleteScope) Kind() Kind { return kindDeleteScope }

// Denies implements Command.
func (*DeleteScope) Denies() bool { return true }

func (c *DeleteScope) event() Event { return Event{"scope.deleted", c.ID.String()} }

// Validate implements Command.
func (c *DeleteScope) Validate() error { return nil }

func (c *DeleteScope) apply(tx *store.Tx, _ Meta) (any, error) {
	s, ok := tx.Scope(c.ID)
	if !ok {
		return nil, iam.Errorf(iam.NotFound, "There is no such scope.")
	}
	if err := unchanged(c.If, s.Changed); err != nil {
		return nil, err
	}
	if len(tx.RolesWithScope(s.ID, 1)) > 0 || len(tx.ClientsWithScope(s.ID, 1)) > 0 {
		return nil, iam.Errorf(iam.Conflict, "The scope is in use.")
	}
	tx.DeleteScope(s.ID)
	return nil, nil
}
