package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

const (
	joinTimeout   = 10 * time.Second
	answerTimeout = 3 * time.Second // a member that gives none is taken for dead
)

// joinRequest asks to become a member, or says under which address a member is now.
type joinRequest struct {
	NodeID   string `cbor:"1,keyasint"`
	Address  string `cbor:"2,keyasint"`
	Commands uint64 `cbor:"3,keyasint,omitempty"` // the highest command version that it knows; 0: the first
	Format   uint64 `cbor:"4,keyasint,omitempty"` // of the state files that it can read; 0: the first
}

// joinReply says that this was done, or who leads.
type joinReply struct {
	Done   bool   `cbor:"1,keyasint,omitempty"`
	Leader string `cbor:"2,keyasint,omitempty"` // its address
}

// join asks until a leader has taken this node in. A refusal that waiting cannot mend is returned.
func (f *former) join(ctx context.Context) error {
	for {
		done, err := f.askToJoin(ctx)
		var refusal *iam.Error
		switch {
		case done:
			return nil
		case errors.As(err, &refusal) && refusal.Code != iam.TemporarilyUnavailable:
			return errors.New(refusal.Message)
		case errors.Is(err, errOtherCluster):
			return err
		case err != nil && !f.said.before("join"):
			f.logger.Info("this node was not taken into the cluster yet", "error", err)
		}
		if !waitFor(ctx, jitter(f.config.Timings.Retry)) {
			return ctx.Err()
		}
	}
}

// askToJoin goes through everybody who might lead or know who does.
func (f *former) askToJoin(ctx context.Context) (bool, error) {
	ask := f.leaderFirst()
	asked := map[string]bool{f.advertise: true}
	var last error
	for len(ask) > 0 {
		address := f.members.whereIs(ask[0].nodeID, ask[0].address)
		ask = ask[1:]
		if asked[address] {
			continue
		}
		asked[address] = true
		reply, err := f.askOne(ctx, address)
		var refusal *iam.Error
		switch {
		case err == nil && reply.Done:
			return true, nil
		case errors.As(err, &refusal):
			return false, err
		case err != nil:
			last = err
		case reply.Leader != "":
			ask = append([]target{{address: reply.Leader}}, ask...)
		}
	}
	return false, last
}

func (f *former) askOne(ctx context.Context, address string) (joinReply, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var reply joinReply
	err := f.client.call(ctx, target{address: address}, "/join", joinRequest{f.nodeID, f.advertise, f.config.FSM.Version, store.Format}, &reply)
	return reply, err
}

func (f *former) leaderFirst() []target {
	var out []target
	if leader, ok := f.members.leader(); ok {
		out = append(out, leader)
	}
	for _, s := range f.members.servers() {
		if string(s.ID) != f.nodeID {
			out = append(out, target{string(s.Address), string(s.ID)})
		}
	}
	for _, p := range f.others() {
		out = append(out, target{address: p.Address})
	}
	return out
}

// admission is the leader's side of joining.
type admission struct {
	members *members
	client  *rpcClient
	closed  <-chan struct{}
	alive   func(nodeID string) bool // as gossip has it
	leases  *leases
	gate    *gate
	yield   func(ctx context.Context)
	vote    *promotion
	// takeVote tells this node itself whether it is to vote.
	takeVote func(context.Context, caller, voteRequest) (done, error)
	logger   *slog.Logger

	mu sync.Mutex // one newcomer at a time
}

// admit makes the caller a member that follows the log. The right to vote comes later, see
// promotion.
func (a *admission) admit(ctx context.Context, from caller, request joinRequest) (joinReply, error) {
	if !a.members.leads() {
		leader, _ := a.members.leader()
		return joinReply{Leader: leader.address}, nil
	}
	if from.nodeID != request.NodeID {
		return joinReply{}, iam.Errorf(iam.Forbidden, "A node can only ask for itself.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.gate.understands(request); err != nil {
		return joinReply{}, err
	}
	known, isKnown := a.members.byID(request.NodeID)
	if isKnown && string(known.Address) == request.Address {
		return joinReply{Done: true}, nil
	}
	if !isKnown {
		if err := a.replace(ctx, nameOf(request.NodeID)); err != nil {
			return joinReply{}, err
		}
	}
	if other, taken := a.members.at(request.Address); taken {
		return joinReply{}, iam.Errorf(iam.Conflict, "The address %s belongs to node %s of the cluster: advertise another one, or remove that node first.", request.Address, nameOf(string(other.ID)))
	}
	if isKnown {
		if err := a.members.settle(ctx, a.closed, request.NodeID, request.Address); err != nil {
			return joinReply{}, fmt.Errorf("the address was not changed: %w", err)
		}
		a.logger.Info("a node has another address", "node", nameOf(request.NodeID), "address", request.Address)
		return joinReply{Done: true}, nil
	}
	r := a.members.raft.Load()
	err := await(ctx, a.closed, r.AddNonvoter(raft.ServerID(request.NodeID), raft.ServerAddress(request.Address), 0, time.Second))
	if err != nil {
		return joinReply{}, fmt.Errorf("the configuration was not changed: %w", err)
	}
	a.logger.Info("a node was taken into the cluster", "node", nameOf(request.NodeID), "address", request.Address)
	return joinReply{Done: true}, nil
}

// replace removes the member that had the newcomer's name before, if it is dead: its disk was lost,
// and an id without its votes must never come back. If it lives, two nodes have one name.
func (a *admission) replace(ctx context.Context, name string) error {
	for _, old := range a.members.servers() {
		id := string(old.ID)
		if nameOf(id) != name {
			continue
		}
		if a.answers(ctx, old) {
			return iam.Errorf(iam.Conflict, "Two nodes are called %s, this one and the member at %s: give each its own name.", name, old.Address)
		}
		if a.alive(id) {
			return iam.Unavailable(time.Second, "The member called %s is not known to be dead yet.", name)
		}
		if err := a.expel(ctx, old.ID); err != nil {
			return fmt.Errorf("the configuration was not changed: %w", err)
		}
		a.logger.Info("a dead member was removed for the node that replaces it", "node", name)
	}
	return nil
}

// answers tells whether the member itself is still there, and not the newcomer at its address.
func (a *admission) answers(ctx context.Context, s raft.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var intro introduction
	err := a.client.call(ctx, target{string(s.Address), string(s.ID)}, "/hello", greeting{}, &intro)
	return err == nil
}

// settle waits as long as it takes.
func settle(f raft.Future, done chan<- error) { done <- f.Error() }

// await waits for raft without trusting that it answers: a future can stay silent for ever when raft
// shuts down at that moment.
func await(ctx context.Context, closed <-chan struct{}, f raft.Future) error {
	done := make(chan error, 1)
	go settle(f, done)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-closed:
		return raft.ErrRaftShutdown
	}
}
