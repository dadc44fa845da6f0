package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/keystone-auth/keystone/iam"
)

// Format is the version of the file's layout. A file of a newer one is refused: an old program
// would read it wrongly and then vote on what it misread.
const Format = 1

// Errors of Open.
var (
	// ErrInUse means that another process has the file open.
	ErrInUse = errors.New("the data is in use by another Keystone process: stop that one, or choose another data folder")
	// ErrNewerFormat means that a newer Keystone wrote the file.
	ErrNewerFormat = errors.New("the data was written by a newer Keystone: start that version, nothing was changed")
)

// Meta says how far the state has come. It is written in the same transaction as the rows, which is
// what makes a second delivery of a log entry recognisable.
type Meta struct {
	Format             uint64    `cbor:"1,keyasint"`
	Index              uint64    `cbor:"2,keyasint"` // of the last log entry that was applied
	Term               uint64    `cbor:"3,keyasint"` // of that entry
	Configuration      []byte    `cbor:"4,keyasint,omitempty"`
	ConfigurationIndex uint64    `cbor:"5,keyasint,omitempty"`
	Time               iam.Time  `cbor:"6,keyasint,omitempty"` // the state's own clock: never runs backwards
	AuditSequence      uint64    `cbor:"7,keyasint,omitempty"` // of the last audit entry
	Hash               stateHash `cbor:"8,keyasint"`

	AuditHash iam.AuditHash `cbor:"9,keyasint,omitzero"` // of the last audit entry, which the next one carries
	// Rows is how many rows each table has, for lists of a million rows that tell their length.
	Rows map[string]uint64 `cbor:"10,keyasint,omitempty"`
	// Needs is the highest command version that an applied entry asked for; 0: the first.
	Needs uint64 `cbor:"11,keyasint,omitempty"`
}

// Change is one row as a transaction left it, or as it was before it was deleted.
type Change struct {
	Row     any // an iam struct, by value
	Deleted bool
}

// Store is the state on disk, with what is on its way there. It is safe for concurrent use. Of its locks flushing
// is taken first, then mu, then writing.
type Store struct {
	path string
	mu   sync.RWMutex // held by every transaction for its whole life, and for writing while the file is replaced
	db   *bolt.DB

	state    atomic.Pointer[state]
	writing  sync.Mutex // held by who publishes a state
	room     *sync.Cond // of writing: what was frozen is in the file, or is not getting there
	flushing sync.Mutex // held while the file changes
	onBroken func(error)

	dirty   chan struct{} // something waits for the flusher
	filled  chan struct{} // and it should not wait for more
	closing chan struct{}
	ended   sync.WaitGroup // of the flusher
	once    sync.Once      // of Close
}

func newStore(path string, db *bolt.DB) *Store {
	s := &Store{path: path, db: db, dirty: make(chan struct{}, 1), filled: make(chan struct{}, 1), closing: make(chan struct{})}
	s.room = sync.NewCond(&s.writing)
	s.state.Store(&state{active: newLayer()})
	return s
}

// Open opens the file and makes it when it is missing.
func Open(path string) (*Store, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	s := newStore(path, db)
	s.ended.Go(s.keepFlushed)
	return s, nil
}

func openFile(path string) (*bolt.DB, error) {
	if err := CheckWhole(path); err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:        time.Second, // a double start is told at once
		FreelistType:   bolt.FreelistMapType,
		NoFreelistSync: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("the state file %s cannot be opened (%w): %s", path, err, restoreIt)
	}
	if err := prepare(db); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return db, nil
}

// restoreIt is what to do about a file that is broken.
const restoreIt = "put the data folder back as it was, or empty it and let this node join its cluster anew"

// CheckWhole tells whether a bbolt file is as long as it says that it is. Opened for good, one that was
// cut short would end the process at the first look behind its end. A file that is missing, in use or
// unreadable passes: opening it says more.
func CheckWhole(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return nil
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second}) // looks at the first pages alone
	if err != nil {
		return nil
	}
	var size int64
	err = db.View(func(tx *bolt.Tx) error {
		size = tx.Size()
		return nil
	})
	if err = errors.Join(err, db.Close()); err == nil && info.Size() < size {
		return fmt.Errorf("the file %s is cut short, it has %d of %d bytes: %s", path, info.Size(), size, restoreIt)
	}
	return nil
}

