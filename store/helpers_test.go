package store

import (
	"errors"
	"path/filepath"
	"testing"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/keystone-auth/keystone/iam"
)

// open returns a new store that must pass Check when the test is over.
func open(t *testing.T) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "state.db"))
}

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(); err != nil && !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			t.Errorf("Check at the end: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func update(t *testing.T, s *Store, fn func(*Tx)) []Change {
	t.Helper()
	changes, err := s.Update(func(tx *Tx) error { fn(tx); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func view(t *testing.T, s *Store, fn func(*Reader)) {
	t.Helper()
	if err := s.View(func(r *Reader) error { fn(r); return nil }); err != nil {
		t.Fatal(err)
	}
}

// check proves that rows, indexes and hash agree.
func check(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatalf("Check: %v", err)
	}
}

func id(n byte) iam.ID { return iam.ID{15: n} }

// entries counts the keys of a bucket.
func entries(t *testing.T, s *Store, bucket string) (n int) {
	t.Helper()
	view(t, s, func(r *Reader) { n = r.bucket(bucket).count() })
	return n
}

// flush has everything in the file, and nothing over it.
func flush(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
}

func user(n byte, name string, roles ...iam.ID) iam.User {
	return iam.User{ID: id(n), Username: name, Email: name + "@example.org", PasswordHash: "h", Roles: roles}
}
