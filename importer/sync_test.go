package importer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// syncing are the options of a sync that ends when it has caught up.
func syncing(t *testing.T, nodes ...*testcluster.Node) importer.SyncOptions {
	t.Helper()
	o := options(t, nodes...)
	o.Note = func(n api.ImportNote) error { t.Logf("%+v", n); return nil }
	return importer.SyncOptions{
		Options: o, Method: importer.SyncLogical, MaxSlotBytes: 1 << 30, UntilIdle: true,
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
	"UPDATE scopes SET description = 'another one', updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM scopes)",
	"UPDATE roles SET name = 'moved-role', updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM roles)",
	"DELETE FROM roles WHERE id = (SELECT max(id::text)::uuid FROM roles)",
	"DELETE FROM scopes WHERE id = (SELECT max(id::text)::uuid FROM scopes)",
	"DELETE FROM users WHERE id IN (SELECT id FROM users WHERE username NOT LIKE 'new%' ORDER BY id LIMIT 20)",
	"DELETE FROM service_clients WHERE id = (SELECT max(id::text)::uuid FROM service_clients)",
	"UPDATE service_clients SET name = 'another name', updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM service_clients)",
	// Names that change hands, and an id that is another one.
	"BEGIN; UPDATE users SET username = 'zoe', updated_at = now() WHERE username = 'new1'; UPDATE users SET username = 'new1', updated_at = now() WHERE username = 'new2'; UPDATE users SET username = 'new2', updated_at = now() WHERE username = 'person0000033'; COMMIT",
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
	o.Batch = 3 // names change hands between rows of several requests
	second := caughtUp(t, database, o)
	same(t, database, c)
	if second.Refused != 0 || second.Created != 3 || second.Transactions == 0 || second.Unchanged > 100 {
		t.Errorf("%+v", second)
	}
	if third := caughtUp(t, database, o); third.Created+third.Updated+third.Unchanged+third.Deleted != 0 {
		t.Errorf("nothing has changed, and it did %+v", third)
	}

	// An import begins anew after a sync, and the next sync knows that it did.
	o.Batch = 500
	execute(t, database, newUser(3), "DELETE FROM users WHERE username = 'new1'")
	if _, err := open(t, database).Import(t.Context(), o.Options); err != nil {
		t.Fatal(err)
	}
	fourth := caughtUp(t, database, o)
	same(t, database, c)
	if fourth.Created != 0 || fourth.Deleted != 1 {
		t.Errorf("%+v", fourth)
	}
	for range 2 {
		if _, _, err := open(t, database).DropSync(t.Context(), importer.SlotName("old"), importer.DefaultPublication); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, database, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'keystone_old') + (SELECT count(*) FROM pg_publication)"); n != 0 {
		t.Errorf("%d of slot and publication are left", n)
	}
}

func number(t *testing.T, database, sql string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSyncSurvives: the sync, the leader and the database end in the middle of a stream of changes, and a transaction comes
// that is larger than a request. In the end both sides are the same.
func TestSyncSurvives(t *testing.T) {
	server := testpostgres.New(t)
	database := server.Database(t)
	some(t, database, 2000)
	c := testcluster.Start(t, 3)
	o := syncing(t, c.Nodes...)
	o.Batch = 100
	if _, err := open(t, database).Import(t.Context(), o.Options); err != nil {
		t.Fatal(err)
	}

	// Somebody works at the source all the time, and comes back when it was down.
	ctx, enough := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for n := 100; ctx.Err() == nil; n++ {
			_ = attempt(ctx, database, newUser(n), fmt.Sprintf("UPDATE users SET first_name = 'number %d' WHERE username < 'person00000%02d'", n, n%100),
				fmt.Sprintf("DELETE FROM users WHERE username = 'new%d'", n-10),
				fmt.Sprintf("BEGIN; DELETE FROM user_roles WHERE user_id = '00000000-0000-4000-8000-%012d'; INSERT INTO user_roles SELECT '00000000-0000-4000-8000-%012d', id FROM roles ORDER BY random() LIMIT 2; COMMIT", n, n))
		}
	})

	// It ends in the middle of the copy, and in the middle of the log.
	for range 2 {
		brokenOff(t, database, o)
	}
	stop := background(t, database, o)
	execute(t, database, "BEGIN; UPDATE users SET bio = 'all of them', updated_at = now(); DELETE FROM users WHERE username LIKE 'person00000_7'; COMMIT")
	leader := c.Leader()
	leader.Stop()
	execute(t, database, "UPDATE users SET last_name = 'while the leader was away'")
	leader.Start()
	server.Kill()
	server.Start(t)
	execute(t, database, "BEGIN; UPDATE users SET display_name = 'never'; ROLLBACK", "UPDATE users SET display_name = 'after the crash'")
	enough()
	work.Wait()
	eventually(t, database, c.Nodes[0])
	if err := stop(); err != nil {
		t.Errorf("a sync that is stopped returned %v", err)
	}
	c.WaitReady()
	execute(t, database, writes[0], "DELETE FROM users WHERE username LIKE 'person00001%'")
	last := caughtUp(t, database, o)
	same(t, database, c)
	if last.Created != 1 || last.Deleted == 0 || last.Refused != 0 {
		t.Errorf("%+v", last)
	}
}

