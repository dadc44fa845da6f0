package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// Budgets: what a caller waits, more than what one forward may take, more than what the entry may
// wait for raft's queue.
const (
	proposeTimeout = 5 * time.Second
	forwardTimeout = 3 * time.Second
	enqueueTimeout = 250 * time.Millisecond
	retryPause     = 40 * time.Millisecond
	mostForwards   = 256
	mostApplies    = 1024
	mostPending    = 2048
)

// proposer carries commands through the log, from whichever node they were given to.
type proposer struct {
	members  *members
	client   *rpcClient
	fsm      *fsm.FSM
	fences   *fences
	gate     *gate
	commits  *announcer
	now      func() iam.Time
	closed   <-chan struct{}
	pending  chan struct{} // one slot for each caller, so that a cluster without a leader keeps no queue
	forwards chan struct{} // one slot for each that is under way
	applies  chan struct{}
}

func newProposer(m *members, client *rpcClient, machine *fsm.FSM, f *fences, g *gate, commits *announcer, now func() iam.Time, closed <-chan struct{}) *proposer {
	return &proposer{
		members: m, client: client, fsm: machine, fences: f, gate: g, commits: commits, now: now, closed: closed,
		pending: make(chan struct{}, mostPending), forwards: make(chan struct{}, mostForwards), applies: make(chan struct{}, mostApplies),
	}
}

// propose builds the log entry here, once, so that however often it is sent it is the same entry
// with the same request id, and the state machine applies it at most once.
func (p *proposer) propose(ctx context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	if !admit(p.pending) {
		return fsm.Result{}, iam.Unavailable(time.Second, "This node has more changes to make than it can.")
	}
	defer func() { <-p.pending }()
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, proposeTimeout)
		defer cancel()
	}
	// Expiring twice is harmless and happens all the time: its outcomes need not be remembered.
	if _, internal := cmd.(*fsm.Expire); !internal && origin.RequestID.IsZero() {
		origin.RequestID = iam.NewID()
	}
	data, err := fsm.Encode(origin, p.now(), cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	result, err := p.carry(ctx, entry{data, fsm.Needs(cmd)})
	if err != nil {
		return fsm.Result{}, err
	}
	// Whoever was told of a change sees it on the node that told him.
	if err := p.fsm.WaitApplied(ctx, result.Index); err != nil {
		return fsm.Result{}, iam.Unavailable(time.Second, "The change was made, but this node has not caught up with it in time.")
	}
	origin.Receipts.Add(result.Receipt)
	return result, nil
}

// entry is a log entry and the command version that it needs.
type entry struct {
	data  []byte
	needs uint64
}

// carry sends the entry until its outcome is known. Every attempt may be repeated: after those that
// prove that nothing happened trivially so, and after the others because of the request id.
func (p *proposer) carry(ctx context.Context, e entry) (fsm.Result, error) {
	unknown := false
	for {
		result, err := p.attempt(ctx, e)
		var refusal *iam.Error
		refused := errors.As(err, &refusal)
		// After an attempt of which nobody knows what came of it, "not now" is no answer: it speaks of the
		// last attempt alone.
		if err == nil || refused && !(unknown && refusal.Code == iam.TemporarilyUnavailable) {
			return result, err
		}
		unknown = unknown || !refused && !provesNothing(err)
		if !p.pause(ctx) {
			return fsm.Result{}, undecided(unknown)
		}
	}
}

