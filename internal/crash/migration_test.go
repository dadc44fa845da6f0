package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testpostgres"
)

// migrated is how many users are moved: 20,000, a million under torture, or what MIGRATION_USERS says.
func migrated(t testing.TB) int {
	t.Helper()
	text := os.Getenv("MIGRATION_USERS")
	switch {
	case text == "" && torture:
		return 1_000_000
	case text == "":
		return 20_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("MIGRATION_USERS must be a number of users, not %q", text)
	}
	return n
}

// source is a database with so many users, 200 roles, 5,000 clients, and rows with each of the faults that real ones have.
func source(t testing.TB, server *testpostgres.Server, users int) (url string, filled fill.Filled) {
	t.Helper()
	url = server.Database(t)
	filled, err := fill.Into(t.Context(), url, fill.Options{Users: users, Roles: 200, Clients: 5_000, Messy: true, Seed: 6})
	if err != nil {
		t.Fatal(err)
	}
	return url, filled
}

// command is a run of the program.
type command struct {
	*exec.Cmd
	out, err bytes.Buffer
	done     chan error
}

func (f *fleet) run(args ...string) *command {
	f.t.Helper()
	c := &command{Cmd: exec.CommandContext(f.t.Context(), f.program, args...), done: make(chan error, 1)}
	c.Stdout, c.Stderr = &c.out, &c.err
	if err := c.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() { c.done <- c.Wait() }()
	return c
}

// must runs the program to its end, and reads what it prints with --json.
func (f *fleet) must(into any, args ...string) {
	f.t.Helper()
	c := f.run(append(args, "--json")...)
	if err := <-c.done; err != nil {
		f.t.Fatalf("keystone %q: %v\n%s%s", args, err, c.out.String(), c.err.String())
	}
	if err := json.Unmarshal(c.out.Bytes(), into); err != nil {
		f.t.Fatalf("keystone %q said %s: %v", args, c.out.String(), err)
	}
}

// importWith is the command that imports a database through a node.
func (f *fleet) importWith(node int, database string) []string {
	return []string{"import", "--from", database, "--data", f.folder(node), "--name", "moved", "--on-conflict", "rename"}
}

// compare holds the cluster against a database, row by row, and returns the ids of the rows that differ, the first
// thousand of them.
func (f *fleet) compare(node int, database string) (differ []string) {
	f.t.Helper()
	c := f.run("verify", "--from", database, "--data", f.folder(node), "--list", "1000", "--json")
	ended := <-c.done
	var report struct {
		Same        bool
		Differences []struct{ ID string }
	}
	if err := json.Unmarshal(c.out.Bytes(), &report); err != nil || report.Same != (ended == nil) {
		f.t.Fatalf("keystone verify: %v\n%s%s", ended, c.out.String(), c.err.String())
	}
	for _, d := range report.Differences {
		differ = append(differ, d.ID)
	}
	return differ
}

// TestMigration moves a database into a cluster, whose importer, leader and database are killed in turn meanwhile, as a power
// cut would; writes it into an empty database; moves that into another cluster; and makes a third one of its backup.
func TestMigration(t *testing.T) {
	users := migrated(t)
	f, server := startFleet(t, shipped), testpostgres.New(t)
	database, filled := source(t, server, users)
	f.importKilled(server, database, users)
	differ := f.compare(f.leader(), database)
	for _, refused := range slices.Concat(filled.Messy[fill.LongName], filled.Messy[fill.NullEmail]) {
		if !slices.Contains(differ, refused) {
			t.Errorf("user %s, who cannot be kept, is not told of", refused)
		}
	}
	// Of two with one name, or one address, either was renamed.
	if len(differ) != 4*fill.EachFault {
		t.Errorf("%d users differ from the database: %v", len(differ), differ)
	}

	f.followed(database, users)
	if after := f.compare(0, database); !slices.Equal(after, differ) {
		t.Errorf("after it was followed %d users differ from the database: %v", len(after), after)
	}

	written := server.Database(t)
	var exported struct{ Seconds float64 }
	f.must(&exported, "export", "--to", written, "--data", f.folder(0))
	t.Logf("exported in %.1f s", exported.Seconds)
	if differ := f.compare(0, written); len(differ) > 0 {
		t.Errorf("what was written differs: %v", differ)
	}
	f.agree()
	f.stop()
	// The other cluster has an administrator and a client of these names already, with other ids.
	execute(t, written, "DELETE FROM users WHERE username = 'admin'; DELETE FROM service_clients WHERE client_id = 'demo-service'")

	second := startFleet(t, shipped)
	var moved importer.Report
	second.must(&moved, second.importWith(0, written)...)
	t.Logf("imported again, %d rows in %.1f s", moved.Sum().Created, moved.Seconds)
	if !moved.Finished || moved.Sum().Refused != 0 {
		t.Errorf("of what Keystone wrote itself not all was taken: %+v", moved.Tables)
	}
	if differ := second.compare(1, written); len(differ) > 0 {
		t.Errorf("the second cluster differs: %v", differ)
	}
	second.restored()
}

