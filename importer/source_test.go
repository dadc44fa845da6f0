package importer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testpostgres"
)

// database makes a database and runs statements in it.
func database(t *testing.T, statements ...string) (url string) {
	t.Helper()
	url = testpostgres.Database(t)
	execute(t, url, statements...)
	return url
}

func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestWhatStandsInTheWay: one clear sentence each, without the password.
func TestWhatStandsInTheWay(t *testing.T) {
	good := database(t, fill.Schema)
	as := func(user string) string { return strings.Replace(good, "user=keystone", "user="+user, 1) }
	execute(t, good, "CREATE ROLE reader LOGIN", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
		"REVOKE SELECT ON users FROM reader", "GRANT SELECT (id, username, email, password_hash) ON users TO reader",
		"CREATE ROLE stranger LOGIN")
	t.Cleanup(func() {
		execute2(good, "DROP OWNED BY reader", "DROP ROLE reader", "DROP ROLE stranger")
	})
	for _, c := range []struct {
		name, url, want string
		statements      []string
		mapping         Mapping
	}{
		{name: "no URL", url: "postgres://u:hunter2@[::1", want: "the URL of the database cannot be read"},
		{name: "nobody answers", url: "postgres://u:hunter2@127.0.0.1:1/app?connect_timeout=1", want: "the database app at 127.0.0.1 does not answer"},
		{name: "no database", url: strings.Replace(good, "/test_", "/nope_", 1) + "&password=hunter2", want: "does not exist: correct the name"},
		{name: "no user", url: as("hunter2x"), want: "refuses the user"},
		{name: "no right", url: as("stranger"), want: "the user stranger may not read the table scopes: run GRANT SELECT ON"},
		{name: "no right to some", url: as("reader"), want: "the user reader may not read first_name"},
		{name: "empty", url: database(t), want: "there is no table scopes in the search path (public): name it in a mapping"},
		{name: "elsewhere", url: database(t, "CREATE SCHEMA auth; SET search_path = auth; "+fill.Schema), want: "but one in the schema auth: name that with --schema"},
		{name: "no such schema", url: good, mapping: Mapping{Schema: "nope"}, want: "but one in the schema public"},
		{name: "no users", url: database(t, fill.Schema, "DROP TABLE users CASCADE"), want: "there is no table users"},
		{name: "no column", url: database(t, fill.Schema, "ALTER TABLE users RENAME password_hash TO secret"), want: "there is no column password_hash in the table users"},
		{name: "no index", url: database(t, fill.Schema, "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE; DROP INDEX ix_users_id"), want: "has no unique index"},
		{name: "mapped to nothing", url: good, mapping: Mapping{Tables: map[string]TableMapping{"users": {Columns: map[string]*string{"email": ptr("mail")}}}}, want: "there is no column mail in the table users"},
		{name: "left out", url: good, mapping: Mapping{Tables: map[string]TableMapping{"users": {Table: ptr("")}}}, want: "leaves out the table users"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.url, c.mapping)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") && c.name != "no user" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		})
	}
}

func ptr(s string) *string { return &s }

// execute2 is execute for a clean-up, after which the context of the test is over.
func execute2(url string, statements ...string) {
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range statements {
		_, _ = conn.Exec(context.Background(), sql)
	}
}

// TestPlan: what is extra is ignored, what is missing and not essential is named.
func TestPlan(t *testing.T) {
	url := database(t, fill.Schema, "DROP TABLE user_sessions, refresh_tokens",
		"ALTER TABLE users ADD COLUMN shoe_size int, DROP COLUMN bio",
		"INSERT INTO scopes (id, name) VALUES (gen_random_uuid(), 'read:x'), (gen_random_uuid(), 'read:y')")
	s, err := Open(t.Context(), url, Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	plan := map[string]PlannedTable{}
	for _, p := range s.Plan(true) {
		plan[p.Name] = p
	}
	if p := plan["scopes"]; p.Rows != 2 || p.Source != "public.scopes" || len(p.Ignored)+len(p.Missing) != 0 {
		t.Errorf("%+v", p)
	}
	users := plan["users"]
	want := []string{"failed_login_attempts", "email_verification_token", "email_verification_sent_at", "password_reset_token", "password_reset_sent_at", "shoe_size"}
	if diff := cmp.Diff(want, users.Ignored); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bio"}, users.Missing); diff != "" {
		t.Error(diff)
	}
	if p := plan["refresh_tokens"]; p.Source != "" || p.Note == "" {
		t.Errorf("%+v", p)
	}
}

