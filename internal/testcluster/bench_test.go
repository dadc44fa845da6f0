package testcluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// TestBench runs every scenario of the bench for a moment: each finds the cluster as it should be, gives no
// wrong answer, and leaves nothing behind.
func TestBench(t *testing.T) {
	c := testcluster.Start(t, 3)
	site := bench.Site{Admin: c.Nodes[0].Operator()}
	for _, n := range c.Nodes {
		site.Nodes = append(site.Nodes, "http://"+n.Running().HTTP())
	}
	for _, s := range bench.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			p := bench.Plan{
				Connections: 6, Duration: time.Second, Rounds: 1, Tokens: 20, Users: 2, Seed: 1,
				Mix: bench.Mix{bench.MixValid: 8, bench.MixRevoked: 1, bench.MixGarbage: 1},
			}
			r, err := bench.Run(t.Context(), site, s.Name, p, bench.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if names := r.Names(); len(names) == 0 || names[0] == "" {
				t.Fatalf("operations %q were measured", names)
			}
			for _, o := range r.Rounds[0].Operations {
				if o.Requests == 0 || o.Errors+o.Wrong+o.Unsent > 0 {
					t.Errorf("%s: %d answers, %v", o.Name, o.Requests, o.Kinds)
				}
			}
			leftovers(t, site.Admin)
		})
	}
}

// TestBenchUnderFailure kills the leader under load: what fails is counted, no answer is wrong, and when the
// node is back everything is removed.
func TestBenchUnderFailure(t *testing.T) {
	c := testcluster.Start(t, 3)
	leader := c.Leader()
	site := bench.Site{Admin: c.Followers()[0].Operator()}
	for _, n := range c.Nodes {
		site.Nodes = append(site.Nodes, "http://"+n.Running().HTTP())
	}
	p := bench.Plan{
		Connections: 6, Duration: 9 * time.Second, Rounds: 1, Tokens: 20, Users: 2, Seed: 1,
		Mix: bench.Mix{bench.MixValid: 8, bench.MixRevoked: 1, bench.MixGarbage: 1},
	}
	r, err := bench.Run(t.Context(), site, "failover", p, bench.Options{Kill: func() error { leader.Stop(); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Wrong(); n > 0 {
		t.Errorf("%d answers were wrong: %+v", n, r.Rounds[0].Operations)
	}
	if names := strings.Join(r.Names(), " "); names != "introspect refresh" {
		t.Errorf("the operations are %s", names)
	}
	leftovers(t, site.Admin)
	leader.Start()
	c.WaitReady()
}

// leftovers looks for what a bench did not remove.
func leftovers(t *testing.T, admin *client.Client) {
	t.Helper()
	users, err := admin.Users(t.Context(), client.UserQuery{Search: "bench-", PerPage: 100})
	if err != nil || len(users.Users) > 0 {
		t.Errorf("%d users are left over, %v", len(users.Users), err)
	}
	clients, err := admin.Clients(t.Context(), client.ListQuery{Search: "bench-", PerPage: 100})
	if err != nil || len(clients.Clients) > 0 {
		t.Errorf("%d clients are left over, %v", len(clients.Clients), err)
	}
}
