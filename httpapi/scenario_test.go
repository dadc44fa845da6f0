package httpapi_test

import (
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/api"
)

// scenario is one request and what the answer must and must not say.
type scenario struct {
	name string
	call
	status int
	want   []string
	not    []string
}

func (s *stack) run(rows []scenario) {
	s.t.Helper()
	for _, row := range rows {
		a := s.do(s.public, row.call)
		label := row.method + " " + row.path + ": " + row.name
		if a.status != row.status {
			s.t.Errorf("%s: status %d, want %d: %s", label, a.status, row.status, a.body)
			continue
		}
		for _, text := range row.want {
			if !strings.Contains(a.body, text) {
				s.t.Errorf("%s: the answer lacks %s: %s", label, text, a.body)
			}
		}
		for _, text := range append(row.not, password, "$argon2", s.client.ClientSecret) {
			if strings.Contains(a.body, text) {
				s.t.Errorf("%s: the answer must not hold %s: %s", label, text, a.body)
			}
		}
		if a.status >= 400 {
			checkProblem(s.t, label, row, a)
		}
	}
}

// checkProblem checks what holds for every error.
func checkProblem(t testing.TB, label string, row scenario, a answer) {
	t.Helper()
	p := problem(t, a)
	path, _, _ := strings.Cut(row.path, "?")
	if p.Path != path {
		t.Errorf("%s: the problem's path is %q", label, p.Path)
	}
	if p.RequestID != a.header.Get("X-Request-ID") {
		t.Errorf("%s: request_id %q, X-Request-ID %q", label, p.RequestID, a.header.Get("X-Request-ID"))
	}
	for status, header := range map[int]string{401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"} {
		if a.status == status && a.header.Get(header) == "" {
			t.Errorf("%s: a %d without %s", label, status, header)
		}
	}
}

func post(path, json string) call { return call{method: "POST", path: v1 + path, json: json} }

func postForm(path, form string) call { return call{method: "POST", path: path, form: form} }

func (c call) as(bearer string) call {
	c.bearer = bearer
	return c
}

func (c call) with(id, secret string) call {
	c.basic = [2]string{id, secret}
	return c
}

func (c call) sending(name, value string) call {
	c.header = map[string]string{name: value}
	return c
}

func TestLogin(t *testing.T) {
	s := newStack(t)
	wrong := []string{`"error":"invalid_grant"`}
	s.run([]scenario{
		{"by name", post("/auth/token", loginBody("ALICE", password)), 200, []string{`"token_type":"Bearer"`, `"refresh_token":"ksr_`, `"jti":"`, `"session_id":"`, `"expires_in":900`, `"scope":"read:profile write:profile"`}, nil},
		{"by e-mail", post("/auth/token", loginBody("aLice@Example.com", password)), 200, nil, nil},
		{"with the grant type", post("/auth/token", `{"grant_type":"password","username":"alice","password":"`+password+`"}`), 200, nil, nil},
		{"as a form", postForm(v1+"/auth/token", "username=alice&password="+strings.ReplaceAll(password, "!", "%21")), 200, nil, nil},
		{"with a slash at the end", post("/auth/token/", loginBody("alice", password)), 200, nil, nil},
		{"unknown members are passed over", post("/auth/token", `{"username":"alice","password":"`+password+`","device":"x"}`), 200, nil, nil},
		{"narrower", post("/auth/token", `{"username":"alice","password":"`+password+`","scope":"read:profile admin:users"}`), 200, []string{`"scope":"read:profile"`}, nil},
		{"nothing left", post("/auth/token", `{"username":"alice","password":"`+password+`","scope":"admin:users"}`), 400, []string{`"invalid_scope"`}, nil},
		{"wrong password", post("/auth/token", loginBody("alice", "Wrong-1-horse")), 401, wrong, []string{"Wrong-1-horse", "alice"}},
		{"unknown", post("/auth/token", loginBody("nobody", "Wrong-1-horse")), 401, wrong, []string{"nobody"}},
		{"no password", post("/auth/token", `{"username":"alice"}`), 400, []string{`"invalid_request"`}, nil},
		{"nothing", post("/auth/token", ""), 400, []string{`"invalid_request"`}, nil},
		{"another grant type", post("/auth/token", `{"grant_type":"client_credentials","username":"alice","password":"x"}`), 400, []string{`"unsupported_grant_type"`}, nil},
		{"an unknown client", post("/auth/token", `{"username":"alice","password":"`+password+`","client_id":"nope"}`), 401, []string{`"invalid_client"`}, nil},
		{"a number as the name", post("/auth/token", `{"username":12345678,"password":"x"}`), 400, []string{`"invalid_request"`, `"field":"username"`, `must be a string`}, []string{"12345678"}},
		{"GET", call{method: "GET", path: v1 + "/auth/token"}, 405, []string{`"method_not_allowed"`}, nil},
	})
}

