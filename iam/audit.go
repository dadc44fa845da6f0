package iam

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// AuditEntry is one line of the audit log: who did what to whom, and how it ended. Each carries the
// hash of the one before, so that none can be changed, removed or put in between without a trace.
type AuditEntry struct {
	Sequence  uint64 `cbor:"1,keyasint"`
	At        Time   `cbor:"2,keyasint"`
	Type      string `cbor:"3,keyasint"` // such as user.created
	Actor     string `cbor:"4,keyasint,omitempty"`
	Target    string `cbor:"5,keyasint,omitempty"`
	Result    string `cbor:"6,keyasint"`           // AuditSuccess or AuditRefused
	Reason    string `cbor:"7,keyasint,omitempty"` // the code of a refusal
	IP        string `cbor:"8,keyasint,omitempty"`
	UserAgent string `cbor:"9,keyasint,omitempty"`
	RequestID string `cbor:"10,keyasint,omitempty"`
	// Count is how many refusals that were alike the entry stands for; 0 = itself alone. The address of
	// the client, the request and the time are those of the first.
	Count    uint64    `cbor:"11,keyasint,omitempty"`
	Previous AuditHash `cbor:"12,keyasint,omitzero"` // the Hash of the entry before
	Hash     AuditHash `cbor:"13,keyasint,omitzero"` // what Sum returns
}

// How an audited action ended.
const (
	AuditSuccess = "success"
	AuditRefused = "refused"
)

// AuditLate is how far an entry's time may lie before that of the entries around it: a refusal waits
// for others before it is recorded. What waited longer is dated that long before it was recorded, so
// that a span of time can be found in the log without an index.
const AuditLate = 10 * time.Minute

// How much of the audit log can be kept at most, where it is not kept for ever.
const (
	MaxAuditDays  = 36_500
	MaxAuditCount = 1_000_000_000
)

// AuditHash is the SHA-256 that chains the audit log.
type AuditHash [sha256.Size]byte

// IsZero tells whether there is no hash: the first entry of a log follows none.
func (h AuditHash) IsZero() bool { return h == AuditHash{} }

// String returns the hash in hexadecimal digits.
func (h AuditHash) String() string { return hex.EncodeToString(h[:]) }

// ParseAuditHash is the inverse of String.
func ParseAuditHash(text string) (h AuditHash, ok bool) {
	raw, err := hex.DecodeString(text)
	return h, err == nil && copy(h[:], raw) == len(raw) && len(raw) == len(h)
}

// Sum computes the hash of an entry, over a form that others can make of the exported JSON as well:
// the line "keystone audit entry v1", then each field in the order of the struct, Hash excepted.
// Numbers are 8 bytes, the most significant first; texts and hashes follow their length as a number,
// so that no two entries read alike.
func (e AuditEntry) Sum() AuditHash {
	b := make([]byte, 0, 512)
	b = append(b, "keystone audit entry v1\n"...)
	b = binary.BigEndian.AppendUint64(b, e.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At))
	for _, text := range []string{e.Type, e.Actor, e.Target, e.Result, e.Reason, e.IP, e.UserAgent, e.RequestID} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.BigEndian.AppendUint64(b, e.Count)
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Previous)))
	b = append(b, e.Previous[:]...)
	return sha256.Sum256(b)
}

// AuditCheckpoint is a signed statement about the audit log: the entry with that sequence number had
// that hash. The key follows from the cluster secret, so that who can change the files of every node
// still cannot make another history pass for the one that was signed.
type AuditCheckpoint struct {
	Sequence uint64    `cbor:"1,keyasint"`
	Hash     AuditHash `cbor:"2,keyasint"`
	At       Time      `cbor:"3,keyasint"`
	// Removed says that the entries up to this one were removed because of their age or number. It is
	// signed as well: else any checkpoint would be a licence to remove what lies before it.
	Removed   bool   `cbor:"4,keyasint,omitempty"`
	Key       []byte `cbor:"5,keyasint"` // the Ed25519 public key
	Signature []byte `cbor:"6,keyasint"`
}

// Message is what is signed: the line "keystone audit checkpoint v1", then the sequence number, the
// hash, the time in microseconds and 1 for Removed, else 0; numbers as 8 bytes, the most significant first.
func (c AuditCheckpoint) Message() []byte {
	b := append([]byte{}, "keystone audit checkpoint v1\n"...)
	b = binary.BigEndian.AppendUint64(b, c.Sequence)
	b = append(b, c.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.At))
	removed := uint64(0)
	if c.Removed {
		removed = 1
	}
	return binary.BigEndian.AppendUint64(b, removed)
}
