package iam

import (
	"errors"
	"net/url"
	"slices"
)

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
	SecretHash      string     `cbor:"4,keyasint,omitempty"` // of an imported secret, see secret.Recognize
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
	// PreviousHash is the imported secret before the last rotation, as PreviousDigest.
	PreviousHash string `cbor:"29,keyasint,omitempty"`
}

// MaxGrace bounds how long the secret before the last rotation is good, in seconds.
const MaxGrace = 30 * 86400

// maxRefresh bounds the lifetime of a refresh token, in seconds: ten years.
const maxRefresh = 10 * 365 * 86400

// Rights are the scopes whose holder may do what the client may: those that it holds, of which the names
// are given, and that of asking what others may do where it is trusted.
func (c Client) Rights(scopes []string) []string {
	if !c.Trusted {
		return scopes
	}
	return append(slices.Clone(scopes), ScopeAdminPermissions)
}

// Check says what is wrong with each field of a client.
func (c Client) Check() error {
	longest := int64(MaxTokenLifetime.Seconds())
	wrong := Invalid("", "")
	wrong.Fields = nil
	for _, err := range []error{
		CheckClientID(c.ClientID),
		when(c.Name == "", "name", "must not be empty"),
		CheckText("name", c.Name, 100),
		CheckText("description", c.Description, 10_000),
		when(c.Type != Confidential && c.Type != Public, "client_type", "must be confidential or public"),
		checkAudiences(c.Audiences),
		when(c.AccessLifetime != 0 && (c.AccessLifetime < 60 || c.AccessLifetime > longest), "access_token_lifetime", "must be between 60 and %d seconds", longest),
		when(c.RefreshLifetime < 0 || c.RefreshLifetime > maxRefresh, "refresh_token_lifetime", "must be between 0 and %d seconds", maxRefresh),
		when(c.RatePerMinute < 0, "rate_limit_per_minute", "must not be negative"),
		when(c.RatePerHour < 0, "rate_limit_per_hour", "must not be negative"),
		when(len(c.AllowedIPs) > 100, "allowed_ips", "must be at most 100"),
		CheckCIDRs(c.AllowedIPs),
		checkContact(c.ContactEmail),
		checkURL("website_url", c.WebsiteURL),
		checkURL("webhook_url", c.WebhookURL),
	} {
		var refusal *Error
		if errors.As(err, &refusal) {
			wrong.Fields = append(wrong.Fields, refusal.Fields...)
		}
	}
	if wrong.Fields == nil {
		return nil
	}
	return wrong
}

// when is the refusal of a field if something is wrong with it.
func when(wrong bool, field, format string, args ...any) error {
	if !wrong {
		return nil
	}
	return Invalid(field, format, args...)
}

func checkAudiences(all []string) error {
	if len(all) > 100 {
		return Invalid("audiences", "must be at most 100")
	}
	for _, a := range all {
		if a == "" || CheckText("audiences", a, 255) != nil {
			return Invalid("audiences", "must be 1 to 255 characters each")
		}
	}
	return nil
}

func checkContact(address string) error {
	if address == "" || CheckEmail(address) == nil {
		return nil
	}
	return Invalid("contact_email", "must be one plain e-mail address of at most 255 characters")
}

// checkURL takes addresses of the web alone: a page that shows one as a link must not run it as a script.
// Credentials inside would be shown to everybody who may read the client.
func checkURL(field, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || CheckText(field, text, 500) != nil {
		return Invalid(field, "must be an http or https URL without credentials, of at most 500 characters")
	}
	return nil
}

// Version is the client's id and which version of it this is.
func (c Client) Version() (ID, uint64) { return c.ID, c.Changed }
