package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/secret"
)

// hashed is a hash as the old system makes it, of the password of the tests.
func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}}).Hash(context.Background(), password)
	must(t, err)
	return h
}

// source is an import as a client of the API sees it: it follows the cursor.
type source struct {
	*stack
	cursor string
	batch  int
	on     string
}

func (s *source) send(r api.ImportRequest) answer {
	s.t.Helper()
	s.batch++
	r.Source, r.After, r.Cursor = "old", s.cursor, fmt.Sprint("batch ", s.batch)
	if r.OnConflict = s.on; s.on == "" {
		r.OnConflict = api.ConflictSkip
	}
	body, err := json.Marshal(r)
	must(s.t, err)
	a := s.do(s.operator, call{method: "POST", path: v1 + "/admin/import", json: string(body)})
	if a.status == http.StatusOK && !r.DryRun {
		s.cursor = r.Cursor
	}
	return a
}

// bring sends a batch that must be kept.
func (s *source) bring(r api.ImportRequest) api.ImportResponse {
	s.t.Helper()
	a := s.send(r)
	if a.status != http.StatusOK {
		s.t.Fatalf("import: %d %s", a.status, a.body)
	}
	return decoded[api.ImportResponse](s.t, a)
}

// oldID is the id of the n-th row of the old system.
func oldID(n int) string { return fmt.Sprintf("4f0c0000-0000-4000-8000-%012d", n) }

func oldUser(n int, name, hash string, roles ...string) api.ImportUser {
	at := time.Date(2024, 5, 1, 12, 0, n, 123000, time.UTC)
	return api.ImportUser{
		ID: oldID(n), Username: name, Email: name + "@old.example", PasswordHash: hash, FirstName: "F", LastName: "L", Active: true, Verified: true, Roles: roles,
		PasswordChangedAt: at, CreatedAt: at, UpdatedAt: at,
	}
}

// counts are the outcomes in one line.
func counts(r api.ImportResponse) string {
	return fmt.Sprintf("+%d ~%d =%d -%d !%d", r.Created, r.Updated, r.Unchanged, r.Deleted, r.Refused)
}

func notes(r api.ImportResponse) string {
	var lines []string
	for _, n := range r.Notes {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", n.Kind, n.Outcome, n.Field, n.Reason))
	}
	return strings.Join(lines, "\n")
}

func (s *source) want(what, want string, r api.ImportResponse, reasons ...string) {
	s.t.Helper()
	said := notes(r)
	fits := counts(r) == want && len(r.Notes) == len(reasons)
	for _, reason := range reasons {
		fits = fits && strings.Contains(said, reason)
	}
	if !fits {
		s.t.Errorf("%s: %s, want %s and %q:\n%s", what, counts(r), want, reasons, said)
	}
}

func (s *source) logsIn(name, pass string) bool {
	s.t.Helper()
	a := s.do(s.public, post("/auth/token", loginBody(name, pass)))
	if a.status != 200 && a.status != 401 {
		s.t.Fatalf("a login: %d %s", a.status, a.body)
	}
	return a.status == 200
}

