package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/limit"
)

func TestForwardAuth(t *testing.T) {
	s := newStack(t)
	shop := s.makeClient(`{"client_id":"shop","name":"Shop","audiences":["https://shop.example"]}`)
	foreign := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)).with(shop.ClientID, shop.ClientSecret))
	ask := func(query string) call { return call{method: "GET", path: v1 + "/auth/verify" + query} }
	s.run([]scenario{
		{"a person", ask("").as(s.user.AccessToken), 200, []string{`"type":"access"`, `"username":"Alice"`, `"roles":["user"]`}, nil},
		{"a program", ask("").as(s.service.AccessToken), 200, []string{`"type":"service"`, `"client_id":"demo"`}, nil},
		{"a scope that is held", ask("?scope=read:profile%20write:profile").as(s.user.AccessToken), 200, nil, nil},
		{"a scope that is not", ask("?scope=read:profile%20admin:users").as(s.user.AccessToken), 403, []string{`"insufficient_scope"`}, nil},
		{"nobody", ask(""), 401, []string{`"unauthorized"`}, nil},
		{"garbage", ask("").as("a.b.c"), 401, []string{`"invalid_token"`}, nil},
		{"made for the one that asks", ask("?audience=https://shop.example").as(foreign.AccessToken), 200, nil, nil},
		{"made for another", ask("?audience=https://shop.example").as(s.user.AccessToken), 401, []string{`"invalid_token"`}, nil},
		{"as Envoy asks", call{method: "DELETE", path: v1 + "/auth/verify/orders/7?x=y"}.as(s.user.AccessToken), 200, []string{`"type":"access"`}, nil},
		{"as Envoy asks for nobody", call{method: "PUT", path: v1 + "/auth/verify/orders/7"}, 401, nil, nil},
	})
	a := s.do(s.public, ask("").as(s.service.AccessToken))
	for name, want := range map[string]string{
		"X-Auth-Subject": "demo", "X-Auth-Type": "service", "X-Auth-Client-Id": "demo", "X-Auth-Username": "", "X-Auth-Roles": "",
	} {
		if got, there := a.header[name]; !there || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	get[api.Message](s, post("/auth/logout", "").as(s.user.AccessToken))
	if a := s.do(s.public, ask("").as(s.user.AccessToken)); a.status != 401 || a.header.Get("X-Auth-Subject") != "" {
		t.Errorf("a dead token: %d %v", a.status, a.header)
	}
}

// TestForwardAuthOfHead: bytes behind the answer to a HEAD would be taken for the answer to the next request, which
// may be somebody else's.
func TestForwardAuthOfHead(t *testing.T) {
	s := newStack(t)
	conn := s.dial()
	for _, method := range []string{"HEAD", "GET", "HEAD", "GET"} {
		_, err := fmt.Fprintf(conn, "%s %s/auth/verify/orders/7 HTTP/1.1\r\nHost: keystone.test\r\nAuthorization: Bearer %s\r\n\r\n", method, v1, s.user.AccessToken)
		must(t, err)
	}
	answers := bufio.NewReader(conn)
	for _, method := range []string{"HEAD", "GET", "HEAD", "GET"} {
		resp, err := http.ReadResponse(answers, &http.Request{Method: method})
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != 200 || (len(body) > 0) != (method == "GET") {
			t.Errorf("%s: %d %q", method, resp.StatusCode, body)
		}
	}
}

// TestForwardAuthLimit: who presents good tokens is asked about as often as he likes; guessing costs.
func TestForwardAuthLimit(t *testing.T) {
	s := newStack(t, withLimits(limit.Set{API: limit.Limit{Name: "api", Count: 3, Per: time.Minute}}))
	ask := call{method: "GET", path: v1 + "/auth/verify"}
	for range 10 {
		if a := s.do(s.public, ask.as(s.user.AccessToken)); a.status != 200 {
			t.Fatalf("a good token: %d %s", a.status, a.body)
		}
	}
	last := 0
	for range 5 {
		last = s.do(s.public, ask.as("a.b.c")).status
	}
	if last != 429 {
		t.Errorf("the fifth guess is answered with %d", last)
	}
}
