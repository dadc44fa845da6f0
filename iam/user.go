package iam

import "slices"

// User is a person who logs in. Usernames and e-mails are unique without regard to letter case.
type User struct {
	ID                ID     `cbor:"1,keyasint"`
	Username          string `cbor:"2,keyasint"`
	Email             string `cbor:"3,keyasint"`
	PasswordHash      string `cbor:"4,keyasint"` // see secret.Recognize; never leaves the node that verifies it
	FirstName         string `cbor:"5,keyasint,omitempty"`
	LastName          string `cbor:"6,keyasint,omitempty"`
	DisplayName       string `cbor:"7,keyasint,omitempty"`
	Bio               string `cbor:"8,keyasint,omitempty"`
	Active            bool   `cbor:"9,keyasint"`
	Verified          bool   `cbor:"10,keyasint"`
	Superuser         bool   `cbor:"11,keyasint"` // holds every scope
	Roles             []ID   `cbor:"12,keyasint,omitempty"`
	LockedUntil       Time   `cbor:"13,keyasint,omitempty"`
	LastLogin         Time   `cbor:"14,keyasint,omitempty"`
	PasswordChangedAt Time   `cbor:"15,keyasint,omitempty"`
	CreatedAt         Time   `cbor:"16,keyasint"`
	UpdatedAt         Time   `cbor:"17,keyasint"`
	Changed           uint64 `cbor:"18,keyasint"` // log index of the last change but for logins and locks: what a writer must have seen
	// PreviousHashes are those of the passwords before, the latest at first, so that none is chosen again.
	PreviousHashes []string `cbor:"19,keyasint,omitempty"`
}

// MaxPreviousHashes bounds the hashes of earlier passwords in a user's row.
const MaxPreviousHashes = 24

// WithHash is the user with another password hash, of which remember earlier ones are kept.
func (u User) WithHash(hash string, remember int) User {
	previous := append([]string{u.PasswordHash}, u.PreviousHashes...)
	u.PreviousHashes = previous[:min(max(0, remember), MaxPreviousHashes, len(previous))]
	u.PasswordHash = hash
	return u
}

// FullName is the first and last name with one blank between them, or whichever is set.
func (u User) FullName() string {
	switch {
	case u.FirstName == "":
		return u.LastName
	case u.LastName == "":
		return u.FirstName
	}
	return u.FirstName + " " + u.LastName
}

// LockedAt tells whether too many failed logins keep the user out at that instant.
func (u User) LockedAt(now Time) bool { return u.LockedUntil > now }

// Has tells whether the user was given the role.
func (u User) Has(role ID) bool { return slices.Contains(u.Roles, role) }
