package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// Bounds of what is kept of the log in memory. By the number of entries alone, as raft's own cache counts, the
// batches of an import would take 128 MiB; and read from the file instead they bring its pages into memory, as many as
// there are.
const (
	mostRecent  = 512
	recentBytes = 16 << 20
)

// recentLog is a log whose latest entries lie in memory too, for those who have not got them and for the state
// machine.
type recentLog struct {
	raft.LogStore

	mu      sync.RWMutex
	entries map[uint64]*raft.Log
	first   uint64 // the oldest of them; they are in a row
	next    uint64 // the index after the latest
	bytes   int
}

func newRecentLog(log raft.LogStore) *recentLog {
	return &recentLog{LogStore: log, entries: map[uint64]*raft.Log{}}
}

// GetLog implements raft.LogStore.
func (l *recentLog) GetLog(index uint64, into *raft.Log) error {
	l.mu.RLock()
	entry := l.entries[index]
	l.mu.RUnlock()
	if entry == nil {
		return l.LogStore.GetLog(index, into)
	}
	*into = *entry
	return nil
}

// StoreLog implements raft.LogStore.
func (l *recentLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *recentLog) StoreLogs(entries []*raft.Log) error {
	if err := l.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range entries {
		if entry.Index != l.next { // after a snapshot, or in the place of what was removed
			l.forget()
			l.first = entry.Index
		}
		l.entries[entry.Index], l.next = entry, entry.Index+1
		l.bytes += len(entry.Data)
	}
	for l.first < l.next && (len(l.entries) > mostRecent || l.bytes > recentBytes) {
		l.bytes -= len(l.entries[l.first].Data)
		delete(l.entries, l.first)
		l.first++
	}
	return nil
}

// DeleteRange implements raft.LogStore. Entries of another term may take the place of what is deleted, so nothing is
// kept.
func (l *recentLog) DeleteRange(first, last uint64) error {
	l.mu.Lock()
	l.forget()
	l.mu.Unlock()
	return l.LogStore.DeleteRange(first, last)
}

func (l *recentLog) forget() {
	clear(l.entries)
	l.first, l.next, l.bytes = 0, 0, 0
}
