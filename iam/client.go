package iam

// ClientType says whether a client can keep a secret (RFC 6749 §2.1).
type ClientType string

// The client types.
const (
	Confidential ClientType = "confidential"
	Public       ClientType = "public"
)

// Client is a program that obtains or introspects tokens.
type Client struct {
	ID              ID         `cbor:"1,keyasint"`
	ClientID        string     `cbor:"2,keyasint"`           // the name that it presents
	SecretDigest    []byte     `cbor:"3,keyasint,omitempty"` // SHA-256 of a secret that Keystone made
	SecretHash      string     `cbor:"4,keyasint,omitempty"` // PHC string of an imported secret
	PreviousDigest  []byte     `cbor:"5,keyasint,omitempty"` // the secret before the last rotation …
	PreviousUntil   Time       `cbor:"6,keyasint,omitempty"` // … which is good until then
	Name            string     `cbor:"7,keyasint"`
	Description     string     `cbor:"8,keyasint,omitempty"`
	Type            ClientType `cbor:"9,keyasint"`
	Active          bool       `cbor:"10,keyasint"`
	Trusted         bool       `cbor:"11,keyasint"`
	Scopes          []ID       `cbor:"12,keyasint,omitempty"`
	Audiences       []string   `cbor:"13,keyasint,omitempty"`
	AccessLifetime  int64      `cbor:"14,keyasint,omitempty"` // seconds; 0 = the cluster's setting
	RefreshLifetime int64      `cbor:"15,keyasint,omitempty"` // seconds; 0 = the cluster's setting
	RatePerMinute   int64      `cbor:"16,keyasint,omitempty"` // 0 = no limit of its own
	RatePerHour     int64      `cbor:"17,keyasint,omitempty"`
	AllowedIPs      []string   `cbor:"18,keyasint,omitempty"` // CIDR, v4 and v6; empty = from everywhere
	ContactEmail    string     `cbor:"19,keyasint,omitempty"`
	WebsiteURL      string     `cbor:"20,keyasint,omitempty"`
	WebhookURL      string     `cbor:"21,keyasint,omitempty"`
	LastUsed        Time       `cbor:"22,keyasint,omitempty"`
	TotalRequests   int64      `cbor:"23,keyasint,omitempty"`
	CreatedAt       Time       `cbor:"24,keyasint"`
	UpdatedAt       Time       `cbor:"25,keyasint"`
	// Generation is the log index at which something was last taken away from the client. A token says
	// under which generation it was issued, and one of an earlier generation is dead. Times would not do:
	// service tokens are issued by the clocks of several nodes, none of which the log has seen.
	Generation uint64 `cbor:"26,keyasint"`
	// SessionsFrom is the log index before which sessions that were opened through the client are over.
	SessionsFrom uint64 `cbor:"27,keyasint"`
	Changed      uint64 `cbor:"28,keyasint"` // log index of the last change but for the counters: what a writer must have seen
}
