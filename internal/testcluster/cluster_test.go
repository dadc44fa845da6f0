package testcluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

func login(t *testing.T, n *testcluster.Node, user string) api.TokenResponse {
	t.Helper()
	var tokens api.TokenResponse
	var err error
	testcluster.Poll(t, n.Name+": login", func() error {
		tokens, err = n.Client().Login(t.Context(), api.TokenRequest{Username: user, Password: testcluster.Password})
		if client.CodeOf(err) == "temporarily_unavailable" {
			return err // this machine is busy and the cluster is electing
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: login: %v", n.Name, err)
	}
	return tokens
}

// active asks every node; they must all say the same.
func active(t *testing.T, c *testcluster.Cluster, raw string) bool {
	t.Helper()
	said := map[bool][]string{}
	for _, n := range c.Nodes {
		if n.Running() == nil {
			continue
		}
		answer, err := n.Operator().Introspect(t.Context(), raw)
		if err != nil {
			t.Fatalf("%s: introspect: %v", n.Name, err)
		}
		said[answer.Active] = append(said[answer.Active], n.Name)
	}
	if len(said) != 1 {
		t.Fatalf("active: %v, inactive: %v", said[true], said[false])
	}
	return len(said[true]) > 0
}

func TestEveryWriteThroughFollowers(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("alice")
	followers := c.Followers()
	a, b := followers[0], followers[1]

	first := login(t, a, "alice")
	if !active(t, c, first.AccessToken) {
		t.Fatal("a token that was just issued is not active")
	}
	profile, err := b.Client().WithToken(first.AccessToken).Profile(t.Context())
	if err != nil || profile.Username != "alice" {
		t.Fatalf("profile: %+v, %v", profile, err)
	}
	second, err := b.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: first.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Client().WithToken(second.AccessToken).Revoke(t.Context(), second.AccessToken); err != nil {
		t.Fatal(err)
	}
	if active(t, c, second.AccessToken) {
		t.Error("a revoked token is active")
	}
	if !active(t, c, first.AccessToken) {
		t.Error("the session's other token died with it")
	}
	if n, err := b.Client().WithToken(first.AccessToken).Logout(t.Context(), false); err != nil || n != 1 {
		t.Errorf("logout: %d, %v", n, err)
	}
	if active(t, c, first.AccessToken) {
		t.Error("a token outlives its session")
	}
	if _, err := a.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: second.RefreshToken}); client.CodeOf(err) != "invalid_grant" {
		t.Errorf("refresh after logout: %v", err)
	}
}

// chain is one user's refresh chain as a client that retries sees it.
type chain struct {
	refresh string
	access  string
	done    int // acknowledged rotations
}

