package fsm

import (
	"slices"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// AddKey publishes a signing key. Invariant: a kid names one key for ever; a key that signs no more
// verifies until the last token that it signed has expired, and is then forgotten. The secret of the
// compatible mode, which is given and not made, may come back to sign while it still verifies: a
// change of algorithm can be taken back.
type AddKey struct {
	Key iam.Key `cbor:"1,keyasint"`
	// Alone forgets every other key at once, for when one was stolen: whatever they signed is dead.
	Alone bool `cbor:"2,keyasint,omitempty"`
}

// Kind implements Command.
func (*AddKey) Kind() Kind { return kindAddKey }

// Denies implements Command.
func (c *AddKey) Denies() bool { return c.Alone }

func (c *AddKey) event() Event {
	if c.Alone {
		return Event{"key.replaced", c.Key.ID}
	}
	return Event{"key.added", c.Key.ID}
}

// Validate implements Command.
func (c *AddKey) Validate() error {
	if c.Key.ID == "" || len(c.Key.ID) > 128 || len(c.Key.Sealed) == 0 || c.Key.SignFrom <= 0 {
		return iam.Errorf(iam.InternalError, "A key needs an id, sealed material and a time from which it signs.")
	}
	return nil
}

func (c *AddKey) apply(tx *store.Tx, m Meta) (any, error) {
	k := c.Key
	k.CreatedAt, k.VerifyUntil = m.At, 0
	same, exists := tx.Key(k.ID)
	if exists && (same.VerifyUntil == 0 || same.Algorithm != "HS256" || k.Algorithm != "HS256") {
		return nil, iam.Errorf(iam.Conflict, "A key with this id exists.")
	}
	old := slices.DeleteFunc(tx.Keys(), func(other iam.Key) bool { return other.ID == k.ID })
	if c.Alone {
		// Deleted, and not ended at a time: on a node whose clock is behind, that would be later.
		for _, other := range old {
			tx.DeleteKey(other.ID)
		}
		old = nil
	}
	for _, other := range old {
		// Two proposers may plan at the same time. The key that came last must sign last, or one
		// that is forgotten soon would sign for ever.
		k.SignFrom = max(k.SignFrom, other.SignFrom+1)
	}
	for _, old := range old {
		if old.VerifyUntil == 0 {
			old.VerifyUntil = max(k.SignFrom, m.At).Add(iam.MaxTokenLifetime + time.Hour)
			tx.PutKey(old)
		}
	}
	tx.PutKey(k)
	return nil, nil
}

// ResealKeys replaces the sealed form of keys after the cluster's secret was changed. Keys that are
// gone meanwhile stay gone. Its value is the number of keys that it replaced.
type ResealKeys struct {
	Keys []SealedKey `cbor:"1,keyasint"`
}

// SealedKey is a key's private part under a new key-encryption key.
type SealedKey struct {
	ID     string `cbor:"1,keyasint"`
	Sealed []byte `cbor:"2,keyasint"`
}

// Kind implements Command.
func (*ResealKeys) Kind() Kind { return kindResealKeys }

// Denies implements Command.
func (*ResealKeys) Denies() bool { return false }

func (c *ResealKeys) event() Event { return Event{"key.resealed", ""} }

// Validate implements Command.
func (c *ResealKeys) Validate() error {
	for _, k := range c.Keys {
		if k.ID == "" || len(k.ID) > 128 || len(k.Sealed) == 0 {
			return iam.Errorf(iam.InternalError, "A key needs an id and sealed material.")
		}
	}
	return nil
}

func (c *ResealKeys) apply(tx *store.Tx, _ Meta) (any, error) {
	n := 0
	for _, sealed := range c.Keys {
		if k, ok := tx.Key(sealed.ID); ok {
			k.Sealed = sealed.Sealed
			tx.PutKey(k)
			n++
		}
	}
	return n, nil
}
