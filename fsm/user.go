package fsm

import (
	"slices"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// CreateUser adds a person. Invariant: a username and an e-mail name at most one user, without
// regard to letter case; every role exists. Its value is the iam.User.
type CreateUser struct {
	User iam.User `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*CreateUser) Kind() Kind { return kindCreateUser }

// Denies implements Command.
func (*CreateUser) Denies() bool { return false }

func (c *CreateUser) event() Event { return Event{"user.created", c.User.ID.String()} }

// Validate implements Command.
func (c *CreateUser) Validate() error {
	if c.User.ID.IsZero() || c.User.PasswordHash == "" {
		return iam.Errorf(iam.InternalError, "A user needs an id and a password hash.")
	}
	return checkUser(c.User)
}

func checkUser(u iam.User) error {
	for _, err := range []error{
		iam.CheckEmail(u.Email),
		iam.CheckText("username", u.Username, 50),
		iam.CheckText("first_name", u.FirstName, 100),
		iam.CheckText("last_name", u.LastName, 100),
		iam.CheckText("display_name", u.DisplayName, 100),
		iam.CheckText("bio", u.Bio, 10_000),
	} {
		if err != nil {
			return err
		}
	}
	if u.Username == "" {
		return iam.Invalid("username", "must not be empty")
	}
	return nil
}

func (c *CreateUser) apply(tx *store.Tx, m Meta) (any, error) {
	u := c.User
	if _, exists := tx.User(u.ID); exists {
		return nil, iam.Errorf(iam.Conflict, "A user with this id exists.")
	}
	if err := checkNames(tx, u); err != nil {
		return nil, err
	}
	if err := checkRoles(tx, u.Roles); err != nil {
		return nil, err
	}
	u.Roles = distinct(u.Roles)
	u.CreatedAt, u.UpdatedAt, u.PasswordChangedAt = m.At, m.At, m.At
	u.Changed = m.Index
	tx.PutUser(u)
	return u, nil
}

// checkNames refuses a username or e-mail that another user has.
func checkNames(tx *store.Tx, u iam.User) error {
	if other, taken := tx.UserByUsername(u.Username); taken && other.ID != u.ID {
		return iam.Errorf(iam.Conflict, "The username is taken.")
	}
	if other, taken := tx.UserByEmail(u.Email); taken && other.ID != u.ID {
		return iam.Errorf(iam.Conflict, "The e-mail address is taken.")
	}
	return nil
}

func checkRoles(tx *store.Tx, roles []iam.ID) error {
	for _, id := range roles {
		if _, ok := tx.Role(id); !ok {
			return iam.Invalid("roles", "names a role that does not exist")
		}
	}
	return nil
}

// distinct returns the ids sorted and each once, so that the same set is the same bytes.
func distinct(all []iam.ID) []iam.ID {
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b iam.ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// UpdateUser replaces a user's row except for its password, its lock and its times. Invariant: as of
// CreateUser; one admin who can log in remains; whoever is disabled or loses a role or the superuser
// flag holds no token afterwards that says otherwise. Its value is the iam.User.
type UpdateUser struct {
	User iam.User `cbor:"1,keyasint"`
	If   uint64   `cbor:"2,keyasint,omitempty"` // the Changed of the row that it was made from; 0 = whatever it is
}

// Kind implements Command.
func (*UpdateUser) Kind() Kind { return kindUpdateUser }

// Denies implements Command. Whether something is taken away is known only where it is applied.
func (*UpdateUser) Denies() bool { return true }

func (c *UpdateUser) event() Event { return Event{"user.updated", c.User.ID.String()} }

// Validate implements Command.
func (c *UpdateUser) Validate() error { return checkUser(c.User) }

func (c *UpdateUser) apply(tx *store.Tx, m Meta) (any, error) {
	old, ok := tx.User(c.User.ID)
	if !ok {
		return nil, noUser()
	}
	if err := unchanged(c.If, old.Changed); err != nil {
		return nil, err
	}
	u := c.User
	u.PasswordHash, u.PasswordChangedAt, u.PreviousHashes = old.PasswordHash, old.PasswordChangedAt, old.PreviousHashes
	u.LockedUntil, u.LastLogin, u.CreatedAt = old.LockedUntil, old.LastLogin, old.CreatedAt
	u.Roles, u.UpdatedAt, u.Changed = distinct(u.Roles), m.At, m.Index
	if err := checkNames(tx, u); err != nil {
		return nil, err
	}
	if err := checkRoles(tx, u.Roles); err != nil {
		return nil, err
	}
	if err := keepAnAdmin(tx, old, u); err != nil {
		return nil, err
	}
	if demoted(old, u) {
		endSessionsOf(tx, m, u.ID)
		revokeIssued(tx, m, iam.RevokedUser, u.ID.String())
	}
	if iam.Fold(u.Email) != iam.Fold(old.Email) {
		dropTickets(tx, u.ID)
	}
	tx.PutUser(u)
	return u, nil
}

// dropTickets makes void what was sent to a mailbox that is no longer the user's.
func dropTickets(tx *store.Tx, user iam.ID) {
	tx.DeleteTicket(iam.ResetPassword, user)
	tx.DeleteTicket(iam.VerifyEmail, user)
}

// demoted tells whether tokens that were issued to the old user say more than the new one holds.
func demoted(old, u iam.User) bool {
	lost := slices.ContainsFunc(old.Roles, func(role iam.ID) bool { return !u.Has(role) })
	return lost || old.Active && !u.Active || old.Superuser && !u.Superuser
}

// keepAnAdmin refuses a change that leaves nobody who could undo it.
func keepAnAdmin(tx *store.Tx, old, u iam.User) error {
	if !administers(tx, old) || administers(tx, u) {
		return nil
	}
	admin, _ := tx.RoleByName(iam.RoleAdmin)
	for _, other := range append(tx.Superusers(1<<16), tx.UsersWithRole(admin.ID, 1<<16)...) {
		if other.ID != old.ID && other.Active {
			return nil
		}
	}
	return iam.Errorf(iam.Conflict, "This is the last active administrator: appoint another one first.")
}

// administers tells whether the user can undo what others did: as a superuser, or by the role.
func administers(tx *store.Tx, u iam.User) bool {
	admin, ok := tx.RoleByName(iam.RoleAdmin)
	return u.Active && (u.Superuser || ok && u.Has(admin.ID))
}

// DeleteUser removes a person. Invariant: no session, and no token that anybody would accept,
// outlives its user; one admin remains.
type DeleteUser struct {
	ID iam.ID `cbor:"1,keyasint"`
	If uint64 `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*DeleteUser) Kind() Kind { return kindDeleteUser }

// Denies implements Command.
func (*DeleteUser) Denies() bool { return true }

func (c *DeleteUser) event() Event { return Event{"user.deleted", c.ID.String()} }

// Validate implements Command.
func (c *DeleteUser) Validate() error { return nil }

func (c *DeleteUser) apply(tx *store.Tx, m Meta) (any, error) {
	u, ok := tx.User(c.ID)
	if !ok {
		return nil, noUser()
	}
	if err := unchanged(c.If, u.Changed); err != nil {
		return nil, err
	}
	return nil, removeUser(tx, m, u)
}

// removeUser deletes a user with all that was issued to it, unless nobody would be left to administer.
func removeUser(tx *store.Tx, m Meta, u iam.User) error {
	if err := keepAnAdmin(tx, u, iam.User{}); err != nil {
		return err
	}
	endSessionsOf(tx, m, u.ID)
	revokeForGood(tx, m, iam.RevokedUser, u.ID.String())
	dropTickets(tx, u.ID)
	tx.DeleteUser(u.ID)
	return nil
}

// LockUser keeps a user from logging in until a time, after too many failures; a time that has
// passed unlocks. Sessions go on: whoever guesses passwords must not be able to end them.
type LockUser struct {
	ID    iam.ID   `cbor:"1,keyasint"`
	Until iam.Time `cbor:"2,keyasint"`
}

// Kind implements Command.
func (*LockUser) Kind() Kind { return kindLockUser }

// Denies implements Command.
func (*LockUser) Denies() bool { return false }

func (c *LockUser) event() Event {
	if c.Until == 0 {
		return Event{"user.unlocked", c.ID.String()}
	}
	return Event{"user.locked", c.ID.String()}
}

// Validate implements Command.
func (c *LockUser) Validate() error { return nil }

func (c *LockUser) apply(tx *store.Tx, m Meta) (any, error) {
	u, ok := tx.User(c.ID)
	if !ok {
		return nil, noUser()
	}
	u.LockedUntil, u.UpdatedAt = c.Until, m.At
	tx.PutUser(u)
	return nil, nil
}

func noUser() *iam.Error { return iam.Errorf(iam.NotFound, "There is no such user.") }
