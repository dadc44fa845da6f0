package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
)

const (
	mostReaders = 4096 // who may wait at a time, so that a node without a lease keeps no endless queue
	hopeless    = 100 * time.Millisecond
)

// Read returns when this node may answer from its own state. What is read must be read after it has
// returned. The error is an *iam.Error with code TemporarilyUnavailable.
func (n *Node) Read(ctx context.Context, c lease.Consistency) (lease.Reading, error) {
	if c.Level != lease.Strict {
		if applied, ok := n.leases.valid(); ok {
			return lease.Reading{Index: applied}, nil
		}
	}
	reading, err := n.readers.read(ctx, c)
	reading.Waited = true
	return reading, err
}

// Fresh tells whether this node holds a lease now, without waiting for one.
func (n *Node) Fresh() bool {
	_, ok := n.leases.valid()
	return ok
}

// readers ask the leader on behalf of callers, when this node's own lease does not do. All who come
// while a question is under way wait for the next one: it must begin after they came.
type readers struct {
	leases  *leases
	ctx     context.Context // ends with the node
	late    time.Duration   // how late an answer may be when nobody can be asked; 0: no answer
	barrier func(ctx context.Context) error
	slots   chan struct{}

	mu     sync.Mutex
	queues [2]readQueue // without and with a barrier
}

// readQueue is one question under way and those who wait for the next.
type readQueue struct {
	asking bool
	next   *batch // nil: nobody waits
}

// batch is callers that wait for one answer.
type batch struct {
	done chan struct{} // closed after err is set
	err  error
}

func newReaders(ctx context.Context, l *leases, late time.Duration, barrier func(context.Context) error) *readers {
	return &readers{leases: l, ctx: ctx, late: late, barrier: barrier, slots: make(chan struct{}, mostReaders)}
}

func (r *readers) read(ctx context.Context, c lease.Consistency) (lease.Reading, error) {
	if late, known := r.old(); known && (c.Level == lease.Local || c.Level == lease.Bounded && late.Staleness <= c.Within) {
		r.leases.counts.late.Add(1)
		return late, nil
	}
	err := r.ask(ctx, c.Level == lease.Strict)
	if err == nil {
		r.leases.counts.asked.Add(1)
		return lease.Reading{Index: r.leases.fsm.Applied()}, nil
	}
	if late, known := r.old(); known && c.Level == lease.Leased && late.Staleness <= r.late {
		r.leases.counts.late.Add(1)
		return late, nil
	}
	r.leases.counts.refused.Add(1)
	return lease.Reading{}, err
}

// old is what this node knew when it last knew, and false when it has never known since it was started.
func (r *readers) old() (lease.Reading, bool) {
	staleness, known := r.staleness()
	return lease.Reading{Index: r.leases.fsm.Applied(), Staleness: max(staleness, 1)}, known
}

// staleness is for how long this node has not known whether its state is the latest.
func (r *readers) staleness() (_ time.Duration, known bool) {
	at := lease.Stamp(r.leases.known.Load())
	return at.Until(r.leases.now()), at != 0
}

// ask joins those that wait for the next question.
func (r *readers) ask(ctx context.Context, strict bool) error {
	if !admit(r.slots) {
		return iam.Unavailable(time.Second, "Too many requests wait for this node to hear from the others.")
	}
	defer func() { <-r.slots }()
	b := r.join(strict)
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return unreachable()
	}
}

func unreachable() error {
	return iam.Unavailable(time.Second, "This node cannot reach the leader of the cluster, so it cannot know what was revoked.")
}

func (r *readers) join(strict bool) *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.queues[0]
	if strict {
		q = &r.queues[1]
	}
	if q.next == nil {
		q.next = &batch{done: make(chan struct{})}
	}
	if !q.asking {
		q.asking = true
		go r.serve(q, strict)
	}
	return q.next
}

// serve answers one batch after the other, until nobody waits.
func (r *readers) serve(q *readQueue, strict bool) {
	for {
		r.mu.Lock()
		b := q.next
		q.next, q.asking = nil, b != nil // who comes from now on comes after the question was put
		r.mu.Unlock()
		if b == nil {
			return
		}
		b.err = r.settle(strict)
		close(b.done)
	}
}

// settle tries until it is settled that this node may answer, or patience is at its end.
func (r *readers) settle(strict bool) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.patience())
	defer cancel()
	for r.attempt(ctx, strict) != nil {
		r.leases.miss()
		if !waitFor(ctx, 5*time.Millisecond) {
			return unreachable()
		}
	}
	return nil
}

// patience is long enough for an election, and short on a node that has heard of no leader for long: its
// callers should go elsewhere.
func (r *readers) patience() time.Duration {
	length := r.leases.config.Length
	if staleness, known := r.staleness(); known && staleness > 3*length {
		return hopeless
	}
	return length
}

type readRequest struct {
	Strict bool `cbor:"1,keyasint,omitempty"`
}

type readReply struct {
	Index uint64 `cbor:"1,keyasint"`
}

// attempt finds out from which index on this node may answer, and waits until it has come so far.
func (r *readers) attempt(ctx context.Context, strict bool) error {
	if !strict {
		if _, ok := r.leases.valid(); ok {
			return nil
		}
	}
	asked := r.leases.now()
	var reply readReply
	var err error
	if r.leases.members.leads() {
		reply, err = r.receive(ctx, caller{}, readRequest{strict})
	} else {
		leader, known := r.leases.members.leader()
		if !known {
			return errNotLeader
		}
		err = r.leases.client.call(ctx, leader, "/read", readRequest{strict}, &reply)
	}
	if err != nil {
		return err
	}
	if err := r.leases.fsm.WaitApplied(ctx, reply.Index); err != nil {
		return err
	}
	r.leases.learn(asked)
	return nil
}

// receive is the leader's side: it answers while it holds its own lease. For a strict question that is
// not enough, as another node may lead already, whose changes wait for this lease only if they take
// something away. A barrier, which a majority must store, settles it.
func (r *readers) receive(ctx context.Context, _ caller, request readRequest) (readReply, error) {
	if request.Strict {
		if err := r.barrier(ctx); err != nil {
			return readReply{}, err
		}
	}
	if !r.leases.lead() {
		return readReply{}, errNotLeader
	}
	return readReply{r.leases.fsm.Applied()}, nil
}
