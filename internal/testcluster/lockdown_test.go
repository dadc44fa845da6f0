package testcluster_test

import (
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// TestLockDown: when it is answered, no node takes anything of the account, and the receipt says so.
func TestLockDown(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("mallory")
	made, err := c.Nodes[0].Operator().CreateClient(t.Context(), api.CreateClientRequest{ClientID: "shop", Name: "Shop"})
	if err != nil {
		t.Fatal(err)
	}
	own := login(t, c.Nodes[0], "mallory")
	through, err := c.Nodes[1].Client().Login(t.Context(), api.TokenRequest{Username: "mallory", Password: testcluster.Password, ClientID: "shop", ClientSecret: made.ClientSecret})
	if err != nil {
		t.Fatal(err)
	}
	service, err := c.Nodes[2].Client().ServiceToken(t.Context(), api.ServiceTokenRequest{ClientID: "shop", ClientSecret: made.ClientSecret})
	if err != nil {
		t.Fatal(err)
	}
	var receipt api.Effective
	if _, err := c.Nodes[2].Operator().WithReceipt(&receipt).LockDownClient(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if active(t, c, through.AccessToken) || active(t, c, service.AccessToken) || !active(t, c, own.AccessToken) || receipt.Nodes == "" {
		t.Errorf("after the client's lock-down (%+v) the wrong tokens are active", receipt)
	}
	done, err := c.Nodes[1].Operator().WithReceipt(&receipt).LockDownUser(t.Context(), "mallory")
	if err != nil || done.SessionsTerminated != 1 || receipt.Index == 0 {
		t.Errorf("lock-down: %+v, %+v, %v", done, receipt, err)
	}
	if active(t, c, own.AccessToken) {
		t.Error("a token is active after its user's lock-down")
	}
	for _, n := range c.Nodes {
		if _, err := n.Client().Login(t.Context(), api.TokenRequest{Username: "mallory", Password: testcluster.Password}); err == nil {
			t.Errorf("%s lets a user in that was locked down", n.Name)
		}
		if _, err := n.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: own.RefreshToken}); client.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: refresh: %v", n.Name, err)
		}
	}
}

// TestInvalidateAll: whatever was issued before is dead on all nodes, and what is issued after it is not.
func TestInvalidateAll(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("alice")
	made, err := c.Nodes[0].Operator().CreateClient(t.Context(), api.CreateClientRequest{ClientID: "shop", Name: "Shop"})
	if err != nil {
		t.Fatal(err)
	}
	credentials := api.ServiceTokenRequest{ClientID: "shop", ClientSecret: made.ClientSecret}
	for number := uint64(1); number <= 2; number++ {
		person := login(t, c.Nodes[1], "alice")
		service, err := c.Nodes[2].Client().ServiceToken(t.Context(), credentials)
		if err != nil {
			t.Fatal(err)
		}
		if !active(t, c, person.AccessToken) || !active(t, c, service.AccessToken) {
			t.Fatal("what was just issued is not active")
		}
		e, err := c.Nodes[0].Operator().InvalidateAll(t.Context(), "a drill")
		if err != nil || e.Number != number {
			t.Fatalf("epoch: %+v, %v", e, err)
		}
		if active(t, c, person.AccessToken) || active(t, c, service.AccessToken) {
			t.Error("something of the epoch before is active")
		}
		for _, n := range c.Nodes {
			if _, err := n.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: person.RefreshToken}); client.CodeOf(err) != "invalid_grant" {
				t.Errorf("%s: refresh: %v", n.Name, err)
			}
			if status, err := n.Operator().Cluster(t.Context()); err != nil || status.Epoch == nil || status.Epoch.Number != number {
				t.Errorf("%s: status: %+v, %v", n.Name, status.Epoch, err)
			}
		}
	}
}
