package store

import (
	"path/filepath"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

func TestCounts(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	update(t, s, func(tx *Tx) {
		for n := range byte(7) {
			u := user(n+1, string(rune('a'+n)), id(200))
			u.Active = n < 5
			tx.PutUser(u)
		}
		tx.PutUser(user(50, "other", id(201)))
		tx.PutClient(iam.Client{ID: id(1), ClientID: "c"})
		tx.PutScope(iam.Scope{ID: id(1), Name: "s"})
		tx.DeleteUser(id(1))
	})
	check(t, s)
	f := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	if err := s.View(func(r *Reader) error {
		c := r.Counts()
		f("users", c.Users, 7)
		f("active users", c.ActiveUsers, 4)
		f("clients", c.Clients, 1)
		f("scopes", c.Scopes, 1)
		f("roles", c.Roles, 0)
		f("holders", r.CountUsersWithRole(id(200), 100), 6)
		f("holders up to a bound", r.CountUsersWithRole(id(200), 4), 4)
		f("holders of another role", r.CountUsersWithRole(id(201), 100), 1)
		if c.Bytes == 0 {
			t.Error("the file has no size")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
