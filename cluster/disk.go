package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/store"
)

const (
	diskPause = 250 * time.Millisecond // between two looks at a disk
	probeSize = 256 << 10              // what must fit before a disk counts as having room again
)

// disk is what this node knows of the room for its data. A node without room steps aside: it writes
// nothing and sends nothing, so it neither leads nor votes nor confirms anything, until there is room again.
type disk struct {
	folder string
	least  uint64 // with less free bytes this node rather lets others lead; 0: however little there is
	logger *slog.Logger
	closed <-chan struct{}
	stuck  func() bool // whether the state machine waits for room

	waiting atomic.Int32 // writes of the log that wait for room
}

// trouble is why this node cannot keep anything now, in one sentence, or nil.
func (d *disk) trouble() error {
	if d.waiting.Load() > 0 || d.stuck() {
		return fmt.Errorf("the disk that holds %s is full: free some space, and this node goes on by itself", d.folder)
	}
	return nil
}

// low tells whether there is little room left.
func (d *disk) low() bool {
	free, ok := freeBytes(d.folder)
	return d.trouble() != nil || ok && d.least > 0 && free < d.least
}

// wait returns when there is room again after a write found none, and false when the node is closed first.
func (d *disk) wait(found error) bool {
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	d.logger.Error("this node steps aside: its disk is full", "folder", d.folder, "error", found)
	for d.probe() != nil {
		select {
		case <-d.closed:
			return false
		case <-time.After(diskPause):
		}
	}
	d.logger.Info("the disk has room again, and this node goes on", "folder", d.folder)
	return true
}

// probe finds out whether there is room by writing, for a quota shows in nothing else.
func (d *disk) probe() error {
	f, err := os.CreateTemp(d.folder, ".probe-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Sync(), f.Close())
}

// sweep removes what a probe has left behind when the process was killed.
func (d *disk) sweep() {
	left, _ := filepath.Glob(filepath.Join(d.folder, ".probe-*"))
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// carefulLog is raft's log and votes on a disk that may be full or break.
type carefulLog struct {
	raftLog
	disk  *disk
	fatal func(error)
}

// StoreLog implements raft.LogStore.
func (l carefulLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l carefulLog) StoreLogs(entries []*raft.Log) error {
	return l.persist(func() error { return l.raftLog.StoreLogs(entries) })
}

// DeleteRange implements raft.LogStore.
func (l carefulLog) DeleteRange(first, last uint64) error {
	return l.persist(func() error { return l.raftLog.DeleteRange(first, last) })
}

// Set implements raft.StableStore.
func (l carefulLog) Set(key, value []byte) error {
	return l.persist(func() error { return l.raftLog.Set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (l carefulLog) SetUint64(key []byte, value uint64) error {
	return l.persist(func() error { return l.raftLog.SetUint64(key, value) })
}

// persist waits for room rather than to tell raft of an error. Raft panics without its term and vote; after
// an error it goes by a membership that it has not stored, and a follower that has cut its log takes the
// part that is gone for there. A node that waits is to the others like a process that is paused, which raft
// bears; its transport is silent meanwhile, see raftTransport.
//
// Every other error ends the node. Of what a broken disk has kept nobody knows, and a node that forgets a
// vote or an entry can undo what others have relied on.
func (l carefulLog) persist(write func() error) error {
	for {
		err := write()
		switch {
		case err == nil:
			return nil
		case !store.IsFull(err):
			l.fatal(fmt.Errorf("the log in %s cannot be written, and this node stops: %w: look at the disk, and start the node again if it is sound", l.disk.folder, err))
			return err
		case !l.disk.wait(err):
			runtime.Goexit() // as if the process had ended here: an error would make raft panic
		}
	}
}

// spaceCheck is the duty of a leader to lead only where there is room.
type spaceCheck struct {
	disk    *disk
	nodeID  string
	members *members
	survey  func(ctx context.Context, s raft.Server) (report, error)
	yield   func(ctx context.Context)
	logger  *slog.Logger
}

func (c *spaceCheck) run(ctx context.Context) {
	for waitFor(ctx, diskPause) {
		if err := c.check(ctx); err != nil {
			c.logger.Error("this node must not lead", "error", err)
			c.yield(ctx)
		}
	}
}

// check returns an error when this node has little room and another one that votes has more.
func (c *spaceCheck) check(ctx context.Context) error {
	if !c.disk.low() {
		return nil
	}
	for _, s := range c.members.servers() {
		if string(s.ID) == c.nodeID || s.Suffrage != raft.Voter {
			continue
		}
		if r, err := c.survey(ctx, s); err == nil && !r.LowDisk {
			return fmt.Errorf("little space is left for %s, and %s has more: free some", c.disk.folder, nameOf(r.NodeID))
		}
	}
	return nil
}
