package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/keystone-auth/keystone/iam"
)

// AuditRange returns the sequence numbers of the oldest and the newest audit entry; both are 0 where
// there is none. There are no gaps between the two.
func (r *Reader) AuditRange() (first, last uint64) {
	c := r.bucket(audit.bucket).cursor()
	if k, _ := c.First(); len(k) == 8 {
		first = binary.BigEndian.Uint64(k)
	}
	if k, _ := c.Last(); len(k) == 8 {
		last = binary.BigEndian.Uint64(k)
	}
	return first, last
}

// AuditEntry returns the audit entry with that sequence number.
func (r *Reader) AuditEntry(sequence uint64) (iam.AuditEntry, bool) {
	return audit.get(r, sequenceKey(sequence))
}

// WalkAudit calls fn with the audit entries from that sequence number on, in order or back to the oldest,
// until it returns false.
func (r *Reader) WalkAudit(from uint64, back bool, fn func(iam.AuditEntry) bool) {
	c := r.bucket(audit.bucket).cursor()
	k, data := c.Seek(sequenceKey(from))
	step := c.Next
	if back {
		step = c.Prev
		if k == nil {
			k, data = c.Last()
		} else if !bytes.Equal(k, sequenceKey(from)) {
			k, data = c.Prev()
		}
	}
	for ; k != nil; k, data = step() {
		if e, ok := audit.read(r, data); !ok || !fn(e) {
			return
		}
	}
}

// Checkpoint returns the audit log's checkpoint of that sequence number.
func (r *Reader) Checkpoint(sequence uint64) (iam.AuditCheckpoint, bool) {
	return checkpoints.get(r, sequenceKey(sequence))
}

// Checkpoints returns up to most checkpoints of the audit log after that sequence number, in order.
func (r *Reader) Checkpoints(after uint64, most int) []iam.AuditCheckpoint {
	return checkpoints.page(r, sequenceKey(after), most)
}

// LastCheckpoint returns the checkpoint of the newest entry that has one.
func (r *Reader) LastCheckpoint() (iam.AuditCheckpoint, bool) {
	k, _ := r.bucket(checkpoints.bucket).cursor().Last()
	if k == nil {
		return iam.AuditCheckpoint{}, false
	}
	return checkpoints.get(r, k)
}

// PutCheckpoint writes a checkpoint of the audit log.
func (tx *Tx) PutCheckpoint(c iam.AuditCheckpoint) { checkpoints.put(tx, c) }

// TrimAudit removes the audit entries up to that sequence number, and the checkpoints up to it.
func (tx *Tx) TrimAudit(upTo uint64) {
	for _, e := range tx.upTo(audit.bucket, upTo) {
		audit.remove(tx, e)
	}
	for _, c := range tx.upTo(checkpoints.bucket, upTo) {
		checkpoints.remove(tx, c)
	}
}

// upTo returns the keys of a bucket up to that sequence number. They are taken first, because a cursor
// does not bear the deletion of what it stands on.
func (tx *Tx) upTo(name string, sequence uint64) (keys [][]byte) {
	c := tx.bucket(name).cursor()
	last := sequenceKey(sequence)
	for k, _ := c.First(); k != nil && bytes.Compare(k, last) <= 0; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}

// VerifyAudit follows the whole audit log of a store. signed tells what is wrong with the signature of a
// checkpoint, and is nil where that cannot be known. The error is an *iam.AuditBreak where the log is not
// what was written.
func (s *Store) VerifyAudit(signed func(iam.AuditCheckpoint) error) (*iam.AuditChain, error) {
	chain := &iam.AuditChain{Signed: signed}
	return chain, s.View(func(r *Reader) error {
		meta, err := r.meta()
		if err != nil {
			return err
		}
		return r.followAudit(chain, meta)
	})
}

// followAudit reads what lies in the file, whatever that is. A row must be the very bytes that Keystone
// would write: what decoding passes over could otherwise be changed unseen.
func (r *Reader) followAudit(chain *iam.AuditChain, meta Meta) error {
	err := r.bucket(checkpoints.bucket).each(func(k, data []byte) error {
		var c iam.AuditCheckpoint
		if Decode(data, &c) != nil || !bytes.Equal(Encode(c), data) || !bytes.Equal(sequenceKey(c.Sequence), k) {
			return &iam.AuditBreak{Sequence: sequenceOf(k), What: "its checkpoint was changed and cannot be read"}
		}
		chain.Checkpoints = append(chain.Checkpoints, c)
		return nil
	})
	if err != nil {
		return err
	}
	err = r.bucket(audit.bucket).each(func(k, data []byte) error {
		var e iam.AuditEntry
		switch {
		case Decode(data, &e) != nil || !bytes.Equal(Encode(e), data):
			return &iam.AuditBreak{Sequence: sequenceOf(k), What: "it was changed and cannot be read"}
		case !bytes.Equal(sequenceKey(e.Sequence), k):
			return &iam.AuditBreak{Sequence: sequenceOf(k), What: fmt.Sprintf("entry %d stands in its place", e.Sequence)}
		}
		return chain.Follow(e)
	})
	if err != nil {
		return err
	}
	return chain.End(meta.AuditSequence, meta.AuditHash)
}

// sequenceOf reads a key, which in a damaged file may be anything.
func sequenceOf(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// OpenReadOnly opens a state file to look at it, without the least change to it. Only a Store of Open can
// be updated.
func OpenReadOnly(path string) (*Store, error) {
	if err := CheckWhole(path); err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("the state file %s cannot be opened: %w", path, err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		meta, err := fileMeta(tx)
		if err != nil {
			return err
		}
		if meta.Format > Format {
			return ErrNewerFormat
		}
		return complete(tx)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return newStore(path, db), nil
}
