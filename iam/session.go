package iam

import "time"

// RefreshGrace is how long the refresh token that was just replaced gets the same answer again, for
// a caller whose answer was lost on the way.
const RefreshGrace = 10 * time.Second

// Session is one login of one user and the chain of refresh tokens that keeps it alive. It holds
// digests only: whoever reads the disk cannot continue a session.
type Session struct {
	ID           ID       `cbor:"1,keyasint"`
	UserID       ID       `cbor:"2,keyasint"`
	ClientID     string   `cbor:"3,keyasint,omitempty"`
	Scope        []string `cbor:"4,keyasint,omitempty"`
	Family       []byte   `cbor:"5,keyasint"`            // digest of the part that all tokens of the chain share
	Refresh      []byte   `cbor:"6,keyasint"`            // digest of the token that is good now
	Previous     []byte   `cbor:"7,keyasint,omitempty"`  // digest of the one that it replaced
	Replay       []byte   `cbor:"8,keyasint,omitempty"`  // the token that is good now, sealed under the one it replaced
	TokenID      string   `cbor:"9,keyasint"`            // jti of the access token issued last
	RotatedAt    Time     `cbor:"10,keyasint,omitempty"` // of the last rotation
	Rotations    uint64   `cbor:"11,keyasint,omitempty"`
	AuthTime     Time     `cbor:"12,keyasint"` // when the password was proven
	CreatedAt    Time     `cbor:"13,keyasint"`
	LastActivity Time     `cbor:"14,keyasint"`
	ExpiresAt    Time     `cbor:"15,keyasint"`
	IP           string   `cbor:"16,keyasint,omitempty"`
	UserAgent    string   `cbor:"17,keyasint,omitempty"`
	Narrowed     []string `cbor:"18,keyasint,omitempty"` // scope of the access token issued last, when narrower
	Index        uint64   `cbor:"19,keyasint"`           // of the log entry that opened it
}

// MaxTokenLifetime bounds every access and service token, so that a revocation may be forgotten
// that long after it was made. Settings that ask for more are refused.
const MaxTokenLifetime = 24 * time.Hour

// RevocationKind says what a revocation takes away.
type RevocationKind uint8

// The kinds of revocation.
const (
	RevokedToken   RevocationKind = 1 // one access token, by its jti
	RevokedSession RevocationKind = 2 // every token of a session
	RevokedUser    RevocationKind = 3 // every token of a user issued up to Before
	RevokedClient  RevocationKind = 4 // every token of a client of a generation before Index
)

// Revocation makes tokens dead before they expire.
type Revocation struct {
	Kind    RevocationKind `cbor:"1,keyasint"`
	Subject string         `cbor:"2,keyasint"` // jti, session id, user id or client_id
	Before  Time           `cbor:"3,keyasint"` // tokens issued up to then are dead; of a client's those that name no generation
	// ExpiresAt is when nothing that it takes away can be alive any more.
	ExpiresAt Time   `cbor:"4,keyasint"`
	Index     uint64 `cbor:"5,keyasint,omitempty"` // of the log entry that made it
}
