package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

// TestEveryRouteAsksForItsCaller goes through the table itself, so that a new route is covered by
// being there.
func TestEveryRouteAsksForItsCaller(t *testing.T) {
	s := newStack(t)
	for _, r := range httpapi.Routes() {
		c := call{method: r.Method, path: strings.ReplaceAll(r.Path, "{id}", iam.NewID().String())}
		open := s.do(s.public, c).status
		grant := r.Anyone && strings.Contains(r.Path, "/auth/") // where a 401 is about what was sent
		if r.Anyone == (open == 401) && !grant {
			t.Errorf("%s %s without a token: %d", r.Method, r.Path, open)
		}
		if r.Anyone {
			continue
		}
		if got := s.do(s.public, c.as("garbage")); got.status != 401 || problem(t, got).Code != "invalid_token" {
			t.Errorf("%s %s with garbage: %d %s", r.Method, r.Path, got.status, got.body)
		}
		if got := s.do(s.public, c.with("demo", "wrong")).status; got != 401 {
			t.Errorf("%s %s with a wrong secret: %d", r.Method, r.Path, got)
		}
		if got := s.do(s.public, c.as(s.user.RefreshToken)).status; got != 401 {
			t.Errorf("%s %s with a refresh token: %d", r.Method, r.Path, got)
		}
		if !r.Administrative && !r.Person {
			continue
		}
		if got := s.do(s.public, c.as(s.service.AccessToken)).status; got != 403 {
			t.Errorf("%s %s with a service token: %d", r.Method, r.Path, got)
		}
		if !r.Administrative {
			continue
		}
		if got := s.do(s.public, c.as(s.user.AccessToken)).status; got != 403 {
			t.Errorf("%s %s with a user's token: %d", r.Method, r.Path, got)
		}
	}
}

// TestCommonHeaders: every answer has them, an error too, and what concerns credentials is kept by
// no cache.
func TestCommonHeaders(t *testing.T) {
	s := newStack(t)
	paths := []string{"/nope"}
	for _, r := range httpapi.Routes() {
		paths = append(paths, r.Path)
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST"} {
			a := s.do(s.public, call{method: method, path: path})
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
				"Server": "", "Strict-Transport-Security": "",
			} {
				if name == "Content-Security-Policy" && isPage(path) {
					continue // TestPages looks at that
				}
				if got := a.header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, path, name, got, want)
				}
			}
			if a.header.Get("X-Request-ID") == "" || a.header.Get("Content-Type") == "" {
				t.Errorf("%s %s lacks X-Request-ID or Content-Type: %v", method, path, a.header)
			}
			if strings.Contains(path, "/auth/") && method == "POST" && a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s may be cached", method, path)
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	s := newStack(t)
	f := func(given string, taken bool) {
		t.Helper()
		got := s.do(s.public, call{method: "GET", path: "/nope", header: map[string]string{"X-Request-ID": given}}).header.Get("X-Request-ID")
		if (got == given) != taken || got == "" {
			t.Errorf("X-Request-ID %q came back as %q", given, got)
		}
	}
	f("abc-123_x.Y", true)
	f(strings.Repeat("a", 64), true)
	f(strings.Repeat("a", 65), false)
	f("two words", false)
	f("{json:\"x\"}", false)
}

