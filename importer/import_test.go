package importer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// options are those of an import into the nodes, the first one at first.
func options(t *testing.T, nodes ...*testcluster.Node) importer.Options {
	t.Helper()
	o := importer.Options{
		Name: "old", OnConflict: api.ConflictSkip, Batch: 500, Patience: 2 * time.Minute, Say: func(text string) { t.Log(text) },
	}
	for _, n := range nodes {
		o.Nodes = append(o.Nodes, n.Operator())
	}
	return o
}

func open(t *testing.T, database string) *importer.Source {
	t.Helper()
	s, err := importer.Open(t.Context(), database, importer.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func execute(t *testing.T, database string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range statements {
		_, err := conn.Exec(t.Context(), sql)
		for deadlocked(err) { // the other one of the two has gone on
			if _, err = conn.Exec(t.Context(), "ROLLBACK"); err == nil {
				_, err = conn.Exec(t.Context(), sql)
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// deadlocked: the database has ended a transaction for another one's sake, which any two writers of the same rows must reckon
// with.
func deadlocked(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "40P01"
}

// usersOf goes through the users of a node, in the order of their ids.
func usersOf(t *testing.T, n *testcluster.Node) iter.Seq[iam.User] {
	t.Helper()
	return func(yield func(iam.User) bool) {
		if err := n.Running().Store().View(func(r *store.Reader) error {
			var after iam.ID
			for {
				page := r.Users(after, 1000)
				for _, u := range page {
					if !yield(u) {
						return nil
					}
				}
				if len(page) == 0 {
					return nil
				}
				after = page[len(page)-1].ID
			}
		}); err != nil {
			t.Error(err)
		}
	}
}

func countUsers(t *testing.T, n *testcluster.Node) (count int) {
	t.Helper()
	for range usersOf(t, n) {
		count++
	}
	return count
}

// interruptions calls each function once, when so many thousandths of the rows are done.
type interruptions struct {
	mu   sync.Mutex
	at   int
	list []interruption
}

type interruption struct {
	thousandths int64
	do          func()
}

func (i *interruptions) progress(p importer.Progress) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.at < len(i.list) && p.Done*1000 >= p.Total*i.list[i.at].thousandths {
		i.at++
		i.list[i.at-1].do()
	}
}

// TestImportSurvives: the importer is stopped and frozen, the leader and the database go away; in the end every row is
// there exactly once, and each bad one is told of.
func TestImportSurvives(t *testing.T) {
	server := testpostgres.New(t)
	database := server.Database(t)
	users := 20_000
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		users = 1_000_000
	}
	filled, err := fill.Into(t.Context(), database, fill.Options{Users: users, Roles: 200, Clients: 500, Messy: true, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := testcluster.Start(t, 3)

	var notes []api.ImportNote
	o := options(t, c.Nodes...)
	o.Note = func(n api.ImportNote) error { notes = append(notes, n); return nil }

	// Somebody stops it.
	ctx, stop := context.WithCancel(t.Context())
	first := &interruptions{list: []interruption{{200, stop}}}
	o.Progress = first.progress
	report, err := open(t, database).Import(ctx, o)
	if !errors.Is(err, importer.ErrStopped) || report.Finished || report.Sum().Created == 0 {
		t.Fatalf("%v: %+v", err, report)
	}
	created := report.Sum().Created

	// It is gone in the middle, as after a kill: what it knows is lost. Then it is run elsewhere.
	frozen, gone := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(gone) })
	second := &interruptions{list: []interruption{{400, func() { close(frozen); <-gone }}}}
	lost := options(t, c.Nodes[2])
	lost.Note, lost.Progress = o.Note, second.progress
	ctx, abandon := context.WithCancel(t.Context())
	go func() {
		if _, err := open(t, database).Import(ctx, lost); err == nil {
			t.Error("a frozen import ended")
		}
	}()
	<-frozen
	abandon()

	// The leader goes away, and comes back; and then the database.
	var waits sync.WaitGroup
	third := &interruptions{list: []interruption{
		{550, func() {
			leader := c.Leader()
			leader.Stop()
			waits.Go(leader.Start)
		}},
		{750, func() {
			server.Kill()
			waits.Go(func() { server.Start(t) })
		}},
	}}
	o.Nodes = options(t, c.Nodes[1], c.Nodes[0], c.Nodes[2]).Nodes
	o.Progress = third.progress
	report, err = open(t, database).Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	waits.Wait()
	if !report.Finished || !report.Resumed || third.at != 2 {
		t.Errorf("%+v", report)
	}
	t.Logf("%d of %d were created before it was stopped, %d at the end; %.0f rows a second", created, report.Whole.Created, report.Sum().Created, float64(report.Sum().Read)/report.Seconds)
	c.WaitReady()
	checkImported(t, c, database, filled, report, notes)
}

// TestBeforeAndAfter: a dry run says what would come of an import and keeps nothing; the import comes to just that; and one more
// brings what has changed since.
func TestBeforeAndAfter(t *testing.T) {
	database := testpostgres.Database(t)
	filled, err := fill.Into(t.Context(), database, fill.Options{Users: 1500, Roles: 20, Clients: 50, Messy: true, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	c := testcluster.Start(t, 1)
	dryRun(t, c, database, filled)
	report, err := open(t, database).Import(t.Context(), options(t, c.Nodes...))
	if err != nil {
		t.Fatal(err)
	}
	if sum := report.Sum(); sum.Refused != refusedUsers(filled) || sum.Created != sum.Read-sum.Refused {
		t.Errorf("%+v", sum)
	}
	runAgain(t, c, database)
}

// dryRun expects the report of a whole import, and that nothing was kept.
func dryRun(t *testing.T, c *testcluster.Cluster, database string, filled fill.Filled) {
	t.Helper()
	before := countUsers(t, c.Nodes[0])
	o := options(t, c.Nodes...)
	o.DryRun = true
	report, err := open(t, database).Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := counts(report, "user"), (importer.Counts{Kind: "user", Read: filled.Users, Created: filled.Users - refusedUsers(filled), Refused: refusedUsers(filled)}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if after := countUsers(t, c.Nodes[0]); after != before {
		t.Errorf("the dry run brought %d users", after-before)
	}
	if _, err := c.Nodes[0].Operator().ImportState(t.Context(), "old"); client.CodeOf(err) != "not_found" {
		t.Errorf("the dry run left a cursor: %v", err)
	}
}

// refusing are the faults for which a row is not imported.
var refusing = []string{fill.CaseTwins, fill.SharedEmail, fill.LongName, fill.NullEmail}

func refusedUsers(filled fill.Filled) (n int) {
	for _, fault := range refusing {
		n += len(filled.Messy[fault])
	}
	return n
}

func counts(r *importer.Report, kind string) importer.Counts {
	i := slices.IndexFunc(r.Tables, func(c importer.Counts) bool { return c.Kind == kind })
	if i < 0 {
		return importer.Counts{}
	}
	return r.Tables[i]
}

// checkImported compares every user with the source, on each node, and the notes with the faults.
func checkImported(t *testing.T, c *testcluster.Cluster, database string, filled fill.Filled, report *importer.Report, notes []api.ImportNote) {
	t.Helper()
	const scopesAndRoles, clients = 40 + 200, 500
	whole := report.Whole
	if n := int(whole.Created); n != filled.Users-refusedUsers(filled)+scopesAndRoles+clients || whole.Updated+whole.Unchanged+whole.Deleted != 0 {
		t.Errorf("%+v of %d users", whole, filled.Users)
	}
	twins := map[string]bool{} // one of each pair is there
	c.WaitAgreed()
	missing := missingFrom(t, database, c.Nodes[0]) // the others have the same, by their state hashes
	if len(missing) != refusedUsers(filled) {
		t.Errorf("%d users are missing", len(missing))
	}
	for _, id := range missing {
		twins[id] = true
	}
	said := map[string]api.ImportNote{}
	for _, note := range notes {
		if _, twice := said[note.ID]; twice {
			t.Errorf("%s is told of twice", note.ID)
		}
		said[note.ID] = note
	}
	for fault, field := range map[string]string{
		fill.LongName: "username", fill.NullEmail: "email", fill.UnknownRole: "roles", fill.UnknownHash: "password_hash",
		fill.AbsurdHash: "password_hash", fill.NullHash: "password_hash",
	} {
		for _, id := range filled.Messy[fault] {
			note, ok := said[id]
			if refused := note.Outcome == api.ImportRefused; !ok || note.Field != field || refused != slices.Contains(refusing, fault) {
				t.Errorf("%s, which has %s, is told of by %+v", id, fault, note)
			}
			delete(said, id)
		}
	}
	for _, note := range said {
		if note.Outcome != api.ImportRefused || note.Field != "username" && note.Field != "email" || !twins[note.ID] {
			t.Errorf("%+v", note)
		}
	}
	if want := 2 * fill.EachFault; len(said) != want {
		t.Errorf("%d of %d twins are told of", len(said), want)
	}
}

// missingFrom goes through the users of a source and of a node side by side, and returns the ids of those that the node lacks.
func missingFrom(t *testing.T, database string, n *testcluster.Node) (missing []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), `
		SELECT id::text, username, coalesce(email, ''), first_name, display_name, coalesce(bio, ''), is_active::text, is_verified::text,
		       (SELECT count(*) FROM user_roles JOIN roles r ON r.id = role_id WHERE user_id = u.id)::text FROM users u ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	next, stop := iter.Pull(usersOf(t, n))
	defer stop()
	here, more := next()
	for rows.Next() {
		var want [9]string
		into := make([]any, len(want))
		for i := range want {
			into[i] = &want[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for more && here.ID.String() < want[0] { // the cluster's own
			here, more = next()
		}
		if !more || here.ID.String() != want[0] {
			missing = append(missing, want[0])
			continue
		}
		u := here
		got := [9]string{u.ID.String(), u.Username, u.Email, u.FirstName, u.DisplayName, u.Bio, fmt.Sprint(u.Active), fmt.Sprint(u.Verified), fmt.Sprint(len(u.Roles))}
		if got != want {
			t.Fatal(cmp.Diff(want, got))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return missing
}

// runAgain imports the same database once more: what has changed there is updated, and nothing else.
func runAgain(t *testing.T, c *testcluster.Cluster, database string) {
	t.Helper()
	for _, username := range []string{"person0000030", "person0000039", "person0000049", "person0000059"} { // a form of hash each
		if _, err := c.Nodes[0].Client().Login(t.Context(), api.TokenRequest{Username: username, Password: fill.Password}); err != nil {
			t.Errorf("%s: %v", username, err)
		}
	}
	execute(t, database, "UPDATE users SET display_name = 'Changed' WHERE username = 'person0000030'")
	report, err := open(t, database).Import(t.Context(), options(t, c.Nodes...))
	if err != nil {
		t.Fatal(err)
	}
	if sum := report.Sum(); sum.Created != 0 || sum.Updated != 1 || report.Resumed {
		t.Errorf("%+v", sum)
	}
	for u := range usersOf(t, c.Nodes[0]) {
		if u.Username == "person0000030" && u.DisplayName != "Changed" {
			t.Errorf("%+v", u)
		}
	}
}

// TestConflicts: what is done with rows whose names are others'.
func TestConflicts(t *testing.T) {
	database := testpostgres.Database(t)
	filled, err := fill.Into(t.Context(), database, fill.Options{Users: 100, Roles: 3, Clients: 3, Messy: true, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	c := testcluster.Start(t, 1)
	o := options(t, c.Nodes...)
	o.OnConflict = api.ConflictFail
	report, err := open(t, database).Import(t.Context(), o)
	if client.CodeOf(err) != "conflict" || report.Finished {
		t.Fatalf("%v: %+v", err, report)
	}
	before := countUsers(t, c.Nodes[0])
	o.OnConflict, o.Batch = api.ConflictRename, 7
	if report, err = open(t, database).Import(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	renamed := 0
	for _, n := range report.Notes {
		if n.Outcome == api.ImportCreated && (n.Field == "username" || n.Field == "email") {
			renamed++
		}
	}
	if renamed != 2*fill.EachFault || !report.Resumed {
		t.Errorf("%d are renamed: %+v", renamed, report.Tables)
	}
	after := countUsers(t, c.Nodes[0]) - before
	if want := filled.Users - 2*fill.EachFault; after != want {
		t.Errorf("%d users came, of %d", after, want)
	}
}

// TestWhoElse: two imports of one source do not get in each other's way unnoticed, and a cluster that does not
// answer, or does not let the caller, is told of at once.
func TestWhoElse(t *testing.T) {
	database := testpostgres.Database(t)
	if _, err := fill.Into(t.Context(), database, fill.Options{Users: 100, Roles: 3, Clients: 3, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	c := testcluster.Start(t, 1)
	o := options(t, c.Nodes...)
	o.Batch = 10
	other := o
	once := &interruptions{list: []interruption{{500, func() {
		if _, err := open(t, database).Import(t.Context(), other); err != nil {
			t.Error(err)
		}
	}}}}
	o.Progress = once.progress
	if _, err := open(t, database).Import(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another import of the same source is running") {
		t.Errorf("%v", err)
	}

	stranger := o
	stranger.Nodes = []*client.Client{c.Nodes[0].Client()}
	if _, err := open(t, database).Import(t.Context(), stranger); client.CodeOf(err) == "" {
		t.Errorf("%v", err)
	}
	nobody, err := client.New("http://" + testcluster.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	away := o
	away.Nodes, away.Patience = []*client.Client{nobody}, 100*time.Millisecond
	if _, err := open(t, database).Import(t.Context(), away); err == nil || !strings.Contains(err.Error(), "the cluster does not answer") {
		t.Errorf("%v", err)
	}
}

// TestTokens: refresh tokens that are alive come with their users, and others do not.
func TestTokens(t *testing.T) {
	database := testpostgres.Database(t)
	if _, err := fill.Into(t.Context(), database, fill.Options{Users: 60, Roles: 3, Clients: 3, Tokens: 25, Seed: 4}); err != nil {
		t.Fatal(err)
	}
	c := testcluster.Start(t, 1)
	o := options(t, c.Nodes...)
	o.Sessions = true
	report, err := open(t, database).Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := counts(report, "session")
	if got.Read != 25 || got.Created+got.Refused != 25 || got.Created < 20 {
		t.Errorf("%+v", got) // those of users who are disabled are refused
	}
}

// TestName: two databases never share a cursor.
func TestName(t *testing.T) {
	a, b := testpostgres.Database(t), testpostgres.Database(t)
	names := map[string]bool{}
	for _, database := range []string{a, b} {
		execute(t, database, fill.Schema)
		s := open(t, database)
		names[s.Name()] = true
		u, err := url.Parse(database)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(s.Name(), strings.ReplaceAll(strings.Trim(u.Path, "/"), "_", "_")) || len(s.Name()) > 50 {
			t.Errorf("%s for %s", s.Name(), database)
		}
	}
	if len(names) != 2 {
		t.Errorf("%v", slices.Collect(maps.Keys(names)))
	}
	for text, want := range map[string]bool{
		"postgres://u:secret@h/d": true, "postgres://u@h/d": false, "postgres:///d?password=x": true,
		"host=h password=x": true, "host=h dbname=d": false,
	} {
		if importer.HasPassword(text) != want {
			t.Errorf("%s", text)
		}
	}
}
