package testcluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// export returns the audit log of a node, line by line.
func export(t *testing.T, n *testcluster.Node) (lines []string) {
	t.Helper()
	if err := n.Operator().ExportAudit(t.Context(), client.AuditQuery{}, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	}); err != nil {
		t.Fatalf("%s: export: %v", n.Name, err)
	}
	return lines
}

// TestRefusalsAreInTheLogOfAllNodes: whichever node refuses something, all of them come to know it, and
// the last refusals of a node that is stopped are not lost.
func TestRefusalsAreInTheLogOfAllNodes(t *testing.T) {
	const wrong, typed = "Wrong-1-horse", "Typed-Into-Wrong-Field1!"
	c := testcluster.Start(t, 3)
	alice := c.CreateUser("alice")
	token := login(t, c.Nodes[0], "alice").AccessToken
	refuse := func(n *testcluster.Node) {
		t.Helper()
		for name, password := range map[string]string{"alice": wrong, typed: wrong} {
			if _, err := n.Client().Login(t.Context(), api.TokenRequest{Username: name, Password: password}); client.CodeOf(err) != "invalid_grant" {
				t.Fatalf("%s: login: %v", n.Name, err)
			}
		}
		if _, err := n.Client().WithToken(token).Cluster(t.Context()); client.CodeOf(err) != "insufficient_scope" {
			t.Fatalf("%s: cluster: %v", n.Name, err)
		}
	}
	recorded := func(n *testcluster.Node, kind, target string, times uint64) {
		t.Helper()
		testcluster.Poll(t, n.Name+" does not know of "+kind+" "+target, func() error {
			found, err := n.Operator().AuditEvents(t.Context(), client.AuditQuery{Type: kind, Target: target})
			sum := uint64(0)
			for _, e := range found.Events {
				if e.Target == target {
					sum += max(1, e.Count)
				}
				if e.IPAddress != "127.0.0.1" {
					t.Errorf("%s: %+v", n.Name, e)
				}
			}
			if err == nil && sum != times {
				err = fmt.Errorf("%d are recorded, want %d", sum, times)
			}
			return err
		})
	}
	for _, n := range c.Nodes {
		refuse(n)
	}
	for _, n := range c.Nodes {
		recorded(n, "login.failed", alice.ID, 3)
		recorded(n, "login.failed", "", 3)
		recorded(n, "access.denied", "GET /api/v1/admin/cluster", 3)
	}
	last := c.Followers()[0]
	refuse(last)
	last.Stop()
	for _, n := range c.Followers() {
		recorded(n, "login.failed", alice.ID, 4)
	}
	last.Start()
	c.WaitReady()
	c.WaitAgreed()
	first := export(t, c.Nodes[0])
	for _, n := range c.Nodes {
		if lines := export(t, n); strings.Join(lines, "\n") != strings.Join(first, "\n") {
			t.Errorf("the audit log of %s is another one", n.Name)
		}
		if _, err := n.Running().Store().VerifyAudit(nil); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
	}
	for _, secret := range []string{wrong, typed, testcluster.Password, token, "$argon2"} {
		if strings.Contains(strings.Join(first, "\n"), secret) {
			t.Errorf("the audit log holds %s", secret)
		}
	}
}
