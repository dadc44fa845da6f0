package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

func TestRefresh(t *testing.T) {
	s := newStack(t)
	body := func(raw string) string { return `{"refresh_token":"` + raw + `"}` }
	next := get[api.TokenResponse](s, post("/auth/refresh", body(s.user.RefreshToken)))
	if next.RefreshToken == s.user.RefreshToken || next.SessionID != s.user.SessionID || next.TokenID == s.user.TokenID {
		t.Errorf("the refresh did not rotate: %+v", next)
	}
	again := get[api.TokenResponse](s, post("/auth/refresh", body(s.user.RefreshToken)))
	if again.RefreshToken != next.RefreshToken || again.TokenID != next.TokenID {
		t.Error("who asks again within the grace gets another answer")
	}
	third := get[api.TokenResponse](s, post("/auth/refresh", body(next.RefreshToken)))
	s.run([]scenario{
		{"wider", post("/auth/refresh", `{"refresh_token":"`+third.RefreshToken+`","scope":"admin:users"}`), 400, []string{`"invalid_scope"`}, nil},
		{"an old one", post("/auth/refresh", body(s.user.RefreshToken)), 401, []string{`"invalid_grant"`}, []string{s.user.RefreshToken}},
		{"the session is dead", post("/auth/refresh", body(third.RefreshToken)), 401, []string{`"invalid_grant"`}, nil},
		{"an access token", post("/auth/refresh", body(s.user.AccessToken)), 401, []string{`"invalid_grant"`}, nil},
		{"garbage", post("/auth/refresh", body("garbage")), 401, []string{`"invalid_grant"`}, nil},
		{"nothing", post("/auth/refresh", `{}`), 401, []string{`"invalid_grant"`}, nil},
		{"another grant", post("/auth/refresh", `{"grant_type":"password","refresh_token":"x"}`), 400, []string{`"unsupported_grant_type"`}, nil},
	})
	if s.active(third.AccessToken) {
		t.Error("an access token outlived its session")
	}
}

func TestRevoke(t *testing.T) {
	s := newStack(t)
	revoke := func(raw string) call { return post("/auth/revoke", `{"token":"`+raw+`"}`) }
	done := []string{`{"message":"Token revoked successfully","effective":{`}
	s.run([]scenario{
		{"by nobody", revoke(s.user.AccessToken), 401, []string{`"unauthorized"`}, nil},
		{"another's", revoke(s.other.AccessToken).as(s.user.AccessToken), 200, done, nil},
		{"another's refresh token", revoke(s.other.RefreshToken).as(s.user.AccessToken), 200, done, nil},
		{"by a client that did not issue it", revoke(s.other.AccessToken).with("demo", s.client.ClientSecret), 200, done, nil},
		{"garbage", revoke("garbage").as(s.user.AccessToken), 200, done, nil},
		{"nothing", post("/auth/revoke", `{}`).as(s.user.AccessToken), 400, []string{`"invalid_request"`}, nil},
	})
	if !s.active(s.other.AccessToken) {
		t.Fatal("a token was revoked by somebody whose it is not")
	}
	s.run([]scenario{
		{"a client's own, in a form", postForm(v1+"/auth/revoke", "token="+s.service.AccessToken+"&client_id=demo&client_secret="+s.client.ClientSecret), 200, done, nil},
		{"by an administrator", revoke(s.other.AccessToken).as(s.admin.AccessToken), 200, done, nil},
		{"a refresh token takes its session along", revoke(s.user.RefreshToken).as(s.user.AccessToken), 200, done, nil},
		{"the bearer died with it", revoke("x").as(s.user.AccessToken), 401, []string{`"invalid_token"`}, nil},
		{"so did the client's", post("/auth/introspect", `{"token":"x"}`).as(s.service.AccessToken), 401, nil, nil},
	})
	for name, raw := range map[string]string{"other": s.other.AccessToken, "user": s.user.AccessToken} {
		a := s.do(s.public, post("/auth/introspect", `{"token":"`+raw+`"}`).with("demo", s.client.ClientSecret))
		if a.body != `{"active":false}` {
			t.Errorf("%s's token after its revocation: %s", name, a.body)
		}
	}
}

