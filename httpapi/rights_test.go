package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/limit"
)

func TestRoles(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	clerk := s.narrowed("admin:roles")
	all := get[api.Roles](s, fetch("/admin/roles").as(admin))
	byName := map[string]api.Role{}
	for _, r := range all.Roles {
		byName[r.Name] = r
	}
	most := `"` + strings.Join(byName["admin"].Scopes[1:], `","`) + `"`
	s.run([]scenario{
		{"all, by name", fetch("/admin/roles").as(admin), 200, []string{`"roles":[{"id":"`, `"name":"admin"`, `"total":3`}, nil},
		{"the first", fetch("/admin/roles?per_page=1").as(admin), 200, []string{`"name":"admin"`, `"user_count":1`, `"pages":3`}, []string{`"name":"user"`}},
		{"a search", fetch("/admin/roles?search=PROG").as(admin), 200, []string{`"name":"service"`, `"total":1`, `"user_count":0`}, nil},
		{"by a user", fetch("/admin/roles").as(s.user.AccessToken), 403, nil, nil},
		{"without a token", fetch("/admin/roles"), 401, nil, nil},
		{"one by name", fetch("/admin/roles/user").as(admin), 200, []string{`"scopes":["read:profile","write:profile"]`, `"user_count":3`}, nil},
		{"one by id", fetch("/admin/roles/" + byName["user"].ID).as(admin), 200, []string{`"name":"user"`}, nil},
		{"none", fetch("/admin/roles/nope").as(admin), 404, nil, nil},

		{"made", post("/admin/roles", `{"name":"auditor","description":"d","scopes":["read:demo","admin:audit"]}`).as(admin), 201, []string{`"scopes":["admin:audit","read:demo"]`, `"user_count":0`}, nil},
		{"made twice", post("/admin/roles", `{"name":"auditor"}`).as(admin), 409, nil, nil},
		{"an odd name", post("/admin/roles", `{"name":"a b"}`).as(admin), 422, []string{`"field":"name"`}, []string{"a b"}},
		{"an unknown scope", post("/admin/roles", `{"name":"x","scopes":["nope"]}`).as(admin), 422, []string{`"field":"scopes"`}, []string{"nope"}},
		{"an unknown member", post("/admin/roles", `{"name":"x","user_count":1}`).as(admin), 422, []string{`"field":"user_count"`}, nil},
		{"made by a user", post("/admin/roles", `{"name":"x"}`).as(s.user.AccessToken), 403, nil, nil},
		{"patched", patch("/admin/roles/auditor", `{"description":null}`).as(admin), 200, []string{`"description":""`, `"admin:audit"`}, nil},
		{"replaced", put("/admin/roles/auditor", `{"name":"auditors","scopes":["admin:audit"]}`).as(admin), 200, []string{`"name":"auditors"`, `"scopes":["admin:audit"]`}, nil},
		{"replaced without a name", put("/admin/roles/auditors", `{}`).as(admin), 422, []string{`"field":"name"`}, nil},

		{"a right that the caller does not hold", patch("/admin/roles/user", `{"scopes":["read:profile","write:profile","admin:users"]}`).as(clerk), 403, []string{`"forbidden"`}, nil},
		{"from the beginning", post("/admin/roles", `{"name":"x","scopes":["admin:users"]}`).as(clerk), 403, nil, nil},
		{"by replacing", put("/admin/roles/service", `{"name":"service","scopes":["read:users"]}`).as(clerk), 403, nil, nil},
		{"taking a right that the caller does not hold", patch("/admin/roles/auditors", `{"scopes":[]}`).as(clerk), 403, nil, nil},
		{"removing such a role", remove("/admin/roles/auditors").as(clerk), 403, nil, nil},
		{"what it has already stays", patch("/admin/roles/auditors", `{"description":"by a clerk"}`).as(clerk), 200, []string{`"admin:audit"`}, nil},
		{"the administrators keep their rights", patch("/admin/roles/admin", `{"scopes":[`+most+`]}`).as(admin), 409, []string{`"conflict"`}, nil},
		{"and their name", patch("/admin/roles/admin", `{"name":"root"}`).as(admin), 409, nil, nil},
		{"and may get more", patch("/admin/roles/admin", `{"scopes":["`+byName["admin"].Scopes[0]+`",`+most+`,"read:demo"]}`).as(admin), 200, []string{`"read:demo"`}, nil},
		{"a seeded role stays", remove("/admin/roles/service").as(admin), 409, nil, nil},
		{"a role in use", post("/admin/users", `{"username":"dave","email":"dave@example.com","password":"`+password+`","roles":["auditors"]}`).as(admin), 201, nil, nil},
		{"stays", remove("/admin/roles/auditors").as(admin), 409, []string{"in use"}, nil},
		{"another", post("/admin/roles", `{"name":"x"}`).as(admin), 201, nil, nil},
		{"goes", remove("/admin/roles/x").as(admin), 200, nil, nil},
		{"for good", fetch("/admin/roles/x").as(admin), 404, nil, nil},
	})
	// A change shows in the next token.
	get[api.Role](s, patch("/admin/roles/user", `{"scopes":["read:profile","write:profile","read:demo"]}`).as(admin))
	if next := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password))); !strings.Contains(next.Scope, "read:demo") {
		t.Errorf("the next token has the scope %q", next.Scope)
	}
	tag := s.do(s.public, fetch("/admin/roles/user").as(admin)).header.Get("ETag")
	s.run([]scenario{
		{"a version", patch("/admin/roles/user", `{"description":"1"}`).as(admin).sending("If-Match", tag), 200, nil, nil},
		{"is good once", patch("/admin/roles/user", `{"description":"2"}`).as(admin).sending("If-Match", tag), 412, nil, nil},
	})
}

