package store

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/keystone-auth/keystone/iam"
)

// plant writes, or with a nil value deletes, behind the back of the tables.
func plant(t *testing.T, s *Store, bucket string, key, value []byte) {
	t.Helper()
	flush(t, s)
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		if value == nil {
			return b.Delete(key)
		}
		return b.Put(key, value)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckFindsFaults(t *testing.T) {
	one, nine := id(1), id(9)
	f := func(what, bucket string, key, value []byte, want string) {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			s, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			update(t, s, func(tx *Tx) {
				tx.PutUser(user(1, "ann", id(5)))
				tx.PutSession(iam.Session{ID: id(1), UserID: id(1), ExpiresAt: 5})
				tx.PutScope(iam.Scope{ID: id(1), Name: "s"})
			})
			check(t, s)
			plant(t, s, bucket, key, value)
			if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Check = %v; want it to name %q", err, want)
			}
		})
	}
	f("a missing entry of a unique index", "users_by_username", []byte("ann"), nil, "users_by_username")
	f("a missing entry of an index", "users_by_role", append(nine[:0:0], append(bytes.Clone(idBytes(5)), one[:]...)...), nil, "users_by_role")
	f("a missing entry of the expiry", "sessions_by_expiry", append(timeKey(5), one[:]...), nil, "sessions_by_expiry")
	f("an orphan entry", "users_by_email", []byte("eve@example.org"), nine[:], "users_by_email")
	f("an orphan entry of an index", "sessions_by_user", append(bytes.Clone(nine[:]), nine[:]...), nine[:], "sessions_by_user")
	f("an entry that leads elsewhere", "scopes_by_name", []byte("s"), nine[:], "scopes_by_name")
	f("a missing row", "sessions", one[:], nil, "sessions_by_user")
	f("a row that was never put", "roles", nine[:], Encode(iam.Role{ID: nine, Name: "r"}), "roles_by_name")
	f("a garbage row", "users", one[:], []byte("garbage"), "users")
	f("a row under another's key", "scopes", nine[:], Encode(iam.Scope{ID: id(1), Name: "s"}), "not its own")
	f("a changed row", "scopes", one[:], Encode(iam.Scope{ID: id(1), Name: "s", Description: "changed"}), "hash")
	f("a wrong hash", "meta", []byte("state"), Encode(Meta{Format: Format, Hash: stateHash{1}}), "hash")
	f("a garbage header", "meta", []byte("state"), []byte("garbage"), "header")
}

func idBytes(n byte) []byte { i := id(n); return i[:] }

func TestUnreadableRowFailsTheTransaction(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")); tx.PutKey(iam.Key{ID: "k"}) })
	plant(t, s, "users", idBytes(1), []byte("garbage"))
	plant(t, s, "keys", []byte("k"), []byte("garbage"))
	f := func(what string, fn func(*Reader)) {
		t.Helper()
		if err := s.View(func(r *Reader) error { fn(r); return nil }); err == nil {
			t.Errorf("%s: the garbage is not told", what)
		}
	}
	f("get", func(r *Reader) { r.User(id(1)) })
	f("by", func(r *Reader) { r.UserByUsername("ann") })
	f("page", func(r *Reader) { r.Users(iam.ID{}, 5) })
	f("each", func(r *Reader) { r.EachHot(func(any) {}) })
	for _, fn := range []func(*Tx){
		func(tx *Tx) { tx.User(id(1)) },
		func(tx *Tx) { tx.PutUser(user(1, "ann")) },
		func(tx *Tx) { tx.DeleteUser(id(1)) },
	} {
		if _, err := s.Update(func(tx *Tx) error { fn(tx); return nil }); err == nil {
			t.Error("a transaction that met garbage is committed")
		}
	}
}
