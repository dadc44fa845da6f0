package cluster

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// Bare is raft with the log and the settings of a node, and without everything else that a node is: what
// the work of a node is measured against.
type Bare struct {
	*raft.Raft
	log raftLog
}

// StartBare begins one member of a cluster of the given servers, each of which has its address for its id.
// The log lies in the file at path, which must be new.
func StartBare(path string, machine raft.FSM, transport raft.Transport, servers []raft.ServerAddress) (*Bare, error) {
	log, err := openLog(path)
	if err != nil {
		return nil, err
	}
	config := raftConfig(string(transport.LocalAddr()), Timings{}.withDefaults(), nil)
	config.LogOutput = io.Discard
	var all raft.Configuration
	for _, address := range servers {
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(address), Address: address})
	}
	cached, snapshots := newRecentLog(log), raft.NewDiscardSnapshotStore()
	err = raft.BootstrapCluster(config, cached, log, snapshots, transport, all)
	var r *raft.Raft
	if err == nil {
		r, err = raft.NewRaft(config, machine, cached, log, snapshots, transport)
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &Bare{r, log}, nil
}

// Close ends it.
func (b *Bare) Close() error { return errors.Join(b.Shutdown().Error(), b.log.Close()) }
