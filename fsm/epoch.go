package fsm

import (
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// RaiseEpoch begins a new epoch: every token, session and ticket that was issued before is dead on every
// node. With a key it also forgets every key that others may verify by, so that what they hold is dead
// to them too; the shared secret of the compatible mode is not ours to forget. Its value is the iam.Epoch.
type RaiseEpoch struct {
	Reason string  `cbor:"1,keyasint"`
	Key    iam.Key `cbor:"2,keyasint,omitzero"` // signs from now on; none: the keys stay
	// Least is what the number becomes at least. A state that was restored begins far above every epoch that its
	// cluster may have begun since the backup, for in the compatible mode tokens of these would count again.
	Least uint64 `cbor:"3,keyasint,omitempty"`
}

// Kind implements Command.
func (*RaiseEpoch) Kind() Kind { return kindRaiseEpoch }

// Denies implements Command.
func (*RaiseEpoch) Denies() bool { return true }

func (c *RaiseEpoch) event() Event { return Event{"cluster.epoch_raised", c.Reason} }

// Validate implements Command.
func (c *RaiseEpoch) Validate() error {
	if c.Reason == "" || len(c.Reason) > iam.MaxReason {
		return iam.Invalid("reason", "needs 1 to 200 bytes of text")
	}
	if c.Key.ID == "" {
		return nil
	}
	return (&AddKey{Key: c.Key}).Validate()
}

func (c *RaiseEpoch) apply(tx *store.Tx, m Meta) (any, error) {
	if c.Key.ID != "" {
		if _, err := (&AddKey{Key: c.Key, Alone: true}).apply(tx, m); err != nil {
			return nil, err
		}
	}
	old, _ := tx.Epoch()
	e := iam.Epoch{Number: max(old.Number+1, c.Least), Index: m.Index, At: m.At, Reason: c.Reason}
	tx.PutEpoch(e)
	tx.DropSessions()
	tx.DropLegacySessions()
	tx.DropTickets()
	return e, nil
}
