package api

import (
	"encoding/json"
	"reflect"
)

// Patch is a member of a PATCH request (RFC 7396): one that is missing changes nothing, and null sets it
// back to what it is when nobody says anything.
type Patch[T any] struct {
	Sent  bool
	Value T // the zero value for null
}

// To is the member that sets this value.
func To[T any](value T) Patch[T] { return Patch[T]{Sent: true, Value: value} }

// Apply sets what the member says.
func (p Patch[T]) Apply(to *T) {
	if p.Sent {
		*to = p.Value
	}
}

// UnmarshalJSON reads a value or null.
func (p *Patch[T]) UnmarshalJSON(text []byte) error {
	p.Sent = true
	return json.Unmarshal(text, &p.Value)
}

// MarshalJSON writes the value. A member that is not sent is left out by omitzero.
func (p Patch[T]) MarshalJSON() ([]byte, error) { return json.Marshal(p.Value) }

// Inner is the type of the value.
func (p Patch[T]) Inner() reflect.Type { return reflect.TypeFor[T]() }
