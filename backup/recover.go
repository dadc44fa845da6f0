package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// A recovery begins a cluster of one node with what the log of that node holds, where the others are lost for good. It
// is a restore whose backup is the node's own data: the same commands end the state.

// Standing is how far a node that does not run has come. Of several that are left the one with the highest last term,
// and then with the highest last index, knows the most.
type Standing struct {
	Node      string           `json:"node"`
	ClusterID string           `json:"cluster_id"`
	LastTerm  uint64           `json:"last_term"`
	LastIndex uint64           `json:"last_index"`
	Applied   uint64           `json:"applied_index"` // as the file of the state has it: the log goes on from there
	Commands  uint64           `json:"commands"`      // the command version that a program needs for the state
	Members   []cluster.Member `json:"members"`       // the latest that the node was told of
}

// Inspect looks at the data of a node that does not run, and changes nothing.
func Inspect(folder, state string) (Standing, error) {
	log, err := cluster.OpenStopped(folder)
	if err != nil {
		return Standing{}, err
	}
	defer func() { _ = log.Close() }()
	s, err := store.OpenReadOnly(state)
	if err != nil {
		return Standing{}, err
	}
	defer func() { _ = s.Close() }()
	return standing(log, s)
}

func standing(log *cluster.Stopped, s *store.Store) (Standing, error) {
	meta, err := s.Meta()
	if err != nil {
		return Standing{}, err
	}
	out := Standing{
		Node: log.Name, ClusterID: log.ClusterID, Applied: meta.Index, Commands: max(1, meta.Needs),
		LastIndex: max(log.Last, meta.Index), LastTerm: meta.Term,
	}
	if log.Last > 0 {
		last, err := log.Entry(log.Last)
		if err != nil {
			return out, err
		}
		out.LastTerm = max(out.LastTerm, last.Term)
	}
	out.Members, err = log.Members(meta)
	return out, err
}

// Recovery says what is to be made of the data of a node.
type Recovery struct {
	Folder   string // the data folder of a node that does not run
	State    string // its state file
	Scratch  string // an empty folder on the same disk, for the new data
	Address  string // of the node; empty: as it was
	Secret   secret.ClusterSecret
	Previous []secret.ClusterSecret
}

// Recovered is what came of a Recovery.
type Recovered struct {
	Standing
	NewClusterID string   `json:"new_cluster_id"`
	NewEpoch     uint64   `json:"new_epoch"`
	NewIndex     uint64   `json:"new_index"`
	Dropped      []string `json:"dropped"`  // the other members
	Sessions     uint64   `json:"sessions"` // that ended
}

// Run makes the new data in Scratch. Folder stays as it is.
func (r *Recovery) Run() (out Recovered, err error) {
	log, err := cluster.OpenStopped(r.Folder)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	copied := filepath.Join(r.Scratch, "copy.db")
	if err := copyFile(copied, r.State); err != nil {
		return out, fmt.Errorf("the state cannot be copied: %w", err)
	}
	defer func() { _ = os.Remove(copied) }() // nothing, once it has its place
	term, err := r.revive(copied, log, &out)
	if err != nil {
		return out, err
	}
	return out, term.seed.Plant(r.Scratch, term.number, func() error {
		if err := os.Rename(copied, filepath.Join(r.Scratch, filepath.Base(r.State))); err != nil {
			return fmt.Errorf("the state cannot get its place: %w", err)
		}
		return store.SyncDir(r.Scratch)
	})
}

// planting is the node, and the term in which its new log begins.
type planting struct {
	seed   cluster.Seed
	number uint64
}

// revive brings the copy of the state to the end of the log and makes it the beginning of a cluster.
func (r *Recovery) revive(path string, log *cluster.Stopped, out *Recovered) (p planting, err error) {
	s, err := store.Open(path)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if out.Standing, err = standing(log, s); err != nil {
		return p, err
	}
	if err := errors.Join(r.fits(s), follow(s, log, log.Last)); err != nil {
		return p, err
	}
	address := r.Address
	for _, m := range out.Members {
		if m.Name != out.Node {
			out.Dropped = append(out.Dropped, m.Name)
		} else if address == "" {
			address = m.Address
		}
	}
	out.NewClusterID = iam.NewID().String()
	if p.seed, err = cluster.NewSeed(out.NewClusterID, out.Node, address); err != nil {
		return p, err
	}
	p.seed = p.seed.Replacing(out.ClusterID)
	p.number = max(log.Term, out.LastTerm) + 1
	return p, r.invalidate(s, &applier{store: s, index: out.LastIndex, term: p.number}, p.seed, out)
}

// invalidate ends everything that was issued before: what was revoked on the nodes that are lost is not known here.
func (r *Recovery) invalidate(s *store.Store, a *applier, seed cluster.Seed, out *Recovered) error {
	meta, err := s.Meta()
	if err != nil {
		return err
	}
	out.Sessions = meta.Rows["sessions"]
	end, err := invalidation(s, "recovered from node "+out.Node+" alone", r.Secret, false)
	if err != nil {
		return err
	}
	if err := errors.Join(a.propose(end), a.apply(&raft.Log{Type: raft.LogConfiguration, Data: seed.Configuration()})); err != nil {
		return err
	}
	return errors.Join(s.View(func(reader *store.Reader) error {
		e, _ := reader.Epoch()
		out.NewEpoch, out.NewIndex = e.Number, a.index
		return nil
	}), s.Check())
}

// fits refuses a secret that is not the cluster's: its node could not sign a token, and nobody could join it.
func (r *Recovery) fits(s *store.Store) error {
	sealer := secret.NewSealer(r.Secret, r.Previous...)
	return s.View(func(reader *store.Reader) error {
		for _, k := range reader.Keys() {
			if _, err := sealer.Open(k.Sealed, []byte(k.ID)); errors.Is(err, secret.ErrOtherSecret) {
				return errors.New("this is not the secret of the node's cluster: set KEYSTONE_SECRET or KEYSTONE_SECRET_FILE to the one that it was run with, nothing was changed")
			}
		}
		return nil
	})
}