// rotate refreshes once, on whatever node answers, always under the same idempotency key.
func (ch *chain) rotate(ctx context.Context, nodes []*client.Client, key string) error {
	var last error
	for attempt := 0; ctx.Err() == nil; attempt++ {
		c := nodes[attempt%len(nodes)].WithIdempotencyKey(key)
		tokens, err := c.Refresh(ctx, api.RefreshRequest{RefreshToken: ch.refresh})
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
			return err
		}
		if err == nil {
			ch.refresh, ch.access = tokens.RefreshToken, tokens.AccessToken
			ch.done++
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return last
}

// TestLeaderStopsUnderRefreshes stops the leader in the middle of 200 concurrent refreshes. Every
// acknowledged rotation must hold, no token may be good twice, and a retry under the same request id
// must get the same answer.
func TestLeaderStopsUnderRefreshes(t *testing.T) {
	const chains, rounds = 200, 4
	c := testcluster.Start(t, 3)
	all := make([]chain, chains)
	var each sync.WaitGroup
	for i := range all {
		if i%20 == 0 {
			c.CreateUser(fmt.Sprintf("user-%d", i/20))
		}
	}
	for first := range 10 { // the logins are not what is tested: twenty at a time
		for i := first; i < chains; i += 10 {
			each.Go(func() { all[i].refresh = login(t, c.Nodes[i%3], fmt.Sprintf("user-%d", i/20)).RefreshToken })
		}
		each.Wait()
	}
	var clients []*client.Client
	for _, n := range c.Nodes {
		clients = append(clients, n.Client())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var begun atomic.Int32
	halfway, over := make(chan struct{}), make(chan struct{}) // over is closed when no rotation is left
	for i := range all {
		mine := []*client.Client{clients[i%3], clients[(i+1)%3], clients[(i+2)%3]}
		each.Go(func() {
			for round := range rounds {
				if begun.Add(1) == chains*rounds/2 {
					close(halfway)
				}
				if err := all[i].rotate(ctx, mine, fmt.Sprintf("chain-%d-%d", i, round)); err != nil {
					t.Errorf("chain %d, round %d: %v", i, round, err)
					return
				}
			}
		})
	}
	go func() {
		each.Wait()
		close(over)
	}()
	select {
	case <-halfway:
	case <-over: // so many have failed that the test is over
		t.FailNow()
	}
	leader := c.Leader()
	leader.Stop()
	<-over
	leader.Start()
	c.WaitReady()
	for i := range all {
		if all[i].done != rounds {
			t.Errorf("chain %d: %d acknowledged rotations, want %d", i, all[i].done, rounds)
			continue
		}
		here, there := all[i], all[i]
		if err := here.rotate(ctx, clients[i%3:i%3+1], "last"); err != nil {
			t.Errorf("chain %d: the last token that was acknowledged is not good: %v", i, err)
			continue
		}
		if err := there.rotate(ctx, clients[(i+1)%3:(i+1)%3+1], "last"); err != nil || there.refresh != here.refresh {
			t.Errorf("chain %d: the same request got another answer on another node: %v", i, err)
		}
	}
}

// TestOneTokenManyRefreshes presents one token 64 times at once over three nodes: one new chain may
// come of it.
func TestOneTokenManyRefreshes(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("alice")
	first := login(t, c.Nodes[0], "alice")
	var mu sync.Mutex
	issued := map[string]int{}
	var each sync.WaitGroup
	for i := range 64 {
		each.Go(func() {
			tokens, err := c.Nodes[i%3].Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: first.RefreshToken})
			mu.Lock()
			defer mu.Unlock()
			switch code := client.CodeOf(err); {
			case err == nil:
				issued[tokens.RefreshToken]++
			case code != "temporarily_unavailable" && code != "invalid_grant": // where this machine takes longer than the grace
				t.Errorf("refresh: %v", err)
			}
		})
	}
	each.Wait()
	if len(issued) != 1 {
		t.Errorf("one token was good for %d others", len(issued))
	}
}

func TestRestartOfAllKeepsEverything(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("alice")
	good, dead := login(t, c.Nodes[0], "alice"), login(t, c.Nodes[1], "alice")
	if err := c.Nodes[2].Client().WithToken(dead.AccessToken).Revoke(t.Context(), dead.AccessToken); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		n.Stop()
	}
	var each sync.WaitGroup
	for _, n := range c.Nodes {
		each.Go(n.Start)
	}
	each.Wait()
	c.WaitReady()
	if !active(t, c, good.AccessToken) || active(t, c, dead.AccessToken) {
		t.Error("a restart changed what is active")
	}
	if _, err := c.Nodes[1].Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: good.RefreshToken}); err != nil {
		t.Error(err)
	}
}

func TestLoneNode(t *testing.T) {
	c := testcluster.Start(t, 1)
	c.CreateUser("alice", "admin")
	tokens := login(t, c.Nodes[0], "alice")
	if !active(t, c, tokens.AccessToken) {
		t.Error("a token of a lone node is not active")
	}
	status, err := c.Nodes[0].Client().WithToken(tokens.AccessToken).Cluster(t.Context())
	if err != nil || len(status.Nodes) != 1 || status.Leader != "node-1" {
		t.Errorf("cluster: %+v, %v", status, err)
	}
}
