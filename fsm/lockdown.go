package fsm

import (
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// LockDownUser takes everything from a user at once, for an account in the wrong hands: it is disabled, its
// sessions end, and nothing that was issued to it or sent to its mailbox is good any more. Done again it
// changes nothing. Invariant: as of UpdateUser. Its value is the number of sessions that ended.
type LockDownUser struct {
	ID iam.ID `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*LockDownUser) Kind() Kind { return kindLockDownUser }

// Denies implements Command.
func (*LockDownUser) Denies() bool { return true }

func (c *LockDownUser) event() Event { return Event{"user.locked_down", c.ID.String()} }

// Validate implements Command.
func (c *LockDownUser) Validate() error { return nil }

func (c *LockDownUser) apply(tx *store.Tx, m Meta) (any, error) {
	old, ok := tx.User(c.ID)
	if !ok {
		return nil, noUser()
	}
	u := old
	u.Active, u.UpdatedAt, u.Changed = false, m.At, m.Index
	if err := keepAnAdmin(tx, old, u); err != nil {
		return nil, err
	}
	revokeIssued(tx, m, iam.RevokedUser, u.ID.String())
	dropTickets(tx, u.ID)
	tx.PutUser(u)
	return endSessionsOf(tx, m, u.ID), nil
}

// LockDownClient takes everything from a program at once: it is disabled, and neither its own tokens nor
// those that were issued through it are good any more, nor can any session that was opened through it be
// refreshed. Done again it changes nothing. Its value is the number of sessions that ended.
type LockDownClient struct {
	ID iam.ID `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*LockDownClient) Kind() Kind { return kindLockDownClient }

// Denies implements Command.
func (*LockDownClient) Denies() bool { return true }

func (c *LockDownClient) event() Event { return Event{"client.locked_down", c.ID.String()} }

// Validate implements Command.
func (c *LockDownClient) Validate() error { return nil }

func (c *LockDownClient) apply(tx *store.Tx, m Meta) (any, error) {
	n, ok := tx.Client(c.ID)
	if !ok {
		return nil, noClient()
	}
	n.Active, n.UpdatedAt, n.Changed = false, m.At, m.Index
	n.Generation, n.SessionsFrom = m.Index, m.Index
	revokeIssued(tx, m, iam.RevokedClient, n.ClientID)
	tx.PutClient(n)
	open := tx.SessionsOfClient(n.ClientID, maxEnded) // more only stay listed, see DeleteClient
	for _, s := range open {
		endSession(tx, m, s)
	}
	return len(open), nil
}
