package fsm

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// The state file is its own snapshot: it is on disk, synced, and says in itself which log index it
// stands for. So taking a snapshot brings it up to date and writes nothing else, and only sending one to a node that fell far
// behind makes a copy. A received copy is proven whole and stamped with its place in the log before
// it takes the state's place in one rename.

// liveSnapshot is the name under which raft knows the state file.
const liveSnapshot = "state"

// Snapshot implements raft.FSM. There is nothing to write but what is not in the file yet: raft may remove the
// log up to here when it has returned.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.Store.Flush(); err != nil {
		return nil, err
	}
	return emptySnapshot{}, nil
}

type emptySnapshot struct{}

func (emptySnapshot) Persist(raft.SnapshotSink) error { return nil }
func (emptySnapshot) Release()                        {}

// Snapshots is raft's view of the state file as a snapshot, and the place where snapshots arrive.
type Snapshots struct {
	store *store.Store
	dir   string
}

// NewSnapshots returns the snapshots of a store; dir is where copies in transit live. What a crash
// left there is removed: it was received but never became the state, and must not look as if it had.
func NewSnapshots(s *store.Store, dir string) (*Snapshots, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("leftovers in %s cannot be removed: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the snapshot folder cannot be made: %w", err)
	}
	return &Snapshots{store: s, dir: dir}, nil
}

// List implements raft.SnapshotStore. It is about what is in the file for good, for raft relies on it after a
// crash too.
func (s *Snapshots) List() ([]*raft.SnapshotMeta, error) {
	meta, err := s.store.Flushed()
	if err != nil || meta.Index == 0 {
		return nil, err
	}
	return []*raft.SnapshotMeta{snapshotMeta(meta, 0)}, nil
}

func snapshotMeta(meta store.Meta, size int64) *raft.SnapshotMeta {
	m := &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: liveSnapshot,
		Index: meta.Index, Term: meta.Term, ConfigurationIndex: meta.ConfigurationIndex, Size: size,
	}
	if len(meta.Configuration) > 0 {
		m.Configuration = raft.DecodeConfiguration(meta.Configuration)
	}
	return m
}

// Open implements raft.SnapshotStore. The live state is copied first, for a slow receiver must not
// hold a read transaction open: the file would grow as long as it does.
func (s *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id != liveSnapshot {
		return s.openReceived(id)
	}
	file, err := os.CreateTemp(s.dir, "send-*")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // the open file lives on without a name
	sum := sha256.New()
	meta, err := s.store.Copy(io.MultiWriter(file, sum))
	if err == nil {
		_, err = file.Write(sum.Sum(nil))
	}
	var size int64
	if err == nil {
		size, err = file.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return snapshotMeta(meta, size), file, nil
}

// Create implements raft.SnapshotStore. Nothing is on disk before the first byte arrives: raft
// calls it for its own snapshots too, which have none.
func (s *Snapshots) Create(_ raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{
		id: iam.NewID().String(), dir: s.dir, index: index, term: term,
		configuration: raft.EncodeConfiguration(configuration), configurationIndex: configurationIndex,
	}, nil
}

// sink receives one snapshot.
type sink struct {
	id, dir            string
	index, term        uint64
	configuration      []byte
	configurationIndex uint64
	file               *os.File
}

// ID implements raft.SnapshotSink.
func (k *sink) ID() string { return k.id }

func (k *sink) arriving() string { return filepath.Join(k.dir, k.id+".tmp") }

// Write implements raft.SnapshotSink.
func (k *sink) Write(p []byte) (int, error) {
	if k.file == nil {
		file, err := os.OpenFile(k.arriving(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return 0, err
		}
		k.file = file
	}
	return k.file.Write(p)
}

// Close implements raft.SnapshotSink: it proves that what arrived is what was sent.
func (k *sink) Close() error {
	if k.file == nil {
		return nil
	}
	err := errors.Join(checkTrailer(k.file), k.file.Sync(), k.file.Close())
	k.file = nil
	if err == nil {
		err = store.Stamp(k.arriving(), k.index, k.term, k.configuration, k.configurationIndex)
	}
	if err == nil {
		err = os.Rename(k.arriving(), receivedFile(k.dir, k.id))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the snapshot that arrived is not usable: %w", err), os.Remove(k.arriving()))
	}
	return store.SyncDir(k.dir)
}

// Cancel implements raft.SnapshotSink.
func (k *sink) Cancel() error {
	if k.file == nil {
		return nil
	}
	err := errors.Join(k.file.Close(), os.Remove(k.arriving()))
	k.file = nil
	return err
}

// checkTrailer compares the file with the SHA-256 at its end and cuts that off.
func checkTrailer(file *os.File) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	size := end - sha256.Size
	if size <= 0 {
		return errors.New("it is too short")
	}
	sum, want := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, size)); err != nil {
		return err
	}
	if _, err := file.ReadAt(want, size); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum.Sum(nil), want) != 1 {
		return errors.New("its checksum does not fit")
	}
	return file.Truncate(size)
}

func receivedFile(dir, id string) string { return filepath.Join(dir, id+".db") }

// received is a snapshot that arrived whole and waits to become the state.
type received struct {
	*os.File
}

func (s *Snapshots) openReceived(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	file, err := os.Open(receivedFile(s.dir, filepath.Base(id)))
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: id, Size: info.Size()}, received{file}, nil
}

// receivedPath finds the file behind the reader that raft wraps around it.
func receivedPath(source io.ReadCloser) (string, error) {
	for {
		switch s := source.(type) {
		case received:
			return s.Name(), nil
		case raft.ReadCloserWrapper:
			source = s.WrappedReadCloser()
		default:
			return "", errors.New("the snapshot did not come through this node's snapshot store")
		}
	}
}
