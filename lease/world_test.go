package lease_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/keystone-auth/keystone/lease"
)

// world is a discrete-event simulation of a cluster: real leases and grants over an abstract Raft, in a
// network that loses, delays and cuts, with nodes that crash, stall and count time at different rates.
// One goroutine runs it, so a seed is a whole run.
type world struct {
	rng    *rand.Rand
	now    time.Duration // true time, which nobody in it knows
	queue  events
	number int // of events, so that those of one moment keep their order
	nodes  []*machine
	cut    map[[2]int]bool
	config lease.Config
	rules  rules

	claimed   uint64 // every entry up to here was confirmed to be known everywhere
	confirmed int
	reads     int
	violation string // the first one
}

type event struct {
	at     time.Duration
	number int
	run    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

const length = time.Second

// newWorld makes voters and one node that only follows.
func newWorld(seed uint64, voters int, r rules) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]int]bool{}, rules: r,
		config: lease.Config{Length: length, Margin: 0.05},
	}
	drift := 0.02 // no two clocks differ by more than the margin
	if r.wildClocks {
		drift = 0.10
	}
	for i := range voters + 1 {
		m := &machine{
			world: w, number: i, name: fmt.Sprintf("n%d", i), voter: i < voters, up: true, term: 1,
			rate: 1 + drift*(2*w.rng.Float64()-1), start: time.Duration(w.rng.Int64N(int64(time.Hour))) + time.Second,
		}
		w.nodes = append(w.nodes, m)
		m.boot()
	}
	return w
}

func (w *world) after(d time.Duration, run func()) {
	w.number++
	heap.Push(&w.queue, event{w.now + d, w.number, run})
}

// run lets the time pass until the first violation.
func (w *world) run(until time.Duration) {
	for _, m := range w.nodes {
		m.every(length/5, m.renew)
		m.every(20*time.Millisecond, m.replicate)
	}
	w.nodes[0].campaign()
	w.whenever(7*time.Millisecond, w.read)
	w.whenever(60*time.Millisecond, w.revoke)
	w.whenever(1500*time.Millisecond, func() { w.pick().campaign() })
	w.whenever(1500*time.Millisecond, w.disturbNetwork)
	w.whenever(3*time.Second, func() { w.pick().crash() })
	w.whenever(2*time.Second, func() { w.pick().pause(w.upTo(3 * length)) })
	w.whenever(time.Second, w.changeMembers)
	w.whenever(500*time.Millisecond, func() { w.pick().distrust() })
	for len(w.queue) > 0 && w.violation == "" {
		e := heap.Pop(&w.queue).(event)
		if w.now = e.at; w.now > until {
			return
		}
		e.run()
	}
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }
func (w *world) chance(p float64) bool              { return w.rng.Float64() < p }
func (w *world) pick() *machine                     { return w.nodes[w.rng.IntN(len(w.nodes))] }

// whenever runs something again and again, at random times with that mean.
func (w *world) whenever(mean time.Duration, run func()) {
	w.after(time.Duration(w.rng.ExpFloat64()*float64(mean)), func() {
		run()
		w.whenever(mean, run)
	})
}

// disturbNetwork cuts some ways, each in one direction, or mends all.
func (w *world) disturbNetwork() {
	clear(w.cut)
	if w.chance(0.4) {
		return
	}
	if w.chance(0.3) { // two halves
		w.divide(w.rng.IntN(1 << len(w.nodes)))
		return
	}
	alone := w.rng.IntN(len(w.nodes))
	in, out := w.chance(0.7), w.chance(0.7)
	for i := range w.nodes {
		w.cut[[2]int{i, alone}], w.cut[[2]int{alone, i}] = in, out
	}
	if w.chance(0.3) {
		w.cut[[2]int{w.rng.IntN(len(w.nodes)), w.rng.IntN(len(w.nodes))}] = true
	}
}

// divide cuts the network in two: the machines of the set, and the rest.
func (w *world) divide(set int) {
	for i := range w.nodes {
		for j := range w.nodes {
			w.cut[[2]int{i, j}] = set>>i&1 != set>>j&1
		}
	}
}

// ambush cuts a set off for a moment, in which somebody else may be elected.
func (w *world) ambush(set int) {
	w.divide(set)
	w.after(50*time.Millisecond+w.upTo(300*time.Millisecond), func() { w.pick().campaign() })
	w.after(50*time.Millisecond+w.upTo(300*time.Millisecond), func() { w.pick().campaign() })
	w.after(w.upTo(600*time.Millisecond), func() { clear(w.cut) })
}

// send delivers a message, perhaps late and perhaps never. Nobody hears what was sent to him before he
// crashed; who is paused hears it afterwards.
func (w *world) send(from, to *machine, deliver func()) {
	if w.cut[[2]int{from.number, to.number}] || w.chance(0.02) {
		return
	}
	delay := time.Millisecond + w.upTo(5*time.Millisecond)
	switch {
	case w.chance(0.04):
		delay = w.upTo(3 * length)
	case w.chance(0.15):
		delay = w.upTo(length / 2)
	}
	incarnation := to.incarnation
	w.after(delay, func() { to.whenAwake(incarnation, deliver) })
}

// read asks a node for its state, as a client does. It must hold everything that was confirmed before.
func (w *world) read() {
	m := w.pick()
	if !m.awake() {
		return
	}
	claimed := w.claimed
	if w.rules.readFirst {
		seen, incarnation := m.applied, m.incarnation
		w.after(w.upTo(50*time.Millisecond), func() {
			if m.incarnation == incarnation && m.awake() && m.serves() {
				w.judge(m, claimed, seen)
			}
		})
		return
	}
	if m.serves() {
		w.judge(m, claimed, m.applied)
	}
}

func (w *world) judge(m *machine, claimed, seen uint64) {
	w.reads++
	if seen < claimed {
		w.violation = fmt.Sprintf("at %s node %d (term %d, leading %t) answered by its state at %d, and %d was confirmed",
			w.now, m.number, m.term, m.leading, seen, claimed)
	}
}

// revoke has some node that believes that it leads take something away.
func (w *world) revoke() {
	m := w.pick()
	if m.awake() && m.leading {
		m.revoke(0)
	}
}

// changeMembers has a leader remove the follower that has no vote, or take it in again.
func (w *world) changeMembers() {
	m := w.pick()
	if m.awake() && m.leading {
		m.changeMembers()
	}
}
