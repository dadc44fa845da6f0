package limit

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

// TestTakeBack: what is taken back does not count, and what is not, does.
func TestTakeBack(t *testing.T) {
	l := newLimiter(t, 100)
	limit := Limit{Name: "test", Count: 3, Per: time.Minute}
	for i := range 10 {
		d := l.Admit("alice", limit, start.Add(time.Duration(i)*time.Second))
		if !d.Allowed {
			t.Fatalf("request %d was refused though none counts", i)
		}
		l.TakeBack("alice", limit, d.At)
		l.TakeBack("alice", limit, d.At) // of nothing
	}
	l.TakeBack("stranger", limit, start)
	now := start.Add(20 * time.Second)
	for i := range 5 {
		if got, want := l.Admit("alice", limit, now).Allowed, i < limit.Count; got != want {
			t.Errorf("request %d after that: admitted %v, want %v", i, got, want)
		}
	}
	if !l.Admit("alice", limit, now.Add(time.Minute)).Allowed {
		t.Error("the window does not slide any more")
	}
}

// TestTakeBackAnyOf compares a window out of which requests are taken in any order with a list.
func TestTakeBackAnyOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		w := NewWindow(limit)
		now := start
		var counting []iam.Time
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(drawStep(t, limit))
			counting = slices.DeleteFunc(counting, func(at iam.Time) bool { return now.Sub(at) >= limit.Per })
			if len(counting) > 0 && rapid.Bool().Draw(t, "take back") {
				i := rapid.IntRange(0, len(counting)-1).Draw(t, "which")
				w.TakeBack(counting[i])
				counting = slices.Delete(counting, i, i+1)
			}
			d := w.Admit(now)
			if d.Allowed != (len(counting) < limit.Count) {
				t.Fatalf("Allowed = %v while %d of %d count", d.Allowed, len(counting), limit.Count)
			}
			if d.Allowed {
				counting = append(counting, d.At)
			}
			if d.Remaining != limit.Count-len(counting) {
				t.Fatalf("%d remain while %d of %d count", d.Remaining, len(counting), limit.Count)
			}
		}
	})
}
