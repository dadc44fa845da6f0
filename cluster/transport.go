package cluster

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
)

// raftTransport is raft's network over the cluster port. It embeds the concrete transport: behind
// the interface raft would not see that it knows pre-vote, and would quietly go without.
type raftTransport struct {
	*raft.NetworkTransport
	// trouble tells whether this node cannot keep anything. Then it says nothing: raft's main loop may stand
	// still, and heartbeats, which do not come from there, would keep a leader in office that does nothing.
	trouble func() error
	moved   *whereabouts
	commits *announcer
}

// errSettling is told to raft, which tries again.
var errSettling = errors.New("the address of the member is being changed")

// AppendEntries implements raft.Transport.
func (t raftTransport) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := t.trouble(); err != nil {
		return err
	}
	if len(args.Entries) > 0 && t.moved.paused(string(id)) {
		return errSettling
	}
	err := t.NetworkTransport.AppendEntries(id, to, args, resp)
	if err == nil {
		t.commits.confirmed(id, to, args, resp)
	}
	return err
}

// RequestVote implements raft.Transport.
func (t raftTransport) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.trouble(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestVote(id, to, args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t raftTransport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.trouble(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, to, args, resp)
}

// newRaftTransport does without pipelining. In raft 1.7.3 a pipeline whose reader has given up, after
// a refusal or a newer term, can wait for ever to hand over an answer: the follower is then sent
// heartbeats and no entries until the leader restarts, and Shutdown never ends (raft #612).
func newRaftTransport(m *mux, advertise string, timeout time.Duration, trouble func() error, commits *announcer, logger hclog.Logger) raftTransport {
	t := raftTransport{trouble: trouble, moved: &m.identity.members.moved, commits: commits, NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  &raftStream{queue: m.queues[protocolRaft], mux: m, advertise: advertise},
		MaxPool:                 3,
		Timeout:                 timeout,
		Logger:                  logger,
		MaxRPCsInFlight:         1, // no pipelining, see below
		MsgpackUseNewTimeFormat: true,
	})}
	commits.send = t.AppendEntries
	return t
}

// raftStream implements raft.StreamLayer. Its address is the advertised one as it was written, name
// or number: raft's own TCP layer insists on an IP, which a container does not keep.
type raftStream struct {
	*queue
	mux       *mux
	advertise string
}

// Addr implements net.Listener.
func (s *raftStream) Addr() net.Addr { return name(s.advertise) }

// Dial implements raft.StreamLayer.
func (s *raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.mux.ctx, timeout)
	defer cancel()
	server, _ := s.mux.identity.members.at(string(address))
	conn, err := s.mux.dial(ctx, protocolRaft, string(address), string(server.ID))
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// name is an address that is not resolved before it is dialled.
type name string

// Network implements net.Addr.
func (name) Network() string { return "tcp" }

// String implements net.Addr.
func (n name) String() string { return string(n) }

// members is the membership as raft knows it. It is empty until raft runs and has a configuration.
type members struct {
	// resuming says that this node has a configuration on disk, which raft has yet to read. Meanwhile it
	// knows no member and takes nobody for one, and nobody must take it for an empty node.
	resuming bool
	raft     atomic.Pointer[raft.Raft]
	moved    whereabouts
}

func (m *members) servers() []raft.Server {
	r := m.raft.Load()
	if r == nil {
		return nil
	}
	future := r.GetConfiguration() // answers at once, from memory
	if future.Error() != nil {
		return nil
	}
	return future.Configuration().Servers
}

func (m *members) empty() bool { return !m.starting() && len(m.servers()) == 0 }

// starting tells whether this node has a configuration and does not know it yet.
func (m *members) starting() bool { return m.resuming && m.raft.Load() == nil }

func (m *members) has(nodeID string) bool {
	_, ok := m.byID(nodeID)
	return ok
}

func (m *members) byID(nodeID string) (raft.Server, bool) {
	for _, s := range m.servers() {
		if string(s.ID) == nodeID {
			return s, true
		}
	}
	return raft.Server{}, false
}

// named finds a member by its name, or refuses.
func (m *members) named(name string) (raft.Server, error) {
	for _, s := range m.servers() {
		if nameOf(string(s.ID)) == name {
			return s, nil
		}
	}
	return raft.Server{}, iam.Errorf(iam.NotFound, "The cluster has no node of that name.")
}

func (m *members) at(address string) (raft.Server, bool) {
	for _, s := range m.servers() {
		if string(s.Address) == address {
			return s, true
		}
	}
	return raft.Server{}, false
}

// leader returns the node that leads as far as this one knows.
func (m *members) leader() (target, bool) {
	r := m.raft.Load()
	if r == nil {
		return target{}, false
	}
	address, id := r.LeaderWithID()
	return target{address: string(address), nodeID: string(id)}, id != "" && address != ""
}

// leads tells whether this node believes that it leads.
func (m *members) leads() bool {
	r := m.raft.Load()
	return r != nil && r.State() == raft.Leader
}

// newNodeID makes the id of a node on a fresh disk: its name, so that the log tells people and the
// leader who it is, and a UUID, so that a node that lost its disk is another one than before.
func newNodeID(name string) string { return name + "." + iam.NewID().String() }

// nameOf returns the name inside a node id.
func nameOf(nodeID string) string {
	const suffix = 1 + 36
	if len(nodeID) <= suffix {
		return nodeID
	}
	return nodeID[:len(nodeID)-suffix]
}
