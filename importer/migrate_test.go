package importer

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/internal/testpostgres"
)

// catalogue is every column and index of the documented tables.
func catalogue(t *testing.T, url string) (all []string) {
	t.Helper()
	for _, row := range query(t, url, `
		SELECT format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE 'keystone%'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'keystone%' AND indexname NOT LIKE 'keystone%'
		UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
			WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'keystone%' ORDER BY 1`) {
		all = append(all, row[0].(string))
	}
	return all
}

// What the first migration makes is the schema that the old system makes, to the last index.
func TestMigrationIsTheDocumentedSchema(t *testing.T) {
	theirs, ours := testpostgres.Database(t), testpostgres.Database(t)
	reference(t, theirs)
	if _, err := MigrateUp(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	want := catalogue(t, theirs)
	if len(want) < 100 {
		t.Fatalf("the catalogue has %d lines", len(want))
	}
	if diff := cmp.Diff(want, catalogue(t, ours)); diff != "" {
		t.Error(diff)
	}
}

func TestMigrateUpDownStatus(t *testing.T) {
	url := testpostgres.Database(t)
	expect := func(want string) {
		t.Helper()
		all, err := MigrateStatus(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all {
			got = append(got, fmt.Sprintf("%d %s %v", m.Version, m.Name, m.Applied))
			if m.Applied != (m.At != nil) {
				t.Errorf("%+v", m)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	expect("1 documented schema false, 2 beside it false")
	for _, want := range []int{2, 0} {
		if done, err := MigrateUp(t.Context(), url); err != nil || len(done) != want {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	expect("1 documented schema true, 2 beside it true")

	exec(t, url, "INSERT INTO keystone_settings VALUES ('issuer', 'x')")
	if _, err := MigrateDown(t.Context(), url, false); err == nil || !strings.Contains(err.Error(), "holds rows in the table keystone_settings") {
		t.Fatal(err)
	}
	expect("1 documented schema true, 2 beside it true")
	if _, err := MigrateDown(t.Context(), url, true); err != nil {
		t.Fatal(err)
	}
	expect("1 documented schema true, 2 beside it false")

	exec(t, url, "INSERT INTO roles (id, name) VALUES (gen_random_uuid(), 'r')")
	if _, err := MigrateDown(t.Context(), url, false); err == nil || !strings.Contains(err.Error(), "holds rows in the table roles") {
		t.Fatal(err)
	}
	exec(t, url, "DELETE FROM roles")
	if _, err := MigrateDown(t.Context(), url, false); err != nil {
		t.Fatal(err)
	}
	expect("1 documented schema false, 2 beside it false")
	if left := catalogue(t, url); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	if _, err := MigrateDown(t.Context(), url, false); err == nil || !strings.Contains(err.Error(), "no migration of Keystone") {
		t.Error(err)
	}
}

// Tables of the old system are used as they are, and survive the way back.
func TestMigrateAdopts(t *testing.T) {
	url := testpostgres.Database(t)
	reference(t, url)
	exec(t, url, `DROP TABLE user_sessions; ALTER TABLE users ADD COLUMN nickname text; DROP INDEX ix_users_email;
		INSERT INTO roles (id, name) VALUES (gen_random_uuid(), 'kept')`)
	if _, err := MigrateUp(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := MigrateDown(t.Context(), url, true); err != nil {
			t.Fatal(err)
		}
	}
	for table, want := range map[string]bool{"user_sessions": false, "users": true, "roles": true, "refresh_tokens": true} {
		if got := query(t, url, "SELECT to_regclass($1) IS NOT NULL", table)[0][0]; got != want {
			t.Errorf("after the way back %s is there: %v", table, got)
		}
	}
	if n := len(query(t, url, "SELECT FROM roles")); n != 1 {
		t.Errorf("%d roles", n)
	}
}

func TestMigrateRefusesForeignTables(t *testing.T) {
	for change, want := range map[string]string{
		"ALTER TABLE users DROP COLUMN bio":                                                          "the table users of this database has no column bio",
		"ALTER TABLE roles ALTER COLUMN description TYPE integer USING 0":                            "the column roles.description of this database is of the type int4 where varchar is wanted",
		"ALTER TABLE users ADD COLUMN tenant integer NOT NULL":                                       "the table users of this database has the column tenant, which wants a value that Keystone does not have",
		"DROP TABLE user_sessions; CREATE VIEW user_sessions AS SELECT 1 AS id":                      "user_sessions is a view or something else",
		"DROP TABLE user_roles; CREATE TABLE user_roles (user_id uuid NOT NULL, role text NOT NULL)": "the table user_roles of this database has no column role_id",
	} {
		url := testpostgres.Database(t)
		reference(t, url)
		exec(t, url, change)
		before := catalogue(t, url)
		if _, err := MigrateUp(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change, err)
		}
		if diff := cmp.Diff(before, catalogue(t, url)); diff != "" {
			t.Errorf("%s: the refusal changed the schema: %s", change, diff)
		}
	}
}

// with changes a part of the URL of a database.
func with(t *testing.T, address string, change func(u *url.URL, q url.Values)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	change(u, q)
	u.RawQuery = q.Encode()
	return u.String()
}

// What goes wrong with a database is one sentence, and none of them has the password of the URL.
func TestTargetErrors(t *testing.T) {
	good := testpostgres.Database(t)
	exec(t, good, `CREATE ROLE reader LOGIN; CREATE ROLE barred NOLOGIN`)
	t.Cleanup(func() { exec(t, good, `DROP ROLE reader; DROP ROLE barred`) })
	s := newState(t)
	s.fill()
	snapshot := s.snapshot()
	for name, c := range map[string]struct{ url, want string }{
		"no URL":        {"postgres://u:opensesame@host:notaport/db", "the URL of the database cannot be read"},
		"nobody there":  {"postgres://u:opensesame@127.0.0.1:1/db", "the database db at 127.0.0.1 does not answer"},
		"no database":   {with(t, good, func(u *url.URL, q url.Values) { u.Path = "/missing"; q.Set("password", "opensesame") }), "does not exist"},
		"no user":       {with(t, good, func(_ *url.URL, q url.Values) { q.Set("user", "barred"); q.Set("password", "opensesame") }), "refuses the user barred"},
		"no permission": {with(t, good, func(_ *url.URL, q url.Values) { q.Set("user", "reader"); q.Set("password", "opensesame") }), "does not let the user reader make tables in the schema public"},
		"read only":     {with(t, good, func(_ *url.URL, q url.Values) { q.Set("default_transaction_read_only", "on") }), "can only be read"},
	} {
		_, err := Export(t.Context(), c.url, snapshot, ExportOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "opensesame") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := catalogue(t, good); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// A connection that ends on the way leaves the copy as it was, and the sentence says so.
func TestConnectionLost(t *testing.T) {
	url := testpostgres.Database(t)
	s := newState(t)
	s.fill()
	mustExport(t, url, s.snapshot(), ExportOptions{})
	want := contents(t, url)
	rewrite(s)
	_, err := Export(t.Context(), url, s.snapshot(), ExportOptions{Progress: func(table string, _ int64) {
		if table == "user_roles" {
			query(t, url, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
				WHERE application_name = 'keystone' AND datname = current_database() AND state <> 'idle'`)
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(want, contents(t, url)); diff != "" {
		t.Error(diff)
	}
}
