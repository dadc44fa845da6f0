package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/httpapi"
)

// to asks for a path of another host.
func (s *stack) to(client *http.Client, host, path string) answer {
	s.t.Helper()
	return s.do(client, call{method: "GET", path: path, host: host})
}

func TestAllowedHosts(t *testing.T) {
	s := newStack(t, withHosts("auth.example.com", ".example.org", "*.example.net", "10.0.0.7", "::1"))
	f := func(host string, status int) {
		t.Helper()
		a := s.to(s.public, host, "/.well-known/jwks.json")
		if a.status != status {
			t.Errorf("%s: %d %s", host, a.status, a.body)
		}
		if status == 400 && (problem(t, a).Code != "invalid_request" || strings.Contains(a.body, host) || a.header.Get("X-Frame-Options") != "DENY") {
			t.Errorf("%s: %s %v", host, a.body, a.header)
		}
	}
	f("auth.example.com", 200)
	f("AUTH.example.com:8000", 200)
	f("auth.example.com.", 200)
	f("example.org", 200)
	f("a.b.example.org:443", 200)
	f("a.example.net", 200)
	f("10.0.0.7:8000", 200)
	f("[::1]:8000", 200)
	f("[0:0::1]", 200)

	f("example.com", 400)
	f("a.auth.example.com", 400)
	f("notexample.org", 400)
	f("example.net", 400)
	f("evil.example", 400)
	f("evil.example.org.evil.example", 400)
	f("10.0.0.8", 400)
	f("auth.example.com.evil.example:8000", 400)

	for _, path := range []string{"/health", "/health/", "/health/live", "/health/ready"} {
		if a := s.to(s.public, "10.9.9.9:8000", path); a.status != 200 {
			t.Errorf("a probe of %s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/metrics", "/health/nope", "/nope", v1 + "/health"} {
		if a := s.to(s.public, "evil.example", path); a.status != 400 {
			t.Errorf("%s for another host: %d", path, a.status)
		}
	}
	if a := s.to(s.operator, "localhost", v1+"/admin/cluster"); a.status != 200 {
		t.Errorf("the operator's socket: %d %s", a.status, a.body)
	}
}

// TestHostBeforeAll: a page at another name learns nothing from what comes after.
func TestHostBeforeAll(t *testing.T) {
	s := newStack(t, withHosts("auth.example.com"), withOrigins(ourPage))
	a := s.do(s.public, call{method: "GET", path: v1 + "/users/me", host: "evil.example", bearer: s.user.AccessToken, header: map[string]string{"Origin": ourPage}})
	if a.status != 400 || len(a.corsHeaders()) > 0 {
		t.Errorf("another host: %d %v", a.status, a.header)
	}
}

func withHosts(hosts ...string) option {
	return func(c *httpapi.Config) { c.AllowedHosts = hosts }
}
