package httpapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
)

// leased is a node's lease in a test: what was asked of it last, and what it answers.
type leased struct {
	asked   atomic.Pointer[lease.Consistency]
	reading lease.Reading
	lost    atomic.Bool
}

func (l *leased) read(_ context.Context, c lease.Consistency) (lease.Reading, error) {
	l.asked.Store(&c)
	if l.lost.Load() {
		return lease.Reading{}, iam.Unavailable(time.Second, "This node cannot know.")
	}
	return l.reading, nil
}

func withLease(l *leased) option {
	return func(c *httpapi.Config) { c.Cluster.Read = l.read }
}

// TestNothingIsReadWithoutALease: a node that cannot know answers nothing that could have been revoked, to
// whoever asks, and goes on telling what never changes.
func TestNothingIsReadWithoutALease(t *testing.T) {
	l := &leased{}
	s := newStack(t, withLease(l))
	l.lost.Store(true)
	introspection := call{method: "POST", path: v1 + "/auth/introspect", json: `{"token":"` + s.user.AccessToken + `"}`, basic: [2]string{"demo", s.client.ClientSecret}}
	for _, c := range []call{
		introspection,
		{method: "GET", path: v1 + "/users/me", bearer: s.user.AccessToken},
		{method: "GET", path: "/.well-known/jwks.json"},                           // a key that was stolen and replaced must not be published on
		{method: "GET", path: v1 + "/admin/cluster", bearer: s.admin.AccessToken}, // always answered, but not to who may be nobody
		{method: "POST", path: v1 + "/auth/token", json: loginBody("alice", password)},
		{method: "POST", path: v1 + "/authz/check", json: `{"subject":"x","permission":"read:demo"}`, bearer: s.service.AccessToken},
	} {
		a := s.do(s.public, c)
		if a.status != 503 || problem(t, a).Code != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s without a lease: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/health/live", "/metrics", "/openapi.json"} {
		if a := s.do(s.public, call{method: "GET", path: path}); a.status != 200 {
			t.Errorf("%s without a lease: %d", path, a.status)
		}
	}
	if a := s.do(s.operator, call{method: "GET", path: v1 + "/admin/cluster"}); a.status != 200 {
		t.Errorf("the operator sees no cluster without a lease: %d", a.status)
	}
}

func TestConsistency(t *testing.T) {
	l := &leased{reading: lease.Reading{Index: 4711, Staleness: 1500 * time.Microsecond}}
	s := newStack(t, withLease(l))
	basic := [2]string{"demo", s.client.ClientSecret}
	introspect := func(value, bearer string) answer {
		c := call{method: "POST", path: v1 + "/auth/introspect", form: "token=" + s.user.AccessToken, bearer: bearer, header: map[string]string{}}
		if value != "" {
			c.header["Keystone-Consistency"] = value
		}
		if bearer == "" {
			c.basic = basic
		}
		return s.do(s.public, c)
	}
	for value, want := range map[string]lease.Consistency{
		"":                    {},
		"strict":              {Level: lease.Strict},
		"Local":               {Level: lease.Local},
		"bounded; ms=500":     {Level: lease.Bounded, Within: 500 * time.Millisecond},
		"bounded;ms=3600000":  {Level: lease.Bounded, Within: time.Hour},
		"  Bounded ; ms=0   ": {Level: lease.Bounded},
	} {
		a := introspect(value, "")
		if got := l.asked.Load(); a.status != 200 || *got != want {
			t.Errorf("%q: %d %s, asked %+v", value, a.status, a.body, got)
		}
		if a.header.Get("Keystone-Index") != "4711" || a.header.Get("Keystone-Staleness-Ms") != "2" {
			t.Errorf("%q: the answer's headers are %v", value, a.header)
		}
	}
	for _, value := range []string{"eventual", "bounded", "bounded; ms=", "bounded; ms=-1", "bounded; ms=3600001", "bounded; s=1", "strict; ms=1", "local;", strings.Repeat("x", 5000)} {
		if a := introspect(value, ""); a.status != 400 || problem(t, a).Code != "invalid_request" {
			t.Errorf("%q: %d %s", value, a.status, a.body)
		}
	}
}

// TestRevokedTokenCannotAskToBeOverlooked: late answers are about others.
func TestRevokedTokenCannotAskToBeOverlooked(t *testing.T) {
	l := &leased{}
	s := newStack(t, withLease(l))
	for _, value := range []string{"local", "bounded; ms=3600000"} {
		late := map[string]string{"Keystone-Consistency": value}
		for _, c := range []call{
			{method: "GET", path: v1 + "/users/me", bearer: s.user.AccessToken, header: late},
			{method: "POST", path: v1 + "/auth/introspect", form: "token=x", bearer: s.service.AccessToken, header: late},
			{method: "POST", path: "/oauth2/introspect", form: "token=x", header: map[string]string{"Keystone-Consistency": value, "Authorization": "bEARER " + s.service.AccessToken}},
			{method: "POST", path: v1 + "/auth/token", json: loginBody("alice", password), header: late},
		} {
			if a := s.do(s.public, c); a.status != 400 {
				t.Errorf("%s %s with %s: %d", c.method, c.path, value, a.status)
			}
		}
	}
}

// TestReceipts: whoever took something away is told where that holds.
func TestReceipts(t *testing.T) {
	s := newStack(t)
	for _, c := range []call{
		{method: "POST", path: v1 + "/auth/revoke", json: `{"token":"` + s.other.AccessToken + `"}`, bearer: s.other.AccessToken},
		{method: "POST", path: v1 + "/auth/logout", json: `{}`, bearer: s.user.AccessToken},
		{method: "PATCH", path: v1 + "/admin/clients/demo", json: `{"is_active":false}`, bearer: s.admin.AccessToken},
		{method: "DELETE", path: v1 + "/admin/clients/demo", bearer: s.admin.AccessToken},
	} {
		var got struct{ Effective *api.Effective }
		a := s.do(s.public, c)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
			continue
		}
		if e := got.Effective; e == nil || e.Index == 0 || e.Nodes != "2/3" || e.WaitedMs != 1.5 {
			t.Errorf("%s %s: the receipt is %+v in %s", c.method, c.path, e, a.body)
		}
	}
	a := s.do(s.operator, call{method: "POST", path: v1 + "/auth/token", json: loginBody("bob", password)})
	if a.status != 200 || strings.Contains(a.body, "effective") {
		t.Errorf("a login has a receipt: %s", a.body)
	}
	s.log.failWith(iam.Unavailable(time.Second, "Whether the change was made is not known."))
	if a := s.do(s.public, call{method: "POST", path: v1 + "/auth/logout", json: `{}`, bearer: s.admin.AccessToken}); a.status != 503 {
		t.Errorf("what was not confirmed is answered with %d", a.status)
	}
	s.log.failWith(nil)
}

func FuzzConsistency(f *testing.F) {
	for _, seed := range []string{"strict", "local", "bounded; ms=500", "bounded;ms=99999999999999999999", ";", "bounded;;ms=1", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := httpapi.ParseConsistency(text)
		if ok && (c.Within < 0 || c.Within > time.Hour || c.Within != 0 && c.Level != lease.Bounded) {
			t.Errorf("%q is taken for %+v", text, c)
		}
	})
}
