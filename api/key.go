package api

import "time"

// Key is a signing key, without anything that could sign.
type Key struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"algorithm"`
	Created   time.Time `json:"created"`
	SignFrom  time.Time `json:"sign_from"`
	// VerifyUntil is when the key is forgotten; null while that is not known.
	VerifyUntil *time.Time `json:"verify_until"`
	// Status is published, before the key signs; signing; or retired, while it still verifies.
	Status string `json:"status"`
}

// Keys is every signing key, in the order in which they begin to sign.
type Keys struct {
	Keys []Key `json:"keys"`
}

// RotateKeyRequest makes a new signing key.
type RotateKeyRequest struct {
	// Immediately is for a key that was stolen: the new one signs at once, and every token that was signed
	// by another is dead.
	Immediately bool `json:"immediately,omitzero"`
}

// Stats is how much there is in the cluster, and on the node that was asked.
type Stats struct {
	Users       int `json:"users"`
	ActiveUsers int `json:"active_users"`
	Clients     int `json:"clients"`
	Roles       int `json:"roles"`
	Scopes      int `json:"scopes"`
	Sessions    int `json:"sessions"`
	Revocations int `json:"revocations"`
	Keys        int `json:"keys"`
	// CountedAt is when the numbers above were counted. In a large cluster that is not done for each request.
	CountedAt        time.Time `json:"counted_at"`
	RememberedTokens int       `json:"remembered_tokens"` // verified tokens in the memory of this node
	StoreBytes       int64     `json:"store_bytes"`       // size of this node's state
	LogIndex         uint64    `json:"log_index"`         // that this node's state reflects
	UptimeSeconds    int64     `json:"uptime_seconds"`
	Node             string    `json:"node"`
	Version          string    `json:"version"`
}
