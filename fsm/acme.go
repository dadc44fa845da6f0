package fsm

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// What the certificates of a cluster may take of its state. A name needs three items, a challenge one; the rest is
// room for many names and for what was left behind.
const (
	maxACMEItems = 1000
	maxACMEKey   = 512
	maxACMEValue = 64 << 10
	maxLocks     = 1000
	maxLockName  = 255
	// MaxLockSeconds is the longest that a lock is held without being taken again.
	MaxLockSeconds = 600
)

// PutACME keeps something that belongs to certificates. Invariant: it was sealed before it was proposed, so that no
// private key is in the log in the clear, and there are never more than maxACMEItems.
type PutACME struct {
	Key    string `cbor:"1,keyasint"`
	Sealed []byte `cbor:"2,keyasint"`
	// Was is the SHA-256 of the sealed bytes that it takes the place of, where it must not take the place of
	// others: it is the same thing, sealed anew.
	Was []byte `cbor:"3,keyasint,omitempty"`
}

// Kind implements Command.
func (*PutACME) Kind() Kind { return kindPutACME }

// Denies implements Command.
func (*PutACME) Denies() bool { return false }

// event keeps it out of the audit log: what is put says nothing about who may do what, and a challenge alone puts
// several.
func (*PutACME) event() Event { return Event{} }

// Validate implements Command.
func (c *PutACME) Validate() error {
	if c.Key == "" || len(c.Key) > maxACMEKey || len(c.Sealed) == 0 || len(c.Sealed) > maxACMEValue || len(c.Was) != 0 && len(c.Was) != sha256.Size {
		return iam.Errorf(iam.InternalError, "What belongs to a certificate needs a key of at most 512 bytes and a sealed value of at most 64 KiB.")
	}
	return nil
}

func (c *PutACME) apply(tx *store.Tx, m Meta) (any, error) {
	old, exists := tx.ACMEItem(c.Key)
	if len(c.Was) > 0 {
		sum := sha256.Sum256(old.Sealed)
		if !exists || subtle.ConstantTimeCompare(sum[:], c.Was) != 1 {
			return nil, iam.Errorf(iam.PreconditionFailed, "It was changed by somebody else meanwhile: read it again.")
		}
	}
	if !exists && len(tx.ACMEItems("", maxACMEItems)) == maxACMEItems {
		return nil, iam.Errorf(iam.Conflict, "The cluster keeps too much for certificates already: obtain fewer of them.")
	}
	tx.PutACMEItem(iam.ACMEItem{Key: c.Key, Sealed: c.Sealed, ModifiedAt: m.At})
	return nil, nil
}

// DeleteACME forgets what is kept under a key, and everything below it. It is idempotent. Its value is the number of
// items.
type DeleteACME struct {
	Key string `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*DeleteACME) Kind() Kind { return kindDeleteACME }

// Denies implements Command.
func (*DeleteACME) Denies() bool { return false }

func (*DeleteACME) event() Event { return Event{} }

// Validate implements Command.
func (c *DeleteACME) Validate() error {
	if c.Key == "" || len(c.Key) > maxACMEKey {
		return iam.Errorf(iam.InternalError, "Which item of a certificate to forget was not said.")
	}
	return nil
}

func (c *DeleteACME) apply(tx *store.Tx, _ Meta) (any, error) {
	gone := tx.ACMEItems(c.Key+"/", maxACMEItems)
	if item, exists := tx.ACMEItem(c.Key); exists {
		gone = append(gone, item)
	}
	for _, item := range gone {
		tx.DeleteACMEItem(item.Key)
	}
	return len(gone), nil
}

// TakeLock takes a lock, or holds it for longer. Invariant: nobody else has it, or had it until now at the latest.
type TakeLock struct {
	Name    string `cbor:"1,keyasint"`
	Holder  iam.ID `cbor:"2,keyasint"`
	Seconds int64  `cbor:"3,keyasint"`
}

// Kind implements Command.
func (*TakeLock) Kind() Kind { return kindTakeLock }

// Denies implements Command.
func (*TakeLock) Denies() bool { return false }

func (*TakeLock) event() Event { return Event{} }

// Validate implements Command.
func (c *TakeLock) Validate() error {
	if c.Name == "" || len(c.Name) > maxLockName || c.Holder.IsZero() || c.Seconds < 1 || c.Seconds > MaxLockSeconds {
		return iam.Errorf(iam.InternalError, "A lock needs a name of at most 255 bytes, a holder and a time of at most ten minutes.")
	}
	return nil
}

func (c *TakeLock) apply(tx *store.Tx, m Meta) (any, error) {
	held, exists := tx.Lock(c.Name)
	switch {
	case exists && held.Holder != c.Holder && held.ExpiresAt > m.At:
		return nil, iam.Errorf(iam.Conflict, "Somebody else holds the lock.")
	case !exists && len(tx.Locks(maxLocks)) == maxLocks:
		return nil, iam.Errorf(iam.Conflict, "There are too many locks already.")
	}
	tx.PutLock(iam.Lock{Name: c.Name, Holder: c.Holder, ExpiresAt: m.At + iam.Time(c.Seconds*1_000_000)})
	return nil, nil
}

// ReleaseLock gives a lock back. It is idempotent: one that somebody else has taken since stays.
type ReleaseLock struct {
	Name   string `cbor:"1,keyasint"`
	Holder iam.ID `cbor:"2,keyasint"`
}

// Kind implements Command.
func (*ReleaseLock) Kind() Kind { return kindReleaseLock }

// Denies implements Command.
func (*ReleaseLock) Denies() bool { return false }

func (*ReleaseLock) event() Event { return Event{} }

// Validate implements Command.
func (c *ReleaseLock) Validate() error {
	if c.Name == "" || len(c.Name) > maxLockName || c.Holder.IsZero() {
		return iam.Errorf(iam.InternalError, "Whose lock to give back was not said.")
	}
	return nil
}

func (c *ReleaseLock) apply(tx *store.Tx, _ Meta) (any, error) {
	if held, exists := tx.Lock(c.Name); exists && held.Holder == c.Holder {
		tx.DeleteLock(c.Name)
	}
	return nil, nil
}
