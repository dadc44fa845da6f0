package store

import (
	"bytes"
	"strings"
	"unicode"

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
	CreatedAt   iam.Time `cbor:"16,keyasint"`
}

// UserAt is a user at a place of an order. It dies with its Reader.
type UserAt struct {
	Place []byte // where to go on after this one
	r     *Reader
	key   []byte
	data  []byte // the row, where it is at hand
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

// MayContain is false where no text of the row holds all the words, whatever the letter case. The words
// are in lower case. It looks at bytes alone, which spares reading most rows of a long list.
func (at UserAt) MayContain(words []string) bool {
	row := bytes.Clone(at.row())
	if bytes.Contains(row, []byte("\u212a")) || bytes.Contains(row, []byte("\u0130")) {
		return true // the only letters beyond ASCII whose lower case is in it
	}
	for i, c := range row {
		if 'A' <= c && c <= 'Z' {
			row[i] = c + 'a' - 'A'
		}
	}
	for _, word := range words {
		beyond := strings.ContainsFunc(word, func(r rune) bool { return r > unicode.MaxASCII })
		if !beyond && !bytes.Contains(row, []byte(word)) {
			return false
		}
	}
	return true
}

// ID is the user's.
func (at UserAt) ID() iam.ID { return iam.ID(at.key) }

// PlaceIn is the user's place in an order.
func (at UserAt) PlaceIn(order UserOrder, f UserFacts) []byte {
	u := iam.User{ID: at.ID(), Username: f.Username, Email: f.Email, CreatedAt: f.CreatedAt}
	for i := range users.indexes {
		if ix := &users.indexes[i]; ix.bucket == string(order) {
			return ix.entry(ix.keys(&u)[0], at.key)
		}
	}
	panic("BUG: there is no order of users " + string(order))
}

func (at UserAt) row() []byte {
	if at.data != nil {
		return at.data
	}
	return at.r.bucket(users.bucket).get(at.key)
}

// ScanUsers calls fn with up to most users after an id, in the order in which they lie on the disk, and
// returns the last one and whether any may follow: far faster than to look for each of them.
func (r *Reader) ScanUsers(after iam.ID, most int, fn func(UserAt)) (last iam.ID, more bool) {
	c := r.bucket(users.bucket).cursor()
	k, data := c.Seek(after[:])
	if bytes.Equal(k, after[:]) {
		k, data = c.Next()
	}
	last = after
	for n := 0; k != nil; k, data = c.Next() {
		if n == most {
			return last, true
		}
		n++
		last = iam.ID(k)
		fn(UserAt{Place: k, r: r, key: k, data: data})
	}
	return last, false
}

// WalkUsers calls fn with up to most users after a place of the order, nil for its beginning, until fn
// says no. It returns the place of the last one and whether any may follow. Whoever walks a long list
// does it in several Views, for an old one keeps the file from using its space again.
func (r *Reader) WalkUsers(order UserOrder, after []byte, descending bool, most int, fn func(UserAt) bool) (last []byte, more bool) {
	c := r.bucket(string(order)).cursor()
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
	meta, err := r.meta()
	if err != nil {
		r.fail(err)
	}
	return int(meta.Rows[users.bucket])
}
