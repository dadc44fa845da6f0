package fsm

import (
	"crypto/ed25519"
	"strconv"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// MaxTrim bounds the audit entries that one command removes, and MaxSign the checkpoints that one writes,
// so that the transaction stays short.
const (
	MaxTrim = 1000
	MaxSign = 100
)

// TrimAudit removes the oldest audit entries, up to the one that the checkpoint is about. Invariant: what
// remains begins right behind a checkpoint with the hash that its first entry carries, and the newest
// entry always remains.
type TrimAudit struct {
	Checkpoint iam.AuditCheckpoint `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*TrimAudit) Kind() Kind { return kindTrimAudit }

// Denies implements Command.
func (*TrimAudit) Denies() bool { return false }

func (c *TrimAudit) event() Event {
	return Event{"audit.trimmed", strconv.FormatUint(c.Checkpoint.Sequence, 10)}
}

// Validate implements Command.
func (c *TrimAudit) Validate() error {
	if !c.Checkpoint.Removed {
		return iam.Errorf(iam.InternalError, "The checkpoint does not say that entries are removed.")
	}
	return checkCheckpoint(c.Checkpoint)
}

func (c *TrimAudit) apply(tx *store.Tx, _ Meta) (any, error) {
	first, last := tx.AuditRange()
	upTo := c.Checkpoint.Sequence
	if upTo < first || upTo >= last || upTo-first >= MaxTrim {
		return nil, iam.Errorf(iam.Conflict, "The audit log begins or ends elsewhere by now.")
	}
	if err := fitsAudit(tx, c.Checkpoint); err != nil {
		return nil, err
	}
	tx.TrimAudit(upTo)
	tx.PutCheckpoint(c.Checkpoint)
	return nil, nil
}

// SignAudit writes checkpoints of the audit log: a new one behind all others, or old ones signed again
// because the cluster secret was exchanged. Invariant: a checkpoint is about an entry that has its hash.
// It is in no audit entry, or each signature would leave something that is not signed.
type SignAudit struct {
	Checkpoints []iam.AuditCheckpoint `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*SignAudit) Kind() Kind { return kindSignAudit }

// Denies implements Command.
func (*SignAudit) Denies() bool { return false }

func (*SignAudit) event() Event { return Event{} }

// Validate implements Command.
func (c *SignAudit) Validate() error {
	if len(c.Checkpoints) == 0 || len(c.Checkpoints) > MaxSign {
		return iam.Errorf(iam.InternalError, "Between 1 and %d checkpoints can be written at a time.", MaxSign)
	}
	for i, checkpoint := range c.Checkpoints {
		if i > 0 && checkpoint.Sequence <= c.Checkpoints[i-1].Sequence {
			return iam.Errorf(iam.InternalError, "The checkpoints are not in order.")
		}
		if err := checkCheckpoint(checkpoint); err != nil {
			return err
		}
	}
	return nil
}

func (c *SignAudit) apply(tx *store.Tx, _ Meta) (any, error) {
	newest, _ := tx.LastCheckpoint()
	for _, checkpoint := range c.Checkpoints {
		old, again := tx.Checkpoint(checkpoint.Sequence)
		switch {
		case again && (old.Hash != checkpoint.Hash || old.Removed != checkpoint.Removed):
			return nil, iam.Errorf(iam.Conflict, "The audit log has another checkpoint there.")
		case again:
			continue
		case checkpoint.Removed || checkpoint.Sequence < newest.Sequence:
			return nil, iam.Errorf(iam.Conflict, "The audit log has a later checkpoint by now.")
		}
		if err := fitsAudit(tx, checkpoint); err != nil {
			return nil, err
		}
	}
	for _, checkpoint := range c.Checkpoints {
		tx.PutCheckpoint(checkpoint)
	}
	return nil, nil
}

// fitsAudit refuses a checkpoint that is not about what this log holds.
func fitsAudit(tx *store.Tx, c iam.AuditCheckpoint) error {
	if e, ok := tx.AuditEntry(c.Sequence); !ok || e.Hash != c.Hash {
		return iam.Errorf(iam.Conflict, "The checkpoint is not about an entry of this audit log.")
	}
	return nil
}

// checkCheckpoint looks at the form alone. Whether the signature is good is for those who hold the key.
func checkCheckpoint(c iam.AuditCheckpoint) error {
	if c.Sequence == 0 || c.Hash.IsZero() || c.At <= 0 || len(c.Key) != ed25519.PublicKeySize || len(c.Signature) != ed25519.SignatureSize {
		return iam.Errorf(iam.InternalError, "The checkpoint of the audit log is not complete.")
	}
	return nil
}
