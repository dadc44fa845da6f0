package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// proposeNew proposes a change that only version 2 can apply.
func (n *node) proposeNew(scope string) (iam.ID, error) {
	n.t.Helper()
	id := iam.NewID()
	data, err := fsm.Encode(fsm.Origin{RequestID: iam.NewID()}, iam.Now(), &fsm.PutScope{Scope: iam.Scope{ID: id, Name: scope}})
	if err != nil {
		n.t.Fatal(err)
	}
	var envelope map[uint64]any
	if err := store.Decode(data, &envelope); err != nil {
		n.t.Fatal(err)
	}
	envelope[3] = uint64(2) // MinVersion
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	return id, n.ProposeEntry(ctx, store.Encode(envelope), 2)
}

func (n *node) refusesNew(sentence string) {
	n.t.Helper()
	_, err := n.proposeNew("too.early")
	if err == nil || !strings.Contains(err.Error(), sentence) {
		n.t.Errorf("%s answered a command that not every node knows with %v, want %q", n.conf.Name, err, sentence)
	}
}

// TestMixedVersions rolls a cluster from one version to the next. What only the next one knows is refused on whichever
// node it is asked for until the last node has it, and no node of the old version gets in or goes on afterwards.
func TestMixedVersions(t *testing.T) {
	initial := peers(t, 3)
	nodes := make([]*node, 3)
	for i, p := range initial {
		nodes[i] = startOf(t, member(p, initial), 1)
	}
	for _, n := range nodes {
		n.ready()
	}
	for i := range nodes {
		nodes[i].stop()
		if i == 2 {
			// The last one is down: it counts with what it said before.
			eventually(t, "a leader of the others refuses", func() bool {
				_, err := nodes[0].proposeNew("too.early")
				return err != nil && strings.Contains(err.Error(), "c knows version 1")
			})
		}
		nodes[i] = startOf(t, nodes[i].conf, 2)
		nodes[i].ready()
		before := nodes[i].put("old." + nodes[i].conf.Name)
		for _, n := range nodes {
			eventually(t, "a mixed cluster replicates", func() bool { return n.has(before) })
		}
		if i < 2 {
			nodes[0].refusesNew("not possible before all nodes run the newer Keystone")
			nodes[1].refusesNew("not possible before all nodes run the newer Keystone")
		}
	}
	var scope iam.ID
	eventually(t, "the new command is taken", func() (done bool) {
		var err error
		scope, err = nodes[1].proposeNew("new")
		return err == nil
	})
	for _, n := range nodes {
		eventually(t, n.conf.Name+" has applied it", func() bool { return n.has(scope) })
	}
	status := nodes[0].Status(t.Context())
	if s := status.Nodes[0]; status.Commands != 2 || s.Commands != 2 || s.Format != store.Format {
		t.Errorf("the status tells of %+v", status)
	}

	old := startOf(t, cluster.Config{Name: "d", Bind: freeAddress(t), Join: []string{initial[0].Address}, Secret: clusterSecret}, 1)
	if got := faultOf(t, old); !strings.Contains(got, "node d knows version 1: start it with the version of the other nodes") {
		t.Errorf("a node that cannot apply the log gave up with %q", got)
	}
	nodes[2].stop()
	if _, err := tryStartOf(t, nodes[2].conf, 1); err == nil || !strings.Contains(err.Error(), "made by commands of version 2, and this Keystone knows version 1") {
		t.Errorf("an older program went on with the state: %v", err)
	}
	nodes[2] = startOf(t, nodes[2].conf, 2)
	nodes[2].ready()
}

// TestUnknownVersionHoldsTheGate: a member that never answered since this node leads may be of any version.
func TestUnknownVersionHoldsTheGate(t *testing.T) {
	initial := peers(t, 3)
	nodes := make([]*node, 3)
	for i, p := range initial {
		nodes[i] = startOf(t, member(p, initial), 2)
	}
	for _, n := range nodes {
		n.ready()
	}
	for _, n := range nodes {
		n.stop()
	}
	two := []*node{startOf(t, nodes[0].conf, 2), startOf(t, nodes[1].conf, 2)}
	for _, n := range two {
		n.ready()
	}
	two[0].refusesNew("c does not answer")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := two[0].Remove(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := two[0].proposeNew("after"); err != nil {
		t.Errorf("without the node that is gone: %v", err)
	}
}
