package cluster

import (
	"context"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// CatchUp returns when this node has applied all that the leader had applied when it was asked, for
// callers to whom "there is no such thing" must not mean "I have not heard of it yet". The error is
// an *iam.Error: who cannot know must not guess.
func (n *Node) CatchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	if n.WaitReady(ctx) == nil { // which asks again while a leader is being elected
		return nil
	}
	return iam.Unavailable(time.Second, "This node cannot reach the leader of the cluster, so it cannot know what is new.")
}
