package httpapi

import (
	"context"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// cluster is what this node knows of all nodes.
func (s *Server) cluster(ctx context.Context, _ *exchange, _ nothing) (api.Cluster, error) {
	return s.Cluster.Status(ctx), nil
}

// raiseEpoch makes everything dead that was issued up to now.
func (s *Server) raiseEpoch(ctx context.Context, x *exchange, r api.RaiseEpochRequest) (api.Epoch, error) {
	e, index, err := s.OAuth.InvalidateAll(ctx, x.origin(), r.Reason)
	x.reflects(index)
	return api.Epoch{Number: e.Number, RaisedAt: e.At.Std(), Reason: e.Reason}, err
}

// health says whether this node can answer correctly: one that knows of no leader can neither change
// anything nor know whether what it reads is the last word.
func (s *Server) health(x *exchange) error {
	health := api.Health{
		Status: "healthy", Version: s.Version, Node: s.Node,
		Role: s.Cluster.Role(), Leader: s.Cluster.Leader(), AppliedIndex: s.Cluster.Applied(),
	}
	refusal := iam.Unavailable(time.Second, "This node knows of no leader: the cluster is forming, electing, or has lost its majority.")
	trouble := error(nil)
	if s.Cluster.Trouble != nil {
		trouble = s.Cluster.Trouble()
	}
	switch {
	case s.leaving.Load():
		refusal = iam.Unavailable(time.Second, "This node is stopping: ask another one.")
	case trouble != nil:
		refusal = iam.Unavailable(time.Second, "This node cannot keep anything: its disk is full.")
	case health.Leader == "":
	case !s.current():
		refusal = iam.Unavailable(time.Second, "This node is starting and has not caught up with the cluster yet.")
	case s.Cluster.Fresh != nil && !s.Cluster.Fresh():
		refusal = iam.Unavailable(time.Second, "This node holds no lease: it cannot know whether what it holds for good was revoked meanwhile.")
	default:
		x.encode(health)
		return nil
	}
	health.Status = "unhealthy"
	problem := x.fail(refusal)
	x.encode(unhealthy{health, problem})
	return nil
}

// unhealthy is the answer of a node that cannot answer correctly, for monitors of either kind.
type unhealthy struct {
	api.Health
	api.Problem
}

// live says that the process answers at all, so that nobody restarts a node for what a restart does
// not cure.
func (s *Server) live(context.Context, *exchange, nothing) (api.Live, error) {
	return api.Live{Status: "alive"}, nil
}
