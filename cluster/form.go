package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// Forming: the node with the lowest name of the initial list alone decides that there is a cluster,
// and only when every node of the list has answered that it is empty and was given the same list. It
// draws the cluster id and writes down the founders with the node ids that they told it, before it
// tells anybody. The others take that decision over as it is, each writing it down before its first
// vote.
//
// Why the first configuration holds all founders, and is not grown from one node: so no write is
// ever acknowledged that only one disk holds. Why that is safe: a node id adopts one cluster in its
// life, so of two clusters that were ever decided on at most one finds a majority, and all who adopt
// a decision begin with the identical first log entry. A node that loses its disk in between comes
// back under a new id, finds the others formed, and joins.

const greetTimeout = 2 * time.Second

// greeting is what a node that looks for its cluster asks.
type greeting struct {
	Name   string `cbor:"1,keyasint"`
	NodeID string `cbor:"2,keyasint"`
	List   []Peer `cbor:"3,keyasint,omitempty"` // the initial list that it was given, as long as it has no cluster
	// Address is where a member is now, perhaps elsewhere than the configuration says; see moved.go.
	Address string `cbor:"4,keyasint,omitempty"`
}

// introduction is what a node says of itself.
type introduction struct {
	Name      string   `cbor:"1,keyasint"`
	NodeID    string   `cbor:"2,keyasint"`
	Address   string   `cbor:"3,keyasint"`
	ClusterID string   `cbor:"4,keyasint,omitempty"` // once it has a configuration
	List      []Peer   `cbor:"6,keyasint,omitempty"` // the initial list that it was given
	Founders  []server `cbor:"7,keyasint,omitempty"` // whom the cluster began with, if it knows
	Member    bool     `cbor:"8,keyasint,omitempty"` // its configuration names who asks
	Leader    string   `cbor:"9,keyasint,omitempty"` // the node id of the leader that it follows
	Members   []server `cbor:"20,keyasint,omitempty"`
}

// self is what a node knows about itself while it looks for its cluster.
type self struct {
	config    *Config
	advertise string
	nodeID    string
	dir       *dataDir
	identity  *identity
	members   *members
	secrets   []string // fingerprints of those that this node takes, the one that counts first
	// dispute is what another node's greeting made impossible. That node stops when it reads the
	// answer, and without this the present one would wait for it for ever.
	dispute atomic.Pointer[error]
}

func (s *self) introduce(_ context.Context, from caller, g greeting) (introduction, error) {
	if from.nodeID == g.NodeID {
		s.members.note(g.NodeID, g.Address)
	}
	forming := s.members.empty()
	if forming && g.Name == s.config.Name && g.NodeID != s.nodeID {
		err := fmt.Errorf("two nodes are called %s, this one and one that has just asked it: give each its own name", g.Name)
		s.dispute.Store(&err)
	}
	if forming && len(g.List) > 0 && len(s.config.Initial) > 0 {
		if err := s.compareLists(g.Name, g.List); err != nil {
			s.dispute.Store(&err)
		}
	}
	i := introduction{
		Name: s.config.Name, NodeID: s.nodeID, Address: s.advertise,
		List: s.config.Initial, Member: s.members.has(from.nodeID),
	}
	if !forming {
		p := s.dir.now()
		i.ClusterID, i.Founders = p.ClusterID, p.Initial
		for _, m := range s.members.servers() {
			i.Members = append(i.Members, server{ID: string(m.ID), Address: string(m.Address)})
		}
	}
	if leader, ok := s.members.leader(); ok {
		i.Leader = leader.nodeID
	}
	return i, nil
}

func listHash(list []Peer) []byte {
	sum := sha256.Sum256(store.Encode(list))
	return sum[:]
}

// former brings a node without data into a cluster.
type former struct {
	*self
	client *rpcClient
	logger *slog.Logger
	// open starts raft; the founders are the configuration to begin with, or none to be sent one.
	open func(founders []server) error
	said repetition
}

// found is one node that answered.
type found struct {
	peer  Peer // as this node was told of it; the name is empty for an address to join
	intro introduction
}

// run returns when this node is in a cluster, or an error that trying again cannot mend.
func (f *former) run(ctx context.Context) error {
	if len(f.config.Join) > 0 && len(f.others()) == 0 {
		return fmt.Errorf("this node has no data in %s and was told of no other node than itself: name a member of its cluster with --join, or begin a new cluster with keystone init", f.config.DataDir)
	}
	for {
		answers, missing, err := f.greetAll(ctx)
		if err != nil {
			return err
		}
		if dispute := f.dispute.Load(); dispute != nil {
			return *dispute
		}
		done, err := f.decide(ctx, answers, missing)
		if done || err != nil {
			return err
		}
		if !f.said.before("waits") {
			f.logger.Info("this node waits for the other nodes", "missing", missing)
		}
		if !waitFor(ctx, jitter(f.config.Timings.Retry)) {
			return ctx.Err()
		}
	}
}

func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // spreads retries, protects nothing
}

// others are all addresses that this node was told of except its own.
func (s *self) others() []Peer {
	var out []Peer
	for _, p := range s.config.Initial {
		if p.Name != s.config.Name {
			out = append(out, p)
		}
	}
	for _, address := range s.config.Join {
		if address != s.advertise && !slices.ContainsFunc(out, func(p Peer) bool { return p.Address == address }) {
			out = append(out, Peer{Address: address})
		}
	}
	return out
}

