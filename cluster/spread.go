package cluster

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/keystone-auth/keystone/fsm"
)

// spread holds back the success of a command that takes something away until the other members have
// applied it, so that a token is dead everywhere when its revocation is confirmed.
//
// What it does not promise: a member that is cut off from this node, or slower than the timeout, is
// not waited for and may go on accepting what was taken away until it hears of it. Leases that end
// by themselves would close that gap; this type is the place where they take over.
type spread struct {
	ctx     context.Context // ends with the node
	nodeID  string
	members *members
	client  *rpcClient
	fsm     *fsm.FSM
	timeout time.Duration

	mu    sync.Mutex
	peers map[target]*peer
}

func newSpread(ctx context.Context, nodeID string, m *members, client *rpcClient, machine *fsm.FSM, timeout time.Duration) *spread {
	return &spread{ctx: ctx, nodeID: nodeID, members: m, client: client, fsm: machine, timeout: timeout, peers: map[target]*peer{}}
}

// waitRequest asks a member to answer when it has applied the index.
type waitRequest struct {
	Index uint64 `cbor:"1,keyasint"`
}

// waitReply says how far it is then, which may be farther.
type waitReply struct {
	Applied uint64 `cbor:"1,keyasint"`
}

// wait returns when every member has applied the index that can be reached, or the time is over.
func (s *spread) wait(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range s.others() {
		all.Go(func() { p.wait(ctx, index) })
	}
	all.Wait()
}

// others returns the other members, and forgets those that are none any more.
func (s *spread) others() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*peer
	known := map[target]*peer{}
	for _, m := range s.members.servers() {
		if string(m.ID) == s.nodeID {
			continue
		}
		t := target{string(m.Address), string(m.ID)}
		p, ok := s.peers[t]
		if !ok {
			p = &peer{spread: s, target: t, changed: make(chan struct{})}
		}
		known[t] = p
		all = append(all, p)
	}
	s.peers = known
	return all
}

// receive is the member's side of wait.
func (s *spread) receive(ctx context.Context, _ caller, request waitRequest) (waitReply, error) {
	err := s.fsm.WaitApplied(ctx, request.Index)
	return waitReply{s.fsm.Applied()}, err
}

// peer is how far another member has come, as this node was told. One question at a time is under way
// to it, for the highest index that anybody waits for: hundreds of revocations at once wait together,
// and open one connection.
type peer struct {
	spread *spread
	target target

	mu      sync.Mutex
	applied uint64
	wanted  uint64
	until   time.Time     // when the last of those who wait gives up
	asking  bool          // somebody asks the member
	absent  int           // how often nobody was there
	changed chan struct{} // closed and replaced whenever one of the above is news
}

func (p *peer) wait(ctx context.Context, index uint64) {
	deadline, _ := ctx.Deadline()
	p.mu.Lock()
	p.wanted = max(p.wanted, index)
	if deadline.After(p.until) {
		p.until = deadline
	}
	absent := p.absent
	if !p.asking && p.applied < index {
		p.asking = true
		go p.ask()
	}
	for p.applied < index && p.absent == absent {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
	}
	p.mu.Unlock()
}

// ask asks until nobody waits any more. Only a machine that says that nothing listens there is proof
// of a node that is down; whatever else goes wrong may be over in a moment.
func (p *peer) ask() {
	for {
		index, until, waiting := p.open()
		if !waiting {
			return
		}
		applied, err := p.question(index, until)
		refused := errors.Is(err, syscall.ECONNREFUSED)
		p.mu.Lock()
		p.applied = max(p.applied, applied)
		if refused {
			p.absent++
			p.until = time.Time{}
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		if err != nil && !refused {
			waitFor(p.spread.ctx, 10*time.Millisecond)
		}
	}
}

// open returns what is waited for, and notes that nobody asks any more if that is nothing.
func (p *peer) open() (index uint64, until time.Time, waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking = p.applied < p.wanted && time.Now().Before(p.until) && p.spread.ctx.Err() == nil
	return p.wanted, p.until, p.asking
}

func (p *peer) question(index uint64, until time.Time) (uint64, error) {
	ctx, cancel := context.WithDeadline(p.spread.ctx, until)
	defer cancel()
	var reply waitReply
	err := p.spread.client.call(ctx, p.target, "/wait-applied", waitRequest{index}, &reply)
	return reply.Applied, err
}
