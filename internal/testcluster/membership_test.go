package testcluster_test

import (
	"testing"

	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// TestMembershipByHand changes the members over the API of one node, the one that then leaves, and reads in the
// audit log who did it and what was refused.
func TestMembershipByHand(t *testing.T) {
	c := testcluster.StartWith(t, 3, func(c *node.Config) {
		if c.Name == "node-3" {
			c.Fatal = func(error) {} // it says that it was removed
		}
	})
	gone := c.Nodes[2]
	operator, ctx := gone.Operator(), t.Context()
	if err := operator.DemoteNode(ctx, gone.Name); err != nil {
		t.Fatal(err)
	}
	if err := operator.PromoteNode(ctx, gone.Name); err != nil {
		t.Fatal(err)
	}
	if now, err := operator.TransferLeadership(ctx, gone.Name); err != nil || now.Leader != gone.Name {
		t.Fatalf("%q leads: %v", now.Leader, err)
	}
	if err := operator.RemoveNode(ctx, "nobody"); client.CodeOf(err) != string(iam.NotFound) {
		t.Errorf("removing nobody gives %v", err)
	}
	if err := operator.RemoveNode(ctx, gone.Name); err != nil {
		t.Fatal(err)
	}
	stays := c.Nodes[0].Operator()
	status, err := stays.Cluster(ctx)
	if err != nil || len(status.Nodes) != 2 {
		t.Errorf("the members are %+v, %v", status.Nodes, err)
	}
	for event, want := range map[string][]string{
		"cluster.node_demoted":           {iam.AuditSuccess},
		"cluster.node_promoted":          {iam.AuditSuccess},
		"cluster.leadership_transferred": {iam.AuditSuccess},
		"cluster.node_removed":           {iam.AuditSuccess, iam.AuditRefused, iam.AuditSuccess},
	} {
		events, err := stays.AuditEvents(ctx, client.AuditQuery{Type: event})
		if err != nil || len(events.Events) != len(want) {
			t.Errorf("%s: %+v, %v", event, events, err)
			continue
		}
		for i, e := range events.Events {
			if e.Result != want[i] || e.Target == "" || e.Actor == "" {
				t.Errorf("%s: %+v", event, e)
			}
		}
	}
	gone.Stop()
}
