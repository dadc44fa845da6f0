package limit

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

const start = iam.Time(1_800_000_000_000_000)

// TestNoWindowAdmitsMore is the promise of the package: whatever the times of the requests, no
// half-open interval of the limit's length holds more admitted ones than the limit says.
func TestNoWindowAdmitsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		w := NewWindow(limit)
		now := start
		var admitted []iam.Time
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(drawStep(t, limit))
			before := w.count
			d := w.Admit(now)
			if d.Allowed {
				admitted = append(admitted, now)
			} else if w.count > before {
				t.Fatal("a refused request was counted")
			}
			if d.Limit != limit.Count || d.Remaining < 0 || d.Remaining >= limit.Count && d.Allowed {
				t.Fatalf("the decision does not fit the limit %v: %+v", limit, d)
			}
		}
		if most := busiest(admitted, limit.Per); most > limit.Count {
			t.Fatalf("%d admitted within %v, want at most %d", most, limit.Per, limit.Count)
		}
	})
}

// TestOldestRequestMakesRoom compares each decision with a list of all admitted requests: nothing is
// refused that the promise allows, and RetryAfter is the first moment at which that changes.
func TestOldestRequestMakesRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		w := NewWindow(limit)
		now := start
		var admitted []iam.Time
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(drawStep(t, limit))
			counting := 0
			for _, at := range admitted {
				if now.Sub(at) < limit.Per {
					counting++
				}
			}
			d := w.Admit(now)
			if d.Allowed != (counting < limit.Count) {
				t.Fatalf("Allowed = %v while %d of %d count", d.Allowed, counting, limit.Count)
			}
			if d.Allowed {
				admitted = append(admitted, now)
				continue
			}
			early, late := fork(w), fork(w)
			if d.RetryAfter <= 0 || early.Admit(now.Add(d.RetryAfter-time.Microsecond)).Allowed {
				t.Fatalf("RetryAfter %v is too long", d.RetryAfter)
			}
			if !late.Admit(now.Add(d.RetryAfter)).Allowed {
				t.Fatalf("RetryAfter %v is too short", d.RetryAfter)
			}
		}
	})
}

// TestSpacedRequestsAreAdmitted: a caller who keeps the average pace is never refused.
func TestSpacedRequestsAreAdmitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		w := NewWindow(limit)
		pace := limit.Per/time.Duration(limit.Count) + time.Microsecond
		now := start
		for i := range 3 * limit.Count {
			if !w.Admit(now).Allowed {
				t.Fatalf("request %d was refused at a pace of %v under %v", i, pace, limit)
			}
			now = now.Add(pace)
		}
	})
}

// TestClockThatGoesBack: whatever the clock does, no more are admitted than if it had stood still
// while it was behind.
func TestClockThatGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		w, reference := NewWindow(limit), NewWindow(limit)
		now, latest := start, iam.Time(0)
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(limit.Per), int64(limit.Per)).Draw(t, "step")))
			latest = max(latest, now)
			if diff := cmp.Diff(reference.Admit(latest), w.Admit(now)); diff != "" {
				t.Fatalf("a clock that went back changed the decision (-want +got):\n%s", diff)
			}
		}
	})
}

func TestDecision(t *testing.T) {
	w := NewWindow(Limit{Count: 2, Per: time.Minute})
	f := func(at time.Duration, want Decision) {
		t.Helper()
		if want.Allowed {
			want.At = start.Add(at)
		}
		if diff := cmp.Diff(want, w.Admit(start.Add(at))); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", at, diff)
		}
	}
	f(0, Decision{Allowed: true, Limit: 2, Remaining: 1, ResetAt: start.Add(time.Minute)})
	f(50*time.Second, Decision{Allowed: true, Limit: 2, Remaining: 0, ResetAt: start.Add(110 * time.Second)})
	f(55*time.Second, Decision{Limit: 2, ResetAt: start.Add(110 * time.Second), RetryAfter: 5 * time.Second})
	f(60*time.Second, Decision{Allowed: true, Limit: 2, Remaining: 0, ResetAt: start.Add(2 * time.Minute)})
	f(109*time.Second, Decision{Limit: 2, ResetAt: start.Add(2 * time.Minute), RetryAfter: time.Second})
	// GCRA would have admitted a third request in this minute.
	f(110*time.Second, Decision{Allowed: true, Limit: 2, Remaining: 0, ResetAt: start.Add(170 * time.Second)})
	f(time.Hour, Decision{Allowed: true, Limit: 2, Remaining: 1, ResetAt: start.Add(time.Hour + time.Minute)})
}

// TestChange: a limit that the operator changes holds from the next request on.
func TestChange(t *testing.T) {
	w := NewWindow(Limit{Count: 5, Per: time.Minute})
	for i := range 5 {
		w.Admit(start.Add(time.Duration(i) * time.Second))
	}
	w.Change(Limit{Count: 2, Per: time.Minute})
	d := w.Admit(start.Add(10 * time.Second))
	if want := (3*time.Second + time.Minute) - 10*time.Second; d.Allowed || d.RetryAfter != want || d.Remaining != 0 {
		t.Errorf("after the limit was lowered: %+v, want a refusal for %v", d, want)
	}
	w.Change(Limit{Count: 9, Per: time.Minute})
	if d = w.Admit(start.Add(11 * time.Second)); !d.Allowed || d.Remaining != 3 {
		t.Errorf("after the limit was raised: %+v, want admitted with 3 more", d)
	}
}

// fork returns a window that goes on by itself.
func fork(w *Window) *Window {
	other := *w
	other.admitted = slices.Clone(w.admitted)
	return &other
}

func drawLimit(t *rapid.T) Limit {
	return Limit{
		Count: rapid.IntRange(1, 20).Draw(t, "count"),
		Per:   time.Duration(rapid.Int64Range(1, int64(time.Hour/time.Microsecond)).Draw(t, "µs")) * time.Microsecond,
	}
}

// drawStep prefers what is interesting: bursts, and steps that end at the edge of a window.
func drawStep(t *rapid.T, limit Limit) time.Duration {
	pace := limit.Per / time.Duration(limit.Count)
	step := rapid.OneOf(
		rapid.Just(time.Duration(0)),
		rapid.SampledFrom([]time.Duration{pace, limit.Per, limit.Per - time.Microsecond, limit.Per + time.Microsecond}),
		rapid.Map(rapid.Int64Range(0, int64(2*pace)), func(n int64) time.Duration { return time.Duration(n) }),
	).Draw(t, "step")
	return step.Truncate(time.Microsecond)
}

// busiest counts the requests of the fullest half-open interval of that length.
func busiest(admitted []iam.Time, length time.Duration) int {
	most, first := 0, 0
	for i, at := range admitted {
		for at.Sub(admitted[first]) >= length {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