// brokenOff runs a sync until it has sent some hundred rows. Nothing of what it knows then is kept but in the cluster.
func brokenOff(t *testing.T, database string, o importer.SyncOptions) {
	t.Helper()
	o.UntilIdle = false
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o.Status = func(s importer.SyncStatus) {
		if s.Created+s.Updated+s.Unchanged > 300 {
			stop()
		}
	}
	if err := open(t, database).Sync(ctx, o); err != nil {
		t.Error(err)
	}
}

// attempt is execute for a source that may be away.
func attempt(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// TestSyncGuardsTheDisk: when the source must keep too much of its log, the slot goes. The next sync reads everything anew.
func TestSyncGuardsTheDisk(t *testing.T) {
	database := testpostgres.Database(t)
	some(t, database, 200)
	c := testcluster.Start(t, 1)
	o := syncing(t, c.Nodes[0])
	caughtUp(t, database, o)

	// As long as a transaction is open, the log from its beginning on is needed.
	open1, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open1.Close(context.Background()) }()
	if _, err := open1.Exec(t.Context(), "BEGIN; UPDATE users SET bio = 'not yet' WHERE username = 'person0000001'"); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "CREATE TABLE other AS SELECT repeat('x', 1000) AS filler FROM generate_series(1, 20000)")
	small := o
	small.MaxSlotBytes, small.UntilIdle = 4<<20, false
	err = open(t, database).Sync(t.Context(), small)
	if err == nil || !strings.Contains(err.Error(), "dropped its slot") || !strings.Contains(err.Error(), "--max-slot-bytes allows 4.0 MiB") {
		t.Fatalf("the sync ended with %v", err)
	}
	if n := number(t, database, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'keystone_old'"); n != 0 {
		t.Error("the slot is there still")
	}
	if _, err := open1.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	execute(t, database, newUser(1), "DELETE FROM users WHERE username = 'person0000002'")
	if last := caughtUp(t, database, o); last.Created != 1 || last.Deleted != 1 {
		t.Errorf("%+v", last)
	}
	same(t, database, c)
}

// people counts the users of a node.
func people(t *testing.T, n *testcluster.Node) uint64 {
	t.Helper()
	meta, err := n.Running().Store().Meta()
	if err != nil {
		t.Fatal(err)
	}
	return meta.Rows["users"]
}

// TestSyncMistakes: what looks like a mistake at the source deletes nothing here.
func TestSyncMistakes(t *testing.T) {
	database := testpostgres.Database(t)
	some(t, database, 300)
	c := testcluster.Start(t, 1)
	o := syncing(t, c.Nodes[0])
	caughtUp(t, database, o)
	before := people(t, c.Nodes[0])
	execute(t, database, "TRUNCATE user_roles, users CASCADE")
	source := open(t, database)
	if err := source.Sync(t.Context(), o); err == nil || !strings.Contains(err.Error(), "emptied by TRUNCATE") {
		t.Errorf("after TRUNCATE the sync ended with %v", err)
	}
	if _, _, err := source.DropSync(t.Context(), importer.SlotName("old"), importer.DefaultPublication); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{importer.SyncLogical, importer.SyncPolling} {
		o.Method = method
		if err := source.Sync(t.Context(), o); err == nil || !strings.Contains(err.Error(), "300 of 300 rows that came from users are not there any more") {
			t.Errorf("%s: with an empty table the sync ended with %v", method, err)
		}
	}
	if after := people(t, c.Nodes[0]); after != before {
		t.Errorf("of %d users, %d are left", before, after)
	}
	o.MostDeleted = 300
	caughtUp(t, database, o)
	same(t, database, c)
}

// TestSyncPolls: without the right to replicate, the same changes come, and more slowly.
func TestSyncPolls(t *testing.T) {
	database := testpostgres.Database(t)
	some(t, database, 500)
	execute(t, database, "CREATE ROLE poor LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor")
	t.Cleanup(func() { _ = attempt(context.Background(), database, "DROP OWNED BY poor; DROP ROLE poor") })
	c := testcluster.Start(t, 1)
	var mu sync.Mutex
	var said []string
	o := syncing(t, c.Nodes[0])
	o.Method = importer.SyncAuto
	o.Say = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, text)
	}
	poor := strings.Replace(database, "user=keystone", "user=poor", 1)
	caughtUp(t, poor, o)
	same(t, database, c)
	if text := strings.Join(said, " "); !strings.Contains(text, "Following by updated_at") || !strings.Contains(text, "ALTER ROLE \"poor\" REPLICATION") {
		t.Errorf("it says %s", text)
	}
	o.Method = importer.SyncLogical
	if err := open(t, poor).Sync(t.Context(), o); err == nil || !strings.Contains(err.Error(), "cannot be followed by logical replication") {
		t.Errorf("logical replication without the right ended with %v", err)
	}
	o.Method = importer.SyncAuto
	stop := background(t, poor, o)
	execute(t, database, writes...)
	eventually(t, database, c.Nodes[0])
	execute(t, database, newUser(7), "DELETE FROM users WHERE username = 'new2'")
	eventually(t, database, c.Nodes[0])
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := number(t, database, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()) + (SELECT count(*) FROM pg_publication)"); n != 0 {
		t.Errorf("%d slots and publications were made", n)
	}
}
