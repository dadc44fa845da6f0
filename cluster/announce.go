package cluster

import (
	"context"
	"sync"

	"github.com/hashicorp/raft"
)

// announcer has the followers know at once what is committed. Raft tells them with the next entries, or when none have come
// for Timings.Commit: whoever was asked for a change on a follower would wait for that, and each revocation too, which
// is confirmed when all members have applied it.
//
// What it sends is a message that raft could send itself (Ongaro, "In Search of an Understandable Consensus Algorithm", §5.3):
// no entries, behind an entry that the follower was found to have in this very term. It names no later commit than that entry, for
// what a follower has behind it may be the remains of another term.
type announcer struct {
	members *members
	send    func(raft.ServerID, raft.ServerAddress, *raft.AppendEntriesRequest, *raft.AppendEntriesResponse) error
	news    chan struct{} // something was committed, or confirmed by a follower

	mu        sync.Mutex
	followers map[raft.ServerID]*followed
}

// followed is what is known of a follower. Its log is the leader's up to an entry, since some moment in a term.
type followed struct {
	address     raft.ServerAddress
	like        raft.AppendEntriesRequest // the last message that it confirmed, without entries
	index, term uint64                    // of the last entry that it was found to have
	told        uint64                    // up to which it knows what is committed
	asking      bool                      // a message is under way
}

func newAnnouncer(m *members) *announcer {
	return &announcer{members: m, news: make(chan struct{}, 1), followers: map[raft.ServerID]*followed{}}
}

// committed is told that there may be news. It never waits.
func (a *announcer) committed() {
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// confirmed follows what raft sends, and what it hears.
func (a *announcer) confirmed(id raft.ServerID, to raft.ServerAddress, sent *raft.AppendEntriesRequest, heard *raft.AppendEntriesResponse) {
	if !heard.Success || sent.PrevLogEntry == 0 && len(sent.Entries) == 0 { // a heartbeat says nothing of the log
		return
	}
	next := followed{address: to, like: *sent, index: sent.PrevLogEntry, term: sent.PrevLogTerm}
	next.like.Entries = nil
	if n := len(sent.Entries); n > 0 {
		next.index, next.term = sent.Entries[n-1].Index, sent.Entries[n-1].Term
	}
	next.told = min(sent.LeaderCommitIndex, next.index)
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.followers[id]; old != nil {
		switch {
		case old.like.Term > sent.Term, old.like.Term == sent.Term && old.index > next.index:
			return // overtaken on its way
		case old.like.Term == sent.Term:
			next.told = max(next.told, old.told)
		}
		next.asking = old.asking
	}
	a.followers[id] = &next
	a.committed()
}

// run is a duty of the leader.
func (a *announcer) run(ctx context.Context) {
	for {
		select {
		case <-a.news:
		case <-ctx.Done():
			return
		}
		r := a.members.raft.Load()
		if r == nil {
			continue
		}
		// In this order: in the term that is read second, the commit is at least the one that was read first.
		commit := r.CommitIndex()
		for id, message := range a.due(commit, r.CurrentTerm()) {
			go a.tell(id, message) // which ends with the connection, at the latest; the next leadership must not wait for it
		}
	}
}

// announcement is a message for a follower.
type announcement struct {
	to      raft.ServerAddress
	request raft.AppendEntriesRequest
}

// due is what followers could know and do not, where so much is committed in a term. Each is sent one message at a time. A follower
// that was found to have something in another term may have entries by now that are not this leader's, and is told nothing
// before raft has looked again.
func (a *announcer) due(commit, term uint64) map[raft.ServerID]announcement {
	all := map[raft.ServerID]announcement{}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, f := range a.followers {
		if f.like.Term != term {
			delete(a.followers, id)
			continue
		}
		upTo := min(commit, f.index)
		if f.asking || upTo <= f.told {
			continue
		}
		f.asking = true
		message := announcement{f.address, f.like}
		message.request.PrevLogEntry, message.request.PrevLogTerm, message.request.LeaderCommitIndex = f.index, f.term, upTo
		all[id] = message
	}
	return all
}

func (a *announcer) tell(id raft.ServerID, m announcement) {
	var heard raft.AppendEntriesResponse
	err := a.send(id, m.to, &m.request, &heard)
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.followers[id]
	if f == nil {
		return
	}
	f.asking = false
	if err != nil || !heard.Success {
		delete(a.followers, id) // until raft has found out what it has
		return
	}
	a.committed() // for what was committed meanwhile
}
