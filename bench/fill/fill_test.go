package fill_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/bench/fill"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/store"
)

// TestFolder fills the folders of three nodes and has them go on: testcluster compares and checks their
// states when the test ends.
func TestFolder(t *testing.T) {
	const users, sessions = 11_000, 10_500 // more than one transaction of each
	c := testcluster.Start(t, 3)
	c.WaitAgreed()
	for _, n := range c.Nodes {
		n.Stop()
	}
	first := c.Nodes[0].Dir
	if err := fill.Folder(t.Context(), first, users, sessions); err != nil {
		t.Fatal(err)
	}
	if err := fill.Folder(t.Context(), first, 1, 0); err == nil {
		t.Error("a folder was filled a second time")
	}
	for _, n := range c.Nodes[1:] {
		if err := fill.Copy(first, n.Dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	c.WaitReady()
	for _, name := range []string{fill.Username(1), fill.Username(users)} {
		_, err := c.Nodes[2].Client().Login(t.Context(), api.TokenRequest{Username: name, Password: fill.Password})
		if err != nil {
			t.Errorf("%s cannot log in: %v", name, err)
		}
	}
	err := c.Nodes[1].Running().Store().View(func(r *store.Reader) error {
		u, ok := r.UserByUsername(fill.Username(7))
		if open := r.SessionsOf(u.ID, 10); !ok || len(u.Roles) != 1 || len(open) != 1 || len(open[0].Scope) == 0 || open[0].ExpiresAt <= iam.Now() {
			t.Errorf("user %+v has the sessions %+v", u, open)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNotThere(t *testing.T) {
	f := func(what, folder string, users, sessions int) {
		t.Helper()
		if err := fill.Folder(t.Context(), folder, users, sessions); err == nil {
			t.Errorf("%s was filled", what)
		}
	}
	empty, begun := t.TempDir(), t.TempDir()
	s, err := store.Open(filepath.Join(begun, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f("a folder without a state", empty, 1, 0)
	f("a state without a cluster", begun, 1, 0)
	f("a state, with sessions of nobody,", begun, 0, 1)
	if err := fill.Copy(begun, empty); err == nil {
		t.Error("a state was copied to where there is no node")
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
