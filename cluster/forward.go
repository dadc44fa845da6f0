package cluster

import (
	"context"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// applyRequest is an entry for the leader. It was validated and built where it entered the cluster.
type applyRequest struct {
	Entry []byte `cbor:"1,keyasint"`
}

// forward sends the entry to the leader: one hop, for a node that does not lead says so and sends
// nothing on. The limit is at the entering node, where refusing early costs the network nothing.
func (p *proposer) forward(ctx context.Context, leader target, entry []byte) (fsm.Result, error) {
	select {
	case p.forwards <- struct{}{}:
		defer func() { <-p.forwards }()
	default:
		return fsm.Result{}, iam.Unavailable(time.Second, "This node has more changes to pass on than it can.")
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	var result fsm.Result
	if err := p.client.call(ctx, leader, "/apply", applyRequest{entry}, &result); err != nil {
		return fsm.Result{}, err
	}
	return result, nil
}

// receive is the leader's side of forward.
func (p *proposer) receive(ctx context.Context, _ caller, request applyRequest) (fsm.Result, error) {
	if len(request.Entry) == 0 || len(request.Entry) > fsm.MaxCommand {
		return fsm.Result{}, iam.Errorf(iam.InternalError, "A log entry of that size cannot be made.")
	}
	if !p.members.leads() {
		return fsm.Result{}, errNotLeader
	}
	result, err := p.apply(ctx, request.Entry)
	if err != nil && provesNothing(err) {
		return fsm.Result{}, errNotLeader
	}
	return result, err
}
