package limit

import (
	"fmt"
	"testing"
	"time"
)

func TestStreaks(t *testing.T) {
	var s Streaks
	f := func(key string, after time.Duration, want int) {
		t.Helper()
		if got := s.Add(key, 15*time.Minute, start.Add(after)); got != want {
			t.Errorf("%s after %v: %d in a row, want %d", key, after, got, want)
		}
	}
	f("alice", 0, 1)
	f("alice", time.Minute, 2)
	f("bob", time.Minute, 1)
	f("alice", 16*time.Minute, 3)
	f("alice", 10*time.Minute, 4) // a clock that went back
	f("alice", 31*time.Minute, 5)
	f("alice", 46*time.Minute+time.Microsecond, 1)
	f("bob", 2*time.Minute, 2)
	s.Forget("bob")
	f("bob", 2*time.Minute, 1)
}

// TestStreaksAreBounded: names without end take no memory without end, and old ones go first.
func TestStreaksAreBounded(t *testing.T) {
	var s Streaks
	s.Add("old", time.Minute, start)
	now := start.Add(time.Hour)
	s.Add("new", time.Minute, now)
	for i := range maxStreaks - 2 {
		s.Add(fmt.Sprint(i), time.Minute, now)
	}
	if got := s.Add("one more", time.Minute, now); got != 1 || len(s.counts) != maxStreaks {
		t.Errorf("%d streaks are kept, want %d", len(s.counts), maxStreaks)
	}
	if got := s.Add("new", time.Minute, now); got != 2 {
		t.Errorf("a streak that counts was dropped for one that does not: %d in a row", got)
	}
	for i := range 1000 {
		s.Add(fmt.Sprint("made up ", i), time.Minute, now)
	}
	if len(s.counts) > maxStreaks {
		t.Errorf("%d streaks are kept, want at most %d", len(s.counts), maxStreaks)
	}
}
