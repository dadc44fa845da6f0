// Package fill puts many users and sessions into the data folder of a node that stands still, for
// measurements that need a large state and cannot wait for a million logins to make it. The rows are
// those that registering and logging in leave behind, audit entries included.
package fill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// Password is that of every user that Folder makes.
const Password = "Zx9!kestrel-Moor" //nolint:gosec // of users that exist for measurements alone

// batch is how many users or sessions one transaction writes: the disk is waited for once in each.
const batch = 10_000

// lifetime is how long the sessions live.
const lifetime = 30 * 24 * time.Hour

// Username returns the name of the user with that number, which begins at 1.
func Username(n int) string { return fmt.Sprintf("user-%06d", n) }

// Folder adds users and their sessions to the data folder of a node that has been part of a cluster and is
// stopped. It is no change of the log: every member must get the same state, which Copy gives to it.
func Folder(ctx context.Context, folder string, users, sessions int) error {
	if sessions > 0 && users < 1 {
		return errors.New("a session needs a user")
	}
	if _, err := os.Stat(statePath(folder)); err != nil {
		return fmt.Errorf("the folder has no state yet, start a node on it once: %w", err)
	}
	hash, err := secret.NewHasher(secret.HasherConfig{}).Hash(ctx, Password)
	if err != nil {
		return err
	}
	s, err := store.Open(statePath(folder))
	if err != nil {
		return err
	}
	f := &filler{store: s, hash: hash, users: make([]iam.ID, users)}
	return errors.Join(f.fill(ctx, sessions), s.Close())
}

// Copy puts the state of one stopped member into the folder of another one. Entries of the log that the
// state has seen already are passed over when the other starts, as after a crash.
func Copy(from, to string) error {
	source, err := os.Open(statePath(from))
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(statePath(to), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("the folder has no state yet, start a node on it once: %w", err)
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
}

func statePath(folder string) string { return filepath.Join(folder, "state.db") }

// filler is one run of Folder.
type filler struct {
	store *store.Store
	hash  string
	users []iam.ID
	role  iam.ID
	scope []string
}

func (f *filler) fill(ctx context.Context, sessions int) error {
	if err := f.store.View(f.look); err != nil {
		return err
	}
	if err := f.each(ctx, len(f.users), f.addUser); err != nil {
		return err
	}
	return f.each(ctx, sessions, f.addSession)
}

// look finds what a user that registers is given.
func (f *filler) look(r *store.Reader) error {
	if _, exists := r.UserByUsername(Username(1)); exists {
		return errors.New("the state was filled before")
	}
	settings, ok := r.Settings()
	if !ok {
		return errors.New("the state holds no cluster yet: start the node and wait until it is ready")
	}
	role, ok := r.RoleByName(settings.DefaultRole)
	if !ok {
		return nil // users are made without any then
	}
	f.role = role.ID
	for _, id := range role.Scopes {
		if scope, ok := r.Scope(id); ok {
			f.scope = append(f.scope, scope.Name)
		}
	}
	return nil
}

// each calls add for 0 to n-1, in transactions of one batch.
func (f *filler) each(ctx context.Context, n int, add func(tx *store.Tx, i int)) error {
	for first := 0; first < n; first += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := f.store.Update(func(tx *store.Tx) error {
			for i := first; i < min(n, first+batch); i++ {
				add(tx, i)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) addUser(tx *store.Tx, i int) {
	name, now := Username(i+1), iam.Now()
	u := iam.User{
		ID: iam.NewID(), Username: name, Email: name + "@example.org", PasswordHash: f.hash, Active: true, Verified: true,
		CreatedAt: now, UpdatedAt: now, PasswordChangedAt: now, Changed: tx.Meta.Index,
	}
	if !f.role.IsZero() {
		u.Roles = []iam.ID{f.role}
	}
	f.users[i] = u.ID
	tx.PutUser(u)
	record(tx, "user.created", u.ID)
}

func (f *filler) addSession(tx *store.Tx, i int) {
	now := iam.Now()
	s := iam.Session{
		ID: iam.NewID(), UserID: f.users[i%len(f.users)], Scope: f.scope, Family: random(), Refresh: random(), TokenID: iam.NewID().String(),
		AuthTime: now, CreatedAt: now, LastActivity: now, ExpiresAt: now.Add(lifetime),
		IP: "192.0.2.1", UserAgent: "fill", Index: tx.Meta.Index,
	}
	tx.PutSession(s)
	record(tx, "session.started", s.UserID)
}

func record(tx *store.Tx, event string, user iam.ID) {
	tx.AppendAudit(iam.AuditEntry{
		At: iam.Now(), Type: event, Target: user.String(), Result: iam.AuditSuccess, Actor: user.String(), IP: "192.0.2.1", UserAgent: "fill",
	})
}

// random stands for the digest of a token that nobody has.
func random() []byte {
	digest := make([]byte, 32)
	_, _ = rand.Read(digest)
	return digest
}