func TestScopes(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	s.run([]scenario{
		{"all", fetch("/admin/scopes?per_page=100").as(admin), 200, []string{`"scopes":[{"id":"`, `"name":"admin:audit"`, `"total":13`}, nil},
		{"a search", fetch("/admin/scopes?search=demo").as(admin), 200, []string{`"name":"read:demo"`, `"total":1`}, nil},
		{"by a user", fetch("/admin/scopes").as(s.user.AccessToken), 403, nil, nil},
		{"without a token", fetch("/admin/scopes"), 401, nil, nil},
		{"made", post("/admin/scopes", `{"name":"https://example.com/stock","action":"see"}`).as(admin), 201, nil, nil},
		{"one with slashes", fetch("/admin/scopes/https:%2F%2Fexample.com%2Fstock").as(admin), 200, []string{`"action":"see"`}, nil},
		{"an odd name", post("/admin/scopes", `{"name":"a b"}`).as(admin), 422, []string{`"field":"name"`}, nil},
		{"patched", patch("/admin/scopes/read:demo", `{"description":"d","resource":"demo"}`).as(admin), 200, []string{`"description":"d"`, `"resource":"demo"`}, nil},
		{"replaced", put("/admin/scopes/read:demo", `{"name":"read:demo"}`).as(admin), 200, []string{`"description":""`}, nil},
		{"another name", patch("/admin/scopes/read:demo", `{"name":"read:demos"}`).as(admin), 409, nil, nil},
		{"in use by a client", remove("/admin/scopes/read:demo").as(admin), 409, []string{"in use"}, nil},
		{"in use by a role", remove("/admin/scopes/admin:keys").as(admin), 409, nil, nil},
		{"removed", remove("/admin/scopes/https:%2F%2Fexample.com%2Fstock").as(admin), 200, nil, nil},
		{"gone", remove("/admin/scopes/https:%2F%2Fexample.com%2Fstock").as(admin), 404, nil, nil},
		{"removed by a user", remove("/admin/scopes/read:demo").as(s.user.AccessToken), 403, nil, nil},
	})
}

