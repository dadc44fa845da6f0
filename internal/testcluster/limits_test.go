package testcluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/limit"
)

// perHour are limits whose windows outlast any test.
func perHour(count int) *limit.Set {
	l := limit.Limit{Count: count, Per: time.Hour}
	return &limit.Set{
		Login: l.Named("login"), Refresh: l.Named("refresh"), ServiceToken: l.Named("service_token"),
		Register: l.Named("register"), API: l.Named("api"),
	}
}

func limited(t *testing.T, count int) *testcluster.Cluster {
	return testcluster.StartWith(t, 3, func(c *node.Config) { c.Limits = perHour(count) })
}

// profiles asks for a profile so often, spread over the nodes, and counts how many are answered.
func profiles(t *testing.T, nodes []*testcluster.Node, token string, requests int) int {
	t.Helper()
	var answered atomic.Int64
	var each sync.WaitGroup
	for i := range requests {
		c := nodes[i%len(nodes)].Client().WithToken(token)
		each.Go(func() {
			_, err := c.Profile(t.Context())
			var refused *client.Error
			switch {
			case err == nil:
				answered.Add(1)
			case !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests:
				t.Errorf("profile: %v", err)
			}
		})
	}
	each.Wait()
	return int(answered.Load())
}

// TestLimitOfTheWholeCluster: however requests are spread over the nodes, exactly the limit is admitted,
// and each answer tells how many all of them together have left.
func TestLimitOfTheWholeCluster(t *testing.T) {
	c := limited(t, 12)
	for i, spread := range [][]*testcluster.Node{c.Nodes, c.Nodes[:1], c.Nodes[1:], c.Nodes[2:]} {
		name := fmt.Sprintf("user-%d", i)
		c.CreateUser(name)
		token := operatorLogin(t, c, name)
		if got := profiles(t, spread, token, 60); got != 12 {
			t.Errorf("over %d nodes %d were admitted, want 12", len(spread), got)
		}
		if got := profiles(t, c.Nodes, token, 9); got != 0 {
			t.Errorf("%d more were admitted", got)
		}
	}
	c.CreateUser("one-by-one", "admin")
	token := operatorLogin(t, c, "one-by-one")
	for i := range 14 {
		status, header := ask(t, c.Nodes[i%3], token)
		if left := header.Get("X-RateLimit-Remaining"); left != strconv.Itoa(max(0, 11-i)) || header.Get("X-RateLimit-Limit") != "12" {
			t.Errorf("request %d: %s of %s left", i, left, header.Get("X-RateLimit-Limit"))
		}
		if limited := status == http.StatusTooManyRequests; limited != (i >= 12) || limited != (header.Get("Retry-After") != "") {
			t.Errorf("request %d: %d, retry after %q", i, status, header.Get("Retry-After"))
		}
	}
	asked := metric(t, c.Nodes[0], "keystone_limit_consultations_total")
	for range 20 {
		if answer, err := c.Nodes[0].Client().WithToken(token).Introspect(t.Context(), token); err != nil || !answer.Active {
			t.Fatalf("introspection has a limit: %+v, %v", answer, err)
		}
		if _, err := c.Nodes[0].Operator().WithToken(token).Profile(t.Context()); err != nil {
			t.Fatalf("the operator has a limit: %v", err)
		}
	}
	if now := metric(t, c.Nodes[0], "keystone_limit_consultations_total"); now != asked || asked == 0 {
		t.Errorf("%v questions were asked of other nodes, and %v more for what has no limit", asked, now-asked)
	}
}

// TestOwnerStops: whichever node stops, and takes what it had counted with it, its callers do not begin
// anew; neither do they when it comes back with nothing.
func TestOwnerStops(t *testing.T) {
	c := limited(t, 12)
	tokens := map[string]string{}
	for i := range 6 { // each node owns some, but for one case in ten
		name := fmt.Sprintf("user-%d", i)
		c.CreateUser(name)
		tokens[name] = operatorLogin(t, c, name)
	}
	admitted := map[string]int{}
	for name, token := range tokens {
		admitted[name] = profiles(t, c.Nodes, token, 6)
	}
	victim := c.Nodes[1]
	victim.Stop()
	left := []*testcluster.Node{c.Nodes[0], c.Nodes[2]}
	for name, token := range tokens {
		if admitted[name] += profiles(t, left, token, 40); admitted[name] > 12 || admitted[name] < 10 {
			t.Errorf("%s: %d were admitted with a node down, want 12 or hardly less", name, admitted[name])
		}
	}
	victim.Start()
	c.WaitReady()
	testcluster.Poll(t, "the others still take it for away", func() error {
		for _, n := range left {
			if metric(t, n, "keystone_limit_nodes_away") != 0 {
				return errors.New("not yet")
			}
		}
		return nil
	})
	for name, token := range tokens {
		if admitted[name] += profiles(t, c.Nodes, token, 30); admitted[name] > 12 {
			t.Errorf("%s: %d were admitted after the node came back, want at most 12", name, admitted[name])
		}
	}
}

