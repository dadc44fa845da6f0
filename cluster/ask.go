package cluster

import (
	"context"
	"fmt"
)

// What rooms above this one have their nodes ask each other goes over the cluster port as well. The
// cluster carries it and does not know what it is about.

// Offer lets the other members ask this node for what fn does, under a path of its own. A member that
// asks a node which does not offer it, because it runs another version or is just starting, gets an error.
func Offer[Request, Reply any](n *Node, path string, fn func(context.Context, Request) (Reply, error)) {
	n.rpc.offer("/room"+path, handle(func(ctx context.Context, _ caller, request Request) (Reply, error) {
		return fn(ctx, request)
	}))
}

// Ask asks another member, by its id, for what it offers under that path. After an error nobody knows
// whether it was done.
func (n *Node) Ask(ctx context.Context, nodeID, path string, request, reply any) error {
	m, ok := n.members.byID(nodeID)
	if !ok {
		return fmt.Errorf("the node %s is not a member of the cluster", nodeID)
	}
	return n.client.call(ctx, target{string(m.Address), nodeID}, "/room"+path, request, reply)
}

// ID is this node's id, which no other node ever has.
func (n *Node) ID() string { return n.self.nodeID }

// ClusterID names the cluster that this node belongs to; it is empty before there is one.
func (n *Node) ClusterID() string { return n.self.identity.cluster() }

// Members are the ids of all nodes of the cluster as this one knows it, whether they can be reached or
// not and whether they vote or not. It has none before it is in a cluster.
func (n *Node) Members() []string {
	var ids []string
	for _, s := range n.members.servers() {
		ids = append(ids, string(s.ID))
	}
	return ids
}
