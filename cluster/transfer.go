package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
)

const stepDownTimeout = 2 * time.Second

// transferRequest names who is to lead; nobody: any other node that votes.
type transferRequest struct {
	Name string `cbor:"1,keyasint,omitempty"`
}

// Transfer gives the leadership to another node that votes. It is for a node that leads.
func (n *Node) Transfer(ctx context.Context) error {
	r := n.members.raft.Load()
	if r == nil || !n.members.leads() {
		return errNotLeader
	}
	if err := await(ctx, n.closed, r.LeadershipTransfer()); err != nil {
		return fmt.Errorf("the leadership was not handed on: %w", err)
	}
	return nil
}

// yield gives the leadership away where this node must not have it. If that fails it is tried again, by
// whoever finds the reason.
func (n *Node) yield(ctx context.Context) { _ = n.Transfer(ctx) }

// StepDown gives the leadership away before this node stops, if it leads and there is another one that votes. It
// returns when that one leads, or when it is not worth waiting any longer: where all nodes are stopped at once nobody
// takes it.
func (n *Node) StepDown(ctx context.Context) {
	if !n.members.leads() || !n.otherVoters() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepDownTimeout)
	defer cancel()
	if n.Transfer(ctx) != nil && (!waitFor(ctx, retryPause) || n.Transfer(ctx) != nil) {
		return
	}
	for { // until then what is proposed here has nowhere to go
		if leader, known := n.members.leader(); known && leader.nodeID != n.self.nodeID || !waitFor(ctx, retryPause) {
			return
		}
	}
}

func (n *Node) otherVoters() bool {
	return slices.ContainsFunc(n.members.servers(), func(s raft.Server) bool {
		return s.Suffrage == raft.Voter && string(s.ID) != n.self.nodeID
	})
}

// TransferTo gives the leadership to the node of that name, or to any other one, on whichever node it is asked for.
// It returns who leads afterwards.
func (n *Node) TransferTo(ctx context.Context, name string) (leader string, err error) {
	before := n.Leader()
	if _, err := onLeader(ctx, n, "/transfer", transferRequest{name}, n.handOn); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	for {
		leader := n.Leader()
		if leader != "" && (leader == name || name == "" && leader != before) {
			return leader, nil
		}
		if !n.proposer.pause(ctx) {
			return "", iam.Unavailable(time.Second, "The leadership was given up, and who leads now is not known yet: look at the cluster's status.")
		}
	}
}

// handOn is the leader's side.
func (n *Node) handOn(ctx context.Context, _ caller, request transferRequest) (done, error) {
	r := n.members.raft.Load()
	if r == nil || !n.members.leads() {
		return done{}, errNotLeader
	}
	if request.Name == "" {
		return done{}, handedOn(n.Transfer(ctx))
	}
	s, err := n.members.named(request.Name)
	switch {
	case err != nil:
		return done{}, err
	case string(s.ID) == n.self.nodeID:
		return done{}, nil
	case s.Suffrage != raft.Voter:
		return done{}, iam.Errorf(iam.Conflict, "Node %s does not vote, so it cannot lead: promote it first.", request.Name)
	case !n.admission.answers(ctx, s):
		return done{}, iam.Errorf(iam.Conflict, "Node %s does not answer, so it cannot lead.", request.Name)
	}
	return done{}, handedOn(await(ctx, n.closed, r.LeadershipTransferToServer(s.ID, s.Address)))
}

func handedOn(err error) error {
	if err == nil || provesNothing(err) {
		return err
	}
	return iam.Errorf(iam.Conflict, "No other node that votes has taken the leadership over: see with the cluster's status whether there is one.")
}