// TestImport goes through the life of an import: rows come, change, log in, are conflicts, and go.
func TestImport(t *testing.T) {
	s := &source{stack: newStack(t)}
	hash := hashed(t, password)
	first := api.ImportRequest{
		Scopes: []api.ImportScope{{ID: oldID(900), Name: "read:orders", Resource: "orders"}, {ID: oldID(901), Name: "admin:users"}},
		Roles:  []api.ImportRole{{ID: oldID(800), Name: "clerk", Scopes: []string{"read:orders", "write:none"}}, {ID: oldID(801), Name: "admin", Scopes: []string{"read:orders"}}},
		Users:  []api.ImportUser{oldUser(1, "Carol", hash, "clerk"), oldUser(2, "dave", "md5$abc", "clerk", "nobody"), oldUser(3, "erin", hash)},
		Clients: []api.ImportClient{{
			ID: oldID(700), ClientID: "billing", SecretHash: hash, Name: "Billing", Type: "confidential", Active: true, Scopes: []string{"read:orders"},
			AccessLifetime: 3600, RatePerMinute: 60, AllowedIPs: []string{"10.0.0.1", "2001:db8::/32"},
		}},
	}
	dry := first
	dry.DryRun = true
	const all, said = "+6 ~1 =1 -0 !0", "there is no scope of the name write:none"
	const weak, lost = "the hash has a form that is not known", "there is no role of the name nobody"
	tried := s.bring(dry)
	if s.want("a dry run", all, tried, said, weak, lost); tried.Cursor != "" || s.logsIn("carol", password) {
		t.Errorf("a dry run has brought rows, or moved the cursor to %q", tried.Cursor)
	}
	if a := s.do(s.operator, fetch("/admin/imports/old")); a.status != 404 {
		t.Errorf("the state of an import that was only tried: %d", a.status)
	}
	s.want("the first batch", all, s.bring(first), said, weak, lost)
	if !s.logsIn("carol", password) || !s.logsIn("carol@old.example", password) || s.logsIn("dave", "abc") {
		t.Error("imported passwords do not log in as they should")
	}
	admin := get[api.Role](s.stack, fetch("/admin/roles/admin").as(s.admin.AccessToken))
	if len(admin.Scopes) < 10 || !strings.Contains(strings.Join(admin.Scopes, " "), "read:orders") {
		t.Errorf("the role admin has the scopes %v", admin.Scopes)
	}
	client := get[api.Client](s.stack, fetch("/admin/clients/billing").as(s.admin.AccessToken))
	if strings.Join(client.AllowedIPs, " ") != "10.0.0.1/32 2001:db8::/32" || client.AccessTokenLifetime != 3600 || strings.Join(client.Scopes, " ") != "read:orders" {
		t.Errorf("the client is %+v", client)
	}
	carol := get[api.User](s.stack, fetch("/admin/users/carol").as(s.admin.AccessToken))
	if carol.ID != oldID(1) || !carol.CreatedAt.Equal(first.Users[0].CreatedAt) || strings.Join(carol.Roles, " ") != "clerk" || !carol.IsVerified {
		t.Errorf("carol is %+v", carol)
	}

	s.want("the same again", "+0 ~0 =8 -0 !0", s.bring(first), said, lost) // which may be there by now
	first.Users[0].FirstName = "Caroline"
	s.want("a change", "+0 ~1 =0 -0 !0", s.bring(api.ImportRequest{Users: first.Users[:1]}))
	if got := get[api.User](s.stack, fetch("/admin/users/carol").as(s.admin.AccessToken)); got.FirstName != "Caroline" || !s.logsIn("carol", password) {
		t.Errorf("after a change carol is %+v", got)
	}
	rows := get[api.ImportedRows](s.stack, fetch("/admin/imports/old/rows?kind=user").as(s.admin.AccessToken))
	if len(rows.IDs) != 3 || rows.IDs[0] != oldID(1) || rows.Next != "" {
		t.Errorf("the import has brought %+v", rows)
	}
	rest := get[api.ImportedRows](s.stack, fetch("/admin/imports/old/rows?kind=user&after="+oldID(1)).as(s.admin.AccessToken))
	others := get[api.ImportedRows](s.stack, fetch("/admin/imports/new/rows?kind=user").as(s.admin.AccessToken))
	if len(rest.IDs) != 2 || len(others.IDs) != 0 {
		t.Errorf("behind the first one are %+v, and of another import %+v", rest, others)
	}
	for _, query := range []string{"", "?kind=people", "?kind=user&after=x"} {
		if a := s.do(s.operator, fetch("/admin/imports/old/rows"+query)); a.status != 422 && a.status != 400 {
			t.Errorf("%q: %d", query, a.status)
		}
	}
	state := get[api.ImportState](s.stack, fetch("/admin/imports/old").as(s.admin.AccessToken))
	if state.Cursor != s.cursor || state.Created != 6 || state.StartedAt.IsZero() {
		t.Errorf("the import is at %+v", state)
	}
}

