package iam

// Key signs tokens. Its life is a plan in times, so that no node has to be told when to switch: it
// is published at once, signs from SignFrom until the next key does, and verifies until
// VerifyUntil.
type Key struct {
	ID          string `cbor:"1,keyasint"` // kid
	Algorithm   string `cbor:"2,keyasint"` // ES256, EdDSA, RS256, PS256 or HS256
	Public      []byte `cbor:"3,keyasint,omitempty"`
	Sealed      []byte `cbor:"4,keyasint"` // the private key under the key-encryption key
	CreatedAt   Time   `cbor:"5,keyasint"`
	SignFrom    Time   `cbor:"6,keyasint"`
	VerifyUntil Time   `cbor:"7,keyasint,omitempty"` // 0 = no end yet
}

// Settings must be the same on every node, so they are replicated. The leader's configuration is
// the cluster's.
type Settings struct {
	Issuer         string `cbor:"1,keyasint"`
	Algorithm      string `cbor:"2,keyasint"`
	AccessSeconds  int64  `cbor:"3,keyasint"` // lifetime of a user's access token
	RefreshSeconds int64  `cbor:"4,keyasint"`
	ServiceSeconds int64  `cbor:"5,keyasint"` // of a service token, where the client has none of its own
	DefaultRole    string `cbor:"6,keyasint"` // given to those who register

	AuditKeepDays  int64 `cbor:"50,keyasint,omitempty"` // how long an audit entry is kept; 0 = for ever
	AuditKeepCount int64 `cbor:"51,keyasint,omitempty"` // how many are kept; 0 = all
}
