package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/keystone-auth/keystone/store"
)

// placeFormat is the version of cluster.json.
const placeFormat = 1

// place is cluster.json: who the owner of this data folder is, in which cluster.
type place struct {
	Format    int    `json:"format"`
	ClusterID string `json:"cluster_id"` // empty before this node has one
	NodeID    string `json:"node_id"`
	Name      string `json:"name"`
	// Joined is set as soon as this node's log may hold anything. Before that it never voted, and
	// can take another way in.
	Joined bool `json:"joined"`
	// Initial are the members that the cluster began with, as the node that formed it decided. Those
	// who were among them tell each other, so that forming ends even if that node is lost.
	Initial []server `json:"initial,omitempty"`
	// NoVote is set for a node that is not to vote until somebody says otherwise, whoever leads.
	NoVote bool `json:"no_vote,omitempty"`
	// Replaces is the cluster from which this one was recovered without its other nodes. These are told so if they
	// come back.
	Replaces string `json:"replaces,omitempty"`
}

// server is a member as it is told and kept.
type server struct {
	ID      string `json:"id" cbor:"1,keyasint"`
	Address string `json:"address" cbor:"2,keyasint"`
}

// dataDir is the folder in which a node keeps what it must not forget.
type dataDir struct {
	path string

	changing sync.Mutex // one change at a time

	mu    sync.Mutex
	place place
}

// openDataDir reads the folder's place, or begins one with a fresh node id.
func openDataDir(path, name string) (*dataDir, error) {
	if err := os.MkdirAll(filepath.Join(path, "raft"), 0o700); err != nil {
		return nil, fmt.Errorf("the data folder %s is not usable: %w", path, err)
	}
	d := &dataDir{path: path}
	data, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return d, d.begin(name)
	}
	if err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be read: %w", path, err)
	}
	if err := json.Unmarshal(data, &d.place); err != nil {
		return nil, fmt.Errorf("%s cannot be read, restore it or let this node join anew with an empty data folder: %w", d.file(), err)
	}
	switch {
	case d.place.Format > placeFormat:
		return nil, fmt.Errorf("%s was written by a newer Keystone: start that version, nothing was changed", d.file())
	case d.place.Format < 1 || d.place.NodeID == "" || nameOf(d.place.NodeID) != d.place.Name:
		return nil, fmt.Errorf("%s is not complete: restore it or let this node join anew with an empty data folder", d.file())
	case d.place.Name != name:
		return nil, fmt.Errorf("the data in %s belongs to the node called %s and this node is called %s: use that name or another data folder", path, d.place.Name, name)
	}
	return d, nil
}

// begin refuses a folder that has a log but has lost its place: under a new id the node would go on
// with votes that the old id gave.
func (d *dataDir) begin(name string) error {
	if _, err := os.Stat(d.logFile()); err == nil {
		return fmt.Errorf("%s is missing although %s exists: restore it, or let this node join anew with an empty data folder", d.file(), d.logFile())
	}
	return d.write(place{Format: placeFormat, NodeID: newNodeID(name), Name: name})
}

func (d *dataDir) file() string { return filepath.Join(d.path, "cluster.json") }

func (d *dataDir) logFile() string { return filepath.Join(d.path, "raft", "log.db") }

// now returns the place as it is on disk.
func (d *dataDir) now() place {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.place
}

// write replaces cluster.json so that a crash leaves the old or the new one.
func (d *dataDir) write(p place) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(d.file(), append(data, '\n')); err != nil {
		return fmt.Errorf("%s cannot be written: %w", d.file(), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.place = p
	return nil
}

func replaceFile(path string, data []byte) error {
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return store.SyncDir(filepath.Dir(path))
}

// settle compares the place with what raft has kept. A node that is known to others as one that
// votes, and has lost its votes, must not vote again under that id: it could vote twice.
func (d *dataDir) settle(hasLog, hasState bool) error {
	p := d.now()
	before := p
	switch {
	case p.Joined && !hasLog:
		return fmt.Errorf("the log of this node is gone from %s although it is a member of a cluster: empty the data folder and let the node join anew", d.path)
	case !p.Joined && !hasLog && hasState:
		return fmt.Errorf("the data folder %s holds a state without the log that led to it: restore the folder as a whole, or empty it", d.path)
	case !p.Joined && hasLog && p.ClusterID == "":
		return fmt.Errorf("the log in %s belongs to no cluster that %s names: restore the folder as a whole, or empty it", d.path, d.file())
	case !p.Joined && hasLog:
		p.Joined = true
	case !p.Joined:
		p.ClusterID, p.Initial = "", nil // it had chosen a cluster and never took part in it
	}
	if p.Joined == before.Joined && p.ClusterID == before.ClusterID {
		return nil
	}
	return d.write(p)
}

// change writes down what edit makes of the place.
func (d *dataDir) change(edit func(*place)) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	p := d.now()
	edit(&p)
	return d.write(p)
}

// adopt remembers the cluster before the first vote is given in it.
func (d *dataDir) adopt(clusterID string, initial []server) error {
	return d.change(func(p *place) { p.ClusterID, p.Initial = clusterID, initial })
}

// joined remembers that the log holds something.
func (d *dataDir) joined() error {
	if d.now().Joined {
		return nil
	}
	return d.change(func(p *place) { p.Joined = true })
}
