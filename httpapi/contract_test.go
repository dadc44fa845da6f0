package httpapi_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// makeClient makes a client as the operator does.
func (s *stack) makeClient(json string) api.Client {
	s.t.Helper()
	a := s.do(s.operator, post("/admin/clients", json))
	if a.status != 201 {
		s.t.Fatalf("a client: %d %s", a.status, a.body)
	}
	return decoded[api.Client](s.t, a)
}

// TestAudience: a token that was made for others is good for nothing here but its own life, on every
// route of the table.
func TestAudience(t *testing.T) {
	s := newStack(t)
	shop := s.makeClient(`{"client_id":"shop","name":"Shop","audiences":["https://shop.example"]}`)
	both := s.makeClient(`{"client_id":"both","name":"Both","audiences":["https://shop.example","keystone-auth"]}`)
	login := func(c api.Client) api.TokenResponse {
		return get[api.TokenResponse](s, post("/auth/token", loginBody("root", password)).with(c.ClientID, c.ClientSecret))
	}
	for _, r := range httpapi.Routes() {
		if r.Anyone || r.AnyAudience {
			continue
		}
		foreign, own := login(shop), login(both) // new ones, for some routes end all sessions
		c := call{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", iam.NewID().String())}
		if a := s.do(s.public, c.as(foreign.AccessToken)); a.status != 401 || problem(t, a).Code != "invalid_token" {
			t.Errorf("%s %s with a token for others: %d %s", r.Method, r.Path, a.status, a.body)
		}
		if a := s.do(s.public, c.as(own.AccessToken)); a.status == 401 {
			t.Errorf("%s %s with a token for Keystone too: %d %s", r.Method, r.Path, a.status, a.body)
		}
	}
	foreign := login(shop)
	service := get[api.TokenResponse](s, post("/auth/service-token", "").with(shop.ClientID, shop.ClientSecret))
	about := func(path, raw string) call { return post(path, `{"token":"`+raw+`"}`) }
	s.run([]scenario{
		{"a service introspects with its own", about("/auth/introspect", s.user.AccessToken).as(service.AccessToken), 200, []string{`"active":true`}, nil},
		{"an administrator's rights do not count", about("/auth/introspect", s.user.AccessToken).as(foreign.AccessToken), 403, nil, nil},
		{"not for revoking either", about("/auth/revoke", s.user.AccessToken).as(foreign.AccessToken), 200, nil, nil},
		{"it logs out", post("/auth/logout", "").as(foreign.AccessToken), 200, []string{`"sessions_terminated":1`}, nil},
		{"and is dead", about("/auth/introspect", foreign.AccessToken).as(service.AccessToken), 200, []string{`{"active":false}`}, nil},
	})
	if !s.active(s.user.AccessToken) {
		t.Error("it revoked somebody else's token")
	}
}

// TestForeignTokensUseUpNothing: a service that was sent somebody's token must not be able to keep its
// owner out with it.
func TestForeignTokensUseUpNothing(t *testing.T) {
	s := newStack(t, withLimits(limit.Set{API: limit.Limit{Name: "api", Count: 3, Per: time.Minute}}))
	shop := s.makeClient(`{"client_id":"shop","name":"Shop","audiences":["https://shop.example"]}`)
	foreign := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)).with(shop.ClientID, shop.ClientSecret))
	profile := call{method: "GET", path: v1 + "/users/me"}
	for range 5 {
		s.do(s.public, profile.as(foreign.AccessToken))
	}
	if a := s.do(s.public, profile.as(s.user.AccessToken)); a.status != 200 {
		t.Errorf("its owner: %d %s", a.status, a.body)
	}
}

// TestIdempotencyKeyStaysWithItsClient: a refresh token that leaked is of no use with the key under
// which its client refreshed.
func TestIdempotencyKeyStaysWithItsClient(t *testing.T) {
	s := newStack(t)
	thief := s.makeClient(`{"client_id":"thief","name":"Thief"}`)
	for _, path := range []string{v1 + "/auth/refresh", "/oauth2/token"} {
		tokens := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)).with("demo", s.client.ClientSecret))
		refresh := postForm(path, "grant_type=refresh_token&refresh_token="+tokens.RefreshToken).sending("Idempotency-Key", "k")
		first := get[api.TokenResponse](s, refresh.with("demo", s.client.ClientSecret))
		again := get[api.TokenResponse](s, refresh.with("demo", s.client.ClientSecret))
		if first.RefreshToken != again.RefreshToken {
			t.Errorf("%s: a retry got another answer", path)
		}
		for name, c := range map[string]call{"nobody": refresh, "another client": refresh.with("thief", thief.ClientSecret)} {
			if a := s.do(s.public, c); a.status != 401 && a.status != 400 || problem(t, a).Code != "invalid_grant" {
				t.Errorf("%s by %s: %d %s", path, name, a.status, a.body)
			}
		}
	}
}

