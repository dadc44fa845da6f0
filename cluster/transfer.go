package cluster

import (
	"context"
	"fmt"
)

// Transfer gives the leadership to another node that votes. It is for a node that leads.
func (n *Node) Transfer(ctx context.Context) error {
	r := n.members.raft.Load()
	if r == nil || !n.members.leads() {
		return errNotLeader
	}
	if err := await(ctx, n.closed, r.LeadershipTransfer()); err != nil {
		return fmt.Errorf("the leadership was not handed on: %w", err)
	}
	return nil
}

// yield gives the leadership away where this node must not have it. If that fails it is tried again, by
// whoever finds the reason.
func (n *Node) yield(ctx context.Context) { _ = n.Transfer(ctx) }