func TestBodies(t *testing.T) {
	s := newStack(t)
	bad := []string{`"error":"invalid_request"`}
	login := v1 + "/auth/token"
	typed := func(contentType, body string) call {
		return call{method: "POST", path: login, form: body, header: map[string]string{"Content-Type": contentType}}
	}
	s.run([]scenario{
		{"a key twice", post("/auth/token", `{"username":"alice","username":"bob","password":"x"}`), 400, append(bad, "twice"), nil},
		{"an unknown key twice", post("/auth/token", `{"x":1,"x":2}`), 400, bad, nil},
		{"trailing data", post("/auth/token", loginBody("alice", "x")+" {}"), 400, bad, nil},
		{"bad UTF-8", post("/auth/token", "{\"username\":\"\xff\",\"password\":\"x\"}"), 400, bad, nil},
		{"cut off", post("/auth/token", `{"username":"ali`), 400, bad, nil},
		{"a wrong type and then cut off", post("/auth/token", `{"username":1,"password":"`), 400, bad, []string{"details"}},
		{"a list", post("/auth/token", `[]`), 400, bad, nil},
		{"null", post("/auth/token", `null`), 400, bad, nil},
		{"another letter case is another member", post("/auth/token", `{"Username":"alice","Password":"`+password+`"}`), 400, bad, nil},
		{"a repeated parameter", postForm(login, "username=alice&username=bob&password=x"), 400, append(bad, "twice"), nil},
		{"a repeated unknown parameter", postForm(login, "x=1&x=1"), 400, bad, nil},
		{"a broken escape", postForm(login, "username=%zz&password=x"), 400, bad, nil},
		{"bad UTF-8 in a form", postForm(login, "username=%ff&password=x"), 400, bad, nil},
		{"text", typed("text/plain", loginBody("alice", "x")), 415, []string{`"unsupported_media_type"`}, nil},
		{"multipart", typed("multipart/form-data; boundary=x", "--x--"), 415, nil, nil},
		{"with a charset", typed("application/json; charset=utf-8", loginBody("alice", password)), 200, nil, nil},
		{"an odd spelling of form", typed("Application/X-WWW-Form-URLencoded", "username=alice&password=Zx9%21kestrel-Moor"), 200, nil, nil},
		{"compressed", call{method: "POST", path: login, json: "{}", header: map[string]string{"Content-Encoding": "gzip"}}, 415, nil, nil},
		{"JSON where only forms go", call{method: "POST", path: "/oauth2/token", json: `{"grant_type":"password"}`}, 415, nil, nil},
		{"a form where only JSON goes", postForm(v1+"/users/register", "username=x"), 415, nil, nil},
		{"a privileged member", post("/users/register", `{"username":"eve","email":"eve@example.com","password":"`+password+`","is_superuser":true}`), 422, []string{`"validation_error"`, `"field":"is_superuser"`}, nil},
		{"roles at registration", post("/users/register", `{"username":"eve","email":"eve@example.com","password":"`+password+`","roles":["admin"]}`), 422, []string{`"field":"roles"`}, nil},
		{"a key that is no name", post("/users/register", `{"Drop Table!":1}`), 422, []string{`"field":"body"`}, []string{"Drop"}},
		{"a list as a name", post("/users/register", `{"username":["a"]}`), 422, []string{`"field":"username"`, "must be a string"}, nil},
		{"too large", post("/auth/token", `{"username":"`+strings.Repeat("a", 1<<20)+`"}`), 413, []string{`"payload_too_large"`}, nil},
	})
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := newStack(t)
	s.run([]scenario{
		{"nothing there", call{method: "GET", path: "/"}, 404, []string{`"not_found"`}, nil},
		{"nothing in the API", call{method: "GET", path: v1 + "/nope?token=secret"}, 404, nil, []string{"token=secret"}},
		{"odd characters", call{method: "GET", path: "/%ff%00"}, 404, nil, nil},
		{"below a route", call{method: "POST", path: v1 + "/auth/token/x"}, 404, nil, nil},
		{"two slashes", call{method: "POST", path: v1 + "//auth/token"}, 404, nil, nil},
		{"wrong method", call{method: "DELETE", path: v1 + "/auth/token"}, 405, nil, nil},
		{"made-up method", call{method: "BREW", path: v1 + "/auth/token"}, 405, nil, nil},
		{"OPTIONS", call{method: "OPTIONS", path: v1 + "/auth/token"}, 405, nil, nil},
	})
	if allow := s.do(s.public, call{method: "PUT", path: v1 + "/sessions"}).header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "DELETE") {
		t.Errorf("Allow is %q", allow)
	}
	if a := s.do(s.public, call{method: "HEAD", path: "/health"}); a.status != 200 || a.body != "" {
		t.Errorf("HEAD /health: %d %q", a.status, a.body)
	}
}

