package node

import (
	"context"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/tally"
)

// tallyPath is where nodes ask each other about limits.
const tallyPath = "/tally"

// count begins to count requests and failed logins together with the other nodes.
func (n *Node) count() {
	if n.config.Limits != nil {
		n.windows = limit.NewLimiter(limit.DefaultCallers)
	}
	n.tally = tally.New(tally.Config{
		Windows: n.windows, Now: iam.Now, Self: n.cluster.ID(), Members: n.cluster.Members, Deadline: n.config.Consult,
		Ask: func(ctx context.Context, node string, b tally.Batch) (r tally.Replies, err error) {
			err = n.cluster.Ask(ctx, node, tallyPath, b, &r)
			return r, err
		},
	})
	cluster.Offer(n.cluster, tallyPath, n.tally.Answer)
}