// importKilled imports, and lets nobody who takes part in it live to its end.
func (f *fleet) importKilled(server *testpostgres.Server, database string, users int) {
	f.t.Helper()
	importing := func(node int) *command {
		return f.run(append(f.importWith(node, database), "--batch", "50", "--json")...)
	}
	first := importing(0)
	first.until(f.t, f.rows(0, users*15/100))
	first.kill(f.t)

	leader := f.leader()
	on := (leader + 1) % len(f.Nodes)
	last := importing(on)
	last.until(f.t, f.rows(on, users*40/100))
	f.kill(leader)
	last.until(f.t, f.rows(on, users*60/100))
	f.revive(leader)
	server.Kill()
	server.Start(f.t)
	if err := <-last.done; err != nil {
		f.t.Fatalf("the import did not get to its end: %v\n%s", err, last.err.String())
	}
	var report importer.Report
	if err := json.Unmarshal(last.out.Bytes(), &report); err != nil || !report.Finished {
		f.t.Fatalf("the report of the import: %v\n%s", err, last.out.String())
	}
	// Whoever was made twice would have been updated the second time.
	if whole := report.Whole; whole.Updated != 0 || whole.Created < int64(users) {
		f.t.Errorf("of %d users and what belongs to them: %+v", users, whole)
	}
}

// newcomers are 500 users more, of whom 100 are gone again; takenBack never was.
const newcomers, takenBack = `
INSERT INTO users (id, username, email, password_hash, is_verified, is_superuser)
	SELECT gen_random_uuid(), NAME || n, NAME || n || '@example.org', '$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW', true, false FROM generate_series(1, 500) n;
UPDATE users SET bio = NAME, updated_at = now() WHERE username IN (SELECT 'person' || lpad((100 + n)::text, 7, '0') FROM generate_series(1, 300) n);
DELETE FROM users WHERE username IN (SELECT NAME || n FROM generate_series(1, 100) n);`,
	"BEGIN; DELETE FROM role_scopes; UPDATE users SET bio = 'taken back', updated_at = now() WHERE username LIKE 'person00001%'; ROLLBACK"

// followed has the cluster follow the database, by a program that is killed meanwhile and begun again on another node.
func (f *fleet) followed(database string, users int) {
	f.t.Helper()
	sync := func(node int, more ...string) []string {
		return append([]string{"sync", "--from", database, "--data", f.folder(node), "--name", "moved", "--on-conflict", "rename", "--batch", batches(users)}, more...)
	}
	follower := f.run(sync(0)...)
	writes := func(name string) {
		execute(f.t, database, strings.ReplaceAll(newcomers, "NAME", "'"+name+"'"))
		execute(f.t, database, takenBack)
	}
	writes("early-")
	follower.until(f.t, f.knows("early-500"))
	writes("late-")
	follower.kill(f.t)
	writes("last-")
	for _, args := range [][]string{sync(1, "--until-idle"), {"sync", "--drop", "--from", database, "--name", "moved"}} {
		if c := f.run(args...); <-c.done != nil {
			f.t.Fatalf("keystone %q: %s%s", args, c.out.String(), c.err.String())
		}
	}
}

// batches are small where there are few rows, so that programs are killed between them.
func batches(users int) string { return strconv.Itoa(max(50, users/2000)) }

// rows tells whether so many of the import are in the cluster.
func (f *fleet) rows(node, rows int) func() bool {
	return func() bool {
		state, err := f.operator(node).ImportState(f.t.Context(), "moved")
		return err == nil && state.Created >= int64(rows)
	}
}

// knows tells whether the cluster has a user of that name.
func (f *fleet) knows(name string) func() bool {
	return func() bool {
		_, err := f.operator(0).User(f.t.Context(), name)
		return err == nil
	}
}

// until waits for what a program that runs brings about.
func (c *command) until(t testing.TB, done func() bool) {
	t.Helper()
	var last time.Time
	if deadline, bounded := t.(*testing.T).Deadline(); bounded {
		last = deadline.Add(-time.Minute) // enough to tell what was waited for
	}
	for !done() {
		select {
		case err := <-c.done:
			t.Fatalf("keystone %q ended too early: %v\n%s", c.Args[1:], err, c.err.String())
		case <-time.After(50 * time.Millisecond):
		}
		if !last.IsZero() && time.Now().After(last) {
			c.kill(t)
			t.Fatalf("keystone %q does not bring what is waited for:\n%s", c.Args[1:], c.err.String())
		}
	}
}

// kill ends the program as a power cut would.
func (c *command) kill(t testing.TB) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatalf("keystone %q cannot be killed: %v\n%s", c.Args[1:], err, c.err.String())
	}
	<-c.done
}