// TestInternalErrors: whatever goes wrong inside, the caller learns nothing of it and the log does.
func TestInternalErrors(t *testing.T) {
	s := newStack(t, func(c *httpapi.Config) { c.Cluster.Status = nil }) // a nil function panics
	a := s.do(s.public, call{method: "GET", path: v1 + "/admin/cluster", bearer: s.admin.AccessToken})
	if p := problem(t, a); a.status != 500 || p.Code != "internal_error" || strings.Contains(a.body, "nil") || strings.Contains(a.body, ".go") {
		t.Errorf("after a panic: %d %s", a.status, a.body)
	}
	if !strings.Contains(s.logged.String(), "panic: ") {
		t.Error("the log does not tell of the panic")
	}
	s.log.failWith(errors.New("write /data/state.db: no space left on device"))
	a = s.do(s.public, post("/admin/scopes", `{"name":"x"}`).as(s.admin.AccessToken))
	if a.status != 500 || strings.Contains(a.body, "state.db") {
		t.Errorf("after an error of the disk: %d %s", a.status, a.body)
	}
	if !strings.Contains(s.logged.String(), "no space left") {
		t.Error("the log does not tell of the error")
	}
	s.log.failWith(iam.Unavailable(3*time.Second, "There is no leader."))
	a = s.do(s.public, post("/auth/refresh", `{"refresh_token":"`+s.user.RefreshToken+`"}`))
	if p := problem(t, a); a.status != 503 || a.header.Get("Retry-After") != "3" || p.RetryAfter != 3 {
		t.Errorf("without a leader: %d %s", a.status, a.body)
	}
	s.log.failWith(fmt.Errorf("propose: %w", context.DeadlineExceeded))
	a = s.do(s.public, post("/auth/logout", "").as(s.user.AccessToken))
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("out of time: %d %s", a.status, a.body)
	}
}

