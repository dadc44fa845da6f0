package cluster

import "github.com/hashicorp/raft"

// A log that grows is mapped to another place in memory, which happens while it is written, or ends.

// StoreLogs implements raft.LogStore.
func (l raftLog) StoreLogs(entries []*raft.Log) error {
	l.still.Lock()
	defer l.still.Unlock()
	return l.BoltStore.StoreLogs(entries)
}

// DeleteRange implements raft.LogStore.
func (l raftLog) DeleteRange(first, last uint64) error {
	l.still.Lock()
	defer l.still.Unlock()
	return l.BoltStore.DeleteRange(first, last)
}

// Set implements raft.StableStore.
func (l raftLog) Set(key, value []byte) error {
	l.still.Lock()
	defer l.still.Unlock()
	return l.BoltStore.Set(key, value)
}

// SetUint64 implements raft.StableStore.
func (l raftLog) SetUint64(key []byte, value uint64) error {
	l.still.Lock()
	defer l.still.Unlock()
	return l.BoltStore.SetUint64(key, value)
}

// Close ends the use of the file.
func (l raftLog) Close() error {
	l.still.Lock()
	defer l.still.Unlock()
	return l.BoltStore.Close()
}

// mapped calls fn with where in memory the file lies, if it is known. It lies there for as long as fn runs.
func (l raftLog) mapped(fn func(address, size uintptr) error) error {
	l.still.Lock()
	defer l.still.Unlock()
	address, size, err := mappingOf(l.path)
	if err != nil || size == 0 {
		return err
	}
	return fn(address, size)
}

// MappedLog calls fn with where in memory the log's file lies, if that is known. Nothing is written to the log
// as long as fn runs.
func (n *Node) MappedLog(fn func(address, size uintptr) error) error { return n.log.mapped(fn) }
