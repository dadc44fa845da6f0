package tally

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// world is some nodes in a bubble of synctest, with a network between them that loses and delays.
type world struct {
	t     *testing.T
	names []string
	delay time.Duration // of one message at most
	quick bool          // a dead node refuses the connection, as when its machine still runs

	mu       sync.Mutex
	random   *rand.Rand
	nodes    map[string]*Tally // those that run
	skew     map[string]time.Duration
	cut      map[[2]string]bool // in one direction
	admitted []span
}

// span is when a request was admitted: somewhere between.
type span struct{ from, to iam.Time }

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), nodes: map[string]*Tally{},
		skew: map[string]time.Duration{}, cut: map[[2]string]bool{}, delay: 20 * time.Millisecond, quick: seed%2 == 0,
	}
	for i := range n {
		name := fmt.Sprintf("node-%d-%d", i, seed) // other names, another order
		w.names = append(w.names, name)
		w.skew[name] = w.upTo(4*time.Second) - 2*time.Second
	}
	for _, name := range w.names {
		w.start(name)
	}
	return w
}

func (w *world) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

func (w *world) pick() string { return w.names[w.upTo(time.Duration(len(w.names)-1))] }

// start begins a node with an empty memory.
func (w *world) start(name string) {
	n := New(Config{
		Windows: limit.NewLimiter(1000), Self: name,
		Now:     func() iam.Time { return iam.Now().Add(w.skew[name]) },
		Members: w.members,
		Ask: func(ctx context.Context, to string, b Batch) (Replies, error) {
			return w.carry(ctx, name, to, b)
		},
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[name] = n
}

func (w *world) members() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.names)
}

// kill ends a node; what it had counted is lost.
func (w *world) kill(name string) {
	w.mu.Lock()
	n := w.nodes[name]
	delete(w.nodes, name)
	w.mu.Unlock()
	if n != nil {
		n.Close()
		n.Windows.Close()
	}
}

func (w *world) end() {
	for _, name := range w.names {
		w.kill(name)
	}
}

func (w *world) node(name string) *Tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[name]
}

// sever cuts the wire between the two sides, or mends it.
func (w *world) sever(side, other []string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range side {
		for _, b := range other {
			w.cut[[2]string{a, b}], w.cut[[2]string{b, a}] = cut, cut
		}
	}
}

func (w *world) reaches(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut[[2]string{from, to}]
}

var errRefused = errors.New("connection refused")

// carry is a question and its answer. Either may get lost; if it is the answer, the node has done it.
func (w *world) carry(ctx context.Context, from, to string, b Batch) (Replies, error) {
	lost := func() (Replies, error) {
		<-ctx.Done()
		return Replies{}, ctx.Err()
	}
	time.Sleep(w.upTo(w.delay))
	n := w.node(to)
	if w.reaches(from, to) && n == nil && w.quick {
		return Replies{}, errRefused
	}
	if !w.reaches(from, to) || n == nil {
		return lost()
	}
	replies, err := n.Answer(ctx, b)
	time.Sleep(w.upTo(w.delay))
	if !w.reaches(to, from) || w.node(to) != n {
		return lost()
	}
	return replies, err
}

// request makes one at a node, and notes it if it is admitted.
func (w *world) request(at, caller string, limits ...limit.Limit) bool {
	n := w.node(at)
	if n == nil {
		return false
	}
	from := iam.Now()
	a := n.Admit(caller, limits...)
	if a.Allowed && w.node(at) == n {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.admitted = append(w.admitted, span{from, iam.Now()})
	}
	return a.Allowed
}

// load makes so many requests within d, each at any node, and returns when all are answered.
func (w *world) load(requests int, d time.Duration, caller string, limits ...limit.Limit) {
	var all sync.WaitGroup
	for range requests {
		after, at := w.upTo(d), w.pick()
		all.Go(func() {
			time.Sleep(after)
			w.request(at, caller, limits...)
		})
	}
	all.Wait()
}

// busiest is how many were admitted for sure within less than the length: each of them takes some time,
// and only those count that lie in it as a whole.
func (w *world) busiest(length time.Duration) int {
	most := 0
	for _, first := range w.admitted {
		n := 0
		for _, s := range w.admitted {
			if s.from >= first.from && s.to < first.from.Add(length) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// others is everybody but these.
func (w *world) others(these []string) []string {
	return slices.DeleteFunc(slices.Clone(w.names), func(name string) bool { return slices.Contains(these, name) })
}
