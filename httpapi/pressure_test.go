package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/secret"
)

// people makes users that can log in, and returns their names.
func (s *stack) people(count int) []string {
	s.t.Helper()
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("person-%d", i)
		a := s.do(s.operator, call{method: "POST", path: v1 + "/admin/users", json: `{"username":"` + names[i] + `","email":"` + names[i] + `@example.com","password":"` + password + `"}`})
		if a.status != 201 {
			s.t.Fatalf("%s: %d %s", names[i], a.status, a.body)
		}
	}
	return names
}

// dial opens a connection to the public server.
func (s *stack) dial() net.Conn {
	s.t.Helper()
	conn, err := s.public.Transport.(*http.Transport).DialContext(context.Background(), "tcp", "keystone.test")
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// TestPipelinedAnswersAreNotMixedUp sends ten thousand requests of many people over a few connections, none
// of which waits for an answer before the next. The server keeps and uses its buffers again: an answer
// with another's data in it would be the worst that this program can do.
func TestPipelinedAnswersAreNotMixedUp(t *testing.T) {
	s := newStack(t)
	names := s.people(100)
	tokens := make([]string, len(names))
	for i, name := range names {
		tokens[i] = get[api.TokenResponse](s, post("/auth/token", loginBody(name, password))).AccessToken
	}
	const connections, each = 20, 500
	var all sync.WaitGroup
	for c := range connections {
		conn := s.dial()
		who := func(n int) int { return (c*37 + n*11) % len(names) }
		all.Go(func() {
			for n := range each {
				if _, err := io.WriteString(conn, s.pipelined(n, tokens[who(n)])); err != nil {
					t.Errorf("connection %d, request %d: %v", c, n, err)
					return
				}
			}
		})
		all.Go(func() {
			answers := bufio.NewReader(conn)
			for n := range each {
				if err := belongs(answers, n, names[who(n)]); err != nil {
					t.Errorf("connection %d, answer %d, for %s: %v", c, n, names[who(n)], err)
					conn.Close()
					return
				}
			}
		})
	}
	all.Wait()
}

// pipelined is a request about the person whose token it is: for the profile, or an introspection.
func (s *stack) pipelined(n int, token string) string {
	head := fmt.Sprintf("Host: keystone.test\r\nX-Request-ID: request-%d\r\n", n)
	if n%2 == 0 {
		return "GET /api/v1/users/profile HTTP/1.1\r\n" + head + "Authorization: Bearer " + token + "\r\n\r\n"
	}
	body := "token=" + token
	return fmt.Sprintf("POST /api/v1/auth/introspect HTTP/1.1\r\n%sAuthorization: Bearer %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		head, s.service.AccessToken, len(body), body)
}

// belongs reads the next answer, which must be that to the n-th request and about that person.
func belongs(answers *bufio.Reader, n int, name string) error {
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var about struct {
		Username string `json:"username"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&about); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if id, want := resp.Header.Get("X-Request-ID"), fmt.Sprintf("request-%d", n); resp.StatusCode != 200 || id != want || about.Username != name {
		return fmt.Errorf("status %d, %s for %s, about %q", resp.StatusCode, id, want, about.Username)
	}
	return nil
}

// TestHealthDoesNotWaitForHashes: a probe that queued behind fifty logins would have a busy node restarted.
func TestHealthDoesNotWaitForHashes(t *testing.T) {
	s := newStack(t, func(c *httpapi.Config) {
		c.Login.Hasher = secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 16 << 10, Passes: 2, Lanes: 1}, Workers: 1, Queue: 100})
		c.Hasher = c.Login.Hasher
	})
	// The stack's own people were made with this hasher too; unknown names cost the same and lock nobody.
	var answered atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			s.do(s.public, post("/auth/token", loginBody(fmt.Sprintf("nobody-%d", i), "Wrong-1-horse")))
			answered.Add(1)
		})
	}
	eventually(t, "a queue of logins", func() bool {
		metrics := s.do(s.operator, call{method: "GET", path: "/metrics"}).body
		return strings.Contains(metrics, "keystone_hash_waiting") && !strings.Contains(metrics, "keystone_hash_waiting 0\n") || answered.Load() > 25
	})
	for _, path := range []string{"/health", "/health/ready", "/health/live", "/metrics"} {
		if a := s.do(s.public, call{method: "GET", path: path}); a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if n := answered.Load(); n == 50 {
		t.Error("the probes were answered after every login")
	}
	all.Wait()
}

// TestWrongNameAndWrongPasswordAreAlike: whoever asks must not learn which accounts there are, by status,
// body or header; and by time only where the machine is asked for it, for other tests disturb a clock.
func TestWrongNameAndWrongPasswordAreAlike(t *testing.T) {
	torture := os.Getenv("KEYSTONE_TORTURE") != ""
	tries, params := 4, secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}
	if torture {
		tries, params = 200, secret.DefaultParams()
	}
	s := newStack(t, func(c *httpapi.Config) {
		c.Login.Hasher = secret.NewHasher(secret.HasherConfig{Params: params})
		c.Hasher = c.Login.Hasher
		c.Login.Lockout = login.Lockout{}
	})
	names := s.people(2)
	times := map[bool][]time.Duration{}
	var seen string
	// In a random order: each hash leaves its memory to the collector, whose work falls to those that follow.
	random := rand.New(rand.NewPCG(1, 1))
	for i := range tries {
		first := random.IntN(2) == 0
		for _, known := range []bool{first, !first} {
			name := names[i%len(names)]
			if !known {
				name = "nobody-" + name
			}
			start := time.Now()
			a := s.do(s.public, post("/auth/token", loginBody(name, "Wrong-1-horse")))
			times[known] = append(times[known], time.Since(start))
			p := problem(t, a)
			for _, differs := range []string{"X-Request-Id", "Date", "Content-Length"} {
				a.header.Del(differs)
			}
			said := fmt.Sprint(a.status, a.header, p.Code, p.Description, p.Path, p.Details, strings.Count(a.body, `"`))
			if seen != "" && said != seen {
				t.Fatalf("known: %v\n%s\nand before\n%s", known, said, seen)
			}
			seen = said
		}
	}
	median := func(known bool) float64 {
		slices.Sort(times[known])
		return float64(times[known][tries/2])
	}
	apart := math.Abs(median(true)/median(false) - 1)
	t.Logf("the medians of %d tries are %.2f %% apart: %v known, %v unknown", tries, 100*apart, time.Duration(median(true)), time.Duration(median(false)))
	if torture && apart > 0.05 {
		t.Errorf("a wrong password and a wrong name take times that are %.1f %% apart", 100*apart)
	}
}