// TestIndex: every answer says how new it is, and one to a change is not older than that.
func TestIndex(t *testing.T) {
	s := newStack(t)
	indexOf := func(c call) uint64 {
		t.Helper()
		n, err := strconv.ParseUint(s.do(s.public, c).header.Get("Keystone-Index"), 10, 64)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
		return n
	}
	for _, r := range httpapi.Routes() {
		indexOf(call{method: r.Method, path: r.Path})
	}
	before := indexOf(call{method: "GET", path: "/nope"})
	admin, user := s.admin.AccessToken, s.user.AccessToken
	for _, c := range []call{
		post("/users/register", `{"username":"carol","email":"carol@example.com","password":"`+password+`"}`),
		post("/admin/users", `{"username":"dave","email":"dave@example.com","password":"`+password+`"}`).as(admin),
		post("/admin/scopes", `{"name":"third:demo"}`).as(admin),
		post("/admin/clients", `{"name":"Third"}`).as(admin),
		post("/auth/token", loginBody("alice", password)),
		post("/auth/refresh", `{"refresh_token":"`+s.user.RefreshToken+`"}`),
		post("/auth/revoke", `{"token":"`+s.other.RefreshToken+`"}`).as(admin),
		{method: "DELETE", path: v1 + "/sessions/" + s.user.SessionID, bearer: user},
		post("/auth/logout", "").as(admin),
	} {
		if got := indexOf(c); got != before+1 {
			t.Errorf("%s %s: index %d after %d", c.method, c.path, got, before)
		} else {
			before = got
		}
	}
	if got := indexOf(post("/auth/introspect", `{"token":"x"}`).with("demo", s.client.ClientSecret)); got != before {
		t.Errorf("a read after all of that: index %d, want %d", got, before)
	}
}

func TestETag(t *testing.T) {
	s := newStack(t)
	etag := func(path string) string {
		t.Helper()
		return s.do(s.public, call{method: "GET", path: v1 + path, bearer: s.user.AccessToken}).header.Get("ETag")
	}
	first := etag("/users/profile")
	if len(first) < 3 || first[0] != '"' || first[len(first)-1] != '"' || etag("/users/me") != first {
		t.Errorf("the profile has the versions %s and %s", first, etag("/users/me"))
	}
	get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)))
	if got := etag("/users/me"); got != first {
		t.Error("a login made another version of the profile")
	}
	a := s.do(s.public, call{method: "GET", path: v1 + "/users/me", bearer: s.other.AccessToken})
	if a.header.Get("ETag") == first {
		t.Error("two people have one version")
	}
}

// TestAllow: what the header lists is answered, and nothing else is.
func TestAllow(t *testing.T) {
	s := newStack(t)
	paths := map[string][]string{}
	for _, r := range httpapi.Routes() {
		paths[r.Path] = append(paths[r.Path], r.Method)
		if r.Method == http.MethodGet {
			paths[r.Path] = append(paths[r.Path], http.MethodHead)
		}
	}
	for path, want := range paths {
		path = strings.ReplaceAll(path, "{id}", iam.NewID().String())
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			a := s.do(s.public, call{method: method, path: path})
			if slices.Contains(want, method) {
				if a.status == 405 || method == http.MethodHead && a.body != "" {
					t.Errorf("%s %s: %d %q", method, path, a.status, a.body)
				}
				continue
			}
			got := strings.Split(a.header.Get("Allow"), ", ")
			slices.Sort(got)
			if slices.Sort(want); a.status != 405 || !slices.Equal(got, want) || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d, Allow %q, want %q", method, path, a.status, got, want)
			}
		}
	}
	if a := s.do(s.public, call{method: "GET", path: "/nope"}); a.header.Get("Cache-Control") != "no-store" || a.header.Get("Allow") != "" {
		t.Errorf("a path that is not there: %v", a.header)
	}
}