// prepare makes the buckets of a new file and refuses a file that this build does not understand.
func prepare(db *bolt.DB) error {
	var meta Meta
	err := db.View(func(tx *bolt.Tx) (err error) { meta, err = fileMeta(tx); return err })
	switch {
	case err != nil:
		return err
	case meta.Format > Format:
		return ErrNewerFormat
	case meta.Format == Format:
		return db.View(complete)
	}
	return db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists([]byte(metaBucket)); err != nil {
			return err
		}
		for _, t := range tables {
			for _, name := range t.buckets() {
				if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
					return err
				}
			}
		}
		return tx.Bucket([]byte(metaBucket)).Put(metaKey, Encode(Meta{Format: Format}))
	})
}

// complete refuses a file that says it is of this format and is not: the first use of a bucket that
// is missing would crash the node.
func complete(tx *bolt.Tx) error {
	for _, t := range tables {
		for _, name := range t.buckets() {
			if tx.Bucket([]byte(name)) == nil {
				return fmt.Errorf("the bucket %s is missing: the file is damaged or not of Keystone", name)
			}
		}
	}
	return nil
}

// metaKey is the one key of the bucket of Meta.
var metaKey = []byte("state")

// fileMeta is the Meta of what is in the file.
func fileMeta(tx *bolt.Tx) (Meta, error) {
	b := tx.Bucket([]byte(metaBucket))
	if b == nil {
		return Meta{}, nil
	}
	return decodeMeta(b.Get(metaKey))
}

func decodeMeta(data []byte) (meta Meta, err error) {
	if data == nil {
		return meta, nil
	}
	if err := Decode(data, &meta); err != nil {
		return meta, fmt.Errorf("the state's header cannot be read: %w", err)
	}
	return meta, nil
}

// Path returns the file's name.
func (s *Store) Path() string { return s.path }

// Close waits for the transactions that are open, brings the file up to date and closes it. A disk that is full
// is no error: the log leads on from where the file stands.
func (s *Store) Close() (err error) {
	s.once.Do(func() {
		close(s.closing)
		s.ended.Wait()
		err = s.Flush()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			keepFreePages(s.db)
		} else if IsFull(err) {
			err = nil
		}
		err = errors.Join(err, s.db.Close())
	})
	return err
}

// View calls fn with a consistent view of the state. The Reader dies when fn returns; the rows that
// it gave out are copies and stay.
func (s *Store) View(fn func(*Reader) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now, file, err := s.begin()
	if err != nil {
		return err
	}
	defer func() { _ = file.Rollback() }()
	r := &Reader{stack: now.over(file)}
	if err := fn(r); err != nil {
		return err
	}
	return r.err
}

// Update calls fn with a writer and makes what it did, together with its Meta, the state that everybody sees; it
// is in the file a moment later. An error of fn or of the disk leaves the state as it was. Only the state machine
// calls it. The changes are in the order in which they were made.
func (s *Store) Update(fn func(*Tx) error) ([]Change, error) {
	if err := s.awaitRoom(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	tx, err := s.draft()
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.file.Rollback() }()
	if err := fn(tx); err != nil {
		return nil, err
	}
	tx.Meta.Hash = tx.hash
	tx.fail(tx.bucket(metaBucket).put(metaKey, Encode(tx.Meta)))
	if tx.err != nil {
		return nil, tx.err
	}
	s.publish(func(next *state) { next.active = tx.layers[0] })
	s.wake()
	return tx.changes, nil
}

// draft is a writer whose work nobody sees yet. The caller holds writing, and rolls its file back.
func (s *Store) draft() (*Tx, error) {
	now, file, err := s.begin()
	if err != nil {
		return nil, err
	}
	tx := &Tx{Reader: Reader{stack: (&state{active: now.active.copy(), frozen: now.frozen}).over(file)}}
	if tx.Meta, err = tx.meta(); err != nil {
		return nil, errors.Join(err, file.Rollback())
	}
	tx.hash = tx.Meta.Hash
	return tx, nil
}

