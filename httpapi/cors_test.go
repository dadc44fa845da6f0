package httpapi_test

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keystone-auth/keystone/httpapi"
)

const ourPage = "https://app.example.com"

func withOrigins(origins ...string) option {
	return func(c *httpapi.Config) { c.AllowedOrigins = origins }
}

// corsHeaders are the names of the headers that only pages elsewhere get.
func (a answer) corsHeaders() (names []string) {
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestCORSAnswers: pages of the listed origins may read every answer, errors as well, and no others.
func TestCORSAnswers(t *testing.T) {
	s := newStack(t, withOrigins(ourPage, "http://localhost:3000"))
	profile := call{method: "GET", path: v1 + "/users/profile", bearer: s.user.AccessToken}
	f := func(name string, c call, origin string, status int, allowed bool) {
		t.Helper()
		if origin != "" {
			c.header = map[string]string{"Origin": origin}
		}
		a := s.do(s.public, c)
		if a.status != status || !slices.Contains(a.header.Values("Vary"), "Origin") {
			t.Errorf("%s: status %d, want %d; Vary %q", name, a.status, status, a.header.Values("Vary"))
		}
		if !allowed {
			if got := a.corsHeaders(); len(got) > 0 {
				t.Errorf("%s: a page that may not read the answer is given %q", name, got)
			}
			return
		}
		for header, want := range map[string]string{
			"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true",
			"Access-Control-Expose-Headers": "ETag, Keystone-Index, Keystone-Staleness-Ms, Retry-After, WWW-Authenticate, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset",
		} {
			if got := a.header[header]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
	f("success", profile, ourPage, 200, true)
	f("another page", profile, "http://localhost:3000", 200, true)
	f("no page", profile, "", 200, false)
	f("without a token", call{method: "GET", path: v1 + "/users/profile"}, ourPage, 401, true)
	f("a wrong password", post("/auth/token", loginBody("alice", "Wrong-1-horse")), ourPage, 401, true)
	f("introspection", post("/auth/introspect", `{"token":"x"}`).as(s.service.AccessToken), ourPage, 200, true)
	f("nothing there", call{method: "GET", path: "/nope"}, ourPage, 404, true)
	f("wrong method", call{method: "DELETE", path: v1 + "/auth/token"}, ourPage, 405, true)
	f("OPTIONS that asks nothing", call{method: "OPTIONS", path: v1 + "/auth/token"}, ourPage, 405, true)
	for _, origin := range []string{
		"null", "https://app.example.com.evil.example", "https://evil.example", "http://app.example.com", "https://app.example.com:8443",
		"https://app.example.com/", "HTTPS://APP.EXAMPLE.COM", "https://sub.app.example.com", "*", "https://app.example.com,http://localhost:3000",
	} {
		f("a page of "+origin, profile, origin, 200, false)
	}
}

// TestCORSPreflight: each path says which methods it takes, from the route table.
func TestCORSPreflight(t *testing.T) {
	var away atomic.Bool
	s := newStack(t, withOrigins(ourPage), func(c *httpapi.Config) { c.Cluster.Current = func() bool { return !away.Load() } })
	ask := func(path, origin, method string) answer {
		return s.do(s.public, call{method: "OPTIONS", path: path, header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type",
		}})
	}
	for _, r := range httpapi.Routes() {
		a := ask(strings.ReplaceAll(r.Path, "{id}", "anything"), ourPage, r.Method)
		if a.status != 204 || a.body != "" || !slices.Contains(strings.Split(a.header.Get("Access-Control-Allow-Methods"), ", "), r.Method) {
			t.Errorf("preflight for %s %s: %d %v %s", r.Method, r.Path, a.status, a.header, a.body)
		}
		if r.Anyone {
			continue
		}
		if a := s.do(s.public, call{method: r.Method, path: r.Path, header: map[string]string{"Origin": ourPage}}); a.status != 401 {
			t.Errorf("%s %s from an allowed page without a token: %d", r.Method, r.Path, a.status)
		}
	}
	a := ask(v1+"/sessions/", ourPage, "DELETE")
	for header, want := range map[string]string{
		"Access-Control-Allow-Origin": ourPage, "Access-Control-Allow-Methods": "GET, HEAD, DELETE", "Access-Control-Max-Age": "600",
		"Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, Keystone-Consistency, X-Request-ID", "Access-Control-Allow-Credentials": "true",
	} {
		if got := a.header.Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	for _, want := range []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} {
		if !slices.Contains(a.header.Values("Vary"), want) {
			t.Errorf("Vary lacks %s: %q", want, a.header.Values("Vary"))
		}
	}
	for _, origin := range []string{"https://evil.example", "null"} {
		if a := ask(v1+"/sessions", origin, "GET"); a.status != 403 || len(a.corsHeaders()) > 0 || problem(t, a).Code != "forbidden" || strings.Contains(a.body, "evil") {
			t.Errorf("preflight of %s: %d %v %s", origin, a.status, a.header, a.body)
		}
	}
	if a := ask("/nope", ourPage, "GET"); a.status != 404 || a.header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("preflight for nothing: %d %v", a.status, a.header)
	}
	away.Store(true)
	if a := ask(v1+"/sessions", ourPage, "GET"); a.status != 204 {
		t.Errorf("preflight while the node starts: %d", a.status)
	}
}

// TestCORSOff: without a list nothing in any answer speaks of it.
func TestCORSOff(t *testing.T) {
	s := newStack(t)
	for _, c := range []call{
		{method: "GET", path: "/health", header: map[string]string{"Origin": ourPage}},
		{method: "GET", path: "/nope", header: map[string]string{"Origin": "null"}},
		{method: "OPTIONS", path: v1 + "/auth/token", header: map[string]string{"Origin": ourPage, "Access-Control-Request-Method": "POST"}},
	} {
		a := s.do(s.public, c)
		if got := a.corsHeaders(); len(got) > 0 || a.header.Get("Vary") != "" || c.method == "OPTIONS" && a.status != 405 {
			t.Errorf("%s %s: %d, %q, Vary %q", c.method, c.path, a.status, got, a.header.Get("Vary"))
		}
	}
}

// TestCORSOfUnreadableRequests: a page that sends too much is told so.
func TestCORSOfUnreadableRequests(t *testing.T) {
	s := newStack(t, withOrigins(ourPage))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go s.server.Serve(l) // ends with the stack's Shutdown
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\nOrigin: " + ourPage + "\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n{"))
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != 413 || resp.Header.Get("Access-Control-Allow-Origin") != ourPage {
		t.Errorf("a large body of a page: %d %v", resp.StatusCode, resp.Header)
	}
}
