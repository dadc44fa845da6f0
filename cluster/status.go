package cluster

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

const surveyTimeout = 500 * time.Millisecond

// Status is the cluster as one node sees it.
type Status struct {
	ClusterID string
	Leader    string // its name; "" when there is none
	Term      uint64
	Commands  uint64       // the highest command version that the log has needed
	Mixed     bool         // the nodes that answer run more than one version of the program
	Nodes     []NodeStatus // in the order of names
}

// NodeStatus is one member.
type NodeStatus struct {
	Name, ID, Address, HTTP string
	Role                    string // as of Node.Role, or what its membership says if it does not answer
	State                   string // alive, dead or unknown
	Version                 string
	Commands, Format        uint64 // the command version and the format of state files that it knows; 0: not known
	Applied                 uint64
	Lag                     uint64 // entries behind the member that is farthest
	HashIndex               uint64
	Hash                    string   // of its state at HashIndex, in hexadecimal
	Secrets                 []string // fingerprints of the cluster secrets that it takes, the one that counts first
	Agrees                  *bool    // whether the node that was asked had the same state there; nil: not known
}

// Stats are the figures of this node for metrics.
type Stats struct {
	Term, LastIndex, CommitIndex, Applied uint64
	Peers                                 int
	Leader                                bool
	Forwards, Applies                     int // under way

	DiskFree                             uint64 // bytes; 0 where the system does not tell
	DiskFull                             bool
	Fresh                                bool   // this node holds a lease
	LeasesLost, ClockJumps               uint64 // since the start
	ReadsAsked, ReadsRefused, ReadsStale uint64
}

// reportRequest asks for a report, with the asking node's place in the log.
type reportRequest struct {
	At uint64 `cbor:"1,keyasint"`
}

// report is what a member says of itself.
type report struct {
	NodeID    string   `cbor:"1,keyasint"`
	HTTP      string   `cbor:"2,keyasint,omitempty"`
	Role      string   `cbor:"3,keyasint"`
	Version   string   `cbor:"4,keyasint,omitempty"`
	Applied   uint64   `cbor:"5,keyasint"`
	NonVoter  bool     `cbor:"6,keyasint,omitempty"`  // it is not to be given a vote
	HashIndex uint64   `cbor:"7,keyasint,omitempty"`  // the lower one of both places in the log
	Hash      []byte   `cbor:"8,keyasint,omitempty"`  // empty when it is forgotten
	Ready     bool     `cbor:"9,keyasint,omitempty"`  // it leads and has set itself up
	Now       iam.Time `cbor:"10,keyasint,omitempty"` // its clock
	LowDisk   bool     `cbor:"11,keyasint,omitempty"` // it has little room for its data
	Commands  uint64   `cbor:"12,keyasint,omitempty"` // the highest command version that it knows; 0: the first
	Format    uint64   `cbor:"13,keyasint,omitempty"` // of the state files that it can read; 0: the first
	Secrets   []string `cbor:"20,keyasint,omitempty"` // see self
}

// surveyor asks the members how they are.
type surveyor struct {
	node *Node
}

// receive reports on this node.
func (s surveyor) receive(_ context.Context, _ caller, request reportRequest) (report, error) {
	n := s.node
	r := report{
		NodeID: n.self.nodeID, HTTP: n.config.HTTPAddress, Role: n.Role(), Version: n.config.Version,
		Applied: n.config.FSM.Applied(), NonVoter: !n.self.wantsVote(), Ready: n.leadership.ready.Load(),
		Now: n.config.Now(), LowDisk: n.disk.low(), Secrets: n.self.secrets,
		Commands: n.config.FSM.Version, Format: store.Format,
	}
	r.HashIndex = min(request.At, r.Applied)
	if hash, ok := n.config.FSM.StateHash(r.HashIndex); ok {
		r.Hash = hash[:]
	}
	return r, nil
}

// StateHash is the hash of this node's state as it was after the log entry at index, if that was not long ago.
func (n *Node) StateHash(index uint64) ([32]byte, bool) { return n.config.FSM.StateHash(index) }

// ask returns a member's report; of this node itself without a detour.
func (s surveyor) ask(ctx context.Context, m raft.Server) (report, error) {
	request := reportRequest{At: s.node.config.FSM.Applied()}
	if string(m.ID) == s.node.self.nodeID {
		s.node.gate.heard(m.ID, s.node.config.FSM.Version)
		return s.receive(ctx, caller{}, request)
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var r report
	err := s.node.client.call(ctx, target{string(m.Address), string(m.ID)}, "/status", request, &r)
	if err == nil {
		s.node.gate.heard(m.ID, r.Commands)
	}
	return r, err
}

// status asks all members at once.
func (s surveyor) status(ctx context.Context) Status {
	n := s.node
	servers := n.members.servers()
	out := Status{ClusterID: n.self.identity.cluster(), Leader: n.Leader(), Commands: n.config.FSM.Needs(), Nodes: make([]NodeStatus, len(servers))}
	if r := n.members.raft.Load(); r != nil {
		out.Term = r.CurrentTerm()
	}
	heard := n.heard()
	var all sync.WaitGroup
	for i, m := range servers {
		all.Go(func() {
			r, err := s.ask(ctx, m)
			if err != nil {
				out.Nodes[i] = s.silent(m, heard)
				return
			}
			out.Nodes[i] = s.present(m, r)
		})
	}
	all.Wait()
	programs := map[string]bool{}
	farthest := uint64(0)
	for _, node := range out.Nodes {
		farthest = max(farthest, node.Applied)
		if node.State == "alive" {
			programs[node.Version] = true
		}
	}
	for i := range out.Nodes {
		if out.Nodes[i].Applied > 0 {
			out.Nodes[i].Lag = farthest - out.Nodes[i].Applied
		}
	}
	out.Mixed = len(programs) > 1
	slices.SortFunc(out.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s surveyor) present(m raft.Server, r report) NodeStatus {
	status := NodeStatus{
		Name: nameOf(r.NodeID), ID: r.NodeID, Address: string(m.Address), HTTP: r.HTTP,
		Role: r.Role, State: "alive", Version: r.Version, Applied: r.Applied, Secrets: r.Secrets,
		Commands: max(1, r.Commands), Format: max(1, r.Format),
	}
	if len(r.Hash) == 0 {
		return status
	}
	status.HashIndex, status.Hash = r.HashIndex, hex.EncodeToString(r.Hash)
	if ours, ok := s.node.config.FSM.StateHash(r.HashIndex); ok {
		agrees := hex.EncodeToString(ours[:]) == status.Hash
		status.Agrees = &agrees
	}
	return status
}

// silent is the status of a member that did not answer: what the configuration and gossip know.
func (s surveyor) silent(m raft.Server, heard map[string]hint) NodeStatus {
	status := NodeStatus{Name: nameOf(string(m.ID)), ID: string(m.ID), Address: string(m.Address), Role: "follower", State: "dead"}
	if m.Suffrage != raft.Voter {
		status.Role = "nonvoter"
	}
	if h, ok := heard[string(m.ID)]; ok {
		// It gossips and does not answer: on its way up or down, or cut off in one direction.
		status.State, status.HTTP, status.Version = "unknown", h.HTTP, h.Version
	}
	return status
}