// TestImportRights: who brings in users may give them any right, so nobody may who does not hold all of them.
func TestImportRights(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	const empty = `{"source":"old","after":"","cursor":"1","on_conflict":"skip"}`
	super := fmt.Sprintf(`{"source":"old","after":"1","cursor":"2","on_conflict":"skip","users":[{"id":%q,"username":"super","email":"super@old.example","password_hash":"x","is_active":true,"is_verified":true,"is_superuser":true}]}`, oldID(1))
	s.run([]scenario{
		{"by nobody", post("/admin/import", empty), 401, nil, nil},
		{"by a user", post("/admin/import", empty).as(s.user.AccessToken), 403, []string{"insufficient_scope"}, nil},
		{"by a program", post("/admin/import", empty).as(s.service.AccessToken), 403, nil, nil},
		{"with the scope alone", post("/admin/import", empty).as(s.narrowed("admin:import")), 403, []string{`"forbidden"`}, nil},
		{"with another", post("/admin/import", empty).as(s.narrowed("admin:users")), 403, []string{"insufficient_scope"}, nil},
		{"no state yet", fetch("/admin/imports/old").as(admin), 404, nil, nil},
		{"nothing to forget", remove("/admin/imports/old").as(admin), 404, nil, nil},
		{"an odd name", remove("/admin/imports/o%20d").as(admin), 422, []string{`"source"`}, nil},
		{"by an administrator", post("/admin/import", empty).as(admin), 200, []string{`"cursor":"1"`}, nil},
		{"the state", fetch("/admin/imports/old").as(admin), 200, []string{`"cursor":"1"`, `"source":"old"`}, nil},
		{"the state for a user", fetch("/admin/imports/old").as(s.user.AccessToken), 403, nil, nil},
		{"a superuser", post("/admin/import", super).as(admin), 200, []string{`"refused":1`, "only a superuser or the operator"}, nil},
		{"another cursor", post("/admin/import", empty).as(admin), 409, []string{`"field":"after"`, "the cursor is 2"}, nil},
		{"forgotten by a user", remove("/admin/imports/old").as(s.user.AccessToken), 403, nil, nil},
		{"forgotten", remove("/admin/imports/old").as(admin), 200, nil, nil},
		{"and begun again", post("/admin/import", empty).as(admin), 200, nil, nil},
		{"no policy", post("/admin/import", `{"source":"x","after":"","cursor":"1","on_conflict":""}`).as(admin), 422, []string{`"on_conflict"`}, nil},
		{"no cursor", post("/admin/import", `{"source":"x","after":"","cursor":"","on_conflict":"skip"}`).as(admin), 422, []string{`"cursor"`}, nil},
		{"an unknown member", post("/admin/import", `{"source":"x","after":"","cursor":"1","on_conflict":"skip","evil":1}`).as(admin), 422, []string{`"evil"`}, nil},
	})
	body := strings.ReplaceAll(super, `"after":"1"`, `"after":"1","dry_run":true`)
	if a := s.do(s.operator, call{method: "POST", path: v1 + "/admin/import", json: body}); a.status != 200 || !strings.Contains(a.body, `"created":1`) {
		t.Errorf("the operator brings a superuser: %d %s", a.status, a.body)
	}
}