func TestServiceToken(t *testing.T) {
	s := newStack(t)
	secret := s.client.ClientSecret
	body := func(more string) string {
		return `{"client_id":"demo","client_secret":"` + secret + `"` + more + `}`
	}
	s.run([]scenario{
		{"in the body", post("/auth/service-token", body("")), 200, []string{`"scope":"read:demo"`, `"token_type":"Bearer"`}, []string{"refresh_token", "session_id"}},
		{"Basic", post("/auth/service-token", "").with("demo", secret), 200, nil, nil},
		{"Basic with the same client_id", post("/auth/service-token", `{"client_id":"demo"}`).with("demo", secret), 200, nil, nil},
		{"both", post("/auth/service-token", body("")).with("demo", secret), 400, []string{"more than one way"}, nil},
		{"one audience", post("/auth/service-token", body(`,"audience":"https://a.example"`)), 200, nil, nil},
		{"audiences", post("/auth/service-token", body(`,"audience":["https://a.example","https://b.example"]`)), 200, nil, nil},
		{"audience of another type", post("/auth/service-token", body(`,"audience":[1]`)), 400, []string{`"field":"audience"`}, nil},
		{"another's audience", post("/auth/service-token", body(`,"audience":"https://c.example"`)), 400, []string{`"invalid_target"`}, nil},
		{"a scope that is not held", post("/auth/service-token", body(`,"scope":"admin:users"`)), 400, []string{`"invalid_scope"`}, nil},
		{"wrong secret", post("/auth/service-token", `{"client_id":"demo","client_secret":"wrong"}`), 401, []string{`"invalid_client"`}, nil},
		{"unknown client", post("/auth/service-token", `{"client_id":"nope","client_secret":"wrong"}`), 401, []string{`"invalid_client"`}, nil},
		{"nobody", post("/auth/service-token", `{}`), 401, []string{`"invalid_client"`}, nil},
		{"unreadable Basic", post("/auth/service-token", "").sending("Authorization", "Basic !!"), 401, []string{`"invalid_client"`}, nil},
		{"another grant", post("/auth/service-token", body(`,"grant_type":"password"`)), 400, []string{`"unsupported_grant_type"`}, nil},
	})
	a := problem(t, s.do(s.public, post("/auth/service-token", "").with("demo", "wrong")))
	b := problem(t, s.do(s.public, post("/auth/service-token", "").with("nope", "wrong")))
	if a.Code != b.Code || a.Description != b.Description {
		t.Errorf("an unknown client and a wrong secret differ: %v, %v", a, b)
	}
}

