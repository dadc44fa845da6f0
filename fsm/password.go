package fsm

import (
	"crypto/subtle"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// NewPassword is the hash of a new password, and what its choice was made against.
type NewPassword struct {
	Hash string `cbor:"1,keyasint"`
	// Was is the hash that it replaces. The new password was compared with that one and those before
	// it, so a password that was changed meanwhile is not overwritten.
	Was      string `cbor:"2,keyasint"`
	Remember int    `cbor:"3,keyasint,omitempty"` // how many earlier hashes are kept
}

func (p NewPassword) validate() error {
	if p.Hash == "" || p.Was == "" || p.Hash == p.Was || p.Remember < 0 || p.Remember > iam.MaxPreviousHashes {
		return iam.Errorf(iam.InternalError, "A new password needs two different hashes.")
	}
	return nil
}

// fits refuses a change that was made against another password than the user has.
func (p NewPassword) fits(u iam.User) error {
	if subtle.ConstantTimeCompare([]byte(p.Was), []byte(u.PasswordHash)) != 1 {
		return iam.Errorf(iam.PreconditionFailed, "The password was changed meanwhile: try again.")
	}
	return nil
}

// set gives the user the new password. What was sent to the mailbox to reset the old one is void.
func (p NewPassword) set(tx *store.Tx, m Meta, u iam.User) {
	u = u.WithHash(p.Hash, p.Remember)
	u.PasswordChangedAt, u.UpdatedAt, u.Changed = m.At, m.At, m.Index
	tx.PutUser(u)
	tx.DeleteTicket(iam.ResetPassword, u.ID)
}

// ChangePassword is a person's own change, who has proven the present password. Invariant: the other
// sessions end, for whoever changes a password may do so because somebody else knows the old one. Its
// value is the number of sessions that it ended.
type ChangePassword struct {
	ID   iam.ID      `cbor:"1,keyasint"`
	New  NewPassword `cbor:"2,keyasint"`
	Keep iam.ID      `cbor:"3,keyasint"` // the session that goes on
}

// Kind implements Command.
func (*ChangePassword) Kind() Kind { return kindChangePassword }

// Denies implements Command.
func (*ChangePassword) Denies() bool { return true }

func (c *ChangePassword) event() Event { return Event{"password.changed", c.ID.String()} }

// Validate implements Command.
func (c *ChangePassword) Validate() error { return c.New.validate() }

func (c *ChangePassword) apply(tx *store.Tx, m Meta) (any, error) {
	u, ok := tx.User(c.ID)
	if !ok {
		return nil, noUser()
	}
	if !u.Active {
		return nil, iam.Errorf(iam.AccountDisabled, "The account is disabled.")
	}
	if err := c.New.fits(u); err != nil {
		return nil, err
	}
	ended := 0
	for _, s := range tx.SessionsOf(u.ID, MaxSessions+1) {
		if s.ID != c.Keep {
			endSession(tx, m, s)
			ended++
		}
	}
	endLegacyOf(tx, u.ID)
	revokeIssued(tx, m, iam.RevokedUser, u.ID.String()) // reaches tokens without a session alone
	c.New.set(tx, m, u)
	return ended, nil
}

// SetPassword is an administrator's change of somebody's password. Invariant: the account is unlocked,
// and none of its sessions goes on. Its value is the number of sessions that it ended.
type SetPassword struct {
	ID  iam.ID      `cbor:"1,keyasint"`
	New NewPassword `cbor:"2,keyasint"`
	If  uint64      `cbor:"3,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*SetPassword) Kind() Kind { return kindSetPassword }

// Denies implements Command.
func (*SetPassword) Denies() bool { return true }

func (c *SetPassword) event() Event { return Event{"password.set", c.ID.String()} }

// Validate implements Command.
func (c *SetPassword) Validate() error { return c.New.validate() }

func (c *SetPassword) apply(tx *store.Tx, m Meta) (any, error) {
	u, ok := tx.User(c.ID)
	if !ok {
		return nil, noUser()
	}
	if err := unchanged(c.If, u.Changed); err != nil {
		return nil, err
	}
	if err := c.New.fits(u); err != nil {
		return nil, err
	}
	return c.New.afresh(tx, m, u), nil
}

// afresh sets the password of an account that somebody else may be in: nothing of before goes on.
func (p NewPassword) afresh(tx *store.Tx, m Meta, u iam.User) (ended int) {
	ended = endSessionsOf(tx, m, u.ID)
	revokeIssued(tx, m, iam.RevokedUser, u.ID.String())
	u.LockedUntil = 0
	p.set(tx, m, u)
	return ended
}
