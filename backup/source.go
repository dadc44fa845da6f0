package backup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// Source makes backups of a node's state, one at a time: each needs as much room as the state itself.
type Source struct {
	Store     *store.Store
	Folder    string // for the copies under way, on a disk of this node
	ClusterID func() string
	Secret    secret.ClusterSecret
	Node      string
	Keystone  string // the version of the program
	// Free is how many bytes may be written to Folder before the node lacks room for its own work. Nil:
	// that is not known.
	Free func() uint64

	busy sync.Mutex // held as long as there is a copy
}

// Open copies the state as it is now. The copy is on disk before anybody reads it, for a slow reader must
// not hold a read transaction open: the file would grow as long as it does. The archive must be closed.
// An *iam.Error says that this node makes none now.
func (s *Source) Open() (*Archive, error) { return s.start(false) }

// OpenProven is Open for a copy that passes Check before anybody reads it, which takes seconds for a million
// rows.
func (s *Source) OpenProven() (*Archive, error) { return s.start(true) }

func (s *Source) start(prove bool) (*Archive, error) {
	if !s.busy.TryLock() {
		refusal := iam.Errorf(iam.RateLimitExceeded, "This node is making a backup already: wait until it is done, or ask another node.")
		refusal.RetryAfter = 10 * time.Second
		return nil, refusal
	}
	a, err := s.open(prove)
	if err != nil {
		s.busy.Unlock()
		if store.IsFull(err) {
			return nil, noRoom()
		}
		return nil, err
	}
	a.done = sync.OnceFunc(s.busy.Unlock)
	return a, nil
}

func noRoom() error {
	return iam.Unavailable(time.Minute, "The disk of this node has no room for a copy of the state: free some space, or ask another node.")
}

func (s *Source) open(prove bool) (*Archive, error) {
	stats, err := s.Store.Stats()
	if err != nil {
		return nil, err
	}
	if s.Free != nil && s.Free() < uint64(stats.Bytes) {
		return nil, noRoom()
	}
	file, err := os.CreateTemp(s.Folder, copyName)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // the open file lives on without a name
	a, err := s.fill(file, prove)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	a.file = file
	return a, nil
}

func (s *Source) fill(file *os.File, prove bool) (*Archive, error) {
	created := time.Now().UTC()
	state, err := s.Store.Copy(file)
	if err != nil {
		return nil, err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	epoch, err := inspect(file.Name(), prove)
	if err != nil {
		return nil, err
	}
	return newArchive(Meta{
		Format: Format, Created: created, Keystone: s.Keystone, Node: s.Node, ClusterID: s.ClusterID(),
		Fingerprint: s.Secret.Fingerprint(), Index: state.Index, Term: state.Term, Epoch: epoch.Number,
		StateFormat: state.Format, StateVersion: fsm.Version(), StateHash: hexed(state.Hash), Rows: state.Rows, Bytes: size,
	}, file, s.Secret)
}

// inspect reads what a copy alone tells, and proves it where that is wanted.
func inspect(path string, prove bool) (e iam.Epoch, err error) {
	s, err := store.OpenReadOnly(path)
	if err != nil {
		return e, fmt.Errorf("the copy of the state: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if prove {
		if err := s.Check(); err != nil {
			return e, fmt.Errorf("the copy of the state is not sound: %w", err)
		}
	}
	return e, s.View(func(r *store.Reader) error {
		e, _ = r.Epoch()
		return nil
	})
}
