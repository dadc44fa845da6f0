package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/store"
)

// Stopped is the data folder of a node that does not run, opened to be looked at.
type Stopped struct {
	Name, NodeID, ClusterID string
	Term                    uint64 // the latest that the node has seen
	First, Last             uint64 // of the entries in its log; 0: there are none

	log raftLog
}

// OpenStopped opens the cluster's part of a data folder. Nobody else may have it open, and nothing in it is changed.
func OpenStopped(folder string) (*Stopped, error) {
	d := &dataDir{path: folder}
	for _, path := range []string{d.file(), d.logFile()} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s holds no node's data: %w: name its data folder with --data", folder, err)
		}
	}
	data, err := os.ReadFile(d.file())
	if err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be read: %w", folder, err)
	}
	if err := json.Unmarshal(data, &d.place); err != nil {
		return nil, fmt.Errorf("%s cannot be read: restore it: %w", d.file(), err)
	}
	if d.place.Format > placeFormat {
		return nil, fmt.Errorf("%s was written by a newer Keystone: start that version, nothing was changed", d.file())
	}
	log, err := openLogFile(d.logFile(), true)
	if err != nil {
		return nil, err
	}
	s := &Stopped{Name: d.place.Name, NodeID: d.place.NodeID, ClusterID: d.place.ClusterID, log: log}
	if err := s.measure(); err != nil {
		return nil, errors.Join(fmt.Errorf("the log in %s cannot be read: %w", folder, err), log.Close())
	}
	return s, nil
}

func (s *Stopped) measure() (err error) {
	if s.First, err = s.log.FirstIndex(); err != nil {
		return err
	}
	if s.Last, err = s.log.LastIndex(); err != nil {
		return err
	}
	s.Term, err = s.log.term()
	return err
}

// Entry returns the log entry at an index.
func (s *Stopped) Entry(index uint64) (*raft.Log, error) {
	entry := new(raft.Log)
	if err := s.log.GetLog(index, entry); err != nil {
		return nil, fmt.Errorf("the log entry %d cannot be read: %w", index, err)
	}
	return entry, nil
}

// Close gives the folder back.
func (s *Stopped) Close() error { return s.log.Close() }

// Member is one node of a configuration.
type Member struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
}

// Members are the nodes of the latest configuration in the folder, whether it was committed or not. state is how far
// the state has come.
func (s *Stopped) Members(state store.Meta) ([]Member, error) {
	data := state.Configuration
	for i := max(s.First, state.Index+1); i > 0 && i <= s.Last; i++ {
		entry, err := s.Entry(i)
		if err != nil {
			return nil, err
		}
		if entry.Type == raft.LogConfiguration {
			data = entry.Data
		}
	}
	var out []Member
	if len(data) == 0 {
		return out, nil
	}
	for _, m := range raft.DecodeConfiguration(data).Servers {
		out = append(out, Member{nameOf(string(m.ID)), string(m.Address), m.Suffrage == raft.Voter})
	}
	return out, nil
}

// Remains are what a node keeps in a folder for its part in a cluster, in the order in which they are taken away: without
// the first no node starts on the folder.
func Remains(folder string) []string {
	d := &dataDir{path: folder}
	return []string{d.file(), filepath.Dir(d.logFile())}
}
