package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

func hashOf(t *testing.T, s *Store) stateHash {
	t.Helper()
	meta, err := s.Meta()
	if err != nil {
		t.Fatal(err)
	}
	return meta.Hash
}

// TestBucketList compares the comment of buckets.go with a real file.
func TestBucketList(t *testing.T) {
	source, err := os.ReadFile("buckets.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z_]+) +\S.* → `).FindAllStringSubmatch(string(source), -1) {
		documented = append(documented, m[1])
	}
	var inFile []string
	s := open(t)
	err = s.db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bolt.Bucket) error { inFile = append(inFile, string(name)); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(documented)
	if !slices.Equal(documented, inFile) {
		t.Errorf("the comment of buckets.go lists\n%q, a file has\n%q", documented, inFile)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")); tx.Meta.Index, tx.Meta.Term, tx.Meta.Time = 7, 2, 99 })
	want, err := s.Meta()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	if s.Path() != path {
		t.Errorf("Path = %q", s.Path())
	}
	if got, err := s.Meta(); err != nil || got.Hash != want.Hash || got.Index != 7 || got.Term != 2 || got.Time != 99 || got.Format != Format {
		t.Errorf("after reopening %+v, %v; want %+v", got, err, want)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := open(t)
	before, sorry := hashOf(t, s), errors.New("sorry")
	changes, err := s.Update(func(tx *Tx) error {
		tx.PutUser(user(1, "ann"))
		tx.AppendAudit(iam.AuditEntry{})
		tx.Meta.Index = 9
		return sorry
	})
	if !errors.Is(err, sorry) || changes != nil {
		t.Errorf("changes %v, error %v", changes, err)
	}
	meta, err := s.Meta()
	if err != nil || meta.Index != 0 || meta.AuditSequence != 0 || meta.Hash != before {
		t.Errorf("a refused update left %+v, %v", meta, err)
	}
	view(t, s, func(r *Reader) {
		if len(r.Users(iam.ID{}, 10)) != 0 {
			t.Error("a refused update left a user")
		}
	})
}

func TestViewPassesErrors(t *testing.T) {
	s, sorry := open(t), errors.New("sorry")
	if err := s.View(func(*Reader) error { return sorry }); !errors.Is(err, sorry) {
		t.Errorf("View = %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")) })
	update(t, s, func(tx *Tx) { tx.Meta.Format = Format + 1 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v", err)
	}
	if err := Stamp(path, 1, 1, nil, 0); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("Stamp = %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, or %v", err)
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	f := func(what string, content []byte) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			t.Errorf("%s is opened", what)
			_ = s.Close()
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error does not name the file: %v", what, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, content) {
			t.Errorf("%s was changed", what)
		}
	}
	f("a text", []byte("this is not a state"))
	f("a page of zeroes", make([]byte, 4096))
	f("many pages of zeroes", make([]byte, 64<<10))
}

// A file that was cut short must end in a sentence: looking behind its end ends the process.
func TestShortFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	for n := range byte(200) {
		update(t, s, func(tx *Tx) { tx.PutUser(user(n, "user"+string('a'+rune(n%26))+string('a'+rune(n/26)))) })
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{len(whole) / 2, 4 * os.Getpagesize(), 2 * os.Getpagesize(), os.Getpagesize() + 100, 10} {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path); err == nil {
			_ = s.Close()
			t.Errorf("%d bytes of %d are opened", size, len(whole))
		} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "put the data folder back") {
			t.Errorf("%d bytes of %d: %v", size, len(whole), err)
		}
	}
}

func TestMissingBucketIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("keys_by_expiry")) })
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "keys_by_expiry") {
		t.Errorf("Open = %v", err)
	}
}

func TestOpenTwice(t *testing.T) {
	s := open(t)
	// The bound of two seconds is that of the options: bbolt gives up after one.
	if _, err := Open(s.Path()); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), s.Path()) {
		t.Errorf("Open = %v", err)
	}
}

func TestOpenNeedsItsFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "state.db")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v", err)
	}
}

func copyOf(t *testing.T, s *Store) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := s.Copy(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	if live, err := s.Meta(); err != nil || live.Hash != meta.Hash || live.Index != meta.Index {
		t.Errorf("Copy says %+v, the store %+v, %v", meta, live, err)
	}
	return path
}

