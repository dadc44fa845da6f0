package importer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// state is a store that a test fills past the state machine, whose rules are not what these tests are about.
type state struct {
	*store.Store
	t *testing.T
}

func newState(t *testing.T) *state {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &state{Store: s, t: t}
}

func (s *state) update(fn func(tx *store.Tx)) {
	s.t.Helper()
	_, err := s.Update(func(tx *store.Tx) error {
		tx.Meta.Index++
		tx.Meta.Time = instant + iam.Time(tx.Meta.Index)
		fn(tx)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// snapshot is a copy as an export gets it.
func (s *state) snapshot() *Snapshot {
	s.t.Helper()
	var file bytes.Buffer
	if _, err := s.Copy(&file); err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "copy.db")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	opened, err := store.OpenReadOnly(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = opened.Close() })
	return &Snapshot{Store: opened, ClusterID: "cluster-1"}
}

const instant = iam.Time(1_780_000_000_123_456)

func id(n int) iam.ID {
	return iam.ID{0x01, 0x90, 14: byte(n >> 8), 15: byte(n)}
}

// fill puts a bit of everything into the state.
func (s *state) fill() {
	s.t.Helper()
	s.update(func(tx *store.Tx) {
		tx.PutSettings(iam.Settings{Issuer: "keystone", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 86400, ServiceSeconds: 3600, DefaultRole: "user"})
		tx.PutScope(iam.Scope{ID: id(1), Name: "read:notes", Description: "Reads", Resource: "notes", Action: "read", CreatedAt: instant, UpdatedAt: instant + 1})
		tx.PutScope(iam.Scope{ID: id(2), Name: "plain", CreatedAt: instant, UpdatedAt: instant})
		tx.PutRole(iam.Role{ID: id(11), Name: "user", Scopes: []iam.ID{id(1), id(2)}, CreatedAt: instant, UpdatedAt: instant})
		tx.PutRole(iam.Role{ID: id(12), Name: "editor", Description: "Edits", CreatedAt: instant, UpdatedAt: instant})
		for n := range 20 {
			tx.PutUser(someUser(n))
		}
		digest := sha256.Sum256([]byte("secret"))
		tx.PutClient(iam.Client{
			ID: id(301), ClientID: "reports", SecretDigest: digest[:], PreviousHash: "$argon2id$previous", PreviousUntil: instant * 2, Name: "Reports", Type: iam.Confidential,
			Active: true, Scopes: []iam.ID{id(1)}, Audiences: []string{"https://api.example.org"}, AllowedIPs: []string{"10.0.0.0/8", "2001:db8::/32"},
			RefreshLifetime: 600, RatePerMinute: 60, CreatedAt: instant, UpdatedAt: instant, LastUsed: instant + 5, TotalRequests: 7,
		})
		tx.PutClient(iam.Client{ID: id(302), ClientID: "old", SecretHash: "$argon2id$client", Name: "Old", Type: iam.Confidential, AccessLifetime: 1800, CreatedAt: instant, UpdatedAt: instant})
		tx.PutClient(iam.Client{ID: id(303), ClientID: "page", Name: "Page", Type: iam.Public, AccessLifetime: 900, CreatedAt: instant, UpdatedAt: instant})
		tx.PutSession(someSession(401, 100, instant*2))
		tx.PutLegacySession(iam.LegacySession{ID: id(501), UserID: id(100), TokenHash: "$argon2id$token", IssuedAt: instant, ExpiresAt: instant * 2, IP: "::1"})
		for range 3 {
			tx.AppendAudit(iam.AuditEntry{At: instant, Type: "user.created", Actor: "system", Target: "x", Result: iam.AuditSuccess, UserAgent: "bad \x00 agent"})
		}
	})
}

func someUser(n int) iam.User {
	u := iam.User{
		ID: id(100 + n), Username: fmt.Sprintf("user%d", n), Email: fmt.Sprintf("User%d@Example.ORG", n), PasswordHash: fmt.Sprintf("$argon2id$%d", n),
		Active: true, Verified: n%2 == 0, Roles: []iam.ID{id(11)}, CreatedAt: instant, UpdatedAt: instant, PasswordChangedAt: instant + 3,
	}
	if n == 0 {
		u.Username, u.FirstName, u.LastName, u.DisplayName, u.Bio, u.Superuser = "Anna.K", "Anna", "Karlsson", "Anna K", "One\nTwo\t“Three”", true
		u.LastLogin, u.LockedUntil, u.PreviousHashes = instant+10, instant+20, []string{"$argon2id$before", "$argon2id$earlier"}
		u.Roles = []iam.ID{id(11), id(12)}
	}
	return u
}

func someSession(n, user int, until iam.Time) iam.Session {
	return iam.Session{
		ID: id(n), UserID: id(user), ClientID: "page", Scope: []string{"read:notes"}, Family: []byte{byte(n)}, Refresh: []byte{2}, TokenID: "jti",
		AuthTime: instant, CreatedAt: instant, LastActivity: instant + 30, ExpiresAt: until, IP: "2001:db8::1", UserAgent: "agent",
	}
}

func query(t *testing.T, url, sql string, args ...any) [][]any {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// contents is every row of every table that an export writes, as text.
func contents(t *testing.T, url string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, g := range append(slices.Clone(groups), group{targets: []*target{settingsTable, auditTable}}) {
		for _, table := range g.targets {
			for _, row := range query(t, url, fmt.Sprintf("SELECT x::text FROM (SELECT %s FROM %s) x ORDER BY 1", table.list(""), table.name)) {
				all[table.name] = append(all[table.name], row[0].(string))
			}
		}
	}
	return all
}

func mustExport(t *testing.T, url string, s *Snapshot, o ExportOptions) *ExportReport {
	t.Helper()
	r, err := Export(t.Context(), url, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *ExportReport) of(table string) (got TableReport) {
	for _, t := range r.Tables {
		if t.Table == table {
			return t
		}
	}
	return got
}

func TestExportIntoEmpty(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	report := mustExport(t, url, s.snapshot(), ExportOptions{})
	if got := report.of("users"); got.Inserted != 20 || got.Read != 20 {
		t.Errorf("users: %+v", got)
	}
	want := map[string][]string{
		"scopes": {
			`(01900000-0000-0000-0000-000000000001,read:notes,Reads,notes,"2026-05-28 20:26:40.123456+00","2026-05-28 20:26:40.123457+00")`,
			`(01900000-0000-0000-0000-000000000002,plain,,,"2026-05-28 20:26:40.123456+00","2026-05-28 20:26:40.123456+00")`,
		},
		"keystone_scopes": {`(01900000-0000-0000-0000-000000000001,read)`},
		"role_scopes": {
			`(01900000-0000-0000-0000-00000000000b,01900000-0000-0000-0000-000000000001)`,
			`(01900000-0000-0000-0000-00000000000b,01900000-0000-0000-0000-000000000002)`,
		},
		"keystone_users":    {`(01900000-0000-0000-0000-000000000064,Anna.K,"{$argon2id$before,$argon2id$earlier}")`},
		"keystone_sessions": {`(01900000-0000-0000-0000-000000000191,page,{read:notes},"2026-05-28 20:26:40.123456+00")`},
		"refresh_tokens": {`(01900000-0000-0000-0000-0000000001f5,01900000-0000-0000-0000-0000000001f5,$argon2id$token,"2082-10-23 16:53:20.246912+00",` +
			`"2026-05-28 20:26:40.123456+00",f,f,::1,,01900000-0000-0000-0000-000000000064,"2026-05-28 20:26:40.123456+00","2026-05-28 20:26:40.123456+00")`},
		"service_client_scopes": {`(01900000-0000-0000-0000-00000000012d,01900000-0000-0000-0000-000000000001)`},
	}
	got := contents(t, url)
	for table, rows := range want {
		if diff := cmp.Diff(rows, got[table]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
	}
	const anna = `(01900000-0000-0000-0000-000000000064,anna.k,User0@example.org,$argon2id$0,Anna,Karlsson,"Anna K","One` + "\n" + `Two	“Three”",t,t,t,` +
		`"2026-05-28 20:26:40.123466+00","2026-05-28 20:26:40.123476+00","2026-05-28 20:26:40.123459+00","2026-05-28 20:26:40.123456+00","2026-05-28 20:26:40.123456+00")`
	if !slices.Contains(got["users"], anna) {
		t.Errorf("no such row of users: %s", anna)
	}
	for _, secret := range []string{`{keystone-sha256}2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b`, "$argon2id$client", "{keystone-none}"} {
		if !strings.Contains(strings.Join(got["service_clients"], "\n"), secret) {
			t.Errorf("no client has the secret %s", secret)
		}
	}
	if n := len(got["user_sessions"]); n != 1 {
		t.Errorf("%d sessions", n)
	}
	if n := len(got["keystone_audit"]); n != 3 {
		t.Errorf("%d audit entries", n)
	}
}

// Whatever changed, an update ends with the rows that an export into an empty database has, whether it
// compares everything or what differs between two snapshots alone. Rows that did not change stay untouched.
func TestExportUpdates(t *testing.T) {
	s := newState(t)
	s.fill()
	before := s.snapshot()
	full, changes := testpostgres.Database(t), testpostgres.Database(t)
	mustExport(t, full, before, ExportOptions{})
	mustExport(t, changes, before, ExportOptions{})
	rewrite(s)
	after := s.snapshot()
	reports := []*ExportReport{mustExport(t, full, after, ExportOptions{}), mustExport(t, changes, after, ExportOptions{Before: before})}
	fresh := testpostgres.Database(t)
	mustExport(t, fresh, after, ExportOptions{})
	want := contents(t, fresh)
	for i, url := range []string{full, changes} {
		if diff := cmp.Diff(want, contents(t, url)); diff != "" {
			t.Errorf("update %d (-want +got):\n%s", i, diff)
		}
		for table, wanted := range map[string]TableReport{
			"users": {Inserted: 1, Updated: 4, Deleted: 1}, "user_roles": {Inserted: 2, Deleted: 2}, "keystone_users": {Updated: 1},
			"scopes": {Updated: 1, Deleted: 1}, "role_scopes": {Deleted: 1}, "service_clients": {Updated: 2}, "user_sessions": {Inserted: 1, Deleted: 1}, "refresh_tokens": {Deleted: 1}, "keystone_audit": {Inserted: 1},
		} {
			got := reports[i].of(table)
			got.Read, got.Table = 0, ""
			if got != wanted {
				t.Errorf("update %d of %s: %+v, want %+v", i, table, got, wanted)
			}
		}
	}
	if !reports[1].Changes || reports[0].Changes {
		t.Errorf("changes alone: %v and %v", reports[0].Changes, reports[1].Changes)
	}
	if n := reports[1].of("users").Read; n != 5 {
		t.Errorf("%d users were sent, and 5 differ", n)
	}
	if again := mustExport(t, full, after, ExportOptions{}); again.Changed() {
		t.Errorf("the same once more changes rows: %+v", again)
	}
}

// rewrite changes, renames, swaps and deletes rows.
func rewrite(s *state) {
	s.update(func(tx *store.Tx) {
		anna := someUser(0)
		anna.Bio, anna.PreviousHashes, anna.Roles = "", anna.PreviousHashes[:1], []iam.ID{id(12)}
		one, two, three := someUser(1), someUser(2), someUser(3)
		tx.DeleteUser(one.ID)
		tx.DeleteUser(two.ID)
		one.Username, two.Username = two.Username, one.Username // swapped
		one.Email, two.Email = two.Email, one.Email
		tx.PutUser(anna)
		tx.PutUser(one)
		tx.PutUser(two)
		three.PasswordHash = "$argon2id$new"
		tx.PutUser(three)
		tx.DeleteUser(id(104))
		fresh := someUser(4)
		fresh.ID = id(200) // with the name of the one that is gone
		fresh.Roles = []iam.ID{id(11), id(12)}
		tx.PutUser(fresh)
		tx.DeleteScope(id(2))
		tx.PutScope(iam.Scope{ID: id(1), Name: "read:note", Description: "Reads", Resource: "notes", Action: "read", CreatedAt: instant, UpdatedAt: instant + 1})
		tx.PutRole(iam.Role{ID: id(11), Name: "user", Scopes: []iam.ID{id(1)}, CreatedAt: instant, UpdatedAt: instant})
		tx.DeleteClient(id(303))
		tx.PutClient(iam.Client{ID: id(302), ClientID: "page", SecretHash: "$argon2id$client", Name: "Old", Type: iam.Confidential, AccessLifetime: 1800, CreatedAt: instant, UpdatedAt: instant})
		tx.PutClient(iam.Client{ID: id(303), ClientID: "old", Name: "Page", Type: iam.Public, AccessLifetime: 900, CreatedAt: instant, UpdatedAt: instant})
		tx.DeleteSession(id(401))
		tx.DeleteLegacySession(id(501))
		tx.PutSession(someSession(403, 101, instant*2))
		tx.AppendAudit(iam.AuditEntry{At: instant, Type: "user.deleted", Result: iam.AuditSuccess})
	})
}

// An export that is ended on its way leaves the copy as it was.
func TestExportStopped(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	mustExport(t, url, s.snapshot(), ExportOptions{})
	want := contents(t, url)
	rewrite(s)
	s.update(func(tx *store.Tx) {
		for n := range 3000 {
			u := someUser(n)
			u.ID, u.Username, u.Email = id(1000+n), fmt.Sprintf("many%d", n), fmt.Sprintf("many%d@example.org", n)
			tx.PutUser(u)
		}
	})
	for _, at := range []string{"users", "user_roles", "keystone_audit"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Export(ctx, url, s.snapshot(), ExportOptions{Progress: func(table string, _ int64) {
			if table == at {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %s: %v", at, err)
		}
		if diff := cmp.Diff(want, contents(t, url)); diff != "" {
			t.Errorf("stopped at %s it changed rows (-want +got):\n%s", at, diff)
		}
	}
}

// What an export did not write is not replaced by accident.
func TestExportSparesOthers(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	reference(t, url)
	exec(t, url, `INSERT INTO roles (id, name) VALUES ('01900000-0000-0000-0000-0000000000ff', 'editor')`)
	snapshot := s.snapshot()
	if _, err := Export(t.Context(), url, snapshot, ExportOptions{}); err == nil || !strings.Contains(err.Error(), "the table roles of this database has rows that no export wrote") {
		t.Fatal(err)
	}
	if n := len(query(t, url, "SELECT FROM roles")); n != 1 {
		t.Fatalf("%d roles", n)
	}
	mustExport(t, url, snapshot, ExportOptions{Overwrite: true}) // the role of that name has another id here
	want := contents(t, url)
	if len(want["roles"]) != 2 || len(want["users"]) != 20 {
		t.Errorf("%d roles, %d users", len(want["roles"]), len(want["users"]))
	}

	other := *snapshot
	other.ClusterID = "cluster-2"
	if _, err := Export(t.Context(), url, &other, ExportOptions{}); err == nil || !strings.Contains(err.Error(), "a copy of another cluster") {
		t.Error(err)
	}
	rewrite(s)
	mustExport(t, url, s.snapshot(), ExportOptions{})
	if _, err := Export(t.Context(), url, snapshot, ExportOptions{}); err == nil || !strings.Contains(err.Error(), "a later state of the cluster") {
		t.Error(err)
	}
	mustExport(t, url, snapshot, ExportOptions{Overwrite: true})
	if diff := cmp.Diff(want, contents(t, url)); diff != "" {
		t.Errorf("back at the earlier state (-want +got):\n%s", diff)
	}
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

// reference makes the tables of the old system.
func reference(t *testing.T, url string) {
	t.Helper()
	ddl, err := os.ReadFile("fill/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, url, string(ddl))
}