func TestAuthz(t *testing.T) {
	s := newStack(t)
	me := func(bearer string) string { return get[api.User](s, fetch("/users/me").as(bearer)).ID }
	alice, root := me(s.user.AccessToken), me(s.admin.AccessToken)
	trusted := s.makeClient(`{"client_id":"gate","name":"Gate","is_trusted":true,"scopes":["admin:users"]}`)
	off := s.makeClient(`{"client_id":"off","name":"Off","is_active":false,"scopes":["read:demo"]}`)
	public := s.makeClient(`{"client_id":"page","name":"Page","client_type":"public","is_trusted":true}`)
	gate := get[api.TokenResponse](s, post("/auth/service-token", "").with(trusted.ClientID, trusted.ClientSecret)).AccessToken
	ask := func(subject, scope string) call {
		return post("/authz/check", `{"subject":"`+subject+`","scope":"`+scope+`"}`)
	}
	yes, no := `"allowed":true`, `"allowed":false`
	s.run([]scenario{
		{"about oneself", ask(alice, "read:profile").as(s.user.AccessToken), 200, []string{yes, `"reason":"granted_by_role"`, `"roles":["user"]`}, nil},
		{"what is not held", ask(alice, "admin:users").as(s.user.AccessToken), 200, []string{no, `"reason":"not_held"`, `"roles":[]`}, nil},
		{"about another", ask(root, "admin:users").as(s.user.AccessToken), 403, []string{`"forbidden"`}, []string{root}},
		{"about nobody", ask("nobody", "admin:users").as(s.user.AccessToken), 403, nil, nil},
		{"about another, by an administrator", ask(alice, "read:profile").as(s.admin.AccessToken), 200, []string{yes}, nil},
		{"by an administrator without that right", ask(alice, "read:profile").as(s.narrowed("admin:users")), 403, nil, nil},
		{"admin implies read", ask(root, "read:users").as(s.admin.AccessToken), 200, []string{yes, `"roles":["admin"]`}, nil},
		{"and write", ask(root, "write:users").as(s.admin.AccessToken), 200, []string{yes}, nil},
		{"and nothing else", ask(root, "delete:users").as(s.admin.AccessToken), 200, []string{no}, nil},
		{"through two roles", ask(root, "read:profile").as(s.admin.AccessToken), 200, []string{`"roles":["admin","user"]`}, nil},
		{"by name is not known", ask("root", "admin:users").as(s.admin.AccessToken), 200, []string{no, `"unknown_subject"`}, nil},
		{"a client about itself", ask("demo", "read:demo").with("demo", s.client.ClientSecret), 200, []string{yes, `"granted_to_client"`, `"roles":[]`}, nil},
		{"with its token", ask("demo", "read:demo").as(s.service.AccessToken), 200, []string{yes}, nil},
		{"a client about others", ask(alice, "read:profile").with("demo", s.client.ClientSecret), 403, nil, nil},
		{"with its token", ask(alice, "read:profile").as(s.service.AccessToken), 403, nil, nil},
		{"a trusted client about others", ask(alice, "read:profile").with("gate", trusted.ClientSecret), 200, []string{yes}, nil},
		{"with its token", ask("demo", "read:demo").as(gate), 200, []string{yes}, nil},
		{"a trusted client that proves nothing", ask(alice, "read:profile").with(public.ClientID, ""), 403, []string{`"forbidden"`}, nil},
		{"a disabled client", ask(off.ClientID, "read:demo").as(gate), 200, []string{no, `"disabled"`}, nil},
		{"no scope", ask(alice, "").as(s.user.AccessToken), 422, []string{`"field":"scope"`}, nil},
		{"two scopes", ask(alice, "a b").as(s.user.AccessToken), 422, nil, nil},
		{"no subject", ask("", "x").as(s.user.AccessToken), 422, []string{`"field":"subject"`}, nil},
		{"an unknown member", post("/authz/check", `{"user":"x"}`).as(s.user.AccessToken), 422, nil, nil},
		{"without credentials", ask(alice, "read:profile"), 401, []string{`"unauthorized"`}, nil},
		{"with a wrong secret", ask(alice, "read:profile").with("demo", "wrong"), 401, []string{`"invalid_client"`}, nil},
	})

	// The state counts, and not the token.
	get[api.Role](s, patch("/admin/roles/user", `{"scopes":["write:profile"]}`).as(s.admin.AccessToken))
	bulk := get[api.AuthzBulkResponse](s, post("/authz/check-bulk", `{"checks":[`+strings.Join([]string{
		`{"subject":"` + alice + `","scope":"read:profile"}`, `{"subject":"` + alice + `","scope":"write:profile"}`,
		`{"subject":"demo","scope":"read:demo"}`, `{"subject":"nobody","scope":"x"}`, `{"subject":"` + root + `","scope":"read:keys"}`,
	}, ",")+`]}`).as(gate))
	got := fmt.Sprint(bulk.Results)
	if want := "[{false not_held []} {true granted_by_role [user]} {true granted_to_client []} {false unknown_subject []} {true granted_by_role [admin]}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	one := `{"subject":"` + alice + `","scope":"x"}`
	s.run([]scenario{
		{"one of them about another", post("/authz/check-bulk", `{"checks":[`+one+`,{"subject":"demo","scope":"x"}]}`).as(s.user.AccessToken), 403, nil, []string{"results"}},
		{"many", post("/authz/check-bulk", `{"checks":[`+strings.Repeat(one+",", 999)+one+`]}`).as(s.user.AccessToken), 200, nil, nil},
		{"too many", post("/authz/check-bulk", `{"checks":[`+strings.Repeat(one+",", 1000)+one+`]}`).as(s.user.AccessToken), 422, []string{`"field":"checks"`}, nil},
		{"none", post("/authz/check-bulk", `{}`).as(s.user.AccessToken), 200, []string{`"results":[]`}, nil},
		{"no list", post("/authz/check-bulk", `{"checks":1}`).as(s.user.AccessToken), 422, []string{`"field":"checks"`, "a list of objects"}, nil},
		{"without credentials", post("/authz/check-bulk", `{}`), 401, nil, nil},
	})
}

