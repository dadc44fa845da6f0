package node

import (
	"errors"
	"fmt"
	"os"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

// Restore makes a data folder, which must be empty, that of a node whose state is the backup's. After an error
// the folder is as it was.
func Restore(c Config, file string, keys backup.Keys, newCluster bool) (out backup.Restored, err error) {
	undo, err := emptyFolder(c.DataDir, "a backup is restored into")
	if err != nil {
		return out, err
	}
	f, err := openFolder(c.DataDir)
	if err != nil {
		return out, err
	}
	defer func() {
		if err = errors.Join(err, f.close()); err != nil {
			undo()
		}
	}()
	clusterSecret, others, made, err := f.secretToRestore(c.Secret, newCluster)
	if err != nil {
		return out, err
	}
	if err := errors.Join(os.RemoveAll(f.snapshotPath()), os.Mkdir(f.snapshotPath(), 0o700)); err != nil { // a restore that was killed may have left it
		return out, fmt.Errorf("the data folder is not usable: %w", err)
	}
	r := backup.Restore{
		File: file, Keys: keys, Folder: f.path, Scratch: f.snapshotPath(), State: f.statePath(),
		Name: c.Name, Address: c.Advertise, Secret: clusterSecret, Previous: append(others, c.Previous...), NewCluster: newCluster,
		Place: func() error {
			if !made {
				return nil
			}
			return f.keepSecret(clusterSecret)
		},
	}
	return r.Run()
}

// Begin makes a data folder, which must be empty, that of the first and only node of a new cluster, and returns
// what makes that undone. After an error the folder is as it was.
func Begin(path, name, address string) (undo func(), err error) {
	undo, err = emptyFolder(path, "a new cluster begins in")
	if err != nil {
		return nil, err
	}
	f, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	seed, err := cluster.NewSeed(iam.NewID().String(), name, address)
	if err == nil {
		err = seed.Begin(path)
	}
	if err = errors.Join(err, f.close()); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}

// emptyFolder refuses a folder in which a node has been. undo brings it back to what it is now.
func emptyFolder(path, what string) (undo func(), err error) {
	if _, err := os.Stat((&folder{path: path}).statePath()); err == nil || cluster.HasData(path) {
		return nil, fmt.Errorf("the data folder %s holds a node's data: %s an empty one, choose another with --data; nothing was changed", path, what)
	}
	before := map[string]bool{}
	entries, err := os.ReadDir(path)
	existed := err == nil
	for _, e := range entries {
		before[e.Name()] = true
	}
	return func() {
		if !existed {
			_ = os.RemoveAll(path)
			return
		}
		for _, name := range []string{lockName, secretName, stateName, snapshotName, "raft", "cluster.json"} {
			if !before[name] {
				_ = os.RemoveAll((&folder{path: path}).join(name))
			}
		}
	}, nil
}

// secretToRestore is clusterSecret for a folder that is to be filled from a backup. A new secret is not kept
// before everything else has been proven.
func (f *folder) secretToRestore(given secret.ClusterSecret, newCluster bool) (s secret.ClusterSecret, others []secret.ClusterSecret, made bool, err error) {
	if _, err := os.Stat(SecretFile(f.path)); given.IsZero() && errors.Is(err, os.ErrNotExist) {
		if newCluster {
			return secret.NewClusterSecret(), nil, true, nil
		}
		return s, nil, false, fmt.Errorf("a restore needs the secret of the backup's cluster: set KEYSTONE_SECRET or KEYSTONE_SECRET_FILE, put the file into %s, or make a new cluster with --force-new-cluster", SecretFile(f.path))
	}
	s, others, err = f.clusterSecret(given, false)
	return s, others, false, err
}
