package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/lease"
)

// errUnconfirmed is what came of a change of which nobody knows whether every node goes by it. The change
// itself was made; to ask again, under the same request id, confirms it.
var errUnconfirmed = errors.New("whether every node knows of the change is not known")

// fenceGrace is how long a member may take to apply an entry before it rather stops answering until it
// has. Mostly it needs a few milliseconds, and its readers notice nothing.
const fenceGrace = 25 * time.Millisecond

// fences hold back the success of a command that takes something away until no node answers by the
// state before it, see package lease. One question at a time is under way to each member, for the
// highest index that anybody waits for: hundreds of revocations at once wait together.
type fences struct {
	ctx    context.Context // ends with the node
	leases *leases
	waited func(time.Duration) // told how long each confirmation took

	mu      sync.Mutex
	peers   map[string]*fencePeer
	changed chan struct{} // closed and replaced whenever a member was heard
}

func newFences(ctx context.Context, l *leases, waited func(time.Duration)) *fences {
	f := &fences{ctx: ctx, leases: l, waited: waited, peers: map[string]*fencePeer{}, changed: make(chan struct{})}
	l.fences = f
	return f
}

// fenceRequest asks a member to answer by nothing older than the index.
type fenceRequest struct {
	Term  uint64 `cbor:"1,keyasint"`
	Index uint64 `cbor:"2,keyasint"`
}

// fenceReply says from which index on the member answers, which may be a higher one.
type fenceReply struct {
	Index uint64 `cbor:"1,keyasint"`
}

// confirm returns when no node answers by a state before index any more. The error says that nobody
// knows: this node leads no longer, or the time is over.
func (f *fences) confirm(ctx context.Context, index uint64) (*fsm.Receipt, error) {
	start := time.Now()
	for {
		changed := f.news()
		now, all := f.leases.now(), f.leases.everybody()
		term := f.leases.term()
		waiting, leads := f.leases.grants.Unaware(term, now, index, all)
		if !leads && !f.leases.members.leads() {
			return nil, errUnconfirmed
		}
		if leads && len(waiting) == 0 {
			receipt := &fsm.Receipt{
				Index: index, Confirmed: f.leases.grants.Confirmed(index, all), Members: len(all), Waited: time.Since(start),
			}
			f.waited(receipt.Waited)
			return receipt, nil
		}
		pause := renewalPause // elected and not ready yet
		for i, w := range waiting {
			if left := now.Until(w.Until); i == 0 || left < pause {
				pause = left
			}
			f.ask(w.ID, term, index)
		}
		if !waitNews(ctx, changed, pause) {
			return nil, errUnconfirmed
		}
	}
}

// waitNews waits for whichever comes first, and returns false when ctx has ended.
func waitNews(ctx context.Context, changed <-chan struct{}, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

func (f *fences) news() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// heard wakes those who wait: a member has said how far it is, or this node's term has changed.
func (f *fences) heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

// fencePeer is what is asked of one member.
type fencePeer struct {
	asking      bool
	term, index uint64 // the highest that anybody waits for
}

// ask has the member asked, unless it is being asked already: then it is asked again after that.
func (f *fences) ask(nodeID string, term, index uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.peers[nodeID]
	if !ok {
		p = &fencePeer{}
		f.peers[nodeID] = p
	}
	p.term, p.index = max(p.term, term), max(p.index, index)
	if !p.asking {
		p.asking = true
		go f.question(nodeID, p)
	}
}

// question asks until the member answers by what is wanted, or its lease is over anyway.
func (f *fences) question(nodeID string, p *fencePeer) {
	for {
		f.mu.Lock()
		request := fenceRequest{p.term, p.index}
		f.mu.Unlock()
		err := f.call(nodeID, request)
		f.mu.Lock()
		more := p.term != request.Term || p.index > request.Index || err != nil
		p.asking = more && f.ctx.Err() == nil && f.wanted(nodeID, p)
		asking := p.asking
		if !asking {
			delete(f.peers, nodeID)
		}
		f.mu.Unlock()
		if !asking {
			return
		}
		if err != nil {
			waitFor(f.ctx, 10*time.Millisecond)
		}
	}
}

// wanted tells whether the member may still answer by something older.
func (f *fences) wanted(nodeID string, p *fencePeer) bool {
	waiting, leads := f.leases.grants.Unaware(p.term, f.leases.now(), p.index, []lease.Member{{ID: nodeID}})
	return leads && len(waiting) > 0
}

func (f *fences) call(nodeID string, request fenceRequest) error {
	m, ok := f.leases.members.byID(nodeID)
	if !ok {
		return errNotLeader
	}
	ctx, cancel := context.WithTimeout(f.ctx, f.leases.config.Length)
	defer cancel()
	var reply fenceReply
	if err := f.leases.client.call(ctx, target{string(m.Address), nodeID}, "/fence", request, &reply); err != nil {
		return err
	}
	f.leases.grants.Acknowledge(request.Term, nodeID, reply.Index)
	f.heard()
	return nil
}

// receive is the member's side.
func (f *fences) receive(ctx context.Context, _ caller, request fenceRequest) (fenceReply, error) {
	l := f.leases
	grace, cancel := context.WithTimeout(ctx, fenceGrace)
	defer cancel()
	_ = l.fsm.WaitApplied(grace, request.Index) // if not, this node has no lease until it has
	if applied := l.fsm.Applied(); applied >= request.Index && l.term() == request.Term {
		return fenceReply{applied}, nil
	}
	if !l.own.Require(l.term(), request.Term, request.Index) {
		return fenceReply{}, errNotLeader // this node is in another term, and who asks leads another one
	}
	return fenceReply{request.Index}, nil
}
