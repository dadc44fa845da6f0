package backup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/store"
)

// Replay is what one version of the program makes of the data of a node. Two versions agree if all hashes are equal.
type Replay struct {
	Program  string `json:"program"`
	Commands uint64 `json:"commands"` // the highest command version that it knows
	Format   uint64 `json:"format"`   // of the state files that it can read

	Index uint64 `json:"index"` // where the state stands
	Hash  string `json:"hash"`  // its hash, computed anew from the rows

	// Anew is how many entries were applied to an empty state, from the first one of the log to Index; 0: the log no
	// longer holds its beginning.
	Anew     uint64 `json:"anew"`
	AnewHash string `json:"anew_hash,omitempty"`

	Tail     uint64 `json:"tail"` // entries of the log behind the state, applied to it
	TailHash string `json:"tail_hash,omitempty"`
}

// The files of the folder that ReplayFolder takes: the state, and the cluster's part, which may be missing.
const replayState = "state.db"

// ReplayFolder applies the log in a folder that is a copy of a node's data, and may change it. Nothing else is read.
func ReplayFolder(folder, program string) (out Replay, err error) {
	out = Replay{Program: program, Commands: fsm.Version(), Format: store.Format}
	s, err := store.Open(filepath.Join(folder, replayState))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Check(); err != nil {
		return out, fmt.Errorf("the state does not pass its check: %w", err)
	}
	meta, err := s.Meta()
	if err != nil {
		return out, err
	}
	out.Index, out.Hash = meta.Index, hexed(meta.Hash)
	if _, err := fsm.New(fsm.Config{Store: s, Fatal: func(error) {}}); err != nil {
		return out, err
	}
	if !cluster.HasData(folder) {
		return out, nil
	}
	log, err := cluster.OpenStopped(folder)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if log.First == 1 {
		if out.AnewHash, err = anew(filepath.Join(folder, "anew.db"), log, meta.Index); err != nil {
			return out, err
		}
		out.Anew = meta.Index
	}
	if log.Last > meta.Index {
		if err := follow(s, log, log.Last); err != nil {
			return out, err
		}
		if meta, err = s.Meta(); err != nil {
			return out, err
		}
		out.Tail, out.TailHash = log.Last-out.Index, hexed(meta.Hash)
	}
	return out, nil
}

// anew makes a state of the log from its first entry, and returns its hash.
func anew(path string, log *cluster.Stopped, to uint64) (string, error) {
	s, err := store.Open(path)
	if err != nil {
		return "", err
	}
	err = follow(s, log, to)
	meta, metaErr := s.Meta()
	return hexed(meta.Hash), errors.Join(err, metaErr, s.Close(), os.Remove(path))
}

// CopyStopped copies what ReplayFolder needs of a data folder whose node does not run.
func CopyStopped(into, folder string) error {
	from := append(cluster.Remains(folder), filepath.Join(folder, replayState))
	for _, path := range from {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("the data folder %s is not whole: %w", folder, err)
		}
		if !info.IsDir() {
			if err := copyFile(filepath.Join(into, filepath.Base(path)), path); err != nil {
				return fmt.Errorf("the data cannot be copied: %w: name a folder that has room with TMPDIR", err)
			}
			continue
		}
		below := filepath.Join(into, filepath.Base(path))
		if err := os.CopyFS(below, os.DirFS(path)); err != nil {
			return fmt.Errorf("the data cannot be copied: %w: name a folder that has room with TMPDIR", err)
		}
	}
	return nil
}

// copyFile copies a private file.
func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
}
