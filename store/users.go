package store

import (
	"bytes"

	"github.com/keystone-auth/keystone/iam"
)

// UserOrder is an order in which all users can be walked, for there is an index of it.
type UserOrder string

// The orders.
const (
	UsersByCreation UserOrder = "users_by_created"
	UsersByUsername UserOrder = "users_by_username"
	UsersByEmail    UserOrder = "users_by_email"
)

// UserFacts is what lists of users are filtered by: a part of iam.User, under the same numbers.
type UserFacts struct {
	Username    string   `cbor:"2,keyasint"`
	Email       string   `cbor:"3,keyasint"`
	FirstName   string   `cbor:"5,keyasint,omitempty"`
	LastName    string   `cbor:"6,keyasint,omitempty"`
	DisplayName string   `cbor:"7,keyasint,omitempty"`
	Active      bool     `cbor:"9,keyasint"`
	Verified    bool     `cbor:"10,keyasint"`
	Roles       []iam.ID `cbor:"12,keyasint,omitempty"`
	LockedUntil iam.Time `cbor:"13,keyasint,omitempty"`
}

// UserAt is a user at a place of an order. It dies with its Reader.
type UserAt struct {
	Place []byte // where to go on after this one
	r     *Reader
	key   []byte
}

// User is the whole row.
func (at UserAt) User() iam.User {
	u, _ := users.get(at.r, at.key)
	return u
}

// Facts is what the row says to filters.
func (at UserAt) Facts() (f UserFacts) {
	if err := Decode(at.row(), &f); err != nil {
		at.r.fail(err)
	}
	return f
}

// MayHold is false where the user surely does not hold the role: its id is looked for in the bytes of
// the row, which spares reading most rows of a long list.
func (at UserAt) MayHold(role iam.ID) bool { return bytes.Contains(at.row(), role[:]) }

func (at UserAt) row() []byte { return at.r.tx.Bucket([]byte(users.bucket)).Get(at.key) }

// WalkUsers calls fn with up to most users after a place of the order, nil for its beginning, until fn
// says no. It returns the place of the last one and whether any may follow. Whoever walks a long list
// does it in several Views, for an old one keeps the file from using its space again.
func (r *Reader) WalkUsers(order UserOrder, after []byte, descending bool, most int, fn func(UserAt) bool) (last []byte, more bool) {
	c := r.tx.Bucket([]byte(order)).Cursor()
	next := c.Next
	if descending {
		next = c.Prev
	}
	k, key := c.First()
	switch {
	case after != nil:
		k, key = c.Seek(after)
		if descending {
			if k == nil {
				k, key = c.Last()
			}
			for k != nil && bytes.Compare(k, after) >= 0 {
				k, key = c.Prev()
			}
		} else if bytes.Equal(k, after) {
			k, key = c.Next()
		}
	case descending:
		k, key = c.Last()
	}
	last = after
	for n := 0; k != nil; k, key = next() {
		if n == most {
			return last, true
		}
		n++
		last = bytes.Clone(k)
		if !fn(UserAt{Place: last, r: r, key: key}) {
			return last, true
		}
	}
	return last, false
}

// UserCount is how many users there are.
func (r *Reader) UserCount() int {
	var meta Meta
	if err := readMeta(r.tx, &meta); err != nil {
		r.fail(err)
	}
	return int(meta.Rows[users.bucket])
}
