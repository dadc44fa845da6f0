package store

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestMapped looks at the mapped file itself while it is written and mapped to other places.
func TestMapped(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")) })
	look := func(address, size uintptr) error {
		if whole := uintptr(os.Getpagesize()); address%whole != 0 || size == 0 {
			t.Errorf("the file is mapped to %x with %d bytes", address, size)
		}
		return nil
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := s.Mapped(look); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range byte(200) {
		update(t, s, func(tx *Tx) {
			u := user(n+2, string(rune('A'+n%26))+string(rune('a'+n/26))+"-user")
			u.Bio = string(make([]byte, 10_000))
			tx.PutUser(u)
		})
	}
	close(done)
	others.Wait()
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Mapped(look); err == nil {
		t.Error("a closed file is mapped")
	}
}

// TestFreePagesAreKept: a file that was closed says which pages are free, and goes on as one that does not.
func TestFreePagesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for round := range byte(3) {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		before, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 && before.FreePages == 0 {
			t.Error("no page is known to be free")
		}
		for n := range byte(20) {
			update(t, s, func(tx *Tx) { tx.PutUser(user(n+1, string(rune('a'+n)))) })
			update(t, s, func(tx *Tx) { tx.DeleteUser(id(n + 1)) })
		}
		check(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		kept := false
		db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *bolt.Tx) error {
			for page := 0; ; page++ {
				info, err := tx.Page(page)
				if err != nil || info == nil {
					return err
				}
				kept = kept || info.Type == "freelist"
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if !kept {
			t.Error("the file does not say which pages are free")
		}
	}
}
