package httpapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// narrowed logs the administrator in with some scopes alone.
func (s *stack) narrowed(scopes string) string {
	s.t.Helper()
	return get[api.TokenResponse](s, post("/auth/token", `{"username":"root","password":"`+password+`","scope":"`+scopes+`"}`)).AccessToken
}

func TestClients(t *testing.T) {
	s := newStack(t)
	admin, user := s.admin.AccessToken, s.user.AccessToken
	s.makeClient(`{"client_id":"shop:eu/1@x","name":"Shop_EU","client_type":"public","is_active":false}`)
	full := `{"name":"Demo 2","description":"d","is_active":true,"is_trusted":true,"scopes":["read:demo"],"audiences":["https://c.example"],` +
		`"access_token_lifetime":60,"refresh_token_lifetime":7200,"rate_limit_per_minute":7,"rate_limit_per_hour":70,"allowed_ips":["10.0.0.0/8","2001:db8::/32"],` +
		`"contact_email":"a@example.com","website_url":"https://example.com/x","webhook_url":"http://example.com:8080/hook"}`
	hidden := []string{"digest", "secret", "hash", "generation"}
	wrong := func(field, value string) scenario {
		return scenario{"a wrong " + field, patch("/admin/clients/demo", `{"`+field+`":`+value+`}`).as(admin), 422, []string{`"field":"` + field + `"`}, nil}
	}
	s.run([]scenario{
		{"all", fetch("/admin/clients").as(admin), 200, []string{`"clients":[{"client_id":"shop:eu/1@x"`, `"total":2`, `"pages":1`, `"next_cursor":null`}, hidden},
		{"by name", fetch("/admin/clients?sort=client_id,asc&per_page=1").as(admin), 200, []string{`"clients":[{"client_id":"demo"`, `"pages":2`, `"next_cursor":"`}, []string{"Shop"}},
		{"active ones", fetch("/admin/clients?is_active=true").as(admin), 200, []string{`"total":1`, `"demo"`}, nil},
		{"public ones", fetch("/admin/clients?client_type=public").as(admin), 200, []string{`"total":1`, `"Shop_EU"`}, nil},
		{"a search, in which _ is a letter", fetch("/admin/clients?search=p_e").as(admin), 200, []string{`"total":1`, `"Shop_EU"`}, nil},
		{"a search that finds nothing", fetch("/admin/clients?search=%25").as(admin), 200, []string{`"clients":[]`, `"total":0`}, nil},
		{"an odd filter", fetch("/admin/clients?is_active=maybe").as(admin), 422, []string{`"field":"is_active"`}, []string{"maybe"}},
		{"an odd order", fetch("/admin/clients?sort=secret,asc").as(admin), 422, []string{`"field":"sort"`}, nil},
		{"without a token", fetch("/admin/clients"), 401, []string{`"unauthorized"`}, nil},
		{"by a user", fetch("/admin/clients").as(user), 403, []string{`"insufficient_scope"`}, nil},
		{"one", fetch("/admin/clients/demo").as(admin), 200, []string{`"client_id":"demo"`, `"scopes":["read:demo"]`, `"total_requests":0`}, hidden},
		{"one with a slash", fetch("/admin/clients/shop:eu%2F1@x").as(admin), 200, []string{`"name":"Shop_EU"`}, hidden},
		{"none", fetch("/admin/clients/nope").as(admin), 404, []string{`"not_found"`}, nil},

		{"replaced", put("/admin/clients/demo", full).as(admin), 200, []string{`"name":"Demo 2"`, `"is_trusted":true`, `"allowed_ips":["10.0.0.0/8","2001:db8::/32"]`, `"webhook_url":"http://example.com:8080/hook"`, `"client_type":"confidential"`, `"rate_limit_per_hour":70`}, hidden},
		{"a member cleared, another changed", patch("/admin/clients/demo", `{"description":null,"is_active":null,"rate_limit_per_minute":8}`).as(admin), 200, []string{`"description":""`, `"is_active":true`, `"rate_limit_per_minute":8`, `"rate_limit_per_hour":70`}, hidden},
		{"nothing changed", patch("/admin/clients/demo", `{}`).as(admin), 200, []string{`"rate_limit_per_minute":8`}, nil},
		{"replaced by little", put("/admin/clients/demo", `{"client_id":"demo","client_type":"confidential","name":"Demo"}`).as(admin), 200, []string{`"description":""`, `"scopes":[]`, `"is_active":true`, `"is_trusted":false`, `"access_token_lifetime":0`, `"allowed_ips":[]`}, nil},
		{"another type", put("/admin/clients/demo", `{"name":"Demo","client_type":"public"}`).as(admin), 422, []string{`"field":"client_type"`, "cannot be changed"}, nil},
		{"another client_id", put("/admin/clients/demo", `{"name":"Demo","client_id":"other"}`).as(admin), 422, []string{`"field":"client_id"`}, nil},
		{"no name", put("/admin/clients/demo", `{}`).as(admin), 422, []string{`"field":"name"`}, nil},
		{"what is only read", patch("/admin/clients/demo", `{"total_requests":5}`).as(admin), 422, []string{`"field":"total_requests"`}, nil},
		{"a secret", patch("/admin/clients/demo", `{"client_secret":"x"}`).as(admin), 422, []string{`"field":"client_secret"`}, nil},
		{"a number as the name", patch("/admin/clients/demo", `{"name":12345678}`).as(admin), 422, []string{`"field":"name"`, "must be a string"}, []string{"12345678"}},
		wrong("access_token_lifetime", "59"), wrong("access_token_lifetime", "86401"), wrong("refresh_token_lifetime", "-1"),
		wrong("rate_limit_per_minute", "-1"), wrong("rate_limit_per_hour", "-1"), wrong("allowed_ips", `["10.0.0.1"]`),
		wrong("contact_email", `"nobody"`), wrong("website_url", `"javascript:alert(1)"`), wrong("webhook_url", `"https://u:p@example.com"`),
		wrong("audiences", `[""]`), wrong("scopes", `["nope"]`), wrong("is_active", `"yes"`), wrong("scopes", `"read:demo"`),
		{"several wrong fields are all named", patch("/admin/clients/demo", `{"website_url":"x","contact_email":"y"}`).as(admin), 422, []string{`"field":"contact_email"`, `"field":"website_url"`}, nil},
		{"a change by a user", patch("/admin/clients/demo", `{"name":"x"}`).as(user), 403, nil, nil},
		{"a change without a token", patch("/admin/clients/demo", `{"name":"x"}`), 401, nil, nil},
		{"a change of none", patch("/admin/clients/nope", `{"name":"x"}`).as(admin), 404, nil, nil},

		{"a removal by a user", remove("/admin/clients/demo").as(user), 403, nil, nil},
		{"a removal", remove("/admin/clients/shop:eu%2F1@x").as(admin), 200, []string{"deleted"}, nil},
		{"of what is gone", remove("/admin/clients/shop:eu%2F1@x").as(admin), 404, nil, nil},
	})
}

