package testcluster_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// publishedKeys are the kids that a node's key set names.
func publishedKeys(t *testing.T, n *testcluster.Node) (kids []string) {
	t.Helper()
	resp, err := http.Get("http://" + n.Running().HTTP() + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"d"`) {
		t.Error("the key set holds a private key")
	}
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.ID)
	}
	return kids
}

// TestKeysOfEveryNode: a key that any node makes is known on all, and one that was stolen is forgotten on
// all once that is answered.
func TestKeysOfEveryNode(t *testing.T) {
	c := testcluster.Start(t, 3)
	asked, other := c.Followers()[0], c.Followers()[1]
	c.CreateUser("ada")
	login, err := other.Client().Login(t.Context(), api.TokenRequest{Username: "ada", Password: testcluster.Password})
	if err != nil {
		t.Fatal(err)
	}
	key, err := asked.Operator().RotateKey(t.Context(), api.RotateKeyRequest{})
	if err != nil || key.Status != "published" {
		t.Fatalf("%+v, %v", key, err)
	}
	for _, n := range c.Nodes {
		testcluster.Poll(t, "the new key is not published on "+n.Name, func() error {
			if kids := publishedKeys(t, n); len(kids) != 2 || kids[1] != key.ID {
				return fmt.Errorf("it has %v", kids)
			}
			return nil
		})
		if _, err := n.Client().WithToken(login.AccessToken).Profile(t.Context()); err != nil {
			t.Errorf("%s: a token of before: %v", n.Name, err)
		}
	}
	stolen, err := asked.Operator().RotateKey(t.Context(), api.RotateKeyRequest{Immediately: true})
	if err != nil || stolen.Status != "signing" {
		t.Fatalf("%+v, %v", stolen, err)
	}
	for _, n := range c.Nodes { // at once: the answer waited for all
		if kids := publishedKeys(t, n); len(kids) != 1 || kids[0] != stolen.ID {
			t.Errorf("%s has the keys %v", n.Name, kids)
		}
		if _, err := n.Client().WithToken(login.AccessToken).Profile(t.Context()); client.CodeOf(err) != "invalid_token" {
			t.Errorf("%s: a token of a stolen key: %v", n.Name, err)
		}
	}
	again, err := other.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: login.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Leader().Client().WithToken(again.AccessToken).Profile(t.Context()); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
}

// TestSecretsAndUsesOverNodes: an old secret is dead everywhere once that is answered, and a node that
// stops has told how often clients called it.
func TestSecretsAndUsesOverNodes(t *testing.T) {
	c := testcluster.Start(t, 3)
	first, last := c.Nodes[0], c.Nodes[2]
	made, err := first.Operator().CreateClient(t.Context(), api.CreateClientRequest{ClientID: "shop", Name: "Shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		testcluster.Poll(t, n.Name+" does not know the client", func() error {
			_, err := n.Operator().ClientByID(t.Context(), "shop")
			return err
		})
	}
	for range 3 {
		if _, err := last.Client().WithCredentials("shop", made.ClientSecret).Introspect(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := first.Operator().RotateSecret(t.Context(), "shop", api.RotateSecretRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		if _, err := n.Client().WithCredentials("shop", made.ClientSecret).Introspect(t.Context(), "x"); client.CodeOf(err) != "invalid_client" {
			t.Errorf("%s: the old secret: %v", n.Name, err)
		}
	}
	last.Stop()
	testcluster.Poll(t, "the uses are not counted", func() error {
		shop, err := first.Operator().ClientByID(t.Context(), "shop")
		if err == nil && (shop.TotalRequests != 3 || shop.LastUsed == nil || shop.UpdatedAt != fresh.UpdatedAt) {
			err = fmt.Errorf("it says %+v", shop)
		}
		return err
	})
	last.Start()
	c.WaitReady()
}

// TestChangesOverNodes: of two changes of one version on two nodes, one wins, and changes without a version
// do not undo each other.
func TestChangesOverNodes(t *testing.T) {
	c := testcluster.Start(t, 3)
	role, err := c.Nodes[0].Operator().CreateRole(t.Context(), api.RoleRequest{Name: "clerk"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		errs := make(chan error, 3)
		for i, n := range c.Nodes {
			operator := n.Operator()
			change := []api.PatchRoleRequest{{Description: api.To("d")}, {Scopes: api.To([]string{"read:profile"})}, {Name: api.To("clerks")}}[i]
			go func() { // ends with its answer
				_, err := operator.PatchRole(t.Context(), role.ID, change)
				errs <- err
			}()
		}
		for range c.Nodes {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		got, err := c.Nodes[0].Operator().PatchRole(t.Context(), role.ID, api.PatchRoleRequest{})
		if err != nil || got.Description != "d" || got.Name != "clerks" || len(got.Scopes) != 1 {
			t.Fatalf("a change was lost: %+v, %v", got, err)
		}
		if _, err := c.Nodes[1].Operator().ReplaceRole(t.Context(), role.ID, api.RoleRequest{Name: "clerk"}); err != nil {
			t.Fatal(err)
		}
	}
}