func TestLogout(t *testing.T) {
	s := newStack(t)
	second := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)))
	third := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)))
	s.run([]scenario{
		{"without a token", post("/auth/logout", ""), 401, nil, nil},
		{"one", post("/auth/logout", "").as(second.AccessToken), 200, []string{`"sessions_terminated":1`, `"message":"`}, nil},
		{"again", post("/auth/logout", "").as(second.AccessToken), 401, nil, nil},
		{"a bad flag", post("/auth/logout", `{"all_sessions":"yes"}`).as(third.AccessToken), 400, []string{`"field":"all_sessions"`}, nil},
		{"all, as a form", call{method: "POST", path: v1 + "/auth/logout", form: "all_sessions=true", bearer: third.AccessToken}, 200, []string{`"sessions_terminated":2`}, nil},
	})
	for _, tokens := range []api.TokenResponse{s.user, second, third} {
		if s.active(tokens.AccessToken) {
			t.Error("a token outlived the logout")
		}
		if a := s.do(s.public, post("/auth/refresh", `{"refresh_token":"`+tokens.RefreshToken+`"}`)); a.status != 401 {
			t.Errorf("a refresh token outlived the logout: %d", a.status)
		}
	}
	if !s.active(s.other.AccessToken) {
		t.Error("somebody else was logged out")
	}
}

func TestSessions(t *testing.T) {
	s := newStack(t)
	second := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)).sending("User-Agent", "phone"))
	list := get[api.Sessions](s, call{method: "GET", path: v1 + "/sessions", bearer: second.AccessToken})
	if list.Total != 2 || len(list.Sessions) != 2 || list.Number != 1 || list.PerPage != 20 || list.Pages != 1 || list.NextCursor != nil {
		t.Fatalf("the list is %+v", list)
	}
	newest := list.Sessions[0]
	if newest.ID != second.SessionID || !newest.Current || newest.UserAgent != "phone" || list.Sessions[1].Current {
		t.Errorf("the newest session is %+v", newest)
	}
	page := get[api.Sessions](s, call{method: "GET", path: v1 + "/sessions?per_page=1", bearer: second.AccessToken})
	if page.NextCursor == nil || page.Pages != 2 {
		t.Fatalf("the first page is %+v", page)
	}
	rest := get[api.Sessions](s, call{method: "GET", path: v1 + "/sessions?per_page=1&cursor=" + *page.NextCursor, bearer: second.AccessToken})
	if len(rest.Sessions) != 1 || rest.Sessions[0].ID != s.user.SessionID || rest.NextCursor != nil || rest.Number != 2 {
		t.Errorf("the second page is %+v", rest)
	}
	remove := func(id string) call {
		return call{method: "DELETE", path: v1 + "/sessions/" + id, bearer: second.AccessToken}
	}
	s.run([]scenario{
		{"a page that is none", call{method: "GET", path: v1 + "/sessions?per_page=101", bearer: second.AccessToken}, 422, []string{`"field":"per_page"`}, nil},
		{"beyond the end", call{method: "GET", path: v1 + "/sessions?page=7", bearer: second.AccessToken}, 200, []string{`"sessions":[]`, `"total":2`}, nil},
		{"another's", remove(s.other.SessionID), 404, nil, nil},
		{"no id", remove("nope"), 404, nil, nil},
		{"the zero id is not all", remove(iam.ID{}.String()), 404, nil, nil},
		{"one", remove(s.user.SessionID), 200, []string{`"sessions_terminated":1`}, nil},
		{"gone", remove(s.user.SessionID), 404, nil, nil},
	})
	if s.active(s.user.AccessToken) || !s.active(second.AccessToken) || !s.active(s.other.AccessToken) {
		t.Error("the wrong tokens are alive")
	}
	s.run([]scenario{
		{"all", call{method: "DELETE", path: v1 + "/sessions", bearer: second.AccessToken}, 200, []string{`"sessions_terminated":1`}, nil},
		{"nobody is left", call{method: "GET", path: v1 + "/sessions", bearer: second.AccessToken}, 401, nil, nil},
	})
}

