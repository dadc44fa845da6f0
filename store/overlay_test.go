package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/keystone-auth/keystone/iam"
)

// model is what a bucket should hold.
type model map[string]string

// layered is a store whose buckets are used without the tables, and what they should hold.
type layered struct {
	*testing.T
	random *rand.Rand
	path   string
	store  *Store
	now    map[string]model
	states []map[string]model // by index
}

// neighbours are three buckets that lie side by side in a layer, one's name the beginning of another's.
var neighbours = []string{"roles", "roles_by_name", "roles_by_scope"}

func newLayered(t *testing.T, seed uint64) *layered {
	path := filepath.Join(t.TempDir(), "state.db")
	l := &layered{T: t, random: rand.New(rand.NewPCG(seed, 0)), path: path, now: map[string]model{}}
	for _, name := range neighbours {
		l.now[name] = model{}
	}
	l.keep()
	l.open()
	return l
}

// keep notes the present state as that of the next index.
func (l *layered) keep() {
	state := map[string]model{}
	for name, m := range l.now {
		state[name] = maps.Clone(m)
	}
	l.states = append(l.states, state)
}

func (l *layered) open() {
	s, err := Open(l.path)
	if err != nil {
		l.Fatal(err)
	}
	l.store = s
}

func (l *layered) key() []byte { return fmt.Appendf(nil, "%02d", l.random.IntN(60)) }

// change makes a few changes in one transaction, which sometimes fails.
func (l *layered) change() {
	sorry := errors.New("sorry")
	fails := l.random.IntN(5) == 0
	next := map[string]model{}
	_, err := l.store.Update(func(tx *Tx) error {
		for _, name := range neighbours {
			next[name] = maps.Clone(l.now[name])
			b := tx.bucket(name)
			for range l.random.IntN(8) {
				key := l.key()
				if l.random.IntN(3) == 0 {
					b.delete(key)
					delete(next[name], string(key))
				} else {
					value := fmt.Appendf(nil, "%d", l.random.IntN(1000))
					if err := b.put(key, value); err != nil {
						return err
					}
					next[name][string(key)] = string(value)
				}
			}
			l.compare(b, next[name]) // a transaction reads its own writes
		}
		tx.Meta.Index = uint64(len(l.states))
		if fails {
			return sorry
		}
		return nil
	})
	switch {
	case fails && !errors.Is(err, sorry):
		l.Fatalf("Update = %v", err)
	case fails:
		return
	case err != nil:
		l.Fatal(err)
	}
	l.now = next
	l.keep()
}

// compare walks over a bucket in every way.
func (l *layered) compare(b bucket, want model) {
	l.Helper()
	keys := slices.Sorted(maps.Keys(want))
	c := b.cursor()
	at := -1 // in keys
	expect := func(what string, i int, k, v []byte) {
		l.Helper()
		if at = i; i < 0 || i >= len(keys) {
			at = -1
			if k != nil || v != nil {
				l.Fatalf("%s of %s gives %s where nothing is", what, b.name, k)
			}
			return
		}
		if string(k) != keys[i] || string(v) != want[keys[i]] {
			l.Fatalf("%s of %s gives %s=%s, want %s=%s", what, b.name, k, v, keys[i], want[keys[i]])
		}
	}
	k, v := c.First()
	expect("First", 0, k, v)
	for i := 1; at >= 0; i++ {
		k, v = c.Next()
		expect("Next", i, k, v)
	}
	k, v = c.Last()
	expect("Last", len(keys)-1, k, v)
	for at >= 0 {
		k, v = c.Prev()
		expect("Prev", at-1, k, v)
	}
	for range 40 {
		switch what := l.random.IntN(8); {
		case at < 0 || what == 0:
			key := l.key()
			i, _ := slices.BinarySearch(keys, string(key))
			k, v = c.Seek(key)
			expect("Seek", i, k, v)
			if got := b.get(key); string(got) != want[string(key)] || (got == nil) != (want[string(key)] == "") {
				l.Fatalf("get of %s gives %s under %s, want %s", b.name, got, key, want[string(key)])
			}
		case what < 5:
			k, v = c.Next()
			expect("Next", at+1, k, v)
		default:
			k, v = c.Prev()
			expect("Prev", at-1, k, v)
		}
	}
	if got := b.count(); got != len(keys) {
		l.Fatalf("%s has %d keys, want %d", b.name, got, len(keys))
	}
}

// look compares what a store holds with the state of its index.
func (l *layered) look(s *Store) {
	l.Helper()
	view(l.T, s, func(r *Reader) {
		meta, err := r.meta()
		if err != nil || meta.Index >= uint64(len(l.states)) {
			l.Fatalf("the state stands at %d, %v", meta.Index, err)
		}
		for _, name := range neighbours {
			l.compare(r.bucket(name), l.states[meta.Index][name])
		}
	})
}

// crash opens the file as the end of the process would have left it now, which is some earlier state, and goes on
// from there.
func (l *layered) crash() {
	l.Helper()
	path := filepath.Join(l.TempDir(), "state.db")
	leave(l.T, l.store, path)
	if err := l.store.Close(); err != nil {
		l.Fatal(err)
	}
	l.path = path
	l.open()
	meta, err := l.store.Meta()
	if err != nil {
		l.Fatal(err)
	}
	l.states = l.states[:meta.Index+1]
	l.now = map[string]model{}
	for name, m := range l.states[meta.Index] {
		l.now[name] = maps.Clone(m)
	}
}