func TestStandardEndpoints(t *testing.T) {
	s := newStack(t)
	secret := s.client.ClientSecret
	s.run([]scenario{
		{"password", postForm("/oauth2/token", "grant_type=password&username=alice&password=Zx9%21kestrel-Moor"), 200, []string{`"access_token"`, `"refresh_token"`}, nil},
		{"client credentials", postForm("/oauth2/token", "grant_type=client_credentials&scope=read:demo").with("demo", secret), 200, []string{`"scope":"read:demo"`}, nil},
		{"client in the body", postForm("/oauth2/token", "grant_type=client_credentials&client_id=demo&client_secret="+secret), 200, nil, nil},
		{"refresh", postForm("/oauth2/token", "grant_type=refresh_token&refresh_token="+s.other.RefreshToken), 200, []string{`"refresh_token":"ksr_`}, nil},
		{"wrong password is a bad request", postForm("/oauth2/token", "grant_type=password&username=alice&password=nope"), 400, []string{`"error":"invalid_grant"`}, nil},
		{"no grant", postForm("/oauth2/token", "username=alice"), 400, []string{`"error":"invalid_request"`}, nil},
		{"unknown grant", postForm("/oauth2/token", "grant_type=implicit"), 400, []string{`"error":"unsupported_grant_type"`}, nil},
		{"wrong secret", postForm("/oauth2/token", "grant_type=client_credentials").with("demo", "nope"), 401, []string{`"error":"invalid_client"`}, nil},
		{"introspect", postForm("/oauth2/introspect", "token="+s.user.AccessToken).with("demo", secret), 200, []string{`"active":true`, `"username":"Alice"`}, nil},
		{"introspect without credentials", postForm("/oauth2/introspect", "token="+s.user.AccessToken), 401, []string{`"error":"invalid_client"`, "client_secret", "bearer token"}, nil},
		{"revoke without credentials", postForm("/oauth2/revoke", "token="+s.user.AccessToken), 401, []string{`"error":"invalid_client"`}, nil},
		{"introspect by a plain user", call{method: "POST", path: "/oauth2/introspect", form: "token=x", bearer: s.user.AccessToken}, 403, []string{`"error":"forbidden"`}, nil},
		{"no refresh token", postForm("/oauth2/token", "grant_type=refresh_token"), 400, []string{`"error":"invalid_request"`, "refresh_token"}, nil},
		{"revoke", postForm("/oauth2/revoke", "token=garbage&token_type_hint=access_token").with("demo", secret), 200, nil, nil},
		{"no token", postForm("/oauth2/revoke", "").with("demo", secret), 400, []string{`"invalid_request"`}, nil},
		{"keys", call{method: "GET", path: "/.well-known/jwks.json"}, 200, []string{`"keys":[{`, `"kty":"EC"`}, []string{`"d":`}},
		{"metadata", call{method: "GET", path: "/.well-known/oauth-authorization-server"}, 200, []string{`"issuer":"keystone-auth"`, `"token_endpoint":"http://keystone.test/oauth2/token"`, `"jwks_uri":"http://keystone.test/.well-known/jwks.json"`}, nil},
	})
	challenge := s.do(s.public, postForm("/oauth2/token", "grant_type=client_credentials").with("demo", "nope")).header.Get("WWW-Authenticate")
	if !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("who failed with Basic is asked for %q", challenge)
	}
}

