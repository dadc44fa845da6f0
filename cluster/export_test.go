package cluster

import "testing"

// FirstLogIndex tells tests how far the log was cut.
func (n *Node) FirstLogIndex(t *testing.T) uint64 {
	t.Helper()
	first, err := n.log.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	return first
}