// TestLogHoldsNoSecrets goes through what callers send.
func TestLogHoldsNoSecrets(t *testing.T) {
	s := newStack(t)
	s.do(s.public, call{method: "GET", path: v1 + "/users/profile?access_token=in-the-query", bearer: s.user.AccessToken})
	s.do(s.public, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	s.do(s.public, post("/auth/revoke", `{"token":"`+s.other.AccessToken+`"}`).with("demo", s.client.ClientSecret))
	s.do(s.public, post("/auth/refresh", `{"refresh_token":"`+s.user.RefreshToken+`"}`))
	s.do(s.public, call{method: "GET", path: "/unknown-path-of-a-user"})
	logged := s.logged.String()
	for _, secret := range []string{
		"in-the-query", "Wrong-1-horse", password, s.user.AccessToken, s.other.AccessToken, s.user.RefreshToken,
		s.client.ClientSecret, "unknown-path-of-a-user", "alice",
	} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, want := range []string{`"endpoint":"/api/v1/users/profile"`, `"status":200`, `"request_id":"`, `"duration":`, `"method":"GET"`} {
		if !strings.Contains(logged, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// TestUnreadableRequests: what fasthttp refuses by itself gets the same body as every other error. It
// goes over real sockets, because a connection closed too early loses the answer there.
func TestUnreadableRequests(t *testing.T) {
	s := newStack(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go s.server.Serve(l) // ends with the stack's Shutdown
	large := strings.Repeat("a", 9<<20)
	f := func(name, request string, status int, code string) {
		t.Helper()
		conn, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		defer conn.Close()
		go io.WriteString(conn, request) // fails when the server has seen enough
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		a := answer{resp.StatusCode, resp.Header, string(body)}
		p := problem(t, a)
		if a.status != status || p.Code != code || a.header.Get("X-Frame-Options") == "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v", name, a.status, a.body, a.header)
		}
		if line, _, _ := strings.Cut(request, " HTTP"); p.Path != "" && !strings.HasSuffix(line, " "+p.Path) {
			t.Errorf("%s: the problem's path is %q", name, p.Path)
		}
	}
	const head = "POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	f("not HTTP", "hello world\r\n\r\n", 400, "invalid_request")
	f("a broken length", head+"Content-Length: many\r\n\r\n", 400, "invalid_request")
	f("large headers", "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+large[:20<<10]+"\r\n\r\n", 400, "invalid_request")
	f("a large body", head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large), 413, "payload_too_large")
	f("a large body in chunks", head+fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large), 413, "payload_too_large")
	f("a path that is none", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid_request")
	f("two credentials", "GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400, "invalid_request")
}

func TestHealth(t *testing.T) {
	s := newStack(t)
	s.run([]scenario{
		{"healthy", call{method: "GET", path: "/health"}, 200, []string{`"status":"healthy"`, `"version":"v0-test"`, `"node":"n1"`, `"role":"leader"`, `"leader":"n1"`, `"applied_index":`}, []string{"error"}},
		{"ready", call{method: "GET", path: "/health/ready"}, 200, nil, nil},
		{"live", call{method: "GET", path: "/health/live"}, 200, []string{`"status":"alive"`}, nil},
	})
	s.setLeader("")
	s.run([]scenario{
		{"without a leader", call{method: "GET", path: "/health"}, 503, []string{`"status":"unhealthy"`, `"node":"n1"`, `"error":"temporarily_unavailable"`}, nil},
		{"not ready", call{method: "GET", path: "/health/ready"}, 503, nil, nil},
		{"live all the same", call{method: "GET", path: "/health/live"}, 200, nil, nil},
	})
}

func TestMetrics(t *testing.T) {
	s := newStack(t)
	s.do(s.public, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	s.do(s.public, call{method: "BREW", path: "/made/up/path"})
	s.run([]scenario{{"metrics", call{method: "GET", path: "/metrics"}, 200, []string{
		`http_requests_total{endpoint="/api/v1/auth/token",method="POST",status="200"} 3`,
		`http_requests_total{endpoint="/api/v1/auth/token",method="POST",status="401"} 1`,
		`http_requests_total{endpoint="unknown",method="other",status="404"} 1`,
		`http_request_duration_seconds_bucket{endpoint="/api/v1/auth/token",method="POST",le="5"} 4`,
		`auth_attempts_total{result="success"} 4`, `auth_attempts_total{result="failure"} 1`,
		`tokens_generated_total{type="access"} 3`, `tokens_generated_total{type="refresh"} 3`, `tokens_generated_total{type="service"} 1`,
		"keystone_raft_applied_index", "keystone_hash_running 0", "keystone_view_clients 1", "keystone_raft_leader_known 1",
	}, []string{"made/up", "BREW"}}})
}

// TestMetricsToken: with a token set, nobody reads the metrics without it.
func TestMetricsToken(t *testing.T) {
	const key = "0123456789abcdef"
	s := newStack(t, func(c *httpapi.Config) { c.MetricsToken = secret.NewText(key) })
	metrics := call{method: "GET", path: "/metrics"}
	s.run([]scenario{
		{"without", metrics, 401, []string{`"unauthorized"`}, []string{"http_requests_total", key}},
		{"another", metrics.as("0123456789abcdee"), 401, nil, []string{"http_requests_total"}},
		{"an administrator's", metrics.as(s.admin.AccessToken), 401, nil, nil},
		{"as a password", metrics.with(key, key), 401, nil, nil},
		{"the right one", metrics.as(key), 200, []string{"http_requests_total"}, []string{key}},
		{"the right one, another scheme's case", metrics.sending("Authorization", "bearer "+key), 200, nil, nil},
	})
	if a := s.do(s.operator, metrics); a.status != 200 {
		t.Errorf("the operator: %d", a.status)
	}
}

// TestShutdownWaits: a request that is being answered when the server is told to stop is answered.
func TestShutdownWaits(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := newStack(t, func(c *httpapi.Config) {
		c.Cluster.Status = func(ctx context.Context) api.Cluster {
			close(entered)
			<-leave
			if ctx.Err() != nil {
				t.Error("the request was cut off")
			}
			return api.Cluster{}
		}
	})
	answered := make(chan int, 1)
	go func() {
		answered <- s.do(s.public, call{method: "GET", path: v1 + "/admin/cluster", bearer: s.admin.AccessToken}).status
	}()
	<-entered
	down := make(chan error, 1)
	go func() { down <- s.server.Shutdown(context.Background()) }()
	close(leave)
	if status := <-answered; status != 200 {
		t.Errorf("the last request: %d", status)
	}
	must(t, <-down)
}

func TestRouteTable(t *testing.T) {
	var seen []string
	for _, r := range httpapi.Routes() {
		line := r.Method + " " + r.Path
		if slices.Contains(seen, line) || strings.HasSuffix(r.Path, "/") || !strings.HasPrefix(r.Path, "/") {
			t.Errorf("%s is there twice, or has a path that cannot be", line)
		}
		seen = append(seen, line)
	}
}