func TestIntrospect(t *testing.T) {
	s := newStack(t)
	secret := s.client.ClientSecret
	ask := func(raw string) call { return post("/auth/introspect", `{"token":"`+raw+`"}`) }
	alive := []string{`"active":true`, `"token_type":"Bearer"`, `"sub":"`, `"jti":"` + s.user.TokenID + `"`, `"roles":["user"]`, `"sid":"` + s.user.SessionID + `"`, `"iss":"keystone-auth"`}
	s.run([]scenario{
		{"by a service", ask(s.user.AccessToken).as(s.service.AccessToken), 200, alive, nil},
		{"by Basic", ask(s.user.AccessToken).with("demo", secret), 200, alive, nil},
		{"by the body", post("/auth/introspect", `{"token":"`+s.user.AccessToken+`","client_id":"demo","client_secret":"`+secret+`"}`), 200, alive, nil},
		{"by an administrator", ask(s.user.AccessToken).as(s.admin.AccessToken), 200, alive, nil},
		{"a service token", ask(s.service.AccessToken).with("demo", secret), 200, []string{`"client_id":"demo"`, `"sub":"demo"`}, []string{`"roles"`, `"sid"`}},
		{"garbage", ask("garbage").with("demo", secret), 200, []string{`{"active":false}`}, nil},
		{"a refresh token is no bearer", ask(s.user.RefreshToken).with("demo", secret), 200, []string{`{"active":false}`}, nil},
		{"by nobody", ask(s.user.AccessToken), 401, []string{`"unauthorized"`}, nil},
		{"by a plain user", ask(s.user.AccessToken).as(s.user.AccessToken), 403, []string{`"forbidden"`}, nil},
		{"with garbage as the bearer", ask(s.user.AccessToken).as("garbage"), 401, []string{`"invalid_token"`}, nil},
		{"with a refresh token as the bearer", ask(s.user.AccessToken).as(s.user.RefreshToken), 401, []string{`"invalid_token"`}, nil},
		{"with a wrong secret", ask(s.user.AccessToken).with("demo", "nope"), 401, []string{`"invalid_client"`}, nil},
		{"without a token", post("/auth/introspect", `{}`).with("demo", secret), 400, []string{`"invalid_request"`}, nil},
		{"in two ways", post("/auth/introspect", `{"token":"x","client_id":"demo","client_secret":"y"}`).as(s.service.AccessToken), 400, nil, nil},
	})
}

func TestPublicClientsMayNotIntrospect(t *testing.T) {
	s := newStack(t)
	if a := s.do(s.operator, post("/admin/clients", `{"client_id":"app","name":"App","client_type":"public"}`)); a.status != 201 || strings.Contains(a.body, "client_secret") {
		t.Fatalf("a public client: %d %s", a.status, a.body)
	}
	s.run([]scenario{
		{"public client", post("/auth/introspect", `{"token":"`+s.user.AccessToken+`","client_id":"app"}`), 403, []string{`"forbidden"`}, nil},
		{"public client with a made-up secret", post("/auth/introspect", `{"token":"`+s.user.AccessToken+`","client_id":"app","client_secret":"x"}`), 401, nil, nil},
	})
}

func TestUsers(t *testing.T) {
	s := newStack(t)
	carol := `{"username":"carol","email":"carol@example.com","password":"` + password + `","first_name":"Carol","last_name":"Jones"}`
	s.run([]scenario{
		{"new", post("/users/register", carol), 201, []string{`"username":"carol"`, `"full_name":"Carol Jones"`, `"roles":["user"]`, `"scopes":["read:profile","write:profile"]`, `"is_active":true`, `"is_superuser":false`, `"last_login":null`}, []string{"hash"}},
		{"taken in another letter case", post("/users/register", strings.ReplaceAll(carol, "carol", "CAROL")), 409, []string{`"conflict"`}, []string{"CAROL@"}},
		{"a short name", post("/users/register", `{"username":"x","email":"x@example.com","password":"`+password+`"}`), 422, []string{`"field":"username"`}, nil},
		{"no e-mail", post("/users/register", `{"username":"xyz","email":"nope","password":"`+password+`"}`), 422, []string{`"field":"email"`}, []string{"nope"}},
		{"a weak password", post("/users/register", `{"username":"xyz","email":"x@example.com","password":"hunter2!"}`), 422, []string{`"field":"password"`}, []string{"hunter2"}},
		{"profile", call{method: "GET", path: v1 + "/users/profile", bearer: s.user.AccessToken}, 200, []string{`"username":"Alice"`, `"id":"`}, nil},
		{"me", call{method: "GET", path: v1 + "/users/me/", bearer: s.user.AccessToken}, 200, []string{`"username":"Alice"`}, nil},
		{"a service has no profile", call{method: "GET", path: v1 + "/users/profile", bearer: s.service.AccessToken}, 403, []string{`"forbidden"`}, nil},
		{"nor has the world", call{method: "GET", path: v1 + "/users/profile"}, 401, []string{`"unauthorized"`}, nil},
	})
	narrow := get[api.TokenResponse](s, post("/auth/token", `{"username":"alice","password":"`+password+`","scope":"write:profile"}`))
	s.run([]scenario{
		{"with a token that is not for that", call{method: "GET", path: v1 + "/users/profile", bearer: narrow.AccessToken}, 403, []string{`"insufficient_scope"`}, nil},
	})
	if a := s.do(s.operator, call{method: "GET", path: v1 + "/users/profile"}); a.status != 401 {
		t.Errorf("the operator has a profile: %d %s", a.status, a.body)
	}
}

