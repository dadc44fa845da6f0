package limit

import (
	"testing"
	"time"
)

// TestTakeBack: what is taken back does not count, and what is not, does.
func TestTakeBack(t *testing.T) {
	l := newLimiter(t, 100)
	limit := Limit{Name: "test", Count: 3, Per: time.Minute}
	for i := range 10 {
		if !l.Admit("alice", limit, start.Add(time.Duration(i)*time.Second)).Allowed {
			t.Fatalf("request %d was refused though none counts", i)
		}
		l.TakeBack("alice", limit)
	}
	l.TakeBack("alice", limit) // of nothing
	l.TakeBack("stranger", limit)
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
