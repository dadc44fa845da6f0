package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

// seen is what a node was asked.
type seen struct {
	Method, Path, Body   string
	Authorization, Idemp string
}

// answering serves one fixed answer and tells what it was asked.
func answering(t *testing.T, status int, header map[string]string, body string) (*client.Client, *seen) {
	t.Helper()
	s := new(seen)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		*s = seen{r.Method, r.URL.Path, string(text), r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key")}
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, s
}

// TestCalls asks everything once and looks at what went over the wire.
func TestCalls(t *testing.T) {
	c, got := answering(t, http.StatusOK, nil, `{"access_token":"a.b.c","active":true,"sessions_terminated":3,"client_secret":"ksc_x","leader":"node-1","status":"healthy","username":"alice"}`)
	ctx := t.Context()
	f := func(err error, method, path, body string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
		if got.Method != method || got.Path != path || !sameJSON(got.Body, body) {
			t.Errorf("asked %s %s with %s, want %s %s with %s", got.Method, got.Path, got.Body, method, path, body)
		}
	}
	tokens, err := c.Login(ctx, api.TokenRequest{Username: "alice", Password: "secret"})
	f(err, "POST", "/api/v1/auth/token", `{"username":"alice","password":"secret"}`)
	if tokens.AccessToken != "a.b.c" {
		t.Errorf("the answer was read as %+v", tokens)
	}
	_, err = c.Refresh(ctx, api.RefreshRequest{RefreshToken: "ksr_x"})
	f(err, "POST", "/api/v1/auth/refresh", `{"refresh_token":"ksr_x"}`)
	_, err = c.ServiceToken(ctx, api.ServiceTokenRequest{ClientID: "x", ClientSecret: "y", Audience: api.StringList{"z"}})
	f(err, "POST", "/api/v1/auth/service-token", `{"client_id":"x","client_secret":"y","audience":["z"]}`)
	said, err := c.Introspect(ctx, "a.b.c")
	f(err, "POST", "/api/v1/auth/introspect", `{"token":"a.b.c"}`)
	if !said.Active {
		t.Errorf("the answer was read as %+v", said)
	}
	f(c.Revoke(ctx, "a.b.c"), "POST", "/api/v1/auth/revoke", `{"token":"a.b.c"}`)
	ended, err := c.Logout(ctx, true)
	f(err, "POST", "/api/v1/auth/logout", `{"all_sessions":true}`)
	if ended != 3 {
		t.Errorf("%d sessions were ended, want 3", ended)
	}
	_, err = c.Register(ctx, api.RegisterRequest{Username: "alice", Email: "a@b.org", Password: "x"})
	f(err, "POST", "/api/v1/users/register", `{"username":"alice","email":"a@b.org","password":"x"}`)
	_, err = c.Profile(ctx)
	f(err, "GET", "/api/v1/users/profile", "")
	_, err = c.Sessions(ctx)
	f(err, "GET", "/api/v1/sessions", "")
	_, err = c.CreateUser(ctx, api.CreateUserRequest{Username: "bob", Email: "b@b.org", Password: "x", Roles: []string{"admin"}})
	f(err, "POST", "/api/v1/admin/users", `{"username":"bob","email":"b@b.org","password":"x","roles":["admin"]}`)
	_, err = c.CreateScope(ctx, api.CreateScopeRequest{Name: "read:demo"})
	f(err, "POST", "/api/v1/admin/scopes", `{"name":"read:demo"}`)
	made, err := c.CreateClient(ctx, api.CreateClientRequest{ClientID: "x", Name: "X", Scopes: []string{"read:demo"}})
	f(err, "POST", "/api/v1/admin/clients", `{"client_id":"x","name":"X","scopes":["read:demo"]}`)
	if made.ClientSecret != "ksc_x" {
		t.Errorf("the answer was read as %+v", made)
	}
	_, err = c.Cluster(ctx)
	f(err, "GET", "/api/v1/admin/cluster", "")
	_, err = c.Health(ctx)
	f(err, "GET", "/health", "")
	ready, err := c.Ready(ctx)
	f(err, "GET", "/health/ready", "")
	if !ready {
		t.Error("a node that answers 200 is not ready")
	}
}

// sameJSON passes over members that are there with their zero value.
func sameJSON(a, b string) bool {
	if a == "" || b == "" {
		return a == b
	}
	var left, right map[string]any
	if json.Unmarshal([]byte(a), &left) != nil || json.Unmarshal([]byte(b), &right) != nil {
		return false
	}
	for name, value := range left {
		if _, wanted := right[name]; !wanted && (value == false || value == 0.0) {
			delete(left, name)
		}
	}
	return cmp.Equal(left, right)
}

func TestCredentials(t *testing.T) {
	c, got := answering(t, http.StatusOK, nil, `{}`)
	ask := func(c *client.Client) {
		t.Helper()
		if err := c.Revoke(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	ask(c.WithToken("a.b.c").WithIdempotencyKey("k"))
	if got.Authorization != "Bearer a.b.c" || got.Idemp != "k" {
		t.Errorf("presented %+v", got)
	}
	// The example of RFC 7617 §2, with a colon in the name, which Basic alone could not carry.
	ask(c.WithCredentials("svc:a", "open sesame"))
	request := http.Request{Header: http.Header{"Authorization": {got.Authorization}}}
	if id, secret, _ := request.BasicAuth(); id != "svc%3Aa" || secret != "open+sesame" {
		t.Errorf("presented %q and %q", id, secret)
	}
	ask(c)
	if got.Authorization != "" || got.Idemp != "" {
		t.Errorf("the first client was changed by its copies: %+v", got)
	}
}

func TestErrors(t *testing.T) {
	f := func(status int, header map[string]string, body string, want client.Error, text string) {
		t.Helper()
		c, _ := answering(t, status, header, body)
		err := c.Revoke(t.Context(), "x")
		var got *client.Error
		if !errors.As(err, &got) {
			t.Fatalf("%d is answered with %v", status, err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%d %s (-want +got):\n%s", status, body, diff)
		}
		if got.Error() != text {
			t.Errorf("%d %s reads %q, want %q", status, body, got.Error(), text)
		}
	}
	f(429, map[string]string{"Retry-After": "12", "X-Request-ID": "r1"},
		`{"error":"rate_limit_exceeded","error_description":"Too many.","retry_after":12,"request_id":"r1"}`,
		client.Error{Status: 429, Code: "rate_limit_exceeded", Description: "Too many.", RequestID: "r1", RetryAfter: 12 * time.Second},
		"Too many. (rate_limit_exceeded)")
	f(422, nil, `{"error":"validation_error","error_description":"Fields are not valid.","details":[{"field":"a","message":"must be 1"},{"field":"b","message":"must be 2"}]}`,
		client.Error{Status: 422, Code: "validation_error", Description: "Fields are not valid.", Details: []api.FieldProblem{{Field: "a", Message: "must be 1"}, {Field: "b", Message: "must be 2"}}},
		"Fields are not valid. In particular: a must be 1, b must be 2 (validation_error)")
	f(423, nil, `{"error":"account_locked","error_description":"Locked.","locked_until":"2026-11-25T10:00:00Z"}`,
		client.Error{Status: 423, Code: "account_locked", Description: "Locked.", LockedUntil: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)},
		"Locked. (account_locked)")
	// Somebody else in between.
	f(502, map[string]string{"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, `<html>Bad Gateway</html>`,
		client.Error{Status: 502, Description: "Bad Gateway"}, "the node answered 502: Bad Gateway")
	f(404, nil, ``, client.Error{Status: 404, Description: "Not Found"}, "the node answered 404: Not Found")
	f(500, nil, `{"error":"","secret":"x"}`, client.Error{Status: 500, Description: "Internal Server Error"}, "the node answered 500: Internal Server Error")

	c, _ := answering(t, http.StatusServiceUnavailable, nil, `{"error":"temporarily_unavailable"}`)
	if ready, err := c.Ready(t.Context()); ready || err != nil {
		t.Errorf("a node that answers 503: ready = %v, %v", ready, err)
	}
	if client.CodeOf(errors.New("x")) != "" || client.CodeOf(nil) != "" {
		t.Error("an error of another kind has a code")
	}
}

// TestOddAnswers must end in an error, never in a result that was not said.
func TestOddAnswers(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		c, _ := answering(t, http.StatusOK, map[string]string{"Connection": "close"}, body)
		if _, err := c.Introspect(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the answer %q gives %v", body, err)
		}
	}
	f("", "cannot be read")
	f("true", "cannot be read")
	f(`{"active":"yes"}`, "cannot be read")
	f(`{"active":true`, "cannot be read")

	gone, err := client.New("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Health(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "the node was not reached: ") {
		t.Errorf("a node that does not run: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gone.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up: %v", err)
	}
	for _, address := range []string{"", "127.0.0.1:8000", "ftp://host", "http://", "http://host:port:1"} {
		if _, err := client.New(address); err == nil {
			t.Errorf("the address %q is accepted", address)
		}
	}
}

// TestSocket asks over Unix sockets, one of them with a path that is too long for its address.
func TestSocket(t *testing.T) {
	f := func(folder string) {
		t.Helper()
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "s")
		t.Chdir(folder) // to listen under a short name
		l, err := net.Listen("unix", "s")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"node":"a"}`) })}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		c, err := client.New("unix:" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if h, err := c.Health(t.Context()); err != nil || h.Node != "a" {
			t.Errorf("%s: %+v, %v", path, h, err)
		}
	}
	f(t.TempDir())
	if runtime.GOOS == "linux" {
		f(filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	}
}
