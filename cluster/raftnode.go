package cluster

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/keystone-auth/keystone/store"
)

const (
	// maxAppendEntries bounds one message to a node that was away, to 32 MiB of the largest entries.
	maxAppendEntries = 128
	raftIOTimeout    = 10 * time.Second
)

// raftLog is the log and the votes of this node on disk.
type raftLog struct {
	*raftboltdb.BoltStore
	path  string
	still *sync.Mutex // held while the file may be mapped to another place
}

func openLog(path string) (raftLog, error) { return openLogFile(path, false) }

// openLogFile opens the log, or only to read it, which changes not a byte.
func openLogFile(path string, readOnly bool) (raftLog, error) {
	if err := store.CheckWhole(path); err != nil {
		return raftLog{}, err
	}
	disk, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bolt.Options{
			Timeout:        time.Second,
			FreelistType:   bolt.FreelistMapType,
			NoFreelistSync: true,
			ReadOnly:       readOnly,
		},
		MsgpackUseNewTimeFormat: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return raftLog{}, fmt.Errorf("%s is in use by another Keystone process: stop that one, or choose another data folder", path)
	}
	if err != nil {
		return raftLog{}, fmt.Errorf("the log %s cannot be opened (%w): put the data folder back as it was, or empty it and let this node join its cluster anew", path, err)
	}
	return raftLog{disk, path, new(sync.Mutex)}, nil
}

// raft's own key for the term.
var currentTerm = []byte("CurrentTerm")

// firstTerm is that of the first entry. The first vote is given in a later one, so a log without
// entries in this term was being begun when the process died, and nobody has relied on it.
const firstTerm = 1

// used tells whether this node ever voted or was sent an entry.
func (l raftLog) used() (bool, error) {
	last, err := l.LastIndex()
	if err != nil {
		return false, err
	}
	term, err := l.term()
	return last > 0 || term > firstTerm, err
}

func (l raftLog) term() (uint64, error) {
	term, err := l.GetUint64(currentTerm)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return 0, nil
	}
	return term, err
}

// clean undoes a beginning that was cut short, which raft would refuse to repeat.
func (l raftLog) clean() error {
	used, err := l.used()
	if err != nil || used {
		return err
	}
	return l.SetUint64(currentTerm, 0)
}

// raftConfig sets what differs from raft's defaults.
func raftConfig(nodeID string, t Timings, notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(nodeID)
	c.HeartbeatTimeout = t.Heartbeat
	c.ElectionTimeout = t.Election
	c.LeaderLeaseTimeout = t.LeaderLease
	c.CommitTimeout = t.Commit
	c.MaxAppendEntries = maxAppendEntries
	c.BatchApplyCh = true // groups what many propose at once; our own limits stand before the queue
	c.SnapshotInterval = t.SnapshotInterval
	c.SnapshotThreshold = t.SnapshotThreshold
	c.TrailingLogs = t.TrailingLogs
	c.NoSnapshotRestoreOnStart = true // the state on disk is the snapshot
	c.ShutdownOnRemove = false        // removal is noticed by the watch, which says so
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	return c
}

// startRaft begins with the founders, if there are any, and runs raft.
func startRaft(c *raft.Config, fsm raft.FSM, l carefulLog, snapshots raft.SnapshotStore, transport raftTransport, founders []server) (*raft.Raft, error) {
	cached := newRecentLog(l)
	if len(founders) > 0 {
		if err := l.clean(); err != nil {
			return nil, fmt.Errorf("the log cannot be written: %w", err)
		}
		var configuration raft.Configuration
		for _, s := range founders {
			configuration.Servers = append(configuration.Servers, raft.Server{
				Suffrage: raft.Voter, ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address),
			})
		}
		if err := raft.BootstrapCluster(c, cached, l, snapshots, transport, configuration); err != nil {
			return nil, fmt.Errorf("the first log entry cannot be written: %w", err)
		}
	}
	r, err := raft.NewRaft(c, fsm, cached, l, snapshots, transport)
	if err != nil {
		return nil, fmt.Errorf("the log cannot be continued: %w", err)
	}
	return r, nil
}