func TestCopyStampReplace(t *testing.T) {
	source := open(t)
	update(t, source, func(tx *Tx) { tx.PutUser(user(1, "ann")); tx.Meta.Index, tx.Meta.Term = 5, 1 })
	path := copyOf(t, source)
	if err := Stamp(path, 77, 3, []byte("configuration"), 66); err != nil {
		t.Fatal(err)
	}

	target := open(t)
	update(t, target, func(tx *Tx) { tx.PutUser(user(2, "bob")); tx.Meta.Index = 6 })
	if err := target.Replace(path); err != nil {
		t.Fatal(err)
	}
	check(t, target)
	meta, err := target.Meta()
	if err != nil || meta.Index != 77 || meta.Term != 3 || string(meta.Configuration) != "configuration" || meta.ConfigurationIndex != 66 || meta.Hash != hashOf(t, source) {
		t.Errorf("after Replace %+v, %v", meta, err)
	}
	view(t, target, func(r *Reader) {
		if _, ok := r.UserByUsername("ann"); !ok {
			t.Error("the new state is not there")
		}
		if _, ok := r.UserByUsername("bob"); ok {
			t.Error("the old state is still there")
		}
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is still where it was: %v", err)
	}
	update(t, target, func(tx *Tx) { tx.PutUser(user(3, "eve")) })
}

func TestReplaceWhileRead(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")) })
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := s.View(func(r *Reader) error {
				if _, ok := r.UserByUsername("ann"); !ok {
					return errors.New("ann is missing")
				}
				return nil
			}); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 10 {
		if err := s.Replace(copyOf(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReplaceFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	if err := s.Replace(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file took the state's place")
	}
	if err := s.View(func(*Reader) error { return nil }); err == nil {
		t.Error("the store goes on after a failed Replace")
	}
	openAt(t, path) // the state itself is as it was
}

func TestStampRefusesDamage(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")) })
	path := copyOf(t, s)
	damaged, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	plant(t, damaged, "users_by_email", []byte("ann@example.org"), nil)
	if err := damaged.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Stamp(path, 1, 1, nil, 0); err == nil || !strings.Contains(err.Error(), "users_by_email") {
		t.Errorf("Stamp = %v", err)
	}
}

// TestHashIndependentOfHistory: whatever way leads to a set of rows, the hash is the same.
func TestHashIndependentOfHistory(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		final := rapid.MapOfN(rapid.ByteRange(1, 8), rapid.SampledFrom([]string{"x", "y", "z"}), 0, 6).Draw(rt, "final")
		arrive := func(name string) stateHash {
			path := filepath.Join(dir, name)
			if err := os.RemoveAll(path); err != nil {
				rt.Fatal(err)
			}
			s, err := Open(path)
			if err != nil {
				rt.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			detour := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) iam.Scope {
				n := rapid.ByteRange(1, 8).Draw(t, "id")
				return iam.Scope{ID: id(n), Name: string(rune('a' + n)), Description: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text")}
			}), 0, 10).Draw(rt, name)
			_, err = s.Update(func(tx *Tx) error {
				for _, scope := range detour {
					if scope.Description == "" {
						tx.DeleteScope(scope.ID)
					} else {
						tx.PutScope(scope)
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			_, err = s.Update(func(tx *Tx) error {
				for n := byte(1); n <= 8; n++ {
					if text, ok := final[n]; ok {
						tx.PutScope(iam.Scope{ID: id(n), Name: string(rune('a' + n)), Description: text})
					} else {
						tx.DeleteScope(id(n))
					}
				}
				return nil
			})
			if err = errors.Join(err, s.Check()); err != nil {
				rt.Fatal(err)
			}
			meta, err := s.Meta()
			if err != nil {
				rt.Fatal(err)
			}
			if (meta.Hash == stateHash{}) != (len(final) == 0) {
				rt.Fatalf("the hash of %d rows is %x", len(final), meta.Hash)
			}
			return meta.Hash
		}
		if a, b := arrive("one"), arrive("other"); a != b {
			rt.Fatalf("two ways to one state, and the hashes are %x and %x", a, b)
		}
	})
}
