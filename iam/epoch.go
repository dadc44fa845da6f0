package iam

// Epoch is a time in the life of a cluster at whose beginning everything that was issued before became
// dead: every token, session and mailed ticket. A new one begins after the state was restored from a
// backup, in which whatever was revoked since the backup would be alive again.
type Epoch struct {
	Number uint64 `cbor:"1,keyasint"` // counts from 1; 0: the first one, which nobody had to begin
	Index  uint64 `cbor:"2,keyasint"` // of the log entry that began it
	At     Time   `cbor:"3,keyasint"`
	Reason string `cbor:"4,keyasint,omitempty"` // for people
}

// Of is the epoch of what was issued by virtue of the log entry at index.
func (e Epoch) Of(index uint64) uint64 {
	if index < e.Index {
		return e.Number - 1
	}
	return e.Number
}

// MaxReason bounds Epoch.Reason in bytes.
const MaxReason = 200