// TestClientListCursor walks a list that is longer than any page and changes meanwhile.
func TestClientListCursor(t *testing.T) {
	s := newStack(t)
	for i := range 7 {
		s.makeClient(fmt.Sprintf(`{"client_id":"c%d","name":"same"}`, i))
	}
	seen, cursor := map[string]bool{}, ""
	for {
		page := get[api.Clients](s, fetch("/admin/clients?sort=name,desc&per_page=3&cursor="+cursor).as(s.admin.AccessToken))
		for _, c := range page.Clients {
			if seen[c.ClientID] {
				t.Errorf("%s is there twice", c.ClientID)
			}
			seen[c.ClientID] = true
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
		s.do(s.public, remove("/admin/clients/"+page.Clients[len(page.Clients)-1].ClientID).as(s.admin.AccessToken)) // where the cursor stands
	}
	if len(seen) != 8 {
		t.Errorf("the walk found %v", seen)
	}
}

// TestClientsAreNotALadder: whoever manages clients gets no right by it.
func TestClientsAreNotALadder(t *testing.T) {
	s := newStack(t)
	clerk := s.narrowed("admin:clients")
	s.makeClient(`{"client_id":"powerful","name":"P","scopes":["admin:users"]}`)
	s.makeClient(`{"client_id":"trusted","name":"T","is_trusted":true}`)
	s.makeClient(`{"client_id":"reader","name":"R","scopes":["admin:keys"]}`)
	refused := []string{`"forbidden"`}
	s.run([]scenario{
		{"a new secret for a stronger client", post("/admin/clients/powerful/rotate-secret", "").as(clerk), 403, refused, []string{"ksc_"}},
		{"a new secret for a trusted client", post("/admin/clients/trusted/rotate-secret", "").as(clerk), 403, refused, []string{"ksc_"}},
		{"a change of a stronger client", patch("/admin/clients/powerful", `{"allowed_ips":null}`).as(clerk), 403, refused, nil},
		{"its removal", remove("/admin/clients/powerful").as(clerk), 403, refused, nil},
		{"a right that is not held", patch("/admin/clients/demo", `{"scopes":["read:demo","admin:users"]}`).as(clerk), 403, refused, nil},
		{"by replacing", put("/admin/clients/demo", `{"name":"Demo","scopes":["admin:users"]}`).as(clerk), 403, refused, nil},
		{"the scope of an application, without admin:scopes", patch("/admin/clients/reader", `{"scopes":["admin:keys","read:demo"]}`).as(s.narrowed("admin:clients admin:keys")), 403, refused, nil},
		{"trust", patch("/admin/clients/demo", `{"is_trusted":true}`).as(clerk), 403, refused, nil},
		{"trust from the beginning", post("/admin/clients", `{"name":"x","is_trusted":true}`).as(clerk), 403, refused, nil},
		{"what it has already stays", patch("/admin/clients/demo", `{"name":"Demo 2","scopes":["read:demo"]}`).as(clerk), 200, []string{`"scopes":["read:demo"]`}, nil},
		{"fewer rights", patch("/admin/clients/demo", `{"scopes":[]}`).as(clerk), 200, []string{`"scopes":[]`}, nil},
		{"with the right", post("/admin/clients/powerful/rotate-secret", "").as(s.narrowed("admin:clients admin:users")), 200, []string{"ksc_"}, nil},
	})
	if alice := get[api.User](s, fetch("/users/me").as(s.user.AccessToken)); s.do(s.operator, post("/admin/clients", `{"client_id":"`+strings.ToUpper(alice.ID)+`","name":"x"}`)).status != 409 {
		t.Error("a client may be called like a user's id")
	}
}

func TestVersionsOfClients(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	tag := s.do(s.public, fetch("/admin/clients/demo").as(admin)).header.Get("ETag")
	change := func(n int) call {
		c := patch("/admin/clients/demo", fmt.Sprintf(`{"description":"%d"}`, n)).as(admin)
		c.header = map[string]string{"If-Match": tag}
		return c
	}
	var both sync.WaitGroup
	answers := make([]answer, 2)
	for i := range answers {
		both.Go(func() { answers[i] = s.do(s.public, change(i)) })
	}
	both.Wait()
	if a, b := answers[0].status, answers[1].status; a+b != 200+412 {
		t.Fatalf("two changes of one version: %d and %d", a, b)
	}
	for _, a := range answers {
		if now := s.do(s.public, fetch("/admin/clients/demo").as(admin)).header.Get("ETag"); a.status == 200 && a.header.Get("ETag") != now {
			t.Errorf("the change says %s, and the client is %s", a.header.Get("ETag"), now)
		}
	}
	s.run([]scenario{
		{"an old version", remove("/admin/clients/demo").as(admin).sending("If-Match", tag), 412, []string{`"precondition_failed"`}, nil},
		{"another thing's version", remove("/admin/clients/demo").as(admin).sending("If-Match", `"`+iam.NewID().String()+`-1"`), 412, nil, nil},
		{"an old version of the secret", post("/admin/clients/demo/rotate-secret", "").as(admin).sending("If-Match", tag), 412, nil, []string{"ksc_"}},
		{"any version", patch("/admin/clients/demo", `{"description":""}`).as(admin).sending("If-Match", "*"), 200, nil, nil},
	})

	// Without a version each change is made to what the others left.
	fields := []string{`"description":"d"`, `"rate_limit_per_hour":9`, `"contact_email":"a@example.com"`, `"website_url":"https://a.example"`, `"refresh_token_lifetime":99`, `"name":"n"`}
	for _, field := range fields {
		both.Go(func() {
			if a := s.do(s.public, patch("/admin/clients/demo", "{"+field+"}").as(admin)); a.status != 200 {
				t.Errorf("%s: %d %s", field, a.status, a.body)
			}
		})
	}
	both.Wait()
	s.run([]scenario{{"all changes are there", fetch("/admin/clients/demo").as(admin), 200, fields, nil}})
}

func TestRotateSecret(t *testing.T) {
	s := newStack(t)
	admin, first := s.admin.AccessToken, s.client.ClientSecret
	works := func(secret string) bool {
		return s.do(s.public, post("/auth/service-token", "").with("demo", secret)).status == 200
	}
	rotate := func(body string) api.Client {
		return get[api.Client](s, post("/admin/clients/demo/rotate-secret", body).as(admin))
	}
	second := rotate(`{"grace_seconds":3600}`).ClientSecret
	if !works(first) || !works(second) || first == second || !strings.HasPrefix(second, "ksc_") {
		t.Error("within the grace both secrets are good")
	}
	third := rotate(`{"grace_seconds":3600}`).ClientSecret
	if works(first) || !works(second) || !works(third) {
		t.Error("only the last two secrets are good")
	}
	fourth := rotate("").ClientSecret
	if works(second) || works(third) || !works(fourth) {
		t.Error("without a grace the new secret alone is good")
	}
	if !s.active(s.service.AccessToken) {
		t.Error("a new secret is no revocation")
	}
	s.makeClient(`{"client_id":"page","name":"Page","client_type":"public"}`)
	s.run([]scenario{
		{"too long a grace", post("/admin/clients/demo/rotate-secret", `{"grace_seconds":2592001}`).as(admin), 422, []string{`"field":"grace_seconds"`}, []string{"ksc_"}},
		{"a negative one", post("/admin/clients/demo/rotate-secret", `{"grace_seconds":-1}`).as(admin), 422, nil, nil},
		{"of a public client", post("/admin/clients/page/rotate-secret", "").as(admin), 409, []string{`"conflict"`}, nil},
		{"of none", post("/admin/clients/nope/rotate-secret", "").as(admin), 404, nil, nil},
		{"by a user", post("/admin/clients/demo/rotate-secret", "").as(s.user.AccessToken), 403, nil, nil},
		{"without a token", post("/admin/clients/demo/rotate-secret", ""), 401, nil, nil},
		{"the secret is in no answer afterwards", fetch("/admin/clients/demo").as(admin), 200, nil, []string{fourth, "client_secret"}},
	})
}