// admit takes a slot if there is one.
func admit(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// pause waits a moment between two attempts, and tells whether there is time for another.
func (p *proposer) pause(ctx context.Context) bool {
	return !isClosed(p.closed) && waitFor(ctx, jitter(retryPause))
}

func undecided(unknown bool) error {
	if unknown {
		return iam.Unavailable(time.Second, "Whether the change was made is not known: ask again with the same idempotency key.")
	}
	return iam.Unavailable(time.Second, "The cluster has no leader at the moment. Nothing was changed.")
}

// provesNothing tells whether err proves that nothing has changed.
func provesNothing(err error) bool {
	for _, harmless := range []error{
		errNotLeader, errUnsent, raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout,
	} {
		if errors.Is(err, harmless) {
			return true
		}
	}
	return false
}

func (p *proposer) attempt(ctx context.Context, e entry) (fsm.Result, error) {
	if p.members.leads() {
		return p.apply(ctx, e)
	}
	leader, known := p.members.leader()
	if !known {
		return fsm.Result{}, errNotLeader
	}
	return p.forward(ctx, leader, e)
}

// apply gives the entry to raft on the leader. The error is an *iam.Error if the command was
// refused.
func (p *proposer) apply(ctx context.Context, e entry) (fsm.Result, error) {
	if isClosed(p.closed) {
		return fsm.Result{}, errNotLeader // another one will lead
	}
	if !admit(p.applies) {
		return fsm.Result{}, iam.Unavailable(time.Second, "The cluster has more changes to make than it can.")
	}
	defer func() { <-p.applies }()
	r := p.members.raft.Load()
	if r == nil || p.fsm.Stuck() {
		return fsm.Result{}, errNotLeader // it will hand the leadership on, and must not queue what it cannot apply
	}
	if err := p.gate.pass(ctx, e.needs); err != nil {
		return fsm.Result{}, err
	}
	future := r.Apply(e.data, enqueueTimeout)
	err := await(ctx, p.closed, future)
	if errors.Is(err, raft.ErrAbortedByRestore) {
		return fsm.Result{}, iam.Errorf(iam.Conflict, "A backup was restored at that moment. The change was not made.")
	}
	if err != nil {
		return fsm.Result{}, err
	}
	p.commits.committed()
	response, ok := future.Response().(fsm.Response)
	if !ok {
		return fsm.Result{}, fmt.Errorf("BUG: the state machine answered with %T", future.Response())
	}
	if response.Denies {
		// A refusal too: that there is no such thing may be news of a moment ago. And a retry, whose own
		// entry changed nothing, confirms what the first one did.
		if response.Result.Receipt, err = p.fences.confirm(ctx, future.Index()); err != nil {
			return fsm.Result{}, err
		}
	}
	if response.Refusal != nil {
		return fsm.Result{}, response.Refusal
	}
	return response.Result, nil
}

// confirmRequest asks the leader to confirm what is in the log up to an index.
type confirmRequest struct {
	Index uint64 `cbor:"1,keyasint"`
}

// Confirm returns when no node answers by a state before the one that this node has. It is for callers
// who find done what they came to do: whoever did it may still be waiting for the other nodes.
func (n *Node) Confirm(ctx context.Context) (*fsm.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	request := confirmRequest{n.Applied()}
	for {
		receipt, err := n.proposer.confirmOnce(ctx, request)
		if err == nil {
			return receipt, nil
		}
		if !n.proposer.pause(ctx) {
			return nil, iam.Unavailable(time.Second, "That every node knows of the change is not confirmed: ask again.")
		}
	}
}

func (p *proposer) confirmOnce(ctx context.Context, request confirmRequest) (*fsm.Receipt, error) {
	if p.members.leads() {
		return p.receiveConfirm(ctx, caller{}, request)
	}
	leader, known := p.members.leader()
	if !known {
		return nil, errNotLeader
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	receipt := new(fsm.Receipt)
	return receipt, p.client.call(ctx, leader, "/confirm", request, receipt)
}

// receiveConfirm is the leader's side.
func (p *proposer) receiveConfirm(ctx context.Context, _ caller, request confirmRequest) (*fsm.Receipt, error) {
	if !p.members.leads() {
		return nil, errNotLeader
	}
	if err := p.fsm.WaitApplied(ctx, request.Index); err != nil {
		return nil, err
	}
	return p.fences.confirm(ctx, request.Index)
}
