package fsm

import (
	"crypto/sha256"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// RotateSecret gives a client a new secret. Invariant: the old one is good for the grace and no longer,
// and there is never more than one old one. Tokens that were issued before stay what they are. Its value
// is the iam.Client.
type RotateSecret struct {
	ID     iam.ID `cbor:"1,keyasint"`
	Digest []byte `cbor:"2,keyasint"`           // SHA-256 of the new secret
	Grace  int64  `cbor:"3,keyasint,omitempty"` // seconds
	If     uint64 `cbor:"4,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*RotateSecret) Kind() Kind { return kindRotateSecret }

// Denies implements Command. Without a grace the old secret is good nowhere once this is answered, and
// with one the secret before it is not.
func (*RotateSecret) Denies() bool { return true }

func (c *RotateSecret) event() Event { return Event{"client.secret_rotated", c.ID.String()} }

// Validate implements Command.
func (c *RotateSecret) Validate() error {
	if len(c.Digest) != sha256.Size {
		return iam.Errorf(iam.InternalError, "The digest of a secret has 32 bytes.")
	}
	if c.Grace < 0 || c.Grace > iam.MaxGrace {
		return iam.Invalid("grace_seconds", "must be between 0 and %d", iam.MaxGrace)
	}
	return nil
}

func (c *RotateSecret) apply(tx *store.Tx, m Meta) (any, error) {
	n, ok := tx.Client(c.ID)
	if !ok {
		return nil, noClient()
	}
	if err := unchanged(c.If, n.Changed); err != nil {
		return nil, err
	}
	if n.Type != iam.Confidential {
		return nil, iam.Errorf(iam.Conflict, "A public client has no secret.")
	}
	n.PreviousDigest, n.PreviousHash, n.PreviousUntil = nil, "", 0
	if c.Grace > 0 {
		n.PreviousDigest, n.PreviousHash = n.SecretDigest, n.SecretHash
		n.PreviousUntil = m.At.Add(time.Duration(c.Grace) * time.Second)
	}
	n.SecretDigest, n.SecretHash = c.Digest, ""
	n.UpdatedAt, n.Changed = m.At, m.Index
	tx.PutClient(n)
	return n, nil
}

// MaxUses bounds the clients of one RecordUse.
const MaxUses = 500

// Use is how often a client has called one node since that node said so last.
type Use struct {
	ID       iam.ID   `cbor:"1,keyasint"`
	Requests int64    `cbor:"2,keyasint"`
	Last     iam.Time `cbor:"3,keyasint"`
}

// RecordUse adds to the counters of clients what a node has counted. Invariant: nothing but the counters
// changes, so that nobody's write fails because a client was used, and no token is looked at anew. Clients
// that are gone meanwhile are passed over. Its value is the number of clients that it counted for.
type RecordUse struct {
	Uses []Use `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*RecordUse) Kind() Kind { return kindRecordUse }

// Denies implements Command.
func (*RecordUse) Denies() bool { return false }

func (*RecordUse) event() Event { return Event{} }

// Validate implements Command.
func (c *RecordUse) Validate() error {
	if len(c.Uses) > MaxUses {
		return iam.Errorf(iam.InternalError, "The uses of at most %d clients fit into one change.", MaxUses)
	}
	for _, u := range c.Uses {
		if u.Requests < 0 || u.Last < 0 {
			return iam.Errorf(iam.InternalError, "A use is counted upwards.")
		}
	}
	return nil
}

func (c *RecordUse) apply(tx *store.Tx, m Meta) (any, error) {
	n := 0
	for _, u := range c.Uses {
		if client, ok := tx.Client(u.ID); ok {
			client.TotalRequests += u.Requests
			client.LastUsed = max(client.LastUsed, min(u.Last, m.At))
			tx.PutClient(client)
			n++
		}
	}
	return n, nil
}