// TestLockedAndDisabled: what is told about an account is told to those who know its password.
func TestLockedAndDisabled(t *testing.T) {
	s := newStack(t)
	for range 5 {
		s.do(s.public, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	}
	s.run([]scenario{
		{"locked", post("/auth/token", loginBody("alice", password)), 423, []string{`"account_locked"`, `"locked_until":"`}, nil},
		{"locked, wrong password", post("/auth/token", loginBody("alice", "Wrong-1-horse")), 401, []string{`"invalid_grant"`}, []string{"locked"}},
		{"on the standard endpoint", postForm("/oauth2/token", "grant_type=password&username=alice&password=Zx9%21kestrel-Moor"), 400, []string{`"error":"invalid_grant"`}, nil},
	})
}

// TestIdempotencyKey: a retry is answered with the first outcome, and a key that is used again for
// another request does not hide it.
func TestIdempotencyKey(t *testing.T) {
	s := newStack(t)
	carol := post("/users/register", `{"username":"carol","email":"carol@example.com","password":"`+password+`"}`)
	first := get[api.User](s, carol.sending("Idempotency-Key", "k1"))
	if again := get[api.User](s, carol.sending("Idempotency-Key", "k1")); again.ID != first.ID {
		t.Error("a retry made another user")
	}
	s.run([]scenario{
		{"another key", carol.sending("Idempotency-Key", "k2"), 409, nil, nil},
		{"another body under the same key", post("/users/register", `{"username":"dave","email":"dave@example.com","password":"`+password+`"}`).sending("Idempotency-Key", "k1"), 201, []string{`"dave"`}, nil},
	})
	revoke := func(raw string) {
		t.Helper()
		a := s.do(s.public, post("/auth/revoke", `{"token":"`+raw+`"}`).as(s.admin.AccessToken).sending("Idempotency-Key", "constant"))
		if a.status != 200 || s.active(raw) {
			t.Errorf("revoke: %d %s", a.status, a.body)
		}
	}
	revoke(s.user.AccessToken)
	revoke(s.other.AccessToken)
	client := post("/admin/clients", `{"name":"Demo"}`).as(s.admin.AccessToken).sending("Idempotency-Key", "k")
	a, b := get[api.Client](s, client), get[api.Client](s, client)
	if a.ClientSecret == b.ClientSecret || a.ClientID == b.ClientID {
		t.Error("a client's secret cannot be given again, and was said to be")
	}
}

func TestLimits(t *testing.T) {
	s := newStack(t, withLimits(limit.Set{
		Login: limit.Limit{Name: "login", Count: 2, Per: time.Minute}, Refresh: limit.Limit{Name: "refresh", Count: 2, Per: time.Minute},
		ServiceToken: limit.Limit{Name: "service_token", Count: 2, Per: time.Minute}, Register: limit.Limit{Name: "register", Count: 1, Per: time.Hour},
		API: limit.Limit{Name: "api", Count: 3, Per: time.Minute},
	}))
	f := func(name string, times int, c call) {
		t.Helper()
		for i := range times {
			if a := s.do(s.public, c); a.status == 429 {
				t.Fatalf("%s: request %d was refused: %s", name, i, a.body)
			} else if a.header.Get("X-RateLimit-Limit") == "" || a.header.Get("X-RateLimit-Reset") == "" {
				t.Errorf("%s: the answer does not tell its limit: %v", name, a.header)
			}
		}
		a := s.do(s.public, c)
		if p := problem(t, a); a.status != 429 || p.Code != "rate_limit_exceeded" || p.RetryAfter < 1 || a.header.Get("X-RateLimit-Remaining") != "0" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: request %d: %d %s %v", name, times+1, a.status, a.body, a.header)
		}
	}
	f("login", 2, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	f("one login after another", 0, postForm("/oauth2/token", "grant_type=password&username=bob&password=x"))
	f("service token", 2, post("/auth/service-token", "").with("demo", s.client.ClientSecret))
	f("service token of made-up clients", 2, post("/auth/service-token", "").with("nope", "x"))
	f("of another made-up client", 0, post("/auth/service-token", "").with("nope2", "x"))
	f("refresh", 2, post("/auth/refresh", `{"refresh_token":"`+s.user.RefreshToken+`"}`))
	f("register", 1, post("/users/register", `{}`))
	f("profile", 3, call{method: "GET", path: v1 + "/users/profile", bearer: s.other.AccessToken})
	f("guessed tokens", 3, call{method: "GET", path: v1 + "/users/profile", bearer: "garbage"})
	if a := s.do(s.public, call{method: "GET", path: v1 + "/users/profile", bearer: s.admin.AccessToken}); a.status != 200 {
		t.Errorf("somebody else was refused: %d", a.status)
	}
	for range 10 {
		if !s.active(s.other.AccessToken) {
			t.Fatal("introspection has a limit")
		}
		if a := s.do(s.operator, post("/auth/token", loginBody("bob", password))); a.status != 200 {
			t.Fatalf("the operator has a limit: %d", a.status)
		}
	}
}

// TestClientsOwnLimit: introspection is limited by what the client itself is allowed.
func TestClientsOwnLimit(t *testing.T) {
	s := newStack(t, withLimits(limit.Defaults()))
	a := s.do(s.operator, post("/admin/clients", `{"client_id":"slow","name":"Slow","rate_limit_per_minute":2}`))
	_, rest, _ := strings.Cut(a.body, `"client_secret":"`)
	secret, _, _ := strings.Cut(rest, `"`)
	ask := post("/auth/introspect", `{"token":"x"}`).with("slow", secret)
	s.run([]scenario{
		{"first", ask, 200, nil, nil},
		{"second", ask, 200, nil, nil},
		{"third", ask, 429, []string{`"rate_limit_exceeded"`, `"retry_after":`}, nil},
		{"another client", post("/auth/introspect", `{"token":"x"}`).with("demo", s.client.ClientSecret), 200, nil, nil},
	})
}
