package importer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"


	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// syncing are the options of a sync that ends when it has caught up.
func syncing(t *testing.T, nodes ...*testcluster.Node) importer.SyncOptions {
	t.Helper()
	return importer.SyncOptions{
		Options: options(t, nodes...), Method: importer.SyncLogical, MaxSlotBytes: 1 << 30, UntilIdle: true,
		Every: 100 * time.Millisecond, FullEvery: time.Second, Overlap: time.Minute,
	}
}

// caughtUp runs a sync until there is nothing left to do.
func caughtUp(t *testing.T, database string, o importer.SyncOptions) (last importer.SyncStatus) {
	t.Helper()
	o.Status = func(s importer.SyncStatus) { last = s }
	if err := open(t, database).Sync(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return last
}

// background runs a sync until the returned function is called, which returns its error.
func background(t *testing.T, database string, o importer.SyncOptions) (stop func() error) {
	t.Helper()
	o.UntilIdle = false
	source := open(t, database)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.Sync(ctx, o) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// same expects that source and cluster are equal, row by row.
func same(t *testing.T, database string, c *testcluster.Cluster) {
	t.Helper()
	if v := differences(t, database, c.Nodes[0]); !v.Same {
		t.Fatalf("%d differences: %+v", int64(len(v.Differences))+v.More, v.Differences)
	}
}

func differences(t *testing.T, database string, n *testcluster.Node) *importer.Verification {
	t.Helper()
	var file bytes.Buffer
	if _, err := n.Running().Store().Copy(&file); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	copied, err := store.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = copied.Close() }()
	v, err := importer.Verify(t.Context(), open(t, database), &importer.Snapshot{Store: copied}, importer.VerifyOptions{Most: 20})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually waits until both sides are equal.
func eventually(t *testing.T, database string, n *testcluster.Node) {
	t.Helper()
	testcluster.Poll(t, "the cluster does not come to be what the source is", func() error {
		if v := differences(t, database, n); !v.Same {
			return fmt.Errorf("%+v", v.Differences)
		}
		return nil
	})
}

func some(t *testing.T, url string, users int) {
	t.Helper()
	if _, err := fill.Into(t.Context(), url, fill.Options{Users: users, Roles: 10, Clients: 10, Seed: 6}); err != nil {
		t.Fatal(err)
	}
}

// newUser is a row of a user that nothing else is like.
func newUser(n int) string {
	return fmt.Sprintf(`INSERT INTO users (id, username, email, password_hash, is_verified, is_superuser)
		VALUES ('00000000-0000-4000-8000-%012d', 'new%d', 'new%d@example.org', '%s', true, false)`, n, n, n, anyHash)
}

const anyHash = "$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4"

// writes is one change of each kind at the source.
var writes = []string{
	newUser(1), newUser(2),
	"UPDATE users SET first_name = 'Ada', updated_at = now() WHERE username = 'new1'",
	// A transaction that rolls back never was.
	"BEGIN; UPDATE users SET bio = 'rolled back', updated_at = now(); DELETE FROM roles; ROLLBACK",
	// Links have no updated_at.
	"INSERT INTO user_roles SELECT id, (SELECT min(id::text)::uuid FROM roles) FROM users WHERE username LIKE 'new%'",
	"DELETE FROM user_roles WHERE role_id = (SELECT max(id::text)::uuid FROM roles)",
	"DELETE FROM role_scopes WHERE role_id = (SELECT min(id::text)::uuid FROM roles)",
	"DELETE FROM service_client_scopes WHERE service_client_id = (SELECT min(id::text)::uuid FROM service_clients)",
	// Rows that others refer to.
	"UPDATE scopes SET name = 'moved:scope', updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM scopes)",
	"UPDATE roles SET name = 'moved-role', updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM roles)",
	"DELETE FROM roles WHERE id = (SELECT max(id::text)::uuid FROM roles)",
	"DELETE FROM scopes WHERE id = (SELECT max(id::text)::uuid FROM scopes)",
	"DELETE FROM users WHERE id IN (SELECT id FROM users WHERE username NOT LIKE 'new%' ORDER BY id LIMIT 20)",
	"DELETE FROM service_clients WHERE id = (SELECT max(id::text)::uuid FROM service_clients)",
	"UPDATE service_clients SET name = 'another name', updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM service_clients)",
	// Names that change hands, and an id that does.
	"BEGIN; UPDATE users SET username = 'between' WHERE username = 'new1'; UPDATE users SET username = 'new1', updated_at = now() WHERE username = 'new2'; UPDATE users SET username = 'new2', updated_at = now() WHERE username = 'between'; COMMIT",
	"UPDATE users SET id = '00000000-0000-4000-8000-00000000ffff', username = 'moved', updated_at = now() WHERE id = (SELECT id FROM users u WHERE NOT EXISTS (SELECT FROM user_roles WHERE user_id = u.id) AND username NOT LIKE 'new%' LIMIT 1)",
}

// TestSyncFollows: whatever changes at the source changes in the cluster, and what was changed before the sync began but
// after the import, or while it did not run, does so as well.
func TestSyncFollows(t *testing.T) {
	database := testpostgres.Database(t)
	some(t, database, 1000)
	c := testcluster.Start(t, 1)
	o := syncing(t, c.Nodes[0])
	if _, err := open(t, database).Import(t.Context(), o.Options); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "DELETE FROM users WHERE id IN (SELECT id FROM users ORDER BY id DESC LIMIT 10)", "UPDATE users SET bio = 'between import and sync'")
	first := caughtUp(t, database, o)
	same(t, database, c)
	if first.Deleted != 10 || first.Updated == 0 || first.Created != 0 {
		t.Errorf("%+v", first)
	}
	execute(t, database, writes...)
	second := caughtUp(t, database, o)
	same(t, database, c)
	if second.Refused != 0 || second.Created != 3 || second.Transactions == 0 || second.Unchanged > 100 {
		t.Errorf("%+v", second)
	}
	if third := caughtUp(t, database, o); third.Created+third.Updated+third.Unchanged+third.Deleted != 0 {
		t.Errorf("nothing has changed, and it did %+v", third)
	}
}
