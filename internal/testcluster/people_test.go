package testcluster_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// together calls fn for each node at once and returns what the failures are, by code.
func together(t *testing.T, c *testcluster.Cluster, fn func(i int, n *testcluster.Node) error) map[string]int {
	t.Helper()
	var mu sync.Mutex
	outcomes := map[string]int{}
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i, n := range c.Nodes {
		all.Go(func() {
			<-begin
			err := fn(i, n)
			mu.Lock()
			defer mu.Unlock()
			code := client.CodeOf(err)
			if err != nil && code == "" {
				t.Errorf("%s: %v", n.Name, err)
			}
			outcomes[code]++
		})
	}
	close(begin)
	all.Wait()
	return outcomes
}

// TestPeopleAtOnce: of changes that cannot both be, one wins, whichever nodes are asked.
func TestPeopleAtOnce(t *testing.T) {
	c := testcluster.Start(t, 3)
	for round := range 3 {
		name := fmt.Sprintf("ann-%d", round)
		outcomes := together(t, c, func(i int, n *testcluster.Node) error {
			spelled := []string{name, "ANN" + name[3:], "Ann" + name[3:]}[i]
			_, err := n.Client().Register(t.Context(), api.RegisterRequest{Username: spelled, Email: fmt.Sprintf("%s-%d@example.org", name, i), Password: testcluster.Password})
			return err
		})
		if outcomes[""] != 1 || outcomes["conflict"] != 2 {
			t.Errorf("three registrations of one name: %v", outcomes)
		}
		_, tag, err := c.Nodes[0].Operator().UserVersion(t.Context(), name)
		if err != nil || tag == "" {
			t.Fatalf("the version of %s: %q, %v", name, tag, err)
		}
		outcomes = together(t, c, func(i int, n *testcluster.Node) error {
			bio := fmt.Sprintf("by %d", i)
			_, err := n.Operator().WithIfMatch(tag).UpdateUser(t.Context(), name, api.UpdateUserRequest{Bio: &bio})
			return err
		})
		if outcomes[""] != 1 || outcomes["precondition_failed"] != 2 {
			t.Errorf("three changes of one version: %v", outcomes)
		}
		// Without a version none is refused, and none undoes another.
		fields := []api.UpdateUserRequest{{FirstName: &name}, {LastName: &name}, {DisplayName: &name}}
		outcomes = together(t, c, func(i int, n *testcluster.Node) error {
			_, err := n.Operator().UpdateUser(t.Context(), name, fields[i])
			return err
		})
		u, err := c.Nodes[0].Operator().User(t.Context(), name)
		if err != nil || outcomes[""] != 3 || u.FirstName != name || u.LastName != name || u.DisplayName != name {
			t.Errorf("three changes of different fields: %v, %+v, %v", outcomes, u, err)
		}
	}
}
