package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/store"
)

// Seed is a node that is to be a whole cluster by itself, with a state that was put together without a log.
// Others join it as they join any cluster.
type Seed struct {
	clusterID, name, nodeID, address string
	replaces                         string
}

// NewSeed makes the node's identity. It is a new one in a cluster that exists too: under the id of a node that
// was lost it could vote a second time.
func NewSeed(clusterID, name, address string) (Seed, error) {
	if !nameForm.MatchString(name) {
		return Seed{}, fmt.Errorf("the node name %q is not usable: give 1 to 63 letters, digits, dots, hyphens or underscores", name)
	}
	if address == "" {
		address = "127.0.0.1:0" // of a lone node, which corrects it when it leads
	}
	return Seed{clusterID: clusterID, name: name, nodeID: newNodeID(name), address: address}, nil
}

// Replacing has the node tell those of that cluster that theirs goes on without them.
func (s Seed) Replacing(clusterID string) Seed {
	s.replaces = clusterID
	return s
}

// Begin makes an empty data folder that of a new cluster's only node. So the cluster is begun by whoever asked
// for it, once: a node that only ever joins and has lost its disk cannot begin a second one by mistake. After an
// error the folder is as it was.
func (s Seed) Begin(folder string) error {
	return s.settle(folder, func(log raftLog) error {
		config := raftConfig(s.nodeID, Timings{}.withDefaults(), nil)
		if err := raft.BootstrapCluster(config, log, log, raft.NewInmemSnapshotStore(), nil, s.members()); err != nil {
			return fmt.Errorf("the first log entry cannot be written: %w", err)
		}
		return nil
	}, func() error { return nil })
}

func (s Seed) members() raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{
		{Suffrage: raft.Voter, ID: raft.ServerID(s.nodeID), Address: raft.ServerAddress(s.address)},
	}}
}

// Configuration is the membership that the state is to be given in its last log entry: this node alone.
func (s Seed) Configuration() []byte {
	return raft.EncodeConfiguration(s.members())
}

// HasData tells whether a data folder holds what a node must not lose.
func HasData(folder string) bool {
	d := dataDir{path: folder}
	for _, path := range []string{d.file(), d.logFile()} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// Plant puts the node into an empty data folder. The log is left empty, and in the state's own term, so that
// it goes on behind the state's last entry: whoever joins finds the entries before that gone and is sent the
// state as a whole. With a log from its first entry a newcomer would apply that to nothing, and miss
// everything that the state held from the beginning.
//
// state is to put the state file into its place. The place of the node is written last: before that no node
// starts on the folder, so that a crash in between leaves nothing that would be taken for a cluster. After
// an error the folder is as it was.
func (s Seed) Plant(folder string, term uint64, state func() error) error {
	if term <= firstTerm {
		return fmt.Errorf("BUG: term %d is that of a log that nobody has used", term)
	}
	return s.settle(folder, func(log raftLog) error {
		if err := log.SetUint64(currentTerm, term); err != nil {
			return fmt.Errorf("the log cannot be written: %w", err)
		}
		return nil
	}, state)
}

// settle makes the log, then the state, and writes the node's place last.
func (s Seed) settle(folder string, begin func(raftLog) error, state func() error) (err error) {
	d := &dataDir{path: folder}
	if HasData(folder) {
		return fmt.Errorf("BUG: %s holds a node's data", folder)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(filepath.Dir(d.logFile())), os.RemoveAll(d.file()))
		}
	}()
	if err := os.MkdirAll(filepath.Dir(d.logFile()), 0o700); err != nil {
		return fmt.Errorf("the data folder %s is not usable: %w", folder, err)
	}
	log, err := openLog(d.logFile())
	if err != nil {
		return err
	}
	if err := errors.Join(begin(log), log.Close(), store.SyncDir(filepath.Dir(d.logFile()))); err != nil {
		return err
	}
	if err := state(); err != nil {
		return err
	}
	return d.write(place{
		Format: placeFormat, ClusterID: s.clusterID, NodeID: s.nodeID, Name: s.name, Joined: true,
		Initial: []server{{ID: s.nodeID, Address: s.address}}, Replaces: s.replaces,
	})
}