// TestImportRefusesRows: what is wrong with a row is said beside its id, and never with what it holds.
func TestImportRefusesRows(t *testing.T) {
	s := &source{stack: newStack(t)}
	hash := hashed(t, password)
	long := oldUser(2, strings.Repeat("x", 51), hash)
	unnamed := oldUser(3, "cid", hash)
	unnamed.ID = "not-a-uuid"
	r := s.bring(api.ImportRequest{
		Users:    []api.ImportUser{oldUser(1, "carol", "$secret$form"), long, unnamed},
		Clients:  []api.ImportClient{{ID: oldID(9), ClientID: "x", Name: "X", Type: "confidential", SecretHash: hash, WebhookURL: "gopher://secret.form"}},
		Sessions: []api.ImportSession{{ID: oldID(8), UserID: "x", TokenHash: hash}, {ID: oldID(7), UserID: oldID(1), TokenHash: "$secret$form"}},
		Deleted:  []api.ImportDeleted{{Kind: "planet", ID: oldID(6)}, {Kind: "user", ID: "x"}},
	})
	s.want("a messy batch", "+1 ~0 =0 -0 !7", r, "user created password_hash: the hash has a form that is not known", "user refused username: must be at most 50",
		"user refused id: must be a UUID", "client refused webhook_url", "session refused user_id", "session refused token_hash", "row refused kind", "user refused id")
	body := string(fmt.Append(nil, r))
	if strings.Contains(body, "secret") || strings.Contains(body, "$argon2") || strings.Contains(s.logged.String(), "$secret") {
		t.Errorf("the answer or the log holds what was sent: %s", body)
	}
	if s.logsIn("carol", "form") {
		t.Error("a hash that nobody can verify logs somebody in")
	}
	// A reset gives the account a password, which no later batch takes away.
	get[api.PasswordSet](s.stack, post("/admin/users/carol/reset-password", `{"new_password":"Other-zebra-21"}`).as(s.admin.AccessToken))
	touched := oldUser(1, "carol", "$secret$form")
	touched.LastName = "New"
	s.want("a change", "+0 ~1 =0 -0 !0", s.bring(api.ImportRequest{Users: []api.ImportUser{touched}}))
	if !s.logsIn("carol", "Other-zebra-21") {
		t.Error("the password that was set here is lost")
	}
}

// TestImportTakesAway: who is disabled at the source is out here, on every node, when the batch is answered.
func TestImportTakesAway(t *testing.T) {
	s := &source{stack: newStack(t)}
	carol := oldUser(1, "carol", hashed(t, password))
	s.bring(api.ImportRequest{Users: []api.ImportUser{carol}})
	tokens := get[api.TokenResponse](s.stack, post("/auth/token", loginBody("carol", password)))
	carol.DisplayName = "C"
	if a := s.send(api.ImportRequest{Users: []api.ImportUser{carol}}); a.status != 200 || strings.Contains(a.body, `"effective"`) || !s.active(tokens.AccessToken) {
		t.Errorf("a change that takes nothing away: %d %s", a.status, a.body)
	}
	carol.Active = false
	if a := s.send(api.ImportRequest{Users: []api.ImportUser{carol}}); a.status != 200 || !strings.Contains(a.body, `"effective":{`) || s.active(tokens.AccessToken) {
		t.Errorf("a user is disabled: %d %s", a.status, a.body)
	}
	if a := s.do(s.public, post("/auth/refresh", `{"refresh_token":"`+tokens.RefreshToken+`"}`)); a.status != 401 {
		t.Errorf("a refresh of a disabled user: %d %s", a.status, a.body)
	}
	if entries := s.do(s.public, fetch("/admin/audit?type=import.batch").as(s.admin.AccessToken)); !strings.Contains(entries.body, `"target":"old"`) || !strings.Contains(entries.body, `"total":3`) {
		t.Errorf("the audit log: %s", entries.body)
	}
}

// TestImportOfTooMuch: a batch that is no command is refused as a whole, and one of the size that is promised is taken.
func TestImportOfTooMuch(t *testing.T) {
	s := &source{stack: newStack(t)}
	var some []api.ImportUser
	size := 0
	for n := 1; size < 240<<10; n++ {
		u := oldUser(n, fmt.Sprint("person-", n), "$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4", "user")
		text, err := json.Marshal(u)
		must(t, err)
		size += len(text) + 1
		some = append(some, u)
	}
	if r := s.bring(api.ImportRequest{Users: some}); r.Created != len(some) {
		t.Errorf("of %d users %s", len(some), counts(r))
	}
	some[0].Bio = strings.Repeat("x", 10_000)
	for i := range some {
		some[i].Bio = some[0].Bio[:1000]
	}
	if a := s.send(api.ImportRequest{Users: some}); a.status != 413 {
		t.Errorf("too much: %d %s", a.status, a.body)
	}
	many := api.ImportRequest{}
	for n := range 2001 {
		many.Deleted = append(many.Deleted, api.ImportDeleted{Kind: "user", ID: oldID(100_000 + n)})
	}
	if a := s.send(many); a.status != 413 {
		t.Errorf("too many: %d %s", a.status, a.body)
	}
}
