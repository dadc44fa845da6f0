package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/keystone-auth/keystone/iam"
)

const (
	// DefaultCallers is how many callers have windows of their own: about 200 MB when all are used.
	DefaultCallers = 1_000_000
	// sharedWindows is how many windows the callers beyond that share, for each limit.
	sharedWindows = 4096
)

// Limiter keeps the windows of callers. A window stays until nothing in it counts any more, so it can
// never be pushed out early: an attacker who could flood an ordinary cache with made-up callers would
// push out their own window too and begin anew. When the memory is full, callers who have no window
// share one with others by a seeded hash: they may be refused too early, never admitted too often.
type Limiter struct {
	own     *otter.Cache[key, *Window]
	callers int
	seed    maphash.Seed

	mu     sync.Mutex
	shared map[sharedKey]*Window // made when the memory was first full; at most sharedWindows for each limit
}

type key struct{ limit, caller string }

type sharedKey struct {
	limit string
	slot  uint64
}

// NewLimiter returns a limiter with windows for so many callers. Close ends its housekeeping.
func NewLimiter(callers int) *Limiter {
	return &Limiter{
		own: otter.Must(&otter.Options[key, *Window]{
			// The cache's own clock never goes back, so a wall clock that was set back by a day does
			// not keep a caller out for a day.
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[key, *Window]) time.Duration {
				return e.Value.limit.Per
			}),
		}),
		callers: callers,
		seed:    maphash.MakeSeed(),
		shared:  make(map[sharedKey]*Window),
	}
}

// Close stops the limiter's goroutine.
func (l *Limiter) Close() { l.own.StopAllGoroutines() }

// Admit decides about a request that the caller makes now, and counts it if it is admitted. The
// limit's name keeps the counts of one caller under several limits apart.
func (l *Limiter) Admit(caller string, limit Limit, now iam.Time) Decision {
	if limit.Off() {
		return Decision{Allowed: true}
	}
	var d Decision
	full := l.own.EstimatedSize() >= l.callers // must not be asked for under the lock that Compute holds
	k := key{limit: limit.Name, caller: caller}
	l.own.Compute(k, func(w *Window, found bool) (*Window, otter.ComputeOp) {
		if !found {
			var taken bool
			if d, taken = l.admitShared(k, limit, now, full); taken {
				return nil, otter.CancelOp
			}
			w = NewWindow(limit)
		}
		w.Change(limit)
		if d = w.Admit(now); !d.Allowed {
			return w, otter.CancelOp // a refusal must not keep the window alive
		}
		return w, otter.WriteOp
	})
	return d
}

// TakeBack lets the request with which the caller was admitted at that time not count. One that was
// counted in a shared window stays counted.
func (l *Limiter) TakeBack(caller string, limit Limit, at iam.Time) {
	l.own.Compute(key{limit: limit.Name, caller: caller}, func(w *Window, found bool) (*Window, otter.ComputeOp) {
		if found {
			w.TakeBack(at)
		}
		return w, otter.CancelOp
	})
}

// admitShared decides for a caller without a window of its own, if the memory is full, or was so
// recently that what the caller was admitted then may still count in the shared window.
func (l *Limiter) admitShared(k key, limit Limit, now iam.Time, full bool) (Decision, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !full && len(l.shared) == 0 {
		return Decision{}, false
	}
	sk := sharedKey{limit: k.limit, slot: maphash.String(l.seed, k.caller) % sharedWindows}
	w := l.shared[sk]
	if w == nil && full {
		w = NewWindow(limit)
		l.shared[sk] = w
	}
	if w == nil {
		return Decision{}, false
	}
	w.Change(limit)
	if !full && w.Empty(now) {
		delete(l.shared, sk)
		return Decision{}, false
	}
	return w.Admit(now), true
}

// AddressKey is the caller's name for a request that proved no identity. IPv6 gives every customer at
// least a /64 of addresses, so only that part of one counts: else each of them would have a window.
func AddressKey(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, err := addr.Prefix(64)
		if err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