// greetAll asks everybody at once. Missing are those who gave no answer, and why.
func (f *former) greetAll(ctx context.Context) (answers []found, missing []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	others := f.others()
	type outcome struct {
		found
		err error
	}
	results := make(chan outcome, len(others))
	for _, p := range others {
		go func() {
			intro, err := f.greet(ctx, p.Address)
			results <- outcome{found{p, intro}, err}
		}()
	}
	for range others {
		o := <-results
		switch {
		case errors.Is(o.err, errForeignSecret) || errors.Is(o.err, errOtherCluster):
			return nil, nil, o.err
		case o.err != nil:
			missing = append(missing, fmt.Sprintf("%s (%v)", o.peer.Address, o.err))
		default:
			answers = append(answers, o.found)
		}
	}
	slices.Sort(missing)
	return answers, missing, nil
}

func (f *former) greet(ctx context.Context, address string) (introduction, error) {
	var intro introduction
	g := greeting{Name: f.config.Name, NodeID: f.nodeID, Address: f.advertise}
	if f.members.empty() {
		g.List = f.config.Initial
	}
	err := f.client.call(ctx, target{address: address}, "/hello", g, &intro)
	return intro, err
}

// decide takes the way in that the answers allow, and tells whether it was taken.
func (f *former) decide(ctx context.Context, answers []found, missing []string) (bool, error) {
	var formed *introduction
	for _, a := range answers {
		if err := f.fault(a); err != nil {
			return false, err
		}
		switch {
		case a.intro.ClusterID == "":
		case formed != nil && formed.ClusterID != a.intro.ClusterID:
			return false, fmt.Errorf("the nodes at %s and %s belong to different clusters: name the nodes of one cluster only", formed.Address, a.intro.Address)
		default:
			// Whoever knows the founders is the better one to ask.
			if formed == nil || len(formed.Founders) == 0 {
				formed = &a.intro
			}
		}
	}
	switch {
	case formed != nil:
		return true, f.enter(ctx, *formed)
	case len(missing) > 0 || !f.decides():
		return false, nil
	}
	return true, f.found(answers)
}

// decides tells whether it is up to this node to begin a cluster.
func (f *former) decides() bool {
	if len(f.config.Initial) == 0 {
		return len(f.config.Join) == 0
	}
	return f.config.Initial[0].Name == f.config.Name
}

// fault says what makes it impossible to form or join with the node that answered.
func (f *former) fault(a found) error {
	i := a.intro
	switch {
	case i.NodeID == f.nodeID && a.peer.Name != "":
		return fmt.Errorf("the address %s of node %s leads to this node, which is called %s: two nodes have one name, or the list is wrong", a.peer.Address, a.peer.Name, f.config.Name)
	case i.NodeID == f.nodeID:
		return fmt.Errorf("the address %s to join leads to this node itself: give the address of another one", a.peer.Address)
	case i.Name == f.config.Name:
		return fmt.Errorf("two nodes are called %s, this one and the one at %s: give each its own name", i.Name, a.peer.Address)
	case a.peer.Name != "" && a.peer.Name != i.Name:
		return fmt.Errorf("the node at %s is called %s, and the initial list calls it %s: correct one of them", a.peer.Address, i.Name, a.peer.Name)
	case i.ClusterID == "" && a.peer.Name != "":
		return f.compareLists(i.Name, i.List)
	}
	return nil
}

// compareLists refuses another node's initial list that is not this node's.
func (s *self) compareLists(name string, list []Peer) error {
	own, other := listHash(s.config.Initial), listHash(list)
	if bytes.Equal(own, other) {
		return nil
	}
	return fmt.Errorf("the initial lists differ: this node was given (%s), hash %.4x, and node %s (%s), hash %.4x: give all nodes the same list",
		listText(s.config.Initial), own, name, listText(list), other)
}

// found begins a cluster of the nodes that answered and this one.
func (f *former) found(answers []found) error {
	founders := []server{{ID: f.nodeID, Address: f.advertise}}
	for _, a := range answers {
		founders = append(founders, server{ID: a.intro.NodeID, Address: a.intro.Address})
	}
	slices.SortFunc(founders, func(a, b server) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	id := iam.NewID().String()
	f.logger.Info("this node begins a new cluster", "cluster", id, "nodes", len(founders))
	return f.begin(id, founders)
}

// enter takes part in a cluster that somebody else began.
func (f *former) enter(ctx context.Context, formed introduction) error {
	if slices.ContainsFunc(formed.Founders, func(s server) bool { return s.ID == f.nodeID }) {
		return f.begin(formed.ClusterID, formed.Founders)
	}
	// The members dial this node as soon as it is added, so it has to be one of their cluster before.
	if err := f.dir.adopt(formed.ClusterID, nil); err != nil {
		return err
	}
	f.identity.adopt(formed.ClusterID)
	if err := f.open(nil); err != nil {
		return err
	}
	return f.join(ctx)
}

func (f *former) begin(clusterID string, founders []server) error {
	if err := f.dir.adopt(clusterID, founders); err != nil {
		return err
	}
	f.identity.adopt(clusterID)
	return f.open(founders)
}
