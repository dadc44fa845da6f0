package cluster

import (
	"testing"

	"github.com/hashicorp/raft"
)

// TestRecentLog compares a log that has a memory with one that has none, through everything that raft does to one.
func TestRecentLog(t *testing.T) {
	disk := raft.NewInmemStore()
	l := newRecentLog(disk)
	store := func(term uint64, size int, indexes ...uint64) {
		t.Helper()
		var entries []*raft.Log
		for _, i := range indexes {
			entries = append(entries, &raft.Log{Index: i, Term: term, Data: make([]byte, size)})
		}
		if err := l.StoreLogs(entries); err != nil {
			t.Fatal(err)
		}
	}
	same := func(what string, last uint64, inMemory int) {
		t.Helper()
		bytes := 0
		for i := uint64(1); i <= last; i++ {
			var got, want raft.Log
			gotErr, wantErr := l.GetLog(i, &got), disk.GetLog(i, &want)
			if (gotErr == nil) != (wantErr == nil) || got.Term != want.Term || len(got.Data) != len(want.Data) {
				t.Errorf("%s: entry %d is of term %d with %d bytes (%v), want term %d with %d (%v)",
					what, i, got.Term, len(got.Data), gotErr, want.Term, len(want.Data), wantErr)
			}
		}
		for _, entry := range l.entries {
			bytes += len(entry.Data)
		}
		if len(l.entries) != inMemory || bytes != l.bytes || bytes > recentBytes {
			t.Errorf("%s: %d entries with %d bytes are in memory, counted as %d; want %d", what, len(l.entries), bytes, l.bytes, inMemory)
		}
	}
	store(1, 10, 1, 2, 3)
	same("a beginning", 4, 3)
	if err := l.DeleteRange(2, 3); err != nil {
		t.Fatal(err)
	}
	same("an end that was removed", 4, 0)
	store(2, 20, 2, 3, 4)
	same("another end", 5, 3)
	for i := uint64(5); i <= 1000; i++ {
		store(2, 30, i)
	}
	same("many", 1001, mostRecent)
	const large = 256 << 10
	for i := uint64(1001); i <= 1100; i++ {
		store(2, large, i)
	}
	same("large ones", 1101, recentBytes/large)
	store(2, recentBytes+1, 1101)
	same("one that is larger than all that is kept", 1102, 0)
	store(2, 5, 1102)
	same("a small one behind it", 1103, 1)
	store(3, 5, 2000, 2001)
	same("behind a snapshot", 2002, 2)
}
