package store

import (
	"bytes"
	"fmt"

	"github.com/keystone-auth/keystone/iam"
)

// CountUsersWithRole counts the holders of the role up to most, without reading their rows.
func (r *Reader) CountUsersWithRole(role iam.ID, most int) int {
	n := 0
	c := r.bucket("users_by_role").cursor()
	for k, _ := c.Seek(role[:]); k != nil && bytes.HasPrefix(k, role[:]) && n < most; k, _ = c.Next() {
		n++
	}
	return n
}

// Counts is how many rows there are, and how large the file is.
type Counts struct {
	Users, ActiveUsers, Clients, Roles, Scopes, Sessions, Revocations, Keys int

	Bytes int64
}

// Counts counts rows. Of users it looks at one member of each row, which takes most of a second for a
// million of them, so callers remember what it found.
func (r *Reader) Counts() (c Counts) {
	meta, err := r.meta()
	if err != nil {
		r.fail(err)
		return c
	}
	for _, t := range []struct {
		into   *int
		bucket string
	}{
		{&c.Users, users.bucket},
		{&c.Clients, clients.bucket},
		{&c.Roles, roles.bucket},
		{&c.Scopes, scopes.bucket},
		{&c.Sessions, sessions.bucket},
		{&c.Revocations, revocations.bucket},
		{&c.Keys, keys.bucket},
	} {
		*t.into = int(meta.Rows[t.bucket])
	}
	c.Bytes = r.file.Size()
	if err := countActive(r, &c.ActiveUsers); err != nil {
		r.fail(err)
	}
	return c
}

func countActive(r *Reader, n *int) error {
	return r.bucket(users.bucket).each(func(_, data []byte) error {
		var user struct {
			Active bool `cbor:"9,keyasint"`
		}
		if err := Decode(data, &user); err != nil {
			return fmt.Errorf("a row of %s cannot be read: %w", users.bucket, err)
		}
		if user.Active {
			*n++
		}
		return nil
	})
}
