package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/store"
)

// recoveringName is of the folder in which a recovery makes the new data.
const recoveringName = "recovering"

// Inspect tells how far the node of a data folder has come, which must not run.
func Inspect(c Config) (out backup.Standing, err error) {
	f, err := openUsed(c.DataDir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	return backup.Inspect(f.path, f.statePath())
}

// Recover makes the node of a data folder, which must not run, a cluster of one, where the others are lost for good. What
// was there before is kept in the folder kept.
func Recover(c Config) (out backup.Recovered, kept string, err error) {
	f, err := openUsed(c.DataDir)
	if err != nil {
		return out, "", err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	clusterSecret, err := f.clusterSecret(c.Secret, false)
	if err != nil {
		return out, "", err
	}
	scratch := f.join(recoveringName)
	if err := errors.Join(os.RemoveAll(scratch), os.Mkdir(scratch, 0o700)); err != nil { // a recovery that was killed may have left it
		return out, "", fmt.Errorf("the data folder is not usable: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	r := backup.Recovery{Folder: f.path, State: f.statePath(), Scratch: scratch, Address: c.Advertise, Secret: clusterSecret, Previous: c.Previous}
	if out, err = r.Run(); err != nil {
		return out, "", err
	}
	kept, err = f.exchange(scratch)
	return out, kept, err
}

// exchange puts what lies in scratch into the place of the node's data. The node's place in its cluster goes first and
// comes last: a crash in between leaves a folder on which no node starts, and nothing is lost.
func (f *folder) exchange(scratch string) (kept string, err error) {
	kept = f.join("before-recovery-" + time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(kept, 0o700); err != nil {
		return kept, fmt.Errorf("there is no place for what was there before: %w", err)
	}
	old := append(cluster.Remains(f.path), f.statePath())
	for _, path := range old {
		if err := os.Rename(path, filepath.Join(kept, filepath.Base(path))); err != nil {
			return kept, halfway(kept, err)
		}
	}
	if err := store.SyncDir(f.path); err != nil {
		return kept, halfway(kept, err)
	}
	made := append(cluster.Remains(scratch), filepath.Join(scratch, filepath.Base(f.statePath())))
	for i := len(made) - 1; i >= 0; i-- {
		if err := os.Rename(made[i], f.join(filepath.Base(made[i]))); err != nil {
			return kept, halfway(kept, err)
		}
	}
	return kept, store.SyncDir(f.path)
}

func halfway(kept string, err error) error {
	return fmt.Errorf("the data could not be exchanged: %w: move back what lies in %s and recover again", err, kept)
}

// openUsed opens the folder of a node that does not run.
func openUsed(path string) (*folder, error) {
	if !IsUsed(path) {
		return nil, fmt.Errorf("no node was ever run on the folder %s: tell with --data where its data is", path)
	}
	return openFolder(path)
}

// TakeCopy copies what backup.ReplayFolder needs of a data folder whose node does not run.
func TakeCopy(into, path string) (err error) {
	f, err := openUsed(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	return backup.CopyStopped(into, path)
}