// restored makes a backup while people are changed, and a cluster of it which begins with the state that was saved.
func (f *fleet) restored() {
	f.t.Helper()
	ctx, rest := context.WithCancel(f.t.Context())
	defer rest()
	busy := make(chan error, 1)
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			name := fmt.Sprint("meanwhile-", i)
			if _, err := f.operator(i%3).CreateUser(ctx, api.CreateUserRequest{Username: name, Email: name + "@example.org", Password: "Correct-horse-7-battery"}); err != nil && ctx.Err() == nil {
				busy <- err
				return
			}
		}
		busy <- nil
	}()
	dir := f.t.TempDir()
	file, words := filepath.Join(dir, "backup.ksb"), filepath.Join(dir, "passphrase")
	if err := os.WriteFile(words, []byte("a passphrase of several words"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	var made, proven, restored backup.Restored
	begun := time.Now()
	f.must(&made, "backup", "create", file, "--passphrase-file", words, "--data", f.folder(1))
	f.t.Logf("a backup under load in %.1f s", time.Since(begun).Seconds())
	rest()
	if err := <-busy; err != nil {
		f.t.Errorf("while the backup was made: %v", err)
	}
	begun = time.Now()
	f.must(&proven, "backup", "verify", file, "--passphrase-file", words)
	f.t.Logf("verified in %.1f s", time.Since(begun).Seconds())

	f.stop()
	secret, address := f.place(0)
	for i := range f.Nodes {
		if err := os.RemoveAll(f.folder(i)); err != nil {
			f.t.Fatal(err)
		}
	}
	f.t.(*testing.T).Setenv("KEYSTONE_SECRET", secret)
	f.must(&restored, "restore", file, "--passphrase-file", words, "--name", f.Nodes[0].Name, "--cluster", address, "--data", f.folder(0))
	if err := os.Unsetenv("KEYSTONE_SECRET"); err != nil { // keystone dev has it in its folder
		f.t.Fatal(err)
	}
	if made.StateHash == "" || proven.StateHash != made.StateHash || restored.StateHash != made.StateHash {
		f.t.Errorf("the state hash of the backup is %q, it was proven to be %q, and %q was restored", made.StateHash, proven.StateHash, restored.StateHash)
	}
	f.start()
	f.agree()
	for i := range f.Nodes {
		if stats, err := f.operator(i).Stats(f.t.Context()); err != nil || uint64(stats.Users) != made.Rows["users"] {
			f.t.Errorf("%s has %d users of %d, %v", f.Nodes[i].Name, stats.Users, made.Rows["users"], err)
		}
	}
}

// place tells what keystone dev keeps of a node: the secret of the cluster, and the address in it.
func (f *fleet) place(i int) (secret, address string) {
	f.t.Helper()
	var kept struct {
		Secret string `json:"cluster_secret"`
		Nodes  []struct {
			Port int `json:"cluster_port"`
		} `json:"nodes"`
	}
	text, err := os.ReadFile(filepath.Join(f.dir, "dev.json"))
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return kept.Secret, fmt.Sprint("127.0.0.1:", kept.Nodes[i].Port)
}

// watchMemory looks at a process until it is asked how many megabytes it had at most above what it has now: as a whole,
// and without the pages of files, which are the kernel's cache.
func watchMemory(t testing.TB, pid int) (most func() (whole, own float64)) {
	t.Helper()
	idle, _ := residentOf(t, pid)
	var whole, own float64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			w, o := residentOf(t, pid)
			whole, own = max(whole, w-idle), max(own, o)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() (float64, float64) {
		close(stop)
		<-stopped
		return whole, own
	}
}

// residentOf is how many megabytes of a process are in memory, and how many of those are no file's
// (proc_pid_statm(5)).
func residentOf(t testing.TB, pid int) (whole, own float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	var size, resident, shared float64
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		t.Error(err)
	}
	page := float64(os.Getpagesize()) / 1e6
	return resident * page, (resident - shared) * page
}

// BenchmarkImport compares an import with COPY of the same users, and says what memory it takes: that of the node which
// is asked, above what it took before.
func BenchmarkImport(b *testing.B) {
	users := migrated(b)
	server := testpostgres.New(b)
	database, _ := source(b, server, users)
	for b.Loop() {
		f := startFleet(b, shipped)
		copied := timeOfCopy(b, database)
		watch := watchMemory(b, f.pid(0))
		var report importer.Report
		f.must(&report, f.importWith(0, database)...)
		most, own := watch()
		b.ReportMetric(report.Seconds, "s/import")
		b.ReportMetric(float64(report.Sum().Read)/report.Seconds, "rows/s")
		b.ReportMetric(report.Seconds/copied, "x-COPY")
		b.ReportMetric(most, "MB-above-idle")
		b.ReportMetric(own, "MB-of-its-own")
		f.stop()
	}
}

func execute(t testing.TB, database, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// timeOfCopy is the median of three times that the database takes to give all users away.
func timeOfCopy(t testing.TB, database string) (seconds float64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	var all []float64
	for range 3 {
		begun := time.Now()
		if _, err := conn.PgConn().CopyTo(t.Context(), null, "COPY users TO STDOUT"); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(begun).Seconds())
	}
	slices.Sort(all)
	return all[1]
}