func TestKeys(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	hidden := []string{"sealed", `"d"`, "private", "public"}
	s.run([]scenario{
		{"the first", fetch("/admin/keys").as(admin), 200, []string{`"keys":[{"kid":"`, `"algorithm":"ES256"`, `"status":"signing"`, `"verify_until":null`}, hidden},
		{"by a user", fetch("/admin/keys").as(s.user.AccessToken), 403, nil, nil},
		{"without a token", fetch("/admin/keys"), 401, nil, nil},
		{"a new one by a user", post("/admin/keys/rotate", "").as(s.user.AccessToken), 403, nil, nil},
		{"without a token", post("/admin/keys/rotate", ""), 401, nil, nil},
		{"an odd body", post("/admin/keys/rotate", `{"immediately":"yes"}`).as(admin), 422, []string{`"field":"immediately"`}, nil},
		{"a new one", post("/admin/keys/rotate", "").as(admin), 201, []string{`"status":"published"`}, hidden},
		{"another before that one signs", post("/admin/keys/rotate", "{}").as(admin), 409, []string{`"conflict"`}, nil},
		{"both", fetch("/admin/keys").as(admin), 200, []string{`"status":"signing"`, `"status":"published"`}, hidden},
		{"both are published", call{method: "GET", path: "/.well-known/jwks.json"}, 200, []string{"},{"}, nil},
	})
	if !s.active(s.user.AccessToken) {
		t.Error("a rotation took a token back")
	}
	key := get[api.Key](s, post("/admin/keys/rotate", `{"immediately":true}`).as(admin))
	if key.Status != "signing" {
		t.Errorf("the key that took the others' place is %s", key.Status)
	}
	s.run([]scenario{
		{"whatever a stolen key signed is dead", fetch("/users/me").as(s.user.AccessToken), 401, []string{`"invalid_token"`}, nil},
		{"the session goes on", post("/auth/refresh", `{"refresh_token":"`+s.user.RefreshToken+`"}`), 200, nil, nil},
		{"one key is left", call{method: "GET", path: "/.well-known/jwks.json"}, 200, []string{key.ID}, []string{"},{"}},
	})
}

func TestStats(t *testing.T) {
	s := newStack(t)
	s.run([]scenario{
		{"by an administrator", fetch("/admin/stats").as(s.admin.AccessToken), 200, []string{
			`"users":3`, `"active_users":3`, `"clients":1`, `"roles":3`, `"scopes":13`, `"sessions":3`, `"revocations":0`, `"keys":1`, `"node":"n1"`, `"version":"v0-test"`,
		}, []string{`"store_bytes":0`, `"log_index":0`}},
		{"by a user", fetch("/admin/stats").as(s.user.AccessToken), 403, nil, nil},
		{"without a token", fetch("/admin/stats"), 401, nil, nil},
	})
}

// TestOwnLimitsOfClients: both windows of a client hold, on whatever it calls.
func TestOwnLimitsOfClients(t *testing.T) {
	s := newStack(t, withLimits(limit.Set{API: limit.Limit{Name: "api", Count: 100, Per: time.Minute}}))
	minute := s.makeClient(`{"client_id":"minute","name":"M","rate_limit_per_minute":2}`)
	hour := s.makeClient(`{"client_id":"hour","name":"H","rate_limit_per_hour":3,"rate_limit_per_minute":100}`)
	count := func(c api.Client) (admitted int) {
		for i := range 6 {
			r := post("/auth/introspect", `{"token":"x"}`)
			if i%2 == 1 {
				r = post("/authz/check", `{"subject":"`+c.ClientID+`","scope":"x"}`)
			}
			if s.do(s.public, r.with(c.ClientID, c.ClientSecret)).status == 200 {
				admitted++
			}
		}
		return admitted
	}
	if a, b := count(minute), count(hour); a != 2 || b != 3 {
		t.Errorf("%d and %d requests were admitted, want 2 and 3", a, b)
	}
}
