package tally

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// Config is what a Tally is made of.
type Config struct {
	Windows *limit.Limiter // nil: every request is admitted. It stays the caller's to close
	Now     func() iam.Time

	// Self is this node, and Members are the ids of all nodes of the cluster, this one among them. Nil,
	// or no more than one member: this node counts alone.
	Self    string
	Members func() []string
	// Ask asks another node, whose Tally.Answer answers.
	Ask func(ctx context.Context, node string, b Batch) (Replies, error)

	Deadline time.Duration // for an answer of another node; 0: 250 ms
	Probe    time.Duration // between two attempts to reach a node that did not answer; 0: 500 ms
}

// Tally counts on this node what all nodes count together.
type Tally struct {
	Config
	keeper  keeper
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	peers map[string]*peer

	consultations, fallbacks atomic.Uint64
}

// New returns a Tally. Close ends it.
func New(c Config) *Tally {
	if c.Deadline == 0 {
		c.Deadline = 250 * time.Millisecond
	}
	if c.Probe == 0 {
		c.Probe = 500 * time.Millisecond
	}
	t := &Tally{Config: c, peers: map[string]*peer{}}
	t.keeper.windows, t.keeper.now, t.keeper.seed = c.Windows, c.Now, maphash.MakeSeed()
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Close stops asking other nodes. Their questions are still answered.
func (t *Tally) Close() {
	t.mu.Lock()
	t.cancel() // nothing is begun after this
	t.mu.Unlock()
	t.running.Wait()
}

// begin runs fn in the background, unless this Tally is closed.
func (t *Tally) begin(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.running.Go(fn)
	return true
}

// Stats are figures since the start.
type Stats struct {
	Consultations uint64 // questions to other nodes
	Fallbacks     uint64 // requests that were counted without a majority
	Away          int    // nodes that do not answer at present
}

// Stats returns this node's figures.
func (t *Tally) Stats() Stats {
	s := Stats{Consultations: t.consultations.Load(), Fallbacks: t.fallbacks.Load()}
	t.mu.Lock()
	peers := slices.Collect(maps.Values(t.peers))
	t.mu.Unlock() // a peer's lock comes before this one
	for _, p := range peers {
		if p.isAway() {
			s.Away++
		}
	}
	return s
}

// Answer answers another node.
func (t *Tally) Answer(_ context.Context, b Batch) (Replies, error) {
	if len(b.Asks) > mostAsks {
		return Replies{}, errForm
	}
	for _, a := range b.Asks {
		if err := a.check(); err != nil {
			return Replies{}, err
		}
	}
	replies := make([]Reply, len(b.Asks))
	for i, a := range b.Asks {
		replies[i] = t.keeper.answer(a)
	}
	return Replies{replies}, nil
}

// members returns the nodes in this caller's order.
func (t *Tally) members(caller string) []string {
	if t.Members == nil {
		return []string{t.Self}
	}
	nodes := t.Members()
	if !slices.Contains(nodes, t.Self) {
		return []string{t.Self} // not a member yet, and nobody can use this node for anything
	}
	return rank(caller, nodes)
}

// ask asks one node, which may be this one.
func (t *Tally) ask(node string, a Ask) (Reply, error) {
	if node == t.Self {
		return t.keeper.answer(a), nil
	}
	return t.peer(node).ask(a)
}

func (t *Tally) peer(node string) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.peers[node]
	if !ok {
		members := t.Members()
		for other := range t.peers {
			if !slices.Contains(members, other) {
				delete(t.peers, other) // so that the map does not grow with every node that ever was
			}
		}
		p = &peer{tally: t, node: node}
		t.peers[node] = p
	}
	return p
}

// knows tells whether p is still the one for its node, and the node a member.
func (t *Tally) knows(p *peer) bool {
	if t.ctx.Err() != nil || !slices.Contains(t.Members(), p.node) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.peers[p.node] == p {
			delete(t.peers, p.node)
		}
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[p.node] == p
}
