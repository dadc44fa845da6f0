package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
)

// removeRequest names the member to remove.
type removeRequest struct {
	Name string `cbor:"1,keyasint"`
}

type removeReply struct{}

// Remove takes the member of that name out of the cluster, on whichever node it is asked for. The
// node is refused by the others at once and stops when it learns of it. Whoever removes a node that
// may be hostile must change the cluster secret too: with it, it can join again.
func (n *Node) Remove(ctx context.Context, name string) error {
	_, err := onLeader(ctx, n, "/remove", removeRequest{name}, n.admission.remove)
	return err
}

// onLeader has the leader do something, on whichever node it is asked for: do here, or what the leader has at the
// path. It is tried again as long as it is certain that nothing was done.
func onLeader[Request, Reply any](ctx context.Context, n *Node, path string, request Request, do func(context.Context, caller, Request) (Reply, error)) (reply Reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	for {
		leader, known := n.members.leader()
		switch {
		case n.members.leads():
			reply, err = do(ctx, caller{}, request)
		case known:
			err = n.client.call(ctx, leader, path, request, &reply)
		default:
			err = errNotLeader
		}
		if err == nil || !provesNothing(err) {
			return reply, err
		}
		if !n.proposer.pause(ctx) {
			return reply, undecided(false)
		}
	}
}

// remove is the leader's side.
func (a *admission) remove(ctx context.Context, _ caller, request removeRequest) (removeReply, error) {
	if !a.members.leads() {
		return removeReply{}, errNotLeader
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.members.named(request.Name)
	if err != nil {
		return removeReply{}, err
	}
	if len(a.members.servers()) == 1 {
		return removeReply{}, iam.Errorf(iam.Conflict, "This is the only node of the cluster.")
	}
	if err := a.spare(ctx, s); err != nil {
		return removeReply{}, err
	}
	if string(s.ID) == a.leases.nodeID {
		// A leader that leaves has a lease of its own, which only its successor can wait out.
		a.yield(ctx)
		return removeReply{}, errNotLeader
	}
	if err := changed("the node was removed", a.expel(ctx, s.ID)); err != nil {
		return removeReply{}, err
	}
	a.logger.Info("a node was removed from the cluster", "node", request.Name)
	return removeReply{}, nil
}

// changed is what is told of a change of the members that failed: that nothing was done, or that nobody knows.
func changed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case provesNothing(err):
		return errors.Join(errNotLeader, err)
	}
	return fmt.Errorf("whether %s is not known, look at the cluster's status: %w", what, err)
}

// expel removes a member once its lease is over.
func (a *admission) expel(ctx context.Context, id raft.ServerID) error {
	if err := a.leases.drain(ctx, string(id)); err != nil {
		return err
	}
	err := await(ctx, a.closed, a.members.raft.Load().RemoveServer(id, 0, time.Second))
	if err != nil && provesNothing(err) {
		a.leases.grants.Admit(string(id))
	}
	return err
}

// spare refuses to remove a voter that the others cannot do without: where most of those who would
// remain are down, nothing could be changed any more, least of all this.
func (a *admission) spare(ctx context.Context, leaves raft.Server) error {
	if leaves.Suffrage != raft.Voter {
		return nil
	}
	var alive atomic.Int32
	var all sync.WaitGroup
	voters := int32(0)
	for _, s := range a.members.servers() {
		if s.Suffrage != raft.Voter || s.ID == leaves.ID {
			continue
		}
		voters++
		all.Go(func() {
			if a.answers(ctx, s) {
				alive.Add(1)
			}
		})
	}
	all.Wait()
	if 2*alive.Load() <= voters {
		return iam.Errorf(iam.Conflict, "Without this node the cluster would have no majority: %d of the %d others that vote answer. Bring them back, or remove those first.", alive.Load(), voters)
	}
	return nil
}
