package tally

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// inWorld runs a test in one world of three nodes.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		defer w.end()
		test(t, w)
	})
}

// admits counts how many of so many requests at one node are admitted.
func (w *world) admits(at, caller string, requests int, limits ...limit.Limit) (n int) {
	for range requests {
		if w.request(at, caller, limits...) {
			n++
		}
	}
	return n
}

var five = limit.Limit{Name: "five", Count: 5, Per: time.Minute}

// TestOwnerWithoutMemory: an owner that comes back with nothing is held back by the next node, which
// counted all along, and does not remember what was refused.
func TestOwnerWithoutMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		order := rank("alice", w.names)
		w.kill(order[0])
		if n := w.admits(order[2], "alice", 10, five); n != 5 {
			t.Fatalf("%d were admitted without the owner, want 5", n)
		}
		w.start(order[0])
		time.Sleep(2 * time.Second)
		for _, name := range w.names {
			if n := w.admits(name, "alice", 10, five); n != 0 {
				t.Errorf("%d more were admitted at %s", n, name)
			}
		}
		own := w.node(order[0]).Windows
		for i := range 5 {
			if !own.Admit("alice", five, iam.Now().Add(w.skew[order[0]])).Allowed {
				t.Errorf("the owner counts %d requests that were refused", 5-i)
			}
		}
	})
}

// TestTakenBackEverywhere: what is taken back counts on no node.
func TestTakenBackEverywhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 20 {
			n := w.node(w.names[i%3])
			a := n.Admit("alice", five)
			if !a.Allowed || a.Remaining != 4 || a.Limit != 5 || a.Rule != five {
				t.Fatalf("request %d: %+v though none before it counts", i, a)
			}
			n.TakeBack(a)
		}
		if n := w.admits(w.names[0], "alice", 10, five); n != 5 {
			t.Errorf("%d were admitted, want 5", n)
		}
		a := w.node(w.names[1]).Admit("alice", five)
		if a.Allowed || a.Remaining != 0 || a.RetryAfter <= 0 || a.RetryAfter > time.Minute || a.ResetAt.Sub(iam.Now()) > 70*time.Second {
			t.Errorf("refused with %+v", a)
		}
		w.node(w.names[1]).TakeBack(a) // of nothing
		if n := w.admits(w.names[2], "alice", 10, five); n != 0 {
			t.Errorf("what was refused made room for %d", n)
		}
	})
}

// TestSeveralLimits: a request that one limit refuses counts under no other.
func TestSeveralLimits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		minute := limit.Limit{Name: "minute", Count: 2, Per: time.Minute}
		hour := limit.Limit{Name: "hour", Count: 5, Per: time.Hour}
		var off limit.Limit
		for i, want := range []int{2, 2, 1, 0} {
			if n := w.admits(w.names[i%3], "app", 10, minute, off, hour); n != want {
				t.Errorf("minute %d: %d were admitted, want %d", i, n, want)
			}
			time.Sleep(61 * time.Second)
		}
		if a := w.node(w.names[0]).Admit("app", hour, minute); a.Allowed || a.Rule != hour || a.RetryAfter < 50*time.Minute {
			t.Errorf("refused with %+v, want the limit of the hour", a)
		}
		if n := w.admits(w.names[0], "app", 10, minute); n != 2 {
			t.Errorf("%d were admitted by the limit of the minute alone, want 2", n)
		}
		if !w.node(w.names[0]).Admit("app", off).Allowed {
			t.Error("refused without a limit")
		}
	})
}

// TestOneMessageForMany: a flood does not become a flood between the nodes.
func TestOneMessageForMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sent := 0
		asker := w.node(w.names[0])
		ask := asker.Ask
		var mu sync.Mutex
		asker.Ask = func(ctx context.Context, to string, b Batch) (Replies, error) {
			mu.Lock()
			sent++
			mu.Unlock()
			return ask(ctx, to, b)
		}
		var all sync.WaitGroup
		for i := range 2000 {
			all.Go(func() { w.request(w.names[0], fmt.Sprint("caller ", i%500), five) })
		}
		all.Wait()
		if len(w.admitted) != 2000 || sent > 40 {
			t.Errorf("%d were admitted with %d messages", len(w.admitted), sent)
		}
	})
}

// TestStrikes: failures that are spread over the nodes add up, also when one is lost in between.
func TestStrikes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := func(at string, want int) {
			t.Helper()
			if got := w.node(at).Strike("bob", 15*time.Minute); got != want {
				t.Errorf("%s: %d in a row, want %d", at, got, want)
			}
		}
		for i := range 4 {
			f(w.names[i%3], i+1)
		}
		order := rank("bob", w.names)
		w.kill(order[0])
		f(order[1], 5)
		w.start(order[0])
		time.Sleep(2 * time.Second)
		f(order[0], 6)
		time.Sleep(16 * time.Minute)
		f(order[2], 1)
		w.node(order[0]).Forget("bob")
		f(order[1], 1)
		w.sever(order[:1], order[1:], true)
		f(order[0], 2) // by itself
	})
}

