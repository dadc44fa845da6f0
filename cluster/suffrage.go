package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
)

// Who votes is in the configuration of the log. Who is to be given a vote unasked is a matter of the node: it says
// in its reports whether it wants one, and keeps what it was told in its place, so that no leader, old or new,
// gives a vote back that an operator has taken.

// suffrageRequest asks the leader to give a member its vote, or to take it.
type suffrageRequest struct {
	Name  string `cbor:"1,keyasint"`
	Votes bool   `cbor:"2,keyasint,omitempty"`
}

// voteRequest tells a member whether it is to vote from now on.
type voteRequest struct {
	Votes bool `cbor:"1,keyasint,omitempty"`
}

type done struct{}

// Promote gives the member of that name a vote, on whichever node it is asked for.
func (n *Node) Promote(ctx context.Context, name string) error {
	_, err := onLeader(ctx, n, "/suffrage", suffrageRequest{name, true}, n.admission.suffrage)
	return err
}

// Demote takes its vote from the member of that name, which goes on answering like all others, and holding leases.
// It stays without one, also after it was started anew, until it is promoted.
func (n *Node) Demote(ctx context.Context, name string) error {
	_, err := onLeader(ctx, n, "/suffrage", suffrageRequest{name, false}, n.admission.suffrage)
	return err
}

// wantsVote tells whether this node is to vote once it follows closely.
func (s *self) wantsVote() bool { return !s.config.NonVoter && !s.dir.now().NoVote }

// takeVote is the member's side.
func (s *self) takeVote(_ context.Context, _ caller, request voteRequest) (done, error) {
	switch {
	case request.Votes && s.config.NonVoter:
		return done{}, iam.Errorf(iam.Conflict, "Node %s was started with --non-voter: start it without that.", s.config.Name)
	case s.dir.now().NoVote == !request.Votes:
		return done{}, nil
	}
	return done{}, s.dir.change(func(p *place) { p.NoVote = !request.Votes })
}

// suffrage is the leader's side.
func (a *admission) suffrage(ctx context.Context, _ caller, request suffrageRequest) (done, error) {
	if !a.members.leads() {
		return done{}, errNotLeader
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.members.named(request.Name)
	switch {
	case err != nil:
		return done{}, err
	case request.Votes:
		return done{}, a.promote(ctx, s)
	}
	return done{}, a.demote(ctx, s)
}

func (a *admission) promote(ctx context.Context, s raft.Server) error {
	if s.Suffrage == raft.Voter {
		return a.tell(ctx, s, true) // it may have been told otherwise, by a leader that then got no further
	}
	at := a.vote.applied()
	r, err := a.vote.survey(ctx, s)
	switch {
	case err != nil:
		return iam.Errorf(iam.Conflict, "Node %s does not answer, and a node that is down gets no vote.", nameOf(string(s.ID)))
	case r.Applied+mostBehind < at:
		return iam.Errorf(iam.Conflict, "Node %s is %d log entries behind: ask again when it has caught up.", nameOf(string(s.ID)), at-r.Applied)
	}
	if err := a.tell(ctx, s, true); err != nil {
		return err
	}
	return changed("the node votes", a.vote.promote(ctx, s))
}

// demote tells the node first: with a vote that it does not want it would only be one that votes for now.
func (a *admission) demote(ctx context.Context, s raft.Server) error {
	if s.Suffrage != raft.Voter {
		return a.tell(ctx, s, false)
	}
	if a.voters() == 1 {
		return iam.Errorf(iam.Conflict, "This is the only node that votes.")
	}
	if err := a.spare(ctx, s); err != nil {
		return err
	}
	if string(s.ID) == a.leases.nodeID {
		a.yield(ctx) // whoever leads must vote
		return errNotLeader
	}
	if err := a.tell(ctx, s, false); err != nil {
		return err
	}
	err := await(ctx, a.closed, a.members.raft.Load().DemoteVoter(s.ID, 0, time.Second))
	if err == nil {
		a.logger.Info("a node votes no more", "node", nameOf(string(s.ID)))
	}
	return changed("the node votes", err)
}

func (a *admission) voters() (n int) {
	for _, s := range a.members.servers() {
		if s.Suffrage == raft.Voter {
			n++
		}
	}
	return n
}

// tell has the member remember whether it is to vote.
func (a *admission) tell(ctx context.Context, s raft.Server, votes bool) error {
	if string(s.ID) == a.leases.nodeID {
		_, err := a.takeVote(ctx, caller{}, voteRequest{votes})
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := a.client.call(ctx, target{string(s.Address), string(s.ID)}, "/vote", voteRequest{votes}, new(done))
	var refusal *iam.Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return iam.Errorf(iam.Conflict, "Node %s does not answer, so it cannot be told whether it is to vote: remove it if it is gone for good.", nameOf(string(s.ID)))
}