// TestChallenges: who is asked for credentials is told which; nobody else is asked for any.
func TestChallenges(t *testing.T) {
	s := newStack(t)
	s.makeClient(`{"client_id":"far","name":"Far","client_type":"public","allowed_ips":["192.0.2.0/24"]}`)
	far := s.makeClient(`{"client_id":"far2","name":"Far","allowed_ips":["192.0.2.0/24"]}`)
	f := func(name string, c call, status int, want ...string) {
		t.Helper()
		a := s.do(s.public, c)
		got := a.header.Values("WWW-Authenticate")
		fits := len(got) == len(want)
		for i := range want {
			fits = fits && strings.HasPrefix(got[i], want[i])
		}
		if a.status != status || !fits {
			t.Errorf("%s: %d %q, want %d %q: %s", name, a.status, got, status, want, a.body)
		}
	}
	const basic, bearer = "Basic ", "Bearer "
	for _, path := range []string{v1 + "/auth/introspect", v1 + "/auth/revoke", "/oauth2/introspect", "/oauth2/revoke"} {
		f(path+" by nobody", postForm(path, "token=x"), 401, basic, bearer)
		f(path+" with a wrong secret", postForm(path, "token=x").with("demo", "nope"), 401, basic)
		f(path+" with garbage", call{method: "POST", path: path, form: "token=x", bearer: "x"}, 401, bearer)
	}
	f("a profile of nobody", call{method: "GET", path: v1 + "/users/me"}, 401, bearer)
	f("too few rights", post("/admin/scopes", `{"name":"x"}`).as(s.user.AccessToken), 403, `Bearer realm="keystone", error="insufficient_scope"`)
	f("a wrong password", post("/auth/token", loginBody("alice", "nope")), 401, bearer)
	f("a wrong password on the standard endpoint", postForm("/oauth2/token", "grant_type=password&username=alice&password=nope"), 400)
	f("a plain user", post("/auth/introspect", `{"token":"x"}`).as(s.user.AccessToken), 403)
	f("from elsewhere", post("/auth/service-token", "").with(far.ClientID, far.ClientSecret), 403)
	f("from elsewhere on the standard endpoint", postForm("/oauth2/token", "grant_type=client_credentials").with(far.ClientID, far.ClientSecret), 401, basic)
	f("introspecting from elsewhere", postForm("/oauth2/introspect", "token=x").with(far.ClientID, far.ClientSecret), 401, basic)
}

// TestSessionList walks the list in every order, and names what cannot be read.
func TestSessionList(t *testing.T) {
	s := newStack(t)
	for _, agent := range []string{"phone_1", "Phone%2", "laptop", "tablet"} {
		get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)).sending("User-Agent", agent))
	}
	list := func(query string) api.Sessions {
		t.Helper()
		return get[api.Sessions](s, call{method: "GET", path: v1 + "/sessions?" + query, bearer: s.user.AccessToken})
	}
	walk := func(query string, by func(api.Session) time.Time, descending bool) {
		t.Helper()
		var all []api.Session
		for cursor := ""; ; {
			page := list(query + "&per_page=2" + cursor)
			all = append(all, page.Sessions...)
			if page.Total != 5 || page.Pages != 3 {
				t.Errorf("%s: the page says %+v", query, page.Page)
			}
			if page.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
		}
		if descending {
			slices.Reverse(all)
		}
		seen := map[string]bool{}
		for i, session := range all {
			seen[session.ID] = true
			if i > 0 && by(session).Before(by(all[i-1])) {
				t.Errorf("%s: %v comes after %v", query, by(session), by(all[i-1]))
			}
		}
		if len(all) != 5 || len(seen) != 5 {
			t.Errorf("%s: %d sessions, %d of them different, want 5", query, len(all), len(seen))
		}
	}
	created := func(s api.Session) time.Time { return s.CreatedAt }
	walk("", created, true)
	walk("sort=created_at,desc", created, true)
	walk("sort=created_at,asc", created, false)
	walk("sort=last_activity,asc", func(s api.Session) time.Time { return s.LastActivity }, false)
	walk("sort=expires_at,desc", func(s api.Session) time.Time { return s.ExpiresAt }, true)
	for search, want := range map[string]int{"PHONE": 2, "phone_": 1, "e%25": 1, "laptop": 1, "nope": 0, "": 5} {
		if got := list("search=" + search); got.Total != want || len(got.Sessions) != want {
			t.Errorf("searching for %q: %d sessions, want %d", search, got.Total, want)
		}
	}
	bad := func(name, query, field string) scenario {
		return scenario{name, call{method: "GET", path: v1 + "/sessions?" + query, bearer: s.user.AccessToken}, 422, []string{`"field":"` + field + `"`}, []string{"nonsense"}}
	}
	s.run([]scenario{
		bad("a field that is none", "sort=nonsense,asc", "sort"), bad("no direction", "sort=created_at", "sort"),
		bad("a direction that is none", "sort=created_at,nonsense", "sort"), bad("an unreadable cursor", "cursor=nonsense", "cursor"),
		bad("an id as the cursor", "cursor="+s.user.SessionID, "cursor"), bad("page 0", "page=0", "page"), bad("no number", "per_page=nonsense", "per_page"),
	})
}