// Rehearse calls fn with a writer whose work is thrown away, for whoever wants to know what would come of a
// change. It holds nobody up.
func (s *Store) Rehearse(fn func(*Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.writing.Lock()
	tx, err := s.draft()
	s.writing.Unlock()
	if err != nil {
		return err
	}
	defer func() { _ = tx.file.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.err
}

// Meta returns how far the state has come.
func (s *Store) Meta() (meta Meta, err error) {
	err = s.View(func(r *Reader) (err error) { meta, err = r.meta(); return err })
	return meta, err
}

// Flushed returns how far the file has come, from where the log is applied again after a crash.
func (s *Store) Flushed() (meta Meta, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err = s.db.View(func(tx *bolt.Tx) (err error) { meta, err = fileMeta(tx); return err })
	return meta, err
}

// Check compares every row with its indexes both ways, the running hash with one made from the rows,
// the audit entries with each other, and the file's own pages. It names the first fault.
func (s *Store) Check() error {
	s.flushing.Lock() // for the whole time: its pages must not change
	defer s.flushing.Unlock()
	if err := s.flush(); err != nil {
		return err
	}
	return s.View((*Reader).check)
}

func (r *Reader) check() error {
	for err := range r.file.Check() {
		return fmt.Errorf("the file's pages: %w", err)
	}
	var hash stateHash
	for _, t := range tables {
		if err := t.check(r, &hash); err != nil {
			return err
		}
	}
	meta, err := r.meta()
	if err != nil {
		return err
	}
	if err := r.followAudit(new(iam.AuditChain), meta); err != nil {
		return err
	}
	if meta.Hash != hash {
		return fmt.Errorf("the state hash %x does not fit the rows, whose hash is %x", meta.Hash, hash)
	}
	for _, t := range tables {
		name := t.buckets()[0]
		if n := r.bucket(name).count(); uint64(n) != meta.Rows[name] {
			return fmt.Errorf("%s: the header counts %d rows, and there are %d", name, meta.Rows[name], n)
		}
	}
	return nil
}

// Copy brings the file up to date and writes a consistent copy of it, with the Meta that belongs to it.
func (s *Store) Copy(w io.Writer) (meta Meta, err error) {
	if err := s.Flush(); err != nil {
		return Meta{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	target := &target{w: w}
	err = s.db.View(func(tx *bolt.Tx) (err error) {
		if meta, err = fileMeta(tx); err == nil {
			_, err = tx.WriteTo(target)
		}
		return err
	})
	return meta, cmp.Or(target.err, err)
}

// target is a writer whose error is kept: of that which bbolt makes of it nothing but the text is left.
type target struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (t *target) Write(p []byte) (n int, err error) {
	n, t.err = t.w.Write(p)
	return n, t.err
}

// Stamp opens a file made by Copy, proves that it is whole, and sets where in the log it stands.
// The log's own idea of that counts, not the copy's: after a restore the two differ, and old entries
// would be applied again.
func Stamp(path string, index, term uint64, configuration []byte, configurationIndex uint64) error {
	s, err := Open(path)
	if err != nil {
		return err
	}
	err = s.Check()
	if err == nil {
		_, err = s.Update(func(tx *Tx) error {
			tx.Meta.Index, tx.Meta.Term = index, term
			tx.Meta.Configuration, tx.Meta.ConfigurationIndex = configuration, configurationIndex
			return nil
		})
	}
	if err == nil {
		err = s.Flush()
	}
	return errors.Join(err, s.Close())
}

// Replace puts the file at path in the place of the state, which nobody reads meanwhile. What was not yet in the
// old file is gone with it: until the new one has its place the log holds all that the old one lacks. After an
// error the store is closed: the process must not go on with a state that is neither.
func (s *Store) Replace(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.db.Close(); err != nil {
		return err
	}
	if err := os.Rename(path, s.path); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	db, err := openFile(s.path)
	if err != nil {
		return err
	}
	s.db = db
	s.writing.Lock()
	defer s.writing.Unlock()
	s.publish(func(next *state) { *next = state{active: newLayer(), flushes: next.flushes + 1} })
	return nil
}

// SyncDir makes a rename or a new file in the folder survive a power loss.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