func TestAdministration(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	for _, scope := range []string{"read:users", "read:stock", "admin:stock"} {
		s.do(s.public, post("/admin/scopes", `{"name":"`+scope+`"}`).as(admin))
	}
	clerk := get[api.TokenResponse](s, post("/auth/token", `{"username":"root","password":"`+password+`","scope":"admin:users"}`)).AccessToken
	dave := `{"username":"dave","email":"dave@example.com","password":"` + password + `","roles":["admin"]}`
	s.run([]scenario{
		{"by a user", post("/admin/users", dave).as(s.user.AccessToken), 403, []string{`"insufficient_scope"`}, nil},
		{"by an administrator", post("/admin/users", dave).as(admin), 201, []string{`"roles":["admin"]`, `"admin:users"`}, nil},
		{"an unknown role", post("/admin/users", strings.ReplaceAll(strings.Replace(dave, `"admin"]`, `"nope"]`, 1), "dave", "erin")).as(admin), 422, []string{`"field":"roles"`}, []string{"nope"}},
		{"the name was not taken by that", post("/admin/users", strings.ReplaceAll(dave, "dave", "erin")).as(admin), 201, nil, nil},
		{"a client", post("/admin/clients", `{"name":"Billing","scopes":["read:users"],"allowed_ips":["10.0.0.0/8"]}`).as(admin), 201, []string{`"client_secret":"ksc_`, `"client_type":"confidential"`, `"scopes":["read:users"]`, `"audiences":[]`}, []string{"digest"}},
		{"a client with the scope of an application", post("/admin/clients", `{"name":"Stock","scopes":["read:stock"]}`).as(admin), 201, []string{`"scopes":["read:stock"]`}, nil},
		{"a client with a scope that the administrator does not hold", post("/admin/clients", `{"name":"Stock","scopes":["admin:stock"]}`).as(admin), 403, []string{`"forbidden"`}, []string{"admin:stock"}},
		{"a user with a role that holds more than the token", post("/admin/users", strings.ReplaceAll(dave, "dave", "finn")).as(clerk), 403, []string{`"forbidden"`}, nil},
		{"with the role of everybody", post("/admin/users", strings.ReplaceAll(strings.Replace(dave, `"admin"]`, `"user"]`, 1), "dave", "finn")).as(clerk), 201, nil, nil},
		{"an unknown scope", post("/admin/clients", `{"name":"Billing","scopes":["nope"]}`).as(admin), 422, []string{`"field":"scopes"`}, nil},
		{"a taken client_id", post("/admin/clients", `{"client_id":"demo","name":"Demo"}`).as(admin), 409, nil, nil},
		{"a bad client type", post("/admin/clients", `{"name":"Demo","client_type":"secret"}`).as(admin), 422, []string{`"field":"client_type"`}, nil},
		{"a bad range", post("/admin/clients", `{"name":"Demo","allowed_ips":["everywhere"]}`).as(admin), 422, []string{`"field":"allowed_ips"`}, nil},
		{"a scope", post("/admin/scopes", `{"name":"write:demo","description":"Change demos"}`).as(admin), 201, []string{`"name":"write:demo"`}, nil},
		{"a taken scope", post("/admin/scopes", `{"name":"write:demo"}`).as(admin), 409, nil, nil},
		{"the cluster", call{method: "GET", path: v1 + "/admin/cluster", bearer: admin}, 200, []string{`"leader":"n1"`, `"agrees":null`}, nil},
	})
}
