package iam

// AuditEntry is one line of the audit log: who did what to whom, and how it ended.
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
}

// How an audited action ended.
const (
	AuditSuccess = "success"
	AuditRefused = "refused"
)
