package backup

import (
	"encoding/hex"
	"time"
)

// Format is the version of what a backup consists of. A newer one is refused.
const Format = 1

// Meta says what a backup is a copy of.
type Meta struct {
	Format    int       `json:"format"`
	Created   time.Time `json:"created"`
	Keystone  string    `json:"keystone"` // the version of the program that made it
	Node      string    `json:"node"`     // the name of the node that made it
	ClusterID string    `json:"cluster_id"`
	// Fingerprint is that of the cluster secret by which its signing keys are sealed, and by which
	// it is signed itself.
	Fingerprint string `json:"fingerprint"`

	Index        uint64            `json:"index"` // of the last log entry in it
	Term         uint64            `json:"term"`
	Epoch        uint64            `json:"epoch"`
	StateFormat  uint64            `json:"state_format"`  // of the state file
	StateVersion uint64            `json:"state_version"` // of the commands that led to it
	StateHash    string            `json:"state_hash"`    // as the nodes compare it, in hexadecimal digits
	Rows         map[string]uint64 `json:"rows"`          // how many each table has
	Bytes        int64             `json:"bytes"`         // of the state file
}

// hexed is the state hash as text.
func hexed(sum [32]byte) string { return hex.EncodeToString(sum[:]) }
