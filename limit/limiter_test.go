package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

func TestLimiterKeepsCallersApart(t *testing.T) {
	l := newLimiter(t, 100)
	login := Defaults().Login
	for range login.Count {
		if !l.Admit("alice", login, start).Allowed {
			t.Fatal("alice was refused within her limit")
		}
	}
	if d := l.Admit("alice", login, start); d.Allowed || d.RetryAfter != time.Minute {
		t.Errorf("alice beyond her limit: %+v, want a refusal for a minute", d)
	}
	if !l.Admit("bob", login, start).Allowed {
		t.Error("bob was refused for what alice did")
	}
	if !l.Admit("alice", Defaults().Refresh, start).Allowed {
		t.Error("alice's refresh was refused for her logins")
	}
	if !l.Admit("alice", Limit{Name: "login"}, start).Allowed {
		t.Error("alice was refused although the limit is off")
	}
}

// TestConcurrentRequests: exactly the limit is admitted of many requests at one instant.
func TestConcurrentRequests(t *testing.T) {
	l := newLimiter(t, 100)
	limit := Limit{Name: "test", Count: 100, Per: time.Hour}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if l.Admit("caller", limit, start).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != int64(limit.Count) {
		t.Errorf("%d requests were admitted, want %d", got, limit.Count)
	}
}

// TestFloodDoesNotFreeAnybody is the attack on a cache that evicts: callers made up by the thousand
// push out the window of the one who wants to guess on.
func TestFloodDoesNotFreeAnybody(t *testing.T) {
	l := newLimiter(t, 50)
	limit := Limit{Name: "login", Count: 3, Per: time.Hour}
	for range limit.Count {
		l.Admit("attacker", limit, start)
	}
	late := map[string]int{}
	for i := range 20_000 {
		caller := fmt.Sprint("made up ", i%5000)
		if l.Admit(caller, limit, start).Allowed {
			late[caller]++
		}
		if l.Admit("attacker", limit, start).Allowed {
			t.Fatalf("the attacker was admitted again after %d made-up callers", i)
		}
	}
	for caller, n := range late {
		if n > limit.Count {
			t.Errorf("%s was admitted %d times, want at most %d", caller, n, limit.Count)
		}
	}
	if got := l.own.EstimatedSize(); got > 50 {
		t.Errorf("%d windows are kept, want at most 50", got)
	}
}

// TestLimiterNeverAdmitsMore drives a memory that is far too small, so that callers change between
// shared windows and their own while windows expire.
func TestLimiterNeverAdmitsMore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := Limit{Name: "test", Count: rapid.IntRange(1, 4).Draw(r, "count"), Per: time.Hour}
		memory := rapid.IntRange(1, 4).Draw(r, "memory")
		requests := rapid.SliceOfN(rapid.Custom(drawRequest), 1, 100).Draw(r, "requests")
		admitted := map[string][]iam.Time{}
		synctest.Test(t, func(*testing.T) { // rapid itself cannot run in a bubble
			l := NewLimiter(memory)
			defer l.Close()
			for _, q := range requests {
				time.Sleep(q.after)
				if now := iam.Now(); l.Admit(q.caller, limit, now).Allowed {
					admitted[q.caller] = append(admitted[q.caller], now)
				}
			}
		})
		for caller, times := range admitted {
			if most := busiest(times, limit.Per); most > limit.Count {
				r.Fatalf("caller %s was admitted %d times within %v, want at most %d", caller, most, limit.Per, limit.Count)
			}
		}
	})
}

type request struct {
	caller string
	after  time.Duration
}

func drawRequest(r *rapid.T) request {
	return request{
		caller: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(r, "caller"),
		after:  rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Minute, 25 * time.Minute, 59 * time.Minute}).Draw(r, "after"),
	}
}

// TestWindowsAreReleased: a caller who left costs nothing once their window is empty, and a refusal
// does not keep a window alive.
func TestWindowsAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(10)
		defer l.Close()
		limit := Limit{Name: "test", Count: 1, Per: time.Minute}
		for i := range 30 {
			l.Admit(fmt.Sprint(i), limit, iam.Now())
		}
		time.Sleep(59 * time.Second)
		if l.Admit("0", limit, iam.Now()).Allowed {
			t.Error("admitted after 59 of 60 seconds")
		}
		time.Sleep(time.Second)
		if !l.Admit("0", limit, iam.Now()).Allowed {
			t.Error("refused after the window had passed")
		}
		time.Sleep(2 * time.Minute)
		l.own.CleanUp()
		if n := l.own.EstimatedSize(); n != 0 {
			t.Errorf("%d windows are kept for callers who left", n)
		}
		for i := range 10 {
			if allowed, first := l.Admit(fmt.Sprint(i%5), limit, iam.Now()).Allowed, i < 5; allowed != first {
				t.Errorf("request %d after the flood: admitted %v, want %v", i, allowed, first)
			}
		}
	})
}

func TestAddressKey(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		if got := AddressKey(netip.MustParseAddr(addr)); got != want {
			t.Errorf("AddressKey(%s) = %q, want %q", addr, got, want)
		}
	}
	f("192.0.2.7", "192.0.2.7")
	f("::ffff:192.0.2.7", "192.0.2.7")
	f("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")
	f("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64")
	f("fe80::1%eth0", "fe80::/64")
}

func BenchmarkAdmit(b *testing.B) {
	l := NewLimiter(DefaultCallers)
	defer l.Close()
	limit := Defaults().API
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		l.Admit("caller", limit, now)
	}
}

func newLimiter(t *testing.T, callers int) *Limiter {
	l := NewLimiter(callers)
	t.Cleanup(l.Close)
	return l
}
