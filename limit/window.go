package limit

import (
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// Decision is what a window says to one request.
type Decision struct {
	Allowed    bool
	Limit      int           // zero where there is no limit
	Remaining  int           // how many more would be admitted now
	ResetAt    iam.Time      // when the window is empty if nothing more is admitted
	RetryAfter time.Duration // for a refusal: how long until the next one is admitted
	At         iam.Time      // when it was admitted, by the clock of the window; what TakeBack asks for
}

// Window admits at most the limit's count in any half-open interval of the limit's length. It has no
// clock and no lock: whoever holds it brings both.
type Window struct {
	limit Limit
	// admitted is a ring that grows up to the limit's count: the times of what was admitted and may
	// still count, the oldest at first. A request that was refused leaves no trace, so a caller who
	// keeps knocking is let in as early as one who waits.
	admitted []iam.Time
	first    int
	count    int
	latest   iam.Time
}

// NewWindow returns an empty window.
func NewWindow(l Limit) *Window { return &Window{limit: l} }

// Admit decides about a request made now, and counts it if it is admitted. A clock that went back is
// taken to stand still: else an old time could slip requests in between those already counted.
func (w *Window) Admit(now iam.Time) Decision {
	if w.limit.Off() {
		return Decision{Allowed: true}
	}
	now = max(now, w.latest)
	w.latest = now
	w.forget(now)
	d := Decision{Limit: w.limit.Count}
	if w.count < w.limit.Count {
		w.push(now)
		d.Allowed, d.At = true, now
	} else {
		// Under a limit that was lowered, several have to leave before there is room for one.
		d.RetryAfter = w.at(w.count - w.limit.Count).Add(w.limit.Per).Sub(now)
	}
	d.Remaining = max(0, w.limit.Count-w.count)
	d.ResetAt = w.at(w.count - 1).Add(w.limit.Per)
	return d
}

// TakeBack lets what was admitted at that time not count: whether it does is known only afterwards, for
// limits on what failed and where somebody else has a say. Of several at one time any is the right one.
func (w *Window) TakeBack(at iam.Time) {
	for i := w.count - 1; i >= 0 && w.at(i) >= at; i-- {
		if w.at(i) != at {
			continue
		}
		for ; i < w.count-1; i++ {
			w.admitted[(w.first+i)%len(w.admitted)] = w.at(i + 1)
		}
		w.count--
		return
	}
}

// Change lets another limit hold from now on; what was admitted before counts under it.
func (w *Window) Change(l Limit) { w.limit = l }

// Empty tells whether nothing that was admitted counts any more.
func (w *Window) Empty(now iam.Time) bool {
	w.forget(max(now, w.latest))
	return w.count == 0
}

// forget drops what lies the limit's length or more before now.
func (w *Window) forget(now iam.Time) {
	for w.count > 0 && now.Sub(w.at(0)) >= w.limit.Per {
		w.first = (w.first + 1) % len(w.admitted)
		w.count--
	}
}

// at returns the i-th oldest time.
func (w *Window) at(i int) iam.Time { return w.admitted[(w.first+i)%len(w.admitted)] }

func (w *Window) push(now iam.Time) {
	if w.count == len(w.admitted) {
		w.grow()
	}
	w.admitted[(w.first+w.count)%len(w.admitted)] = now
	w.count++
}

// grow doubles the ring: most callers stay far below their limit and should not pay for it in memory.
func (w *Window) grow() {
	bigger := make([]iam.Time, min(w.limit.Count, max(4, 2*len(w.admitted))))
	for i := range w.count {
		bigger[i] = w.at(i)
	}
	w.admitted, w.first = bigger, 0
}