// TestMapping: a database with names of its own is guessed, mapped and read.
func TestMapping(t *testing.T) {
	url := database(t, `CREATE SCHEMA auth`, `SET search_path = auth;
		CREATE TABLE accounts (uuid uuid PRIMARY KEY, login text, mail text, password text, "created On" timestamp, enabled int, "weird, #name" text);
		INSERT INTO accounts VALUES ('00000000-0000-4000-8000-000000000001', 'ada', 'ada@example.org', 'x', '2024-02-03 04:05:06', 1)`)
	s, err := Inspect(t.Context(), url, Mapping{Schema: "auth"})
	if err != nil {
		t.Fatal(err)
	}
	write := func(s *Source) (path, text string) {
		var out strings.Builder
		if err := s.WriteMapping(&out); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(t.TempDir(), "mapping.yaml")
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path, out.String()
	}
	for range 2 { // first the tables, then their columns
		path, _ := write(s)
		m, err := ReadMapping(path)
		if err != nil {
			t.Fatal(err)
		}
		if s, err = Inspect(t.Context(), url, m); err != nil {
			t.Fatal(err)
		}
	}
	path, text := write(s)
	for _, line := range []string{"schema: auth", "    table: accounts\n", "      username: login\n", "      # not used: weird, #name\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("there is no %q in\n%s", line, text)
		}
	}
	m, err := ReadMapping(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), url, m); err != nil {
		t.Fatal(err)
	}
	batches := readAll(t, s, position{})
	user := batches[0].request.Users[0]
	if user.Username != "ada" || user.Email != "ada@example.org" || !user.Active || user.CreatedAt.Format("2006-01-02T15:04:05Z07") != "2024-02-03T04:05:06Z" {
		t.Errorf("%+v", user)
	}
	for text, want := range map[string]string{
		"tables: {people: {}}":                           `names the table "people"`,
		"tables: {users: {columns: {user: x}}}":          `names the column "user" of users`,
		"tabels: {}":                                     "field tabels not found",
		"tables: [":                                      "cannot be read",
		"tables: {users: {columns: {email: null}}}":      "",
		"# only a comment":                               "",
		"tables: {users: {table: a}}\n---\nschema: auth": "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMapping(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// readAll reads a source behind a position.
func readAll(t *testing.T, s *Source, from position) (all []*batch) {
	t.Helper()
	r := &reader{source: s, sessions: true, rows: 100, patience: time.Minute, say: func(text string) { t.Log(text) }}
	batches := make(chan *batch)
	failed := make(chan error, 1)
	go func() {
		defer close(batches)
		failed <- r.run(t.Context(), from, batches)
	}()
	for b := range batches {
		all = append(all, b)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReading: every row is read once, in the order of ids, and a reader that begins anywhere reads the rest.
func TestReading(t *testing.T) {
	url := testpostgres.Database(t)
	filled, err := fill.Into(t.Context(), url, fill.Options{Users: 2000, Roles: 30, Clients: 250, Tokens: 40, Messy: true, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), url, Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	all := readAll(t, s, position{})
	var users, clients, tokens, refused, roles int
	last := ""
	for _, b := range all {
		for _, u := range b.request.Users {
			if u.ID <= last {
				t.Fatalf("%s comes after %s", u.ID, last)
			}
			last = u.ID
			roles += len(u.Roles)
		}
		users, clients, tokens = users+len(b.request.Users), clients+len(b.request.Clients), tokens+len(b.request.Sessions)
		refused += b.refused
	}
	if users+refused != filled.Users || clients != 250 || tokens != 40 {
		t.Errorf("%d users of %d, %d refused, %d clients, %d tokens", users, filled.Users, refused, clients, tokens)
	}
	if refused != 2*fill.EachFault { // too long, no e-mail address
		t.Errorf("%d are refused", refused)
	}
	if roles < users {
		t.Errorf("%d users have %d roles", users, roles)
	}
	if end := all[len(all)-1].request.Cursor; end != ended {
		t.Errorf("it ends at %q", end)
	}
	for _, at := range []int{3, 10, len(all) - 3} {
		from, err := parsePosition(all[at].request.Cursor)
		if err != nil {
			t.Fatal(err)
		}
		rest := readAll(t, s, from)
		if diff := cmp.Diff(cursors(all[at+1:]), cursors(rest)); diff != "" {
			t.Errorf("behind %s: %s", from, diff)
		}
	}
}

func cursors(all []*batch) (list []string) {
	for _, b := range all {
		list = append(list, b.request.Cursor)
	}
	return list
}

// TestOddValues: a value that cannot be read costs its row alone, whatever the type of its column.
func TestOddValues(t *testing.T) {
	url := database(t, fill.Schema, `
		DROP TABLE user_roles, refresh_tokens, user_sessions;
		ALTER TABLE users ALTER id TYPE text, ALTER is_active TYPE text, ALTER created_at TYPE text, ALTER locked_until TYPE text;
		ALTER TABLE users DROP CONSTRAINT users_pkey;
		ALTER TABLE users ALTER id DROP NOT NULL;
		CREATE TABLE user_roles (user_id text, role_id text);
		INSERT INTO roles (id, name) VALUES ('00000000-0000-4000-8000-00000000000a', 'editor');
		INSERT INTO user_roles VALUES ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a'), ('x', 'y');`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	insert := func(id any, name, active, created, locked any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `INSERT INTO users (id, username, email, password_hash, is_active, is_verified, is_superuser, created_at, locked_until)
			VALUES ($1, $2::text, $2::text || '@example.org', 'h', $3, true, false, $4, $5)`, id, name, active, created, locked); err != nil {
			t.Fatal(err)
		}
	}
	insert("00000000-0000-4000-8000-000000000001", "good", "yes", "2024-01-01 00:00:00+02", "infinity")
	insert("00000000-0000-4000-8000-000000000002", "bad-active", "perhaps", "2024-01-01", nil)
	insert("00000000-0000-4000-8000-000000000003", "bad-time", "1", "yesterday", nil)
	insert("not-a-uuid", "bad-id", "1", "2024-01-01", nil)
	insert(strings.Repeat("z", 300), "long-id", "1", "2024-01-01", nil)
	insert(nil, "no-id", "1", "2024-01-01", nil)
	insert(nil, "no-id-2", "1", "2024-01-01", nil)
	s, err := Open(t.Context(), url, Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	reasons, nameless := map[string]string{}, false
	for _, b := range readAll(t, s, position{}) {
		for _, n := range b.notes {
			if n.Reason == "is null in 2 rows, where there must be a value" {
				nameless = true
				continue
			}
			reasons[n.Field+" "+strings.TrimRight(n.ID, "z…")] = n.Reason
		}
		for _, u := range b.request.Users {
			if u.Username != "good" || !u.Active || u.LockedUntil.Year() != 9999 || u.CreatedAt.Hour() != 22 || len(u.Roles) != 1 {
				t.Errorf("%+v", u)
			}
		}
	}
	want := map[string]string{
		"is_active 00000000-0000-4000-8000-000000000002":  "is neither true nor false",
		"created_at 00000000-0000-4000-8000-000000000003": "is not a time of the years 1 to 9999",
		"id not-a-uuid": "is not a UUID",
		"id ":           "is not a UUID",
	}
	if !nameless {
		t.Error("nothing is said of rows without an id")
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
	if _, err := parsePosition("people 7"); err == nil {
		t.Error("an unknown place was taken")
	}
}
