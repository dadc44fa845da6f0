package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The configuration says under which address a member is reached, and only a leader can change it. Where most
// addresses have changed at once there is no leader, nor can there be one: the nodes ask for votes where nobody
// is any more. So a node remembers what members say of themselves when it asks them for their whereabouts at the
// addresses that its operator gave (Initial and Join), and dials them there. These are hints: whoever answers
// still has to prove that he is the node that was wanted.

// whereabouts are the addresses of members that are not where the configuration says.
type whereabouts struct {
	mu       sync.Mutex
	heard    map[string]string // by node id
	settling string            // the node id of the member whose address is being changed, see settle
}

// note keeps where a member says that it is.
func (m *members) note(nodeID, address string) {
	known, isMember := m.byID(nodeID)
	if !isMember || address == "" { // or strangers could fill the memory
		return
	}
	m.moved.mu.Lock()
	defer m.moved.mu.Unlock()
	if string(known.Address) == address {
		delete(m.moved.heard, nodeID)
		return
	}
	if m.moved.heard == nil {
		m.moved.heard = map[string]string{}
	}
	m.moved.heard[nodeID] = address
}

// whereIs returns the address at which to dial the node, which the configuration has at that other one.
func (m *members) whereIs(nodeID, configured string) string {
	m.moved.mu.Lock()
	defer m.moved.mu.Unlock()
	if heard, ok := m.moved.heard[nodeID]; ok {
		return heard
	}
	return configured
}

// unnote drops a hint that led nowhere, so that the configuration has its turn.
func (m *members) unnote(nodeID, address string) {
	m.moved.mu.Lock()
	defer m.moved.mu.Unlock()
	if m.moved.heard[nodeID] == address {
		delete(m.moved.heard, nodeID)
	}
}

// greeted is what came of a greeting.
type greeted struct {
	address string
	intro   introduction
	err     error
}

// greetSeeds greets everybody by whom this node may find its cluster, all at once. Those that are members are looked for
// where they say that they are from then on, and know where this node is.
func (n *Node) greetSeeds(ctx context.Context) []greeted {
	ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
	defer cancel()
	seeds := n.seeds()
	results := make(chan greeted, len(seeds))
	for _, address := range seeds {
		go func() {
			intro, err := n.former.greet(ctx, address)
			results <- greeted{address, intro, err}
		}()
	}
	var all []greeted
	for range seeds {
		g := <-results
		if g.err == nil {
			n.members.note(g.intro.NodeID, g.intro.Address)
		}
		all = append(all, g)
	}
	return all
}

// seeds are the addresses that the operator gave, and those of the nodes with which the cluster began.
func (n *Node) seeds() (addresses []string) {
	for _, p := range n.self.others() {
		addresses = append(addresses, p.Address)
	}
	for _, s := range n.self.dir.now().Initial {
		if s.ID != n.self.nodeID && s.Address != n.self.advertise && !slices.Contains(addresses, s.Address) {
			addresses = append(addresses, s.Address)
		}
	}
	return addresses
}

// settlePause is long enough for what raft was doing with the answer of a follower to be over.
const settlePause = 100 * time.Millisecond

// settle changes the address of a member in the configuration, on the leader, and leaves its vote alone. raft 1.7.3 reads
// the name of a follower without its lock after an answer to entries (updateLastAppended), which is a race with the
// change: so the member is sent none meanwhile. Heartbeats go on.
func (m *members) settle(ctx context.Context, closed <-chan struct{}, nodeID, address string) error {
	m.moved.pause(nodeID)
	defer m.moved.pause("")
	if !waitFor(ctx, settlePause) {
		return ctx.Err()
	}
	future := m.raft.Load().AddNonvoter(raft.ServerID(nodeID), raft.ServerAddress(address), 0, time.Second)
	changed := make(chan error, 1)
	go func() { changed <- await(ctx, closed, future) }()
	for {
		select {
		case err := <-changed:
			return err
		case <-time.After(5 * time.Millisecond):
		}
		// It counts as soon as it is in the leader's log; that it is committed may take this member's voice.
		if s, ok := m.byID(nodeID); ok && string(s.Address) == address {
			m.moved.pause("")
			return <-changed
		}
	}
}

func (w *whereabouts) pause(nodeID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settling = nodeID
}

// paused tells whether the member must be sent no entries at this moment.
func (w *whereabouts) paused(nodeID string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settling == nodeID
}

// settleOwnAddress corrects this node's address in the configuration, as only a leader can. While the address is still
// that of another member, which has moved as well, it has to wait for that one.
func (n *Node) settleOwnAddress(ctx context.Context) error {
	own, ok := n.members.byID(n.self.nodeID)
	if !ok || string(own.Address) == n.self.advertise {
		return nil
	}
	if _, taken := n.members.at(n.self.advertise); taken {
		return nil
	}
	return await(ctx, n.closed, n.members.raft.Load().AddVoter(own.ID, raft.ServerAddress(n.self.advertise), 0, time.Second))
}