// TestStrangeAnswers: a node of another version, or one that is broken, counts as none.
func TestStrangeAnswers(t *testing.T) {
	for name, answer := range map[string]func(b Batch) (Replies, error){
		"unknown":  func(Batch) (Replies, error) { return Replies{}, errors.New("this node does not know the request") },
		"none":     func(Batch) (Replies, error) { return Replies{}, nil },
		"too many": func(b Batch) (Replies, error) { return Replies{make([]Reply, len(b.Asks)+1)}, nil },
		"no such rule": func(b Batch) (Replies, error) {
			return repeat(b, Reply{Allowed: true, Rule: 7, At: make([]iam.Time, 1)})
		},
		"minus rule":    func(b Batch) (Replies, error) { return repeat(b, Reply{Rule: -1, At: make([]iam.Time, 1)}) },
		"without times": func(b Batch) (Replies, error) { return repeat(b, Reply{Allowed: true}) },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := New(Config{
				Windows: limit.NewLimiter(10), Now: iam.Now, Self: "a", Members: func() []string { return []string{"a", "b", "c"} },
				Ask: func(_ context.Context, _ string, b Batch) (Replies, error) { return answer(b) },
			})
			defer n.Windows.Close()
			defer n.Close()
			admitted := 0
			for range 20 {
				if n.Admit("alice", limit.Limit{Name: "x", Count: 7, Per: time.Minute}).Allowed {
					admitted++
				}
			}
			if admitted != 2 || n.Stats().Fallbacks != 20 {
				t.Errorf("%s: %d were admitted, want the share, 2; %+v", name, admitted, n.Stats())
			}
		})
	}
}

func repeat(b Batch, r Reply) (Replies, error) {
	var all Replies
	for range b.Asks {
		all.Replies = append(all.Replies, r)
	}
	return all, nil
}

// TestBounds: another node cannot make this one remember without end, nor fail.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{Windows: limit.NewLimiter(10), Now: iam.Now, Self: "a"})
		defer n.Windows.Close()
		defer n.Close()
		good := Rule{Name: "x", Count: 1, Per: time.Minute}
		for name, ask := range map[string]Ask{
			"long caller":   {Kind: kindAdmit, Caller: strings.Repeat("x", 257), Rules: []Rule{good}},
			"long name":     {Kind: kindAdmit, Rules: []Rule{{Name: strings.Repeat("x", 65), Count: 1, Per: 1}}},
			"no limit":      {Kind: kindAdmit, Rules: []Rule{{Name: "x", Count: 0, Per: 1}}},
			"huge limit":    {Kind: kindAdmit, Rules: []Rule{{Name: "x", Count: limit.MaxCount + 1, Per: 1}}},
			"for ever":      {Kind: kindAdmit, Rules: []Rule{{Name: "x", Count: 1, Per: 1 << 62}}},
			"many rules":    {Kind: kindAdmit, Rules: make([]Rule, mostRules+1)},
			"missing times": {Kind: kindTakeBack, Rules: []Rule{good}},
			"negative gap":  {Kind: kindStrike, Gap: -1},
		} {
			if _, err := n.Answer(t.Context(), Batch{[]Ask{ask}}); !errors.Is(err, errForm) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := n.Answer(t.Context(), Batch{make([]Ask, mostAsks+1)}); !errors.Is(err, errForm) {
			t.Errorf("a huge batch: %v", err)
		}
		if r, err := n.Answer(t.Context(), Batch{[]Ask{{Kind: 99}}}); err != nil || len(r.Replies) != 1 || r.Replies[0].Allowed {
			t.Errorf("an unknown kind: %+v, %v", r, err)
		}
		for _, caller := range []string{"bad \xff bytes", strings.Repeat("long", 100)} {
			if a := n.Admit(caller, good.limit()); !a.Allowed {
				t.Errorf("%q: %+v", caller, a)
			}
			if a := n.Admit(caller, good.limit()); a.Allowed {
				t.Errorf("%q was admitted twice", caller)
			}
		}
	})
}

// TestClosed: a node that is stopping waits for nobody.
func TestClosed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.node(w.names[0])
		n.Close()
		from := time.Now()
		for i := range 20 {
			n.Admit(fmt.Sprint(i), five)
		}
		if took := time.Since(from); took > 0 {
			t.Errorf("waited %v", took)
		}
	})
}

// TestNodeThatLeft: a node that is no member any more is not asked, nor remembered.
func TestNodeThatLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.node(w.names[0])
		w.kill(w.names[2])
		for i := range 20 {
			n.Admit(fmt.Sprint(i), five)
		}
		if n.Stats().Away != 1 {
			t.Fatalf("%+v, want one away", n.Stats())
		}
		w.mu.Lock()
		w.names = w.names[:2]
		w.mu.Unlock()
		time.Sleep(2 * time.Second)
		if n.Stats().Away != 0 {
			t.Errorf("%+v, want nobody away", n.Stats())
		}
		if got := w.admits(w.names[0], "alice", 10, five); got != 5 {
			t.Errorf("%d were admitted by the two who are left, want 5", got)
		}
	})
}
