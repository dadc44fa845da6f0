package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Text is a secret that a person set: a key that is shared with other systems, the password of a mail
// server, the address of a database with a password in it. It prints as "[secret]" whatever prints it;
// only Reveal tells it. The zero value is no secret.
//
// The text lies behind a function for the reason that [ClusterSecret] gives.
type Text struct{ reveal func() string }

// NewText makes one; an empty text is no secret.
func NewText(text string) Text {
	if text == "" {
		return Text{}
	}
	return Text{reveal: func() string { return text }}
}

// IsZero tells whether there is no secret.
func (t Text) IsZero() bool { return t.reveal == nil }

// Reveal returns the text, for the one who needs it to work with. Of no secret it is empty.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Equal compares in a time that tells nothing of either text. No secret equals nothing, not even an
// empty text: a check against a secret that nobody set must not let anybody in.
func (t Text) Equal(presented string) bool {
	if t.reveal == nil {
		return false
	}
	ours, theirs := sha256.Sum256([]byte(t.reveal())), sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(ours[:], theirs[:]) == 1
}

// String keeps the secret out of what is printed.
func (Text) String() string { return redacted }

// GoString keeps the secret out of %#v.
func (Text) GoString() string { return redacted }

// Format keeps the secret out of every other verb, %x and %d included.
func (Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the secret out of logs.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON and its like.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }
