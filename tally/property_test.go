package tally

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-auth/keystone/limit"
)

// inWorlds runs a property in many worlds of three and of five nodes, each with its own seed.
func inWorlds(t *testing.T, property func(w *world, n int)) {
	t.Parallel()
	worlds := uint64(60)
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		worlds = 2000
	}
	for seed := range worlds {
		n := 3 + 2*int(seed%3/2)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed, n)
			defer w.end()
			property(w, n)
			if t.Failed() {
				t.Fatalf("in the world of seed %d, with %d nodes", seed, n)
			}
		})
	}
}

func (w *world) drawLimit() limit.Limit {
	return limit.Limit{Name: "test", Count: 1 + int(w.upTo(11)), Per: time.Minute}
}

// TestExactWhenAllAreUp: however the requests of one window are spread over the nodes, exactly the limit
// is admitted.
func TestExactWhenAllAreUp(t *testing.T) {
	inWorlds(t, func(w *world, _ int) {
		l := w.drawLimit()
		burst := w.upTo(50 * time.Second)
		w.load(3*l.Count, burst, "alice", l)
		if got := len(w.admitted); got != l.Count {
			w.t.Errorf("%d were admitted, want exactly %d", got, l.Count)
		}
		for _, name := range w.names {
			if s := w.node(name).Stats(); s.Fallbacks > 0 || s.Away > 0 {
				w.t.Errorf("%s: %+v though all are up", name, s)
			}
		}
	})
}

// TestNeverMoreOverTime: the same, over many windows that slide.
func TestNeverMoreOverTime(t *testing.T) {
	inWorlds(t, func(w *world, _ int) {
		l := w.drawLimit()
		w.load(20*l.Count, 5*time.Minute, "alice", l)
		if got := w.busiest(l.Per); got > l.Count {
			w.t.Errorf("%d were admitted within %v, want at most %d", got, l.Per, l.Count)
		}
		if got := len(w.admitted); got < 3*l.Count {
			w.t.Errorf("%d were admitted in five minutes, want about %d", got, 5*l.Count)
		}
	})
}

// TestNeverMoreWhenANodeDies: a node is lost with all that it had counted, whichever it is, and later
// begins anew with nothing. Its callers get another owner, who must not let them begin anew as well.
func TestNeverMoreWhenANodeDies(t *testing.T) {
	inWorlds(t, func(w *world, n int) {
		l := w.drawLimit()
		deaths := make(chan struct{})
		go func() {
			defer close(deaths)
			for range 2 {
				time.Sleep(w.upTo(20 * time.Second))
				victim := w.pick()
				w.kill(victim)
				time.Sleep(w.upTo(40 * time.Second))
				w.start(victim)
				time.Sleep(l.Per + 5*time.Second) // one loss in a window is what is promised
			}
		}()
		w.load(20*l.Count, 4*time.Minute, "alice", l)
		<-deaths
		if got := w.busiest(l.Per); got > l.Count {
			w.t.Errorf("%d were admitted within %v, want at most %d", got, l.Per, l.Count)
		}
	})
}

// TestNoFewerWhenANodeIsGone: those who are left admit the whole limit.
func TestNoFewerWhenANodeIsGone(t *testing.T) {
	inWorlds(t, func(w *world, _ int) {
		l := w.drawLimit()
		w.kill(w.pick())
		w.load(8*l.Count, 40*time.Second, "alice", l)
		if got := len(w.admitted); got < l.Count-2 || got > l.Count { // what was on its way to the dead one may count for nothing
			w.t.Errorf("%d were admitted, want %d", got, l.Count)
		}
	})
}

// TestPartition: a minority is cut off, for longer than a window. The majority goes on exactly, and those
// who are cut off add their shares. Shorter cuts are TestTorn's.
func TestPartition(t *testing.T) {
	inWorlds(t, func(w *world, n int) {
		l := w.drawLimit()
		cutOff := w.names[:1+int(w.upTo(1))*(n/5)]
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			time.Sleep(w.upTo(time.Minute))
			w.sever(cutOff, w.others(cutOff), true)
			time.Sleep(l.Per + 5*time.Second + w.upTo(time.Minute))
			w.sever(cutOff, w.others(cutOff), false)
		}()
		w.load(20*l.Count, 5*time.Minute, "alice", l)
		<-healed
		most := l.Count + len(cutOff)*(l.Count/n)
		if got := w.busiest(l.Per); got > most {
			w.t.Errorf("%d were admitted within %v, want at most %d with %d nodes cut off", got, l.Per, most, len(cutOff))
		}
	})
}

// TestTorn is the worst that a network can do: any wire fails at any time in any direction. Each admitted
// request is in the windows of a majority, or in one as part of a share, and no window holds more than
// the limit: so there is a bound, which is twice the limit for three nodes.
func TestTorn(t *testing.T) {
	inWorlds(t, func(w *world, n int) {
		l := w.drawLimit()
		over := make(chan struct{})
		go func() {
			defer close(over)
			for range 40 {
				time.Sleep(w.upTo(5 * time.Second))
				a, b := w.pick(), w.pick()
				w.mu.Lock()
				w.cut[[2]string{a, b}] = !w.cut[[2]string{a, b}]
				w.mu.Unlock()
			}
		}()
		w.load(30*l.Count, 3*time.Minute, "alice", l)
		<-over
		shares, majority := n*(l.Count/n), n/2+1
		most := shares + (n*l.Count-shares)/majority
		if got := w.busiest(l.Per); got > most {
			w.t.Errorf("%d were admitted within %v, want at most %d", got, l.Per, most)
		}
	})
}

// TestSharesAreNoMoreThanTheLimit: a cluster in which nobody reaches anybody admits no more than the
// limit in all, and a limit that can be shared is no refusal.
func TestSharesAreNoMoreThanTheLimit(t *testing.T) {
	inWorlds(t, func(w *world, n int) {
		l := w.drawLimit()
		for i := range w.names {
			w.sever(w.names[i:i+1], w.names[i+1:], true)
		}
		w.load(20*l.Count, 50*time.Second, "alice", l)
		if got, most := len(w.admitted), n*(l.Count/n); got > most || got < most/2 {
			w.t.Errorf("%d were admitted, want about %d and no more", got, most)
		}
	})
}

// TestEveryNodeOwnsSome: the order of nodes is the same everywhere, spreads the callers, and is not
// shuffled by a node that comes.
func TestEveryNodeOwnsSome(t *testing.T) {
	nodes := []string{"a-1", "b-2", "c-3"}
	firsts := map[string]int{}
	for i := range 3000 {
		caller := fmt.Sprint("caller ", i)
		order := rank(caller, nodes)
		firsts[order[0]]++
		if again := rank(caller, []string{"c-3", "a-1", "b-2"}); fmt.Sprint(again) != fmt.Sprint(order) {
			t.Fatalf("%s: %v on one node, %v on another", caller, order, again)
		}
		more := rank(caller, append(nodes, "d-4"))
		if without := remove(more, "d-4"); fmt.Sprint(without) != fmt.Sprint(order) {
			t.Fatalf("%s: a node that came made %v of %v", caller, more, order)
		}
	}
	for _, node := range nodes {
		if n := firsts[node]; n < 850 || n > 1150 {
			t.Errorf("%s owns %d of 3000 callers", node, n)
		}
	}
}

func remove(from []string, what string) (rest []string) {
	for _, s := range from {
		if s != what {
			rest = append(rest, s)
		}
	}
	return rest
}
