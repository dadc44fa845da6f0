package api

import "time"

// AuditEvent is one entry of the audit log. Its hash is the SHA-256 over the line "keystone audit entry v1"
// and sequence, time (in microseconds since 1970), type, actor, target, result, reason, ip_address,
// user_agent, request_id, count and previous_hash, in this order: numbers as 8 bytes, the most significant
// first, texts and the previous hash (as 32 bytes) behind their length as a number.
type AuditEvent struct {
	Sequence     uint64    `json:"sequence"`
	Hash         string    `json:"hash"`          // in hexadecimal digits
	PreviousHash string    `json:"previous_hash"` // of the event before; zeroes for the first
	Time         time.Time `json:"time"`
	Type         string    `json:"type"`   // such as user.created
	Actor        string    `json:"actor"`  // user id, client_id, "operator" or "system"; empty: nobody who proved it
	Target       string    `json:"target"` // whom or what it is about
	Result       string    `json:"result"` // success or refused
	Reason       string    `json:"reason"` // the code of a refusal
	IPAddress    string    `json:"ip_address"`
	UserAgent    string    `json:"user_agent"`
	RequestID    string    `json:"request_id"`
	// Count is how many refusals that were alike the event stands for; absent: itself alone.
	Count uint64 `json:"count,omitzero"`
}

// AuditEvents is one page of the audit log, the newest first unless another order is asked for.
type AuditEvents struct {
	Events []AuditEvent `json:"events"`
	// Partial says that the search stopped before it had looked at the whole log: total counts what was
	// found so far, and next_cursor goes on.
	Partial bool `json:"partial,omitzero"`
	Page
}

// AuditCheckpoint is a signed statement that the event with that sequence number had that hash. The
// Ed25519 signature is over the line "keystone audit checkpoint v1", then sequence, hash (as 32 bytes), time (in
// microseconds since 1970) and 1 for removed, else 0; numbers as 8 bytes, the most significant first.
type AuditCheckpoint struct {
	Sequence  uint64    `json:"sequence"`
	Hash      string    `json:"hash"`
	Time      time.Time `json:"time"`
	Removed   bool      `json:"removed"`   // the events up to this one were removed because of their age or number
	PublicKey string    `json:"key"`       // in hexadecimal digits
	Signature string    `json:"signature"` // in hexadecimal digits
}

// AuditCheckpoints is what there is to prove the audit log by.
type AuditCheckpoints struct {
	Sequence    uint64            `json:"sequence"` // of the last event; 0 where there is none
	Hash        string            `json:"hash"`     // of the last event
	Checkpoints []AuditCheckpoint `json:"checkpoints"`
	Next        uint64            `json:"next,omitzero"` // to be sent as after for the rest
}
