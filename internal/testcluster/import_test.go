package testcluster_test

import (
	"fmt"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// TestImportGoesOnElsewhere: an import that loses the node it spoke to goes on at another one from where it was, also
// with a batch of which it does not know whether it was kept.
func TestImportGoesOnElsewhere(t *testing.T) {
	c := testcluster.Start(t, 3)
	batch := func(n int) api.ImportRequest {
		r := api.ImportRequest{Source: "old", Cursor: fmt.Sprint(n), OnConflict: api.ConflictFail}
		if n > 1 {
			r.After = fmt.Sprint(n - 1)
		}
		for i := range 50 {
			name := fmt.Sprintf("person-%d-%d", n, i)
			r.Users = append(r.Users, api.ImportUser{
				ID: fmt.Sprintf("4f0c0000-0000-4000-8000-%06d%06d", n, i), Username: name, Email: name + "@example.org",
				PasswordHash: imported["argon2id"], Active: true, Roles: []string{"user"},
			})
		}
		return r
	}
	leader, other := c.Leader(), c.Followers()[0]
	for n, node := range []*testcluster.Node{other, leader} {
		if out, err := node.Operator().Import(t.Context(), batch(n+1)); err != nil || out.Created != 50 {
			t.Fatalf("batch %d: %+v, %v", n+1, out, err)
		}
	}
	leader.Stop()
	testcluster.Poll(t, "the next leader", func() error {
		_, err := other.Operator().Import(t.Context(), batch(2))
		if client.CodeOf(err) != "conflict" { // it was kept, and is not kept twice
			return fmt.Errorf("the second batch once more: %v", err)
		}
		return nil
	})
	state, err := other.Operator().ImportState(t.Context(), "old")
	if err != nil || state.Cursor != "2" || state.Created != 100 {
		t.Fatalf("the import is at %+v, %v", state, err)
	}
	if out, err := other.Operator().Import(t.Context(), batch(3)); err != nil || out.Created != 50 {
		t.Fatalf("the third batch: %+v, %v", out, err)
	}
	leader.Start()
	c.WaitReady()
	c.WaitAgreed()
	if _, err := leader.Client().Login(t.Context(), api.TokenRequest{Username: "person-3-49", Password: testcluster.Password}); err != nil {
		t.Errorf("a login at the node that was away: %v", err)
	}
	if err := other.Operator().ForgetImport(t.Context(), "old"); err != nil {
		t.Error(err)
	}
	if _, err := leader.Operator().ImportState(t.Context(), "old"); client.CodeOf(err) != "not_found" {
		t.Errorf("a forgotten import: %v", err)
	}
}
