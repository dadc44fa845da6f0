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
	clusterSecret, others, err := f.clusterSecret(c.Secret, false)
	if err != nil {
		return out, "", err
	}
	scratch := f.join(recoveringName)
	if err := errors.Join(os.RemoveAll(scratch), os.Mkdir(scratch, 0o700)); err != nil { // a recovery that was killed may have left it
		return out, "", fmt.Errorf("the data folder is not usable: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	r := backup.Recovery{Folder: f.path, State: f.statePath(), Scratch: scratch, Address: c.Advertise, Secret: clusterSecret, Previous: append(others, c.Previous...)}
	if out, err = r.Run(); err != nil {
		return out, "", err
	}
	kept, err = f.exchange(scratch)
	return out, kept, err
}

// exchange puts what lies in scratch into the place of the node's data. The node's place in its cluster goes first and
// comes last, and the new log comes before the old state goes: whenever a crash comes in between, there is a log or a
// state without a place, on which no node starts, and nothing is lost.
func (f *folder) exchange(scratch string) (kept string, err error) {
	kept = f.join("before-recovery-" + time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(kept, 0o700); err != nil {
		return kept, fmt.Errorf("there is no place for what was there before: %w", err)
	}
	remains := cluster.Remains(f.path)
	place, log := filepath.Base(remains[0]), filepath.Base(remains[1])
	for _, step := range []struct{ name, from, to string }{
		{place, f.path, kept},
		{log, f.path, kept},
		{log, scratch, f.path},
		{stateName, f.path, kept},
		{stateName, scratch, f.path},
		{place, scratch, f.path},
	} {
		err := os.Rename(filepath.Join(step.from, step.name), filepath.Join(step.to, step.name))
		if err == nil {
			err = errors.Join(store.SyncDir(step.from), store.SyncDir(step.to))
		}
		if err != nil {
			return kept, fmt.Errorf("the data could not be exchanged: %w: move what lies in %s back and recover again", err, kept)
		}
	}
	return kept, nil
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
