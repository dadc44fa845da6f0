package lease_test

import (
	"testing"
	"time"

	"github.com/keystone-auth/keystone/lease"
)

const second = lease.Stamp(time.Second)

// held returns a lease of term 5 that was asked for at 10 s.
func held(t *testing.T) *lease.Lease {
	t.Helper()
	l := new(lease.Lease)
	if !l.Take(5, lease.Reply{Term: 5, Sent: 10 * second, Stamp: 1, Lasts: time.Second, Required: 7}) {
		t.Fatal("a good reply is not taken")
	}
	return l
}

func TestLease(t *testing.T) {
	for _, c := range []struct {
		what          string
		now           lease.Stamp
		term, applied uint64
		want          bool
	}{
		{"in time", 11*second - 1, 5, 7, true},
		{"too late", 11 * second, 5, 7, false},
		{"in another term", 10 * second, 6, 7, false},
		{"with an older state", 10 * second, 5, 6, false},
	} {
		if got := held(t).Valid(c.now, c.term, c.applied); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	if new(lease.Lease).Valid(0, 0, 0) {
		t.Error("a node that was never given a lease has one")
	}
}

// TestDropKeepsPromises: the leader waits no longer for a node that has promised to answer by nothing older,
// so neither a clock that cannot be trusted nor a late reply may undo the promise.
func TestDropKeepsPromises(t *testing.T) {
	l := held(t)
	if !l.Require(5, 5, 9) {
		t.Fatal("the promise was not made")
	}
	l.Drop(12 * second)
	if l.Take(5, lease.Reply{Term: 5, Sent: 12*second - 1, Lasts: time.Hour, Required: 7}) {
		t.Error("a reply counts that was asked for before the clock was distrusted")
	}
	if !l.Take(5, lease.Reply{Term: 5, Sent: 12 * second, Lasts: time.Second, Required: 7}) {
		t.Error("a new lease is not taken")
	}
	if l.Valid(12*second, 5, 8) || !l.Valid(12*second, 5, 9) {
		t.Error("the promise is forgotten")
	}
}

// TestOvertaken: whoever has read a term that is over since must not undo what the present one was promised.
func TestOvertaken(t *testing.T) {
	l := held(t)
	l.Require(6, 6, 9)
	if l.Take(5, lease.Reply{Term: 5, Sent: 10 * second, Lasts: time.Second}) || l.Require(5, 5, 1) {
		t.Error("something of a term that is over is taken")
	}
	l.Hold(5, 20*second)
	l.Take(6, lease.Reply{Term: 6, Sent: 10 * second, Lasts: time.Second, Required: 7})
	if l.Valid(10*second, 6, 8) || !l.Valid(10*second, 6, 9) {
		t.Error("the promise of the present term is forgotten")
	}
}

// TestDistrust: stamps from before the clock was distrusted give the leader nothing, also when they come
// back later.
func TestDistrust(t *testing.T) {
	all := []lease.Member{{ID: "a", Voter: true}, {ID: "b", Voter: true}, {ID: "c", Voter: true}}
	g := lease.NewGrants(lease.Config{Length: time.Second, Margin: 0.05}, "a")
	g.Lead(5, second)
	g.Ready(5)
	renew := func(echo lease.Stamp) {
		t.Helper()
		if _, ok := g.Renew(2*second, "b", lease.Request{Term: 5, Echo: echo}, 1, all); !ok {
			t.Fatal("a request is not answered")
		}
	}
	renew(2*second - 1)
	if _, ok := g.Own(5, 2*second, all); !ok {
		t.Fatal("a leader that a majority has heard of late has no lease")
	}
	g.Distrust(2 * second)
	renew(2*second - 1)
	if _, ok := g.Own(5, 2*second, all); ok {
		t.Error("a stamp from before counts")
	}
	renew(2 * second)
	if _, ok := g.Own(5, 2*second, all); !ok {
		t.Error("a new stamp does not count")
	}
}

// TestGrantAfterAKill: a node that was killed comes back with an older state than the one that it was known to
// have. Nobody waits for it any more where that one is wanted, so it must not answer before it is there again, also
// while the leader's own state is behind.
func TestGrantAfterAKill(t *testing.T) {
	g := lease.NewGrants(lease.Config{Length: time.Second, Margin: 0.1}, "a")
	all := []lease.Member{{ID: "a", Voter: true}, {ID: "b", Voter: true}}
	g.Lead(5, second)
	g.Ready(5)
	for _, applied := range []uint64{10, 4} {
		reply, ok := g.Renew(4*second, "b", lease.Request{Term: 5, Echo: 4 * second, Applied: applied}, 7, all)
		if !ok || reply.Lasts == 0 || reply.Required != 10 {
			t.Errorf("a node that is at %d gets %+v, %t; want what counts from 10 on", applied, reply, ok)
		}
	}
	if waiting, ok := g.Unaware(5, 4*second, 10, all); !ok || len(waiting) > 0 {
		t.Errorf("a fence waits for %v, %t", waiting, ok)
	}
}
