package iam

// Role is a named set of scopes that is given to users.
type Role struct {
	ID          ID     `cbor:"1,keyasint"`
	Name        string `cbor:"2,keyasint"`
	Description string `cbor:"3,keyasint,omitempty"`
	Scopes      []ID   `cbor:"4,keyasint,omitempty"`
	CreatedAt   Time   `cbor:"5,keyasint"`
	UpdatedAt   Time   `cbor:"6,keyasint"`
	Changed     uint64 `cbor:"7,keyasint"` // log index of the last change
}

// Version is the role's id and which version of it this is.
func (r Role) Version() (ID, uint64) { return r.ID, r.Changed }

// Scope is one permission, by convention "action:resource".
type Scope struct {
	ID          ID     `cbor:"1,keyasint"`
	Name        string `cbor:"2,keyasint"`
	Description string `cbor:"3,keyasint,omitempty"`
	Resource    string `cbor:"4,keyasint,omitempty"`
	Action      string `cbor:"5,keyasint,omitempty"`
	CreatedAt   Time   `cbor:"6,keyasint"`
	UpdatedAt   Time   `cbor:"7,keyasint"`
	Changed     uint64 `cbor:"8,keyasint"` // log index of the last change
}

// Version is the scope's id and which version of it this is.
func (s Scope) Version() (ID, uint64) { return s.ID, s.Changed }

// The roles that every cluster begins with.
const (
	RoleAdmin   = "admin"
	RoleUser    = "user"
	RoleService = "service"
)