// TestCutOffNode: a node that is alone answers a share of the limit and no more. It may answer late, or the test would
// have to be over before its lease is.
func TestCutOffNode(t *testing.T) {
	c := testcluster.StartWith(t, 3, func(c *node.Config) { c.Limits, c.StaleReads = perHour(12), time.Minute })
	c.CreateUser("alice")
	token := operatorLogin(t, c, "alice")
	c.Nodes[0].Stop()
	c.Nodes[1].Stop()
	if got := profiles(t, c.Nodes[2:], token, 30); got != 4 {
		t.Errorf("%d were admitted by one node of three, want 4", got)
	}
	if metric(t, c.Nodes[2], "keystone_limit_fallbacks_total") == 0 || metric(t, c.Nodes[2], "keystone_limit_consultations_total") == 0 {
		t.Error("the metrics do not tell")
	}
	c.Nodes[0].Start()
	c.Nodes[1].Start()
	c.WaitReady()
}

// TestFiveFailuresOverThreeNodesLock: five in a row lock the account wherever they were tried, and a login
// in between, on whichever node, ends the row.
func TestFiveFailuresOverThreeNodesLock(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("alice")
	c.CreateUser("bob")
	try := func(n *testcluster.Node, user, password string) string {
		t.Helper()
		_, err := n.Client().Login(t.Context(), api.TokenRequest{Username: user, Password: password})
		return client.CodeOf(err)
	}
	for i := range 4 {
		if code := try(c.Nodes[i%3], "alice", "Wrong-1-horse"); code != "invalid_grant" {
			t.Errorf("attempt %d: %s", i, code)
		}
	}
	if code := try(c.Nodes[0], "alice", testcluster.Password); code != "" {
		t.Fatalf("after four failures the right password gives %s", code)
	}
	for i := range 5 {
		if code := try(c.Nodes[(i+1)%3], "alice", "Wrong-1-horse"); code != "invalid_grant" {
			t.Errorf("attempt %d after a login: %s", i, code)
		}
	}
	for _, n := range c.Nodes {
		if code := try(n, "alice", testcluster.Password); code != "account_locked" {
			t.Errorf("%s: after five failures in a row over three nodes: %q", n.Name, code)
		}
		if code := try(n, "bob", testcluster.Password); code != "" {
			t.Errorf("%s: somebody else gets %s", n.Name, code)
		}
	}
}

// TestForwardedAddressesAreLimited: behind a proxy that is trusted each client has a limit of its own, and
// an IPv6 network counts as one client; without trust the header is nothing.
func TestForwardedAddressesAreLimited(t *testing.T) {
	attempts := func(c *testcluster.Cluster, from string) int {
		t.Helper()
		for i := range 10 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.Nodes[0].Running().HTTP()+"/api/v1/users/register", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Forwarded-For", from)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusTooManyRequests {
				return i
			}
		}
		return 10
	}
	behind := testcluster.StartWith(t, 1, func(c *node.Config) {
		c.Limits, c.TrustedProxies = perHour(3), []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	direct := testcluster.StartWith(t, 1, func(c *node.Config) { c.Limits = perHour(3) })
	for _, row := range []struct {
		from           string
		behind, direct int
	}{
		{"192.0.2.1", 3, 3},
		{"192.0.2.1", 0, 0},
		{"192.0.2.2", 3, 0},
		{"198.51.100.1, 192.0.2.2", 0, 0}, // made up by the client
		{"2001:db8::1", 3, 0},
		{"2001:db8::2", 0, 0},
		{"2001:db8:0:1::1", 3, 0},
	} {
		if got := attempts(behind, row.from); got != row.behind {
			t.Errorf("%s behind a proxy: %d were admitted, want %d", row.from, got, row.behind)
		}
		if got := attempts(direct, row.from); got != row.direct {
			t.Errorf("%s without one: %d were admitted, want %d", row.from, got, row.direct)
		}
	}
}

// operatorLogin logs in where there are no limits.
func operatorLogin(t *testing.T, c *testcluster.Cluster, user string) string {
	t.Helper()
	tokens, err := c.Nodes[0].Operator().Login(t.Context(), api.TokenRequest{Username: user, Password: testcluster.Password})
	if err != nil {
		t.Fatal(err)
	}
	c.WaitAgreed()
	return tokens.AccessToken
}

// ask is a request whose headers are of interest.
func ask(t *testing.T, n *testcluster.Node, token string) (int, http.Header) {
	t.Helper()
	status, header, _ := get(t, n, "/api/v1/users/me", token)
	return status, header
}

func get(t *testing.T, n *testcluster.Node, path, token string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+n.Running().HTTP()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(body)
}

// metric is one number of a node.
func metric(t *testing.T, n *testcluster.Node, name string) float64 {
	t.Helper()
	_, _, text := get(t, n, "/metrics", "")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("%s has no metric %s", n.Name, name)
	return 0
}
