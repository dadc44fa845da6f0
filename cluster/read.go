package cluster

import (
	"context"

	"github.com/keystone-auth/keystone/lease"
)

// Read returns when this node may answer from its own state. What is read must be read after it has
// returned. The error is an *iam.Error with code TemporarilyUnavailable.
func (n *Node) Read(_ context.Context, _ lease.Consistency) (lease.Reading, error) {
	return lease.Reading{Index: n.Applied()}, nil
}
