package fsm

import (
	"crypto/sha256"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// IssueTicket makes a secret good that is about to be sent to a user's mailbox, and the one before it
// void. Invariant: it goes to the address that the user has, and no more than iam.MaxTickets go there
// within iam.TicketWindow, whichever nodes are asked.
type IssueTicket struct {
	Purpose iam.TicketPurpose `cbor:"1,keyasint"`
	User    iam.ID            `cbor:"2,keyasint"`
	Digest  []byte            `cbor:"3,keyasint"`
	Email   string            `cbor:"4,keyasint"`
}

// Kind implements Command.
func (*IssueTicket) Kind() Kind { return kindIssueTicket }

// Denies implements Command.
func (*IssueTicket) Denies() bool { return false }

func (c *IssueTicket) event() Event {
	if c.Purpose == iam.ResetPassword {
		return Event{"password.reset_requested", c.User.String()}
	}
	return Event{"email.verification_requested", c.User.String()}
}

// Validate implements Command.
func (c *IssueTicket) Validate() error {
	if c.Purpose != iam.ResetPassword && c.Purpose != iam.VerifyEmail || c.User.IsZero() || len(c.Digest) != sha256.Size {
		return iam.Errorf(iam.InternalError, "A ticket needs a purpose, a user and a digest.")
	}
	return iam.CheckEmail(c.Email)
}

func (c *IssueTicket) apply(tx *store.Tx, m Meta) (any, error) {
	u, ok := tx.User(c.User)
	switch {
	case !ok:
		return nil, noUser()
	case !u.Active:
		return nil, iam.Errorf(iam.AccountDisabled, "The account is disabled.")
	case iam.Fold(u.Email) != iam.Fold(c.Email):
		return nil, iam.Errorf(iam.PreconditionFailed, "The user has another e-mail address meanwhile.")
	case c.Purpose == iam.VerifyEmail && u.Verified:
		return nil, iam.Errorf(iam.Conflict, "The e-mail address is verified.")
	}
	if _, exists := tx.TicketByDigest(c.Digest); exists {
		return nil, iam.Errorf(iam.Conflict, "This ticket exists.")
	}
	issued := []iam.Time{m.At}
	if old, ok := tx.Ticket(c.Purpose, c.User); ok {
		for _, at := range old.Issued {
			if m.At.Sub(at) < iam.TicketWindow {
				issued = append(issued, at)
			}
		}
	}
	if len(issued) > iam.MaxTickets {
		return nil, iam.Errorf(iam.RateLimitExceeded, "Too many messages were sent to this user: wait an hour.")
	}
	tx.PutTicket(iam.Ticket{
		Purpose: c.Purpose, User: c.User, Digest: c.Digest, Email: c.Email,
		ExpiresAt: m.At.Add(c.Purpose.Lifetime()), Issued: issued,
	})
	return nil, nil
}

// redeem finds the ticket and whose it is. Whatever is wrong with it, the words are the same.
func redeem(tx *store.Tx, m Meta, purpose iam.TicketPurpose, user iam.ID, digest []byte) (iam.User, error) {
	t, ok := tx.TicketByDigest(digest)
	u, known := tx.User(t.User)
	if !ok || !known || t.User != user || t.Purpose != purpose || t.ExpiresAt <= m.At || iam.Fold(t.Email) != iam.Fold(u.Email) {
		return u, BadTicket()
	}
	if !u.Active {
		return u, iam.Errorf(iam.AccountDisabled, "The account is disabled.")
	}
	return u, nil
}

// BadTicket is the refusal of a ticket that is not, or no longer, good.
func BadTicket() *iam.Error {
	return iam.Errorf(iam.InvalidRequest, "The token is not valid, was used before or has expired: ask for a new one.")
}

// ResetPassword exchanges a ticket for a new password. Invariant: the ticket is good once; the account
// is unlocked, and none of its sessions goes on. Its value is the number of sessions that it
// ended.
type ResetPassword struct {
	Digest []byte      `cbor:"1,keyasint"`
	User   iam.ID      `cbor:"2,keyasint"` // whose it was found to be
	New    NewPassword `cbor:"3,keyasint"`
}

// Kind implements Command.
func (*ResetPassword) Kind() Kind { return kindResetPassword }

// Denies implements Command.
func (*ResetPassword) Denies() bool { return true }

func (c *ResetPassword) event() Event { return Event{"password.reset", c.User.String()} }

// Validate implements Command.
func (c *ResetPassword) Validate() error {
	if len(c.Digest) != sha256.Size {
		return BadTicket()
	}
	return c.New.validate()
}

func (c *ResetPassword) apply(tx *store.Tx, m Meta) (any, error) {
	u, err := redeem(tx, m, iam.ResetPassword, c.User, c.Digest)
	if err == nil {
		err = c.New.fits(u)
	}
	if err != nil {
		return nil, err
	}
	return c.New.afresh(tx, m, u), nil // the ticket goes with the old password
}

// ConfirmEmail exchanges a ticket for the mark that the e-mail address is its user's. Invariant: the
// ticket is good once, and for the address alone that it was sent to.
type ConfirmEmail struct {
	Digest []byte `cbor:"1,keyasint"`
	User   iam.ID `cbor:"2,keyasint"` // as of ResetPassword
}

// Kind implements Command.
func (*ConfirmEmail) Kind() Kind { return kindConfirmEmail }

// Denies implements Command.
func (*ConfirmEmail) Denies() bool { return false }

func (c *ConfirmEmail) event() Event { return Event{"email.verified", c.User.String()} }

// Validate implements Command.
func (c *ConfirmEmail) Validate() error {
	if len(c.Digest) != sha256.Size {
		return BadTicket()
	}
	return nil
}

func (c *ConfirmEmail) apply(tx *store.Tx, m Meta) (any, error) {
	u, err := redeem(tx, m, iam.VerifyEmail, c.User, c.Digest)
	if err != nil {
		return nil, err
	}
	u.Verified, u.UpdatedAt, u.Changed = true, m.At, m.Index
	tx.PutUser(u)
	tx.DeleteTicket(iam.VerifyEmail, u.ID)
	return nil, nil
}
