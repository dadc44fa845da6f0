package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// leadership runs what only the leader does. One goroutine and one context belong to each time that
// this node leads; the next begins when the last has ended.
type leadership struct {
	// notify is filled by raft, whose main loop stands still while nobody takes from it.
	notify chan bool
	setup  func(ctx context.Context) error
	// yield gives the leadership to another node, when this one cannot set itself up.
	yield  func(ctx context.Context)
	logger *slog.Logger
	ready  atomic.Bool

	mu      sync.Mutex
	duties  []func(ctx context.Context)
	current context.Context // nil while this node does not lead
	running *sync.WaitGroup
}

// add registers a duty, and begins it at once if this node leads.
func (l *leadership) add(duty func(ctx context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.duties = append(l.duties, duty)
	if l.current != nil {
		ctx := l.current
		l.running.Go(func() { duty(ctx) })
	}
}

// run follows raft's word until stop is closed, which must come after raft has ended.
func (l *leadership) run(stop <-chan struct{}) {
	end := func() {}
	over := make(chan struct{}) // closed when the last leadership has ended
	close(over)
	for {
		select {
		case <-stop:
			end()
			<-over
			return
		case gained := <-l.notify:
			// Told of a gain while leading: it was lost and won again in between.
			end()
			if !gained {
				continue
			}
			ctx, cancel := context.WithCancel(context.Background())
			before, next := over, make(chan struct{})
			end, over = cancel, next
			go func() {
				defer close(next)
				<-before
				l.lead(ctx)
			}()
		}
	}
}

// lead sets this node up as the leader and runs the duties until ctx ends.
func (l *leadership) lead(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.setup(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, raft.ErrRaftShutdown) {
			// This node is being stopped. Handing on what it was just handed would send the leadership
			// round and round where all nodes are stopped at once.
			return
		}
		if ctx.Err() == nil {
			l.logger.Warn("this node was elected and could not take over, another one is to lead", "error", err)
			l.yield(ctx)
			waitFor(ctx, 100*time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		return
	}
	var running sync.WaitGroup
	l.mu.Lock()
	l.current, l.running = ctx, &running
	for _, duty := range l.duties {
		running.Go(func() { duty(ctx) })
	}
	l.mu.Unlock()
	l.ready.Store(true)
	<-ctx.Done()
	l.ready.Store(false)
	l.mu.Lock()
	l.current, l.running = nil, nil
	l.mu.Unlock()
	running.Wait()
}

// promotion is the duty that gives newcomers the right to vote, once they have followed the log
// closely for a while. A node that says that it is not to vote stays without. Nobody loses it by being away: a cluster that shrinks by itself would soon
// be one node. Only a node that replaces a dead one of its name takes its place.
type promotion struct {
	members       *members
	survey        func(ctx context.Context, s raft.Server) (report, error)
	applied       func() uint64
	closed        <-chan struct{}
	stabilisation time.Duration
	founder       func(name string) bool // one of the initial list, which may vote at once
	logger        *slog.Logger
}

// mostBehind is how many entries a node may lag and still count as one that follows.
const mostBehind = 250

func (p *promotion) run(ctx context.Context) {
	healthySince := map[raft.ServerID]time.Time{}
	for waitFor(ctx, max(p.stabilisation/10, 20*time.Millisecond)) {
		for _, s := range p.members.servers() {
			if s.Suffrage == raft.Voter {
				delete(healthySince, s.ID)
				continue
			}
			if !p.follows(ctx, s) {
				delete(healthySince, s.ID)
				continue
			}
			since, seen := healthySince[s.ID]
			if !seen {
				since = time.Now()
				healthySince[s.ID] = since
			}
			if time.Since(since) >= p.stabilisation || p.founder(nameOf(string(s.ID))) {
				_ = p.promote(ctx, s) // tried again in the next round
			}
		}
	}
}

// follows tells whether a node that may vote one day keeps up with the log now.
func (p *promotion) follows(ctx context.Context, s raft.Server) bool {
	at := p.applied()
	r, err := p.survey(ctx, s)
	return err == nil && !r.NonVoter && r.Applied+mostBehind >= at
}

func (p *promotion) promote(ctx context.Context, s raft.Server) error {
	err := await(ctx, p.closed, p.members.raft.Load().AddVoter(s.ID, s.Address, 0, time.Second))
	if err != nil {
		p.logger.Debug("a node could not be given its vote yet", "node", nameOf(string(s.ID)), "error", err)
		return err
	}
	p.logger.Info("a node votes from now on", "node", nameOf(string(s.ID)))
	return nil
}
