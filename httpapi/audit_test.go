package httpapi_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// typedAsName is a password that somebody types where the name belongs.
const typedAsName = "My-Secret-Passw0rd"

// refusedALot is a stack after all kinds of refusals, recorded.
func refusedALot(t *testing.T, options ...option) *stack {
	s := newStack(t, options...)
	for _, c := range []call{
		post("/auth/token", loginBody("alice", "Wrong-1-horse")),
		post("/auth/token", loginBody(typedAsName, "x")),
		post("/auth/token", loginBody(typedAsName+"2", "x")),
		post("/auth/service-token", `{"client_id":"demo","client_secret":"ksc_wrong"}`),
		post("/auth/service-token", `{"client_id":"`+typedAsName+`","client_secret":"ksc_wrong"}`),
		post("/auth/introspect", `{"token":"x"}`).with("demo", "ksc_wrong"),
		post("/admin/users", `{"username":"eve"}`).as(s.user.AccessToken),
		post("/admin/users", `{"username":"eve"}`).as(s.service.AccessToken),
		post("/auth/introspect", `{"token":"x"}`).as(s.user.AccessToken),
	} {
		c.header = map[string]string{"User-Agent": "tester", "X-Request-ID": "request-1"}
		if a := s.do(s.public, c); a.status != 401 && a.status != 403 {
			t.Fatalf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	must(t, s.audit.Flush(t.Context()))
	return s
}

func getAudit(query string) call { return call{method: "GET", path: v1 + "/admin/audit" + query} }

func (s *stack) events(query string) api.AuditEvents {
	s.t.Helper()
	return get[api.AuditEvents](s, getAudit(query).as(s.admin.AccessToken))
}

func TestAuditScenarios(t *testing.T) {
	s := refusedALot(t)
	not := []string{typedAsName, "Wrong-1-horse", "ksc_", "ksr_", s.user.AccessToken, "kss_"}
	admin := func(query string) call { return getAudit(query).as(s.admin.AccessToken) }
	s.run([]scenario{
		{"all", admin("?per_page=100"), 200, []string{`"type":"user.created"`, `"type":"session.started"`, `"sequence":1,`, `"previous_hash":"0000`, `"total":`, `"next_cursor":null`}, not},
		{"a slash at the end", admin("/"), 200, nil, not},
		{"failed logins", admin("?type=login.failed"), 200, []string{`"reason":"invalid_grant"`, `"user_agent":"tester"`, `"request_id":"request-1"`, `"target":"` + s.subject("alice") + `"`, `"count":2`, `"total":2`}, not},
		{"clients", admin("?type=client.*"), 200, []string{`"type":"client.refused"`, `"target":"demo"`, `"target":""`, `"type":"client.created"`}, not},
		{"denied", admin("?type=access.denied&result=refused"), 200, []string{`"actor":"demo"`, `"actor":"` + s.subject("alice") + `"`, `"target":"POST /api/v1/admin/users"`, `"reason":"insufficient_scope"`, `"target":"POST /api/v1/auth/introspect"`, `"total":3`}, not},
		{"nothing", admin("?type=nothing"), 200, []string{`"events":[]`, `"total":0`, `"pages":0`}, not},
		{"a star alone", admin("?type=*&per_page=1"), 200, []string{`"type":"`}, not},
		{"by actor", admin("?actor=operator&type=user.created"), 200, []string{`"total":3`}, not},
		{"before all", admin("?to=2020-01-01T00:00:00Z"), 200, []string{`"total":0`}, nil},
		{"after all", admin("?from=2999-01-01T00:00:00%2B02:00"), 200, []string{`"total":0`}, nil},
		{"since", admin("?from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z&per_page=1"), 200, []string{`"type":"`}, not},
		{"a day that is none", admin("?from=yesterday"), 422, []string{`"field":"from"`, "2026-01-31T12:00:00Z"}, []string{"yesterday"}},
		{"an end that is none", admin("?to=2026-13-01"), 422, []string{`"field":"to"`}, []string{"2026-13-01"}},
		{"a result that is none", admin("?result=good"), 422, []string{`"field":"result"`, "success or refused"}, []string{"good"}},
		{"sorted by what it cannot be", admin("?sort=actor,asc"), 422, []string{`"field":"sort"`}, nil},
		{"a cursor that is none", admin("?cursor=xyz"), 422, []string{`"field":"cursor"`}, []string{"xyz"}},
		{"pages that are too long", admin("?per_page=101"), 422, []string{`"field":"per_page"`}, nil},
		{"without a token", getAudit(""), 401, []string{`"unauthorized"`}, nil},
		{"with a user's", getAudit("").as(s.user.AccessToken), 403, []string{`"insufficient_scope"`, "read:audit"}, []string{`"events"`}},
		{"an export with a user's", getAudit("/export").as(s.user.AccessToken), 403, []string{`"insufficient_scope"`}, []string{`"sequence"`}},
		{"an export from where there is nothing", admin("/export?after=x"), 422, []string{`"field":"after"`}, nil},
		{"checkpoints", admin("/checkpoints"), 200, []string{`"signature":"`, `"key":"`, `"removed":false`, `"sequence":`}, not},
		{"writing", post("/admin/audit", "{}").as(s.admin.AccessToken), 405, nil, nil},
		{"removing", call{method: "DELETE", path: v1 + "/admin/audit"}.as(s.admin.AccessToken), 405, nil, nil},
	})
}

// subject is the id of a user.
func (s *stack) subject(name string) string {
	s.t.Helper()
	bearer := map[string]string{"alice": s.user.AccessToken, "bob": s.other.AccessToken}[name]
	return get[api.User](s, call{method: "GET", path: v1 + "/users/profile", bearer: bearer}).ID
}

// TestAuditExport: an export is the list, line by line, and each line proves the one before.
func TestAuditExport(t *testing.T) {
	s := refusedALot(t)
	for range 3 {
		s.recordMany(400)
	}
	var listed []api.AuditEvent
	for cursor := ""; ; {
		page := s.events("?sort=sequence,asc&per_page=100" + cursor)
		listed = append(listed, page.Events...)
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	a := s.do(s.public, getAudit("/export").as(s.admin.AccessToken))
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	exported := lines(t, a.body)
	if len(listed) < 1200 || !slices.Equal(exported, listed) {
		t.Fatalf("%d events are exported and %d are listed, or they differ", len(exported), len(listed))
	}
	var chain iam.AuditChain
	for _, e := range exported {
		if err := chain.Follow(entryOf(e)); err != nil {
			t.Fatal(err)
		}
	}
	half := listed[600].Sequence
	if rest := lines(t, s.do(s.public, getAudit("/export?after=601").as(s.admin.AccessToken)).body); half != 601 || rest[0].Sequence != 602 || len(rest) != len(listed)-601 {
		t.Errorf("behind entry 601 come %d, the first is %d", len(rest), rest[0].Sequence)
	}
	if none := s.do(s.public, getAudit("/export?from=2999-01-01T00:00:00Z").as(s.admin.AccessToken)); none.status != 200 || none.body != "" {
		t.Errorf("an empty export is %d %q", none.status, none.body)
	}
	if head := s.do(s.public, call{method: "HEAD", path: v1 + "/admin/audit/export", bearer: s.admin.AccessToken}); head.status != 200 || head.body != "" {
		t.Errorf("HEAD: %d %q", head.status, head.body)
	}
	for _, secret := range []string{typedAsName, password, "$argon2", "ksc_", "ksr_", "Wrong-1-horse", s.user.AccessToken} {
		if strings.Contains(a.body, secret) {
			t.Errorf("the audit log holds %s", secret)
		}
	}
}

// recordMany writes refusals past the batches.
func (s *stack) recordMany(n int) {
	s.t.Helper()
	entries := slices.Repeat([]iam.AuditEntry{{At: iam.Now(), Type: "login.failed", Result: iam.AuditRefused}}, n)
	_, err := s.log.Propose(s.t.Context(), fsm.Origin{}, &fsm.RecordAudit{Entries: entries})
	must(s.t, err)
}

func lines(t testing.TB, body string) (events []api.AuditEvent) {
	t.Helper()
	for line := range strings.Lines(body) {
		var e api.AuditEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		events = append(events, e)
	}
	return events
}

// entryOf makes the entry of an event anew, from what the event alone says.
func entryOf(e api.AuditEvent) iam.AuditEntry {
	entry := iam.AuditEntry{
		Sequence: e.Sequence, At: iam.TimeOf(e.Time), Type: e.Type, Actor: e.Actor, Target: e.Target, Result: e.Result,
		Reason: e.Reason, IP: e.IPAddress, UserAgent: e.UserAgent, RequestID: e.RequestID, Count: e.Count,
	}
	entry.Hash, _ = iam.ParseAuditHash(e.Hash)
	entry.Previous, _ = iam.ParseAuditHash(e.PreviousHash)
	return entry
}

// TestAuditPages: by number and by cursor, the newest first, no event comes twice or is left out while
// others come in.
func TestAuditPages(t *testing.T) {
	s := refusedALot(t)
	s.recordMany(45)
	first := s.events("?per_page=20")
	if first.Total < 45 || first.Pages != (first.Total+19)/20 || first.NextCursor == nil || first.Events[0].Sequence != uint64(first.Total) {
		t.Fatalf("the first page is %+v", first.Page)
	}
	second := s.events("?per_page=20&page=2")
	s.recordMany(7)
	walked := s.events("?per_page=20&cursor=" + *first.NextCursor)
	if !slices.Equal(second.Events, walked.Events) || walked.Events[0].Sequence != first.Events[19].Sequence-1 {
		t.Errorf("page 2 begins at %d, the cursor at %d", second.Events[0].Sequence, walked.Events[0].Sequence)
	}
	if far := s.events("?page=1000"); len(far.Events) != 0 || far.Total != first.Total+7 {
		t.Errorf("a page behind the end is %+v", far)
	}
}

// TestRateLimitsAreAudited: many refusals are one entry.
func TestRateLimitsAreAudited(t *testing.T) {
	one := limit.Limit{Name: "login", Count: 1, Per: time.Hour}
	s := newStack(t, withLimits(limit.Set{Login: one}))
	for range 30 {
		s.do(s.public, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	}
	must(t, s.audit.Flush(t.Context()))
	events := s.events("?result=refused&per_page=100").Events
	i := slices.IndexFunc(events, func(e api.AuditEvent) bool { return e.Type == "limit.exceeded" })
	if i < 0 || events[i].Count != 29 || events[i].Target != "POST /api/v1/auth/token" || events[i].Reason != "rate_limit_exceeded" {
		t.Errorf("the refusals are %+v", events)
	}
}

// TestReadingTheAuditLogNeedsNoMore: a program that collects audit logs is given that one scope.
func TestReadingTheAuditLogNeedsNoMore(t *testing.T) {
	s := newStack(t)
	for _, c := range []call{
		post("/admin/scopes", `{"name":"read:audit"}`),
		post("/admin/clients", `{"client_id":"collector","name":"Collector","client_type":"confidential","scopes":["read:audit"]}`),
	} {
		a := s.do(s.operator, c)
		if a.status != 201 {
			t.Fatalf("%s: %d %s", c.path, a.status, a.body)
		}
		if made := decoded[api.Client](t, a); made.ClientSecret != "" {
			token := get[api.TokenResponse](s, post("/auth/service-token", "").with("collector", made.ClientSecret)).AccessToken
			s.run([]scenario{
				{"reading", getAudit("").as(token), 200, []string{`"events":[{`}, nil},
				{"exporting", getAudit("/export").as(token), 200, []string{`"sequence":1`}, nil},
				{"anything else", call{method: "GET", path: v1 + "/admin/cluster"}.as(token), 403, nil, nil},
			})
		}
	}
}

// TestSlowExports: who reads an export slowly keeps no transaction open, in which the file could not use
// its space again, and no other state could take its place.
func TestSlowExports(t *testing.T) {
	s := newStack(t)
	for range 10 {
		s.recordMany(1000)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://keystone.test"+v1+"/admin/audit/export", nil)
	must(t, err)
	resp, err := s.operator.Do(req)
	must(t, err)
	defer resp.Body.Close()
	reader := bufio.NewReader(resp.Body)
	first, err := reader.ReadString('\n')
	must(t, err)

	copied, err := os.Create(filepath.Join(t.TempDir(), "copy.db"))
	must(t, err)
	_, err = s.store.Copy(copied)
	must(t, errors.Join(err, copied.Close()))
	replaced := make(chan error, 1)
	go func() { replaced <- s.store.Replace(copied.Name()) }() // waits for every transaction
	select {
	case err := <-replaced:
		must(t, err)
	case <-time.After(5 * time.Second):
		t.Error("a transaction is open while the export waits for its reader")
	}
	rest, err := io.ReadAll(reader)
	must(t, err)
	if n := len(lines(t, first+string(rest))); n < 10_000 {
		t.Errorf("%d events are exported", n)
	}
}