// leave copies the file as it is, as if the process ended.
func leave(t *testing.T, s *Store, path string) {
	t.Helper()
	if s.flushing.TryLock() { // else the caller holds it
		defer s.flushing.Unlock()
	}
	data, err := os.ReadFile(s.Path())
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLayers compares a store with plain maps, whatever lies in the file, frozen, and over both.
func TestLayers(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLayered(t, seed)
			defer func() { _ = l.store.Close() }()
			for range 200 {
				switch l.random.IntN(20) {
				case 0:
					flush(t, l.store)
				case 1, 2:
					l.store.flushing.Lock()
					l.store.freeze() // as between the two halves of a flush
					l.store.flushing.Unlock()
				case 3:
					if err := l.store.Close(); err != nil {
						t.Fatal(err)
					}
					l.open()
				case 4:
					l.crash()
				default:
					l.change()
				}
				l.look(l.store)
			}
		})
	}
}

// TestReadersDuringFlushes: every reader sees one whole state, none older than one seen before, while layers come
// and go beneath it.
func TestReadersDuringFlushes(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const rows = 40
	write := func(index uint64) {
		update(t, s, func(tx *Tx) {
			tx.Meta.Index = index
			for n := range byte(rows) {
				if index%2 == 0 && n%2 == 0 {
					tx.bucket("roles").delete([]byte{n})
				} else {
					tx.fail(tx.bucket("roles").put([]byte{n}, timeKey(iam.Time(index))))
				}
			}
		})
	}
	read := func(seen uint64) (index uint64) {
		view(t, s, func(r *Reader) {
			meta, err := r.meta()
			if index = meta.Index; err != nil || index < seen {
				t.Errorf("a state of %d after one of %d, %v", index, seen, err)
			}
			n := 0
			_ = r.bucket("roles").each(func(key, value []byte) error {
				if n++; !bytes.Equal(value, timeKey(iam.Time(index))) {
					t.Errorf("row %x of the state at %d is %x", key, index, value)
				}
				return nil
			})
			if want := rows / (2 - int(index%2)); n != want {
				t.Errorf("the state at %d has %d rows, want %d", index, n, want)
			}
		})
		return index
	}
	write(1)
	stop := make(chan struct{})
	var all sync.WaitGroup
	until := func(do func()) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	for range 3 {
		seen := uint64(0)
		until(func() { seen = read(seen) })
	}
	until(func() {
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
	})
	for index := uint64(2); index < 1500; index++ {
		write(index)
	}
	close(stop)
	all.Wait()
}

// TestCrashLosesNothingOfTheLog: the file of a process that was killed stands at an earlier index, is sound, and
// comes to the same state when the rest is applied again.
func TestCrashLosesNothingOfTheLog(t *testing.T) {
	s := open(t)
	apply := func(s *Store, index uint64) {
		update(t, s, func(tx *Tx) {
			if index <= tx.Meta.Index {
				return
			}
			tx.Meta.Index = index
			tx.PutUser(user(byte(index%20)+1, "user"+string(rune('a'+index%20)), id(byte(index))))
			tx.DeleteUser(id(byte(index*7%20) + 1))
			tx.AppendAudit(iam.AuditEntry{Type: "x", At: iam.Time(index)})
		})
	}
	for index := uint64(1); index <= 50; index++ {
		apply(s, index)
	}
	flush(t, s)
	s.flushing.Lock() // the process is killed before the next flush
	for index := uint64(51); index <= 100; index++ {
		apply(s, index)
	}
	path := filepath.Join(t.TempDir(), "left.db")
	leave(t, s, path)
	if meta, err := s.Flushed(); err != nil || meta.Index != 50 {
		t.Errorf("the file is said to stand at %d, %v", meta.Index, err)
	}
	s.flushing.Unlock()

	left := openAt(t, path)
	if meta, err := left.Meta(); err != nil || meta.Index != 50 {
		t.Errorf("the file stands at %d, %v; want 50", meta.Index, err)
	}
	check(t, left)
	for index := uint64(40); index <= 100; index++ {
		apply(left, index)
	}
	if hashOf(t, left) != hashOf(t, s) {
		t.Error("the log applied again leads to another state")
	}
}

// TestUpdateWaitsForTheDisk: what is not in the file yet does not grow without end.
func TestUpdateWaitsForTheDisk(t *testing.T) {
	s := open(t)
	s.flushing.Lock() // a disk that takes its time
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range byte(40) {
			update(t, s, func(tx *Tx) {
				tx.PutScope(iam.Scope{ID: id(n), Name: fmt.Sprint(n), Description: string(make([]byte, 1<<20))})
			})
		}
	}()
	for !s.state.Load().crowded() {
		time.Sleep(time.Millisecond)
	}
	select {
	case <-done:
		t.Error("nothing has waited")
	case <-time.After(50 * time.Millisecond):
	}
	if size := s.state.Load().active.bytes; size > mostBytes+2<<20 {
		t.Errorf("%d bytes are not in the file", size)
	}
	s.flushing.Unlock()
	<-done
	check(t, s)
}

// TestBrokenDisk: after an error that is not a full disk nothing is tried again, nothing more is applied, and
// whoever has to know is told once.
func TestBrokenDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 10)
	s.OnBroken(func(err error) { told <- err })
	whole := s.db
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	if s.db, err = bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")) })
	if err := <-told; !errors.Is(err, bolterrors.ErrDatabaseReadOnly) {
		t.Errorf("told of %v", err)
	}
	if _, err := s.Update(func(*Tx) error { return nil }); err == nil || s.Full() {
		t.Errorf("Update = %v, full %v", err, s.Full())
	}
	if err := s.Flush(); err == nil {
		t.Error("it was tried again")
	}
	if err := s.Close(); err == nil {
		t.Error("Close says nothing")
	}
	if len(told) > 0 {
		t.Errorf("told again: %v", <-told)
	}
}
