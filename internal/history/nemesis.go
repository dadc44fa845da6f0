package history

import (
	"context"
	"math/rand/v2"
	"time"
)

// Cluster is what a Nemesis can do something to.
type Cluster interface {
	Names() []string
	Leader() string // "" when there is none
	// Transfer has the leader hand its leadership on.
	Transfer(ctx context.Context)
	// Restart stops a node cleanly and starts it again.
	Restart(name string)
	// Stall keeps the state machine of a node from applying anything for so long.
	Stall(name string, d time.Duration)
}

// Nemesis does things to a cluster that a cluster must bear. The seed decides what it does.
type Nemesis struct {
	Cluster  Cluster
	Board    *Switchboard
	Recorder *Recorder
	rng      *rand.Rand
}

// NewNemesis returns one that does what the seed says.
func NewNemesis(c Cluster, b *Switchboard, r *Recorder, seed uint64) *Nemesis {
	return &Nemesis{Cluster: c, Board: b, Recorder: r, rng: rand.New(rand.NewPCG(seed, 7))} //nolint:gosec // a test's
}

// Run works until ctx ends, and leaves all ways open.
func (n *Nemesis) Run(ctx context.Context) {
	defer n.Board.Heal()
	for ctx.Err() == nil {
		n.strike(ctx)
		wait(ctx, 300*time.Millisecond+n.upTo(2500*time.Millisecond))
		if n.rng.IntN(3) > 0 {
			n.Board.Heal()
			n.Recorder.Event("all ways are open")
			wait(ctx, n.upTo(1500*time.Millisecond))
		}
	}
}

func (n *Nemesis) upTo(d time.Duration) time.Duration { return time.Duration(n.rng.Int64N(int64(d))) }

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (n *Nemesis) strike(ctx context.Context) {
	names := n.Cluster.Names()
	victim := names[n.rng.IntN(len(names))]
	if leader := n.Cluster.Leader(); leader != "" && n.rng.IntN(2) == 0 {
		victim = leader
	}
	switch n.rng.IntN(8) {
	case 0, 1:
		n.Recorder.Event("%s is cut off", victim)
		n.Board.Isolate(victim, names)
	case 2:
		n.Recorder.Event("nobody hears %s", victim)
		n.each(victim, func(other string) { n.Board.Cut(victim, other) })
	case 3:
		n.Recorder.Event("%s hears nobody", victim)
		n.each(victim, func(other string) { n.Board.Cut(other, victim) })
	case 4:
		by := n.upTo(3 * time.Second)
		n.Recorder.Event("%s is %s away", victim, by)
		n.each(victim, func(other string) { n.Board.Delay(victim, other, by); n.Board.Delay(other, victim, n.upTo(by+1)) })
	case 5:
		n.Recorder.Event("the leadership is handed on")
		n.Cluster.Transfer(ctx)
	case 6:
		by := n.upTo(2 * time.Second)
		n.Recorder.Event("%s applies nothing for %s", victim, by)
		n.Cluster.Stall(victim, by)
	case 7:
		n.Board.Heal() // a node that cannot reach anybody takes long to stop
		n.Recorder.Event("%s is restarted", victim)
		n.Cluster.Restart(victim)
	}
}

func (n *Nemesis) each(victim string, do func(other string)) {
	for _, other := range n.Cluster.Names() {
		if other != victim {
			do(other)
		}
	}
}
