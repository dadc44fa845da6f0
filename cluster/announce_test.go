package cluster

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

// TestAnnouncements: what the followers are told, and above all what not.
func TestAnnouncements(t *testing.T) {
	var fails error
	success := true
	var sent []raft.AppendEntriesRequest
	a := newAnnouncer(&members{})
	a.send = func(_ raft.ServerID, _ raft.ServerAddress, r *raft.AppendEntriesRequest, heard *raft.AppendEntriesResponse) error {
		sent = append(sent, *r)
		heard.Success = success
		if fails == nil {
			a.confirmed("b", "there", r, heard)
		}
		return fails
	}
	// has is what raft sent and b confirmed: entries up to an index in a term, and what is committed.
	has := func(term, previous, last, commit uint64) {
		r := &raft.AppendEntriesRequest{Term: term, PrevLogEntry: previous, PrevLogTerm: 1, LeaderCommitIndex: commit}
		for i := previous + 1; i <= last; i++ {
			r.Entries = append(r.Entries, &raft.Log{Index: i, Term: term})
		}
		a.confirmed("b", "there", r, &raft.AppendEntriesResponse{Success: true})
	}
	f := func(what string, commit, term uint64, want ...raft.AppendEntriesRequest) {
		t.Helper()
		sent = nil
		for id, message := range a.due(commit, term) {
			a.tell(id, message)
		}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	says := func(term, previous, previousTerm, commit uint64) raft.AppendEntriesRequest {
		return raft.AppendEntriesRequest{Term: term, PrevLogEntry: previous, PrevLogTerm: previousTerm, LeaderCommitIndex: commit}
	}

	f("a follower of whom nothing is known", 5, 2)
	a.confirmed("b", "there", &raft.AppendEntriesRequest{Term: 2}, &raft.AppendEntriesResponse{Success: true})
	f("one who answered a heartbeat", 5, 2)
	a.confirmed("b", "there", &raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 5, PrevLogTerm: 1}, &raft.AppendEntriesResponse{})
	f("one whose log is another", 5, 2)

	has(2, 3, 5, 3)
	f("nothing new", 3, 2)
	f("a part of what it has", 4, 2, says(2, 5, 2, 4))
	f("more than it is known to have", 9, 2, says(2, 5, 2, 5))
	f("the same again", 9, 2)
	has(2, 5, 5, 5) // no entries
	f("what it knows", 9, 2)
	has(2, 5, 8, 5)
	has(2, 3, 5, 3) // an old answer that comes late
	f("what it has in spite of that", 9, 2, says(2, 8, 2, 8))

	has(2, 8, 10, 8)
	f("another term", 10, 3)
	f("nor the old one again", 10, 2)
	has(3, 8, 10, 8)
	has(2, 10, 12, 8) // of the term before
	f("what was found in this term", 12, 3, says(3, 10, 3, 10))

	has(3, 10, 11, 10)
	fails = errors.New("it is away")
	f("one that is away", 11, 3, says(3, 11, 3, 11))
	fails = nil
	f("once and not again", 11, 3)
	has(3, 10, 11, 10)
	success = false
	f("one that refuses", 11, 3, says(3, 11, 3, 11))
	success = true
	f("not before raft has looked", 11, 3)

	has(3, 10, 11, 10)
	if first := a.due(11, 3); len(first) != 1 {
		t.Errorf("%d messages are due", len(first))
	}
	f("while one is under way", 11, 3)
}
