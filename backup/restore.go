package backup

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// A restore begins a cluster of one node whose state is that of a backup, and two things more: nothing that
// was issued before is good any more, and this node is the only member. Both are ordinary commands behind the
// last one of the backup, applied before the state has its place, so that no node ever serves without them.

// Restore says what a data folder is to be made of.
type Restore struct {
	File   string
	Keys   Keys
	Folder string // the data folder, which is empty
	// Scratch is a folder on the same disk. What a crash leaves there the next start of a node removes.
	Scratch string
	State   string // the path of the state file

	Name, Address string // of the node
	Secret        secret.ClusterSecret
	Previous      []secret.ClusterSecret
	// NewCluster gives the cluster a new id. Only then may the backup be of a cluster with another secret.
	NewCluster bool
	// Place is called when everything is proven and before anything is changed.
	Place func() error
}

// Restored is what came of a Restore.
type Restored struct {
	Report
	NewClusterID string `json:"new_cluster_id"` // that of the backup, or a new one
	NewEpoch     uint64 `json:"new_epoch"`
	NewIndex     uint64 `json:"new_index"`
}

// Run restores. The backup is proven as a whole before the first change, and after an error the folder is as
// it was.
func (r *Restore) Run() (out Restored, err error) {
	u, err := unpackFile(r.File, r.Keys, r.Scratch)
	if err != nil {
		return out, err
	}
	defer func() { _ = u.Remove() }() // nothing, once it has its place
	out.Report = Report{Meta: u.Meta, Encrypted: u.need != NeedNothing}
	if out.Signature, err = u.signature(append([]secret.ClusterSecret{r.Secret}, r.Previous...)); err != nil {
		return out, err
	}
	if out.Signature != SignatureGood && !r.NewCluster {
		return out, fmt.Errorf("the backup %s is of cluster %s, which has another secret than this node was given: give it that one with KEYSTONE_SECRET or KEYSTONE_SECRET_FILE, "+
			"or make a new cluster of the backup with --force-new-cluster; nothing was changed", r.File, u.Meta.ClusterID)
	}
	if err := u.Prove(); err != nil {
		return out, err
	}
	if out.NewClusterID = u.Meta.ClusterID; r.NewCluster {
		out.NewClusterID = iam.NewID().String()
	}
	seed, err := cluster.NewSeed(out.NewClusterID, r.Name, r.Address)
	if err != nil {
		return out, err
	}
	state, err := r.revive(u, seed, out.Signature != SignatureGood)
	if err != nil {
		return out, fmt.Errorf("the state of the backup cannot be made ready: %w", err)
	}
	out.NewEpoch, out.NewIndex = state.epoch, state.index
	if err := r.Place(); err != nil {
		return out, err
	}
	return out, seed.Plant(r.Folder, state.term, func() error {
		if err := os.Rename(u.Path, r.State); err != nil {
			return fmt.Errorf("the state cannot get its place: %w", err)
		}
		return store.SyncDir(r.Folder)
	})
}

// revived is where a state stands that was made ready.
type revived struct{ index, term, epoch uint64 }

// revive makes a copied state the beginning of a cluster.
func (r *Restore) revive(u *Unpacked, seed cluster.Seed, foreign bool) (out revived, err error) {
	s, err := store.Open(u.Path)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	a := &applier{store: s, index: u.Meta.Index, term: u.Meta.Term + 1}
	end, err := invalidation(s, "restored from the backup of "+u.Meta.Created.Format(time.RFC3339), r.Secret, foreign)
	if err != nil {
		return out, err
	}
	if err := a.propose(end); err != nil {
		return out, err
	}
	if foreign {
		if err := r.signAudit(a); err != nil {
			return out, err
		}
	}
	if err := a.apply(&raft.Log{Type: raft.LogConfiguration, Data: seed.Configuration()}); err != nil {
		return out, err
	}
	err = s.View(func(reader *store.Reader) error {
		e, _ := reader.Epoch()
		out = revived{a.index, a.term, e.Number}
		return nil
	})
	return out, errors.Join(err, s.Flush())
}

// invalidation is the command after which nothing is good that was issued before. In the compatible mode the
// key is what other services share with the cluster, and stays; sealed under a secret that this node does
// not have it is replaced by one that serves until the leader brings in JWT_SECRET_KEY again.
func invalidation(s *store.Store, reason string, clusterSecret secret.ClusterSecret, foreign bool) (*fsm.RaiseEpoch, error) {
	var settings iam.Settings
	if err := s.View(func(reader *store.Reader) error {
		settings, _ = reader.Settings()
		return nil
	}); err != nil {
		return nil, err
	}
	now := iam.Now()
	cmd := &fsm.RaiseEpoch{Reason: reason, Least: uint64(now.Std().Unix())}
	algorithm := settings.Algorithm
	if algorithm == "HS256" {
		if !foreign {
			return cmd, nil
		}
		algorithm = "ES256"
	}
	key, err := token.NewKey(algorithm, now, now, secret.NewSealer(clusterSecret).Seal)
	cmd.Key = key
	return cmd, err
}

// signAudit puts this cluster's signature under the checkpoints of the audit log, whose own ones nobody can
// check here. Who makes a cluster of a foreign backup vouches for what is in it.
func (r *Restore) signAudit(a *applier) error {
	notary := secret.NewNotary(r.Secret)
	for after := uint64(0); ; {
		var page []iam.AuditCheckpoint
		if err := a.store.View(func(reader *store.Reader) error {
			page = reader.Checkpoints(after, fsm.MaxSign)
			return nil
		}); err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Sequence
		for i, c := range page {
			page[i] = notary.Sign(c)
		}
		if err := a.propose(&fsm.SignAudit{Checkpoints: page}); err != nil {
			return err
		}
	}
}

// applier applies commands to a state that no cluster has yet, as entries that no log ever holds.
type applier struct {
	store       *store.Store
	index, term uint64 // of the last entry
}

func (a *applier) propose(cmd fsm.Command) error {
	entry, err := fsm.Encode(fsm.Origin{Actor: "operator"}, iam.Now(), cmd)
	if err != nil {
		return err
	}
	return a.apply(&raft.Log{Type: raft.LogCommand, Data: entry})
}

func (a *applier) apply(entry *raft.Log) error {
	a.index++
	entry.Index, entry.Term = a.index, a.term
	failed := make(chan error, 1)
	go func() { // of its own, since a state machine that fails ends the goroutine that it runs in
		machine, err := fsm.New(fsm.Config{Store: a.store, Committed: func([]store.Change) {}, Fatal: func(err error) { failed <- err }})
		if err != nil {
			failed <- err
			return
		}
		response, _ := machine.Apply(entry).(fsm.Response)
		if response.Refusal != nil {
			failed <- response.Refusal
			return
		}
		failed <- nil
	}()
	return <-failed
}
