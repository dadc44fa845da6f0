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
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	for {
		err := n.removeOnce(ctx, name)
		if err == nil || !provesNothing(err) {
			return err
		}
		if !n.proposer.pause(ctx) {
			return undecided(false)
		}
	}
}

func (n *Node) removeOnce(ctx context.Context, name string) error {
	if n.members.leads() {
		_, err := n.admission.remove(ctx, caller{}, removeRequest{name})
		return err
	}
	leader, known := n.members.leader()
	if !known {
		return errNotLeader
	}
	var reply removeReply
	return n.client.call(ctx, leader, "/remove", removeRequest{name}, &reply)
}

// remove is the leader's side.
func (a *admission) remove(ctx context.Context, _ caller, request removeRequest) (removeReply, error) {
	if !a.members.leads() {
		return removeReply{}, errNotLeader
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.members.servers() {
		if nameOf(string(s.ID)) != request.Name {
			continue
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
		err := a.expel(ctx, s.ID)
		if err != nil && !provesNothing(err) {
			return removeReply{}, fmt.Errorf("whether the node was removed is not known, look at the cluster's status: %w", err)
		}
		if err != nil {
			return removeReply{}, errors.Join(errNotLeader, err)
		}
		a.logger.Info("a node was removed from the cluster", "node", request.Name)
		return removeReply{}, nil
	}
	return removeReply{}, iam.Errorf(iam.NotFound, "The cluster has no node called %s.", request.Name)
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
