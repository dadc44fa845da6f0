package cluster_test

import (
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// TestVoteTakenAndGiven: who was demoted stays without a vote under every leader and after a start, holds leases
// like the others meanwhile, and votes again when it is promoted.
func TestVoteTakenAndGiven(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	leader, followers := leaderOf(t, nodes)
	// The one that leads is asked of another one, and has to yield first.
	name := leader.conf.Name
	if err := followers[0].Demote(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	roleIs(t, followers[1], name, "nonvoter")
	leader.fresh()
	if r := leader.propose(fsm.Origin{}, &fsm.RevokeToken{Jti: "j"}).Receipt; r == nil || r.Members != 3 {
		t.Errorf("the receipt is %+v", r)
	}
	if err := followers[0].Demote(t.Context(), name); err != nil {
		t.Errorf("a second time: %v", err)
	}
	leader.stop()
	back := start(t, leader.conf)
	back.ready()
	// Another leader has other reasons, and no memory of its own.
	voters := []*node{followers[0], followers[1]}
	next := voters[0]
	if next.Role() == "leader" {
		next = voters[1]
	}
	if got, err := back.TransferTo(t.Context(), next.conf.Name); err != nil || got != next.conf.Name {
		t.Fatalf("the leadership went to %q: %v", got, err)
	}
	// One that came later is given its vote: so this one could have had it by now.
	late := start(t, cluster.Config{Name: "late", Secret: clusterSecret, Join: []string{next.Address()}})
	roleIs(t, next, late.conf.Name, "follower")
	roleIs(t, next, name, "nonvoter")
	if _, err := next.TransferTo(t.Context(), name); iam.CodeOf(err) != iam.Conflict || !strings.Contains(err.Error(), "promote it first") {
		t.Errorf("a node without a vote was to lead: %v", err)
	}
	if err := back.Promote(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	roleIs(t, next, name, "follower")
	before := next.Leader()
	if got, err := back.TransferTo(t.Context(), ""); err != nil || got == before {
		t.Errorf("the leadership went from %s to %q: %v", before, got, err)
	}
}

// TestVotesThatAreNeeded: what would leave the cluster without a majority is refused, and so is a vote for a node
// that cannot use one.
func TestVotesThatAreNeeded(t *testing.T) {
	refused := func(err error, want string) {
		t.Helper()
		if iam.CodeOf(err) != iam.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("it gives %v, want %q", err, want)
		}
	}
	nodes := three(t, []int{0, 1, 2})
	reader := start(t, cluster.Config{Name: "reader", Secret: clusterSecret, Join: []string{nodes[0].Address()}, NonVoter: true})
	reader.ready()
	refused(nodes[0].Promote(t.Context(), "reader"), "was started with --non-voter")
	if err := nodes[0].Demote(t.Context(), "nobody"); iam.CodeOf(err) != iam.NotFound {
		t.Errorf("demoting nobody: %v", err)
	}
	_, followers := leaderOf(t, nodes)
	down, up := followers[0], followers[1]
	down.stop()
	refused(up.Demote(t.Context(), up.conf.Name), "no majority")
	refused(up.Demote(t.Context(), down.conf.Name), "does not answer")
	_, err := up.TransferTo(t.Context(), down.conf.Name)
	refused(err, "does not answer")
	reader.stop()
	refused(up.Promote(t.Context(), "reader"), "does not answer")
	lone := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	lone.ready()
	refused(lone.Demote(t.Context(), "solo"), "the only node that votes")
	_, err = lone.TransferTo(t.Context(), "")
	refused(err, "No other node that votes")
}
