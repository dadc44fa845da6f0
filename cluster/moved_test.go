package cluster_test

import (
	"testing"

	"github.com/keystone-auth/keystone/cluster"
)

// knows tells whether every node of the list is alive under its own address, as that node sees it.
func knows(t *testing.T, n *node, nodes []*node) bool {
	t.Helper()
	for _, other := range nodes {
		s, ok := nodeStatus(t, n, other.conf.Name)
		if !ok || s.State != "alive" || s.Address != other.conf.Bind {
			return false
		}
	}
	return true
}

// TestAllNodesMove gives all nodes other addresses at once, so that the configuration of each leads nowhere. Two are
// told at the restart where the third one is, and that one is told nothing.
func TestAllNodesMove(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	kept := nodes[0].put("kept")
	for _, n := range nodes {
		n.stop()
	}
	after := peers(t, 3)
	for i, n := range nodes {
		n.conf.Bind, n.conf.Initial = after[i].Address, nil
		if i > 0 {
			n.conf.Join = []string{after[0].Address}
		}
		nodes[i] = start(t, n.conf)
	}
	for _, n := range nodes {
		n.ready()
		if !n.has(kept) {
			t.Errorf("%s has lost what it had", n.conf.Name)
		}
		n.put("after." + n.conf.Name)
	}
	for _, n := range nodes {
		eventually(t, "everybody's new address is known", func() bool { return knows(t, n, nodes) })
		n.conf.Join = nil
	}
	// The new addresses are in the configuration: nobody needs to be told again.
	for _, n := range nodes {
		n.stop()
	}
	for i, n := range nodes {
		nodes[i] = start(t, n.conf)
	}
	for _, n := range nodes {
		n.ready()
	}
}

// TestAddressesAreSwapped gives each node the address that another one had: what the configuration says leads to
// the wrong node.
func TestAddressesAreSwapped(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	kept := nodes[0].put("kept")
	var after []cluster.Peer
	for i, n := range nodes {
		n.stop()
		after = append(after, cluster.Peer{Name: n.conf.Name, Address: nodes[(i+1)%3].conf.Bind})
	}
	for i, n := range nodes {
		n.conf.Bind, n.conf.Initial = after[i].Address, after
		nodes[i] = start(t, n.conf)
	}
	for _, n := range nodes {
		n.ready()
		if !n.has(kept) {
			t.Errorf("%s has lost what it had", n.conf.Name)
		}
		n.put("after." + n.conf.Name)
	}
}
