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
func (p *proposer) forward(ctx context.Context, leader target, e entry) (fsm.Result, error) {
	if !admit(p.forwards) {
		return fsm.Result{}, iam.Unavailable(time.Second, "This node has more changes to pass on than it can.")
	}
	defer func() { <-p.forwards }()
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	var result fsm.Result
	if err := p.client.call(ctx, leader, "/apply", applyRequest{e.data}, &result); err != nil {
		return fsm.Result{}, err
	}
	return result, nil
}

// receive is the leader's side of forward. What it takes over cannot be taken back: an entry that
// cannot be applied would stop every node, again at each start.
func (p *proposer) receive(ctx context.Context, from caller, request applyRequest) (fsm.Result, error) {
	if !p.members.leads() {
		return fsm.Result{}, errNotLeader
	}
	at, needs, err := p.fsm.Check(request.Entry)
	if err != nil {
		return fsm.Result{}, err
	}
	if ahead := at.Sub(p.now()); ahead > mostAhead {
		return fsm.Result{}, iam.Unavailable(time.Minute, "The clock of node %s is %s ahead of the leader's: set the clocks right.", nameOf(from.nodeID), ahead.Round(time.Second))
	}
	result, err := p.apply(ctx, entry{request.Entry, needs})
	if err != nil && provesNothing(err) {
		return fsm.Result{}, errNotLeader
	}
	return result, err
}
