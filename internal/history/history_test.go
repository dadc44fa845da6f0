package history_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/history"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// stage is a cluster of real nodes on a switchboard, with somebody to ask them.
type stage struct {
	t        *testing.T
	cluster  *testcluster.Cluster
	board    *history.Switchboard
	recorder *history.Recorder
	traffic  *history.Traffic
	stalls   map[string]*atomic.Int64 // until when a node's state machine stands still, in Unix nanoseconds
}

// newStage starts three nodes whose clocks run at different rates, within what is promised.
func newStage(t *testing.T, seed uint64, change func(*node.Config)) *stage {
	t.Helper()
	s := &stage{t: t, board: history.NewSwitchboard(), recorder: history.NewRecorder(), stalls: map[string]*atomic.Int64{}}
	rng := rand.New(rand.NewPCG(seed, 3))
	s.cluster = testcluster.StartWith(t, 3, func(c *node.Config) {
		stall := new(atomic.Int64)
		s.stalls[c.Name] = stall
		c.Dial = s.board.Dialer(c.Name, c.Bind)
		c.Committed = func() { time.Sleep(time.Until(time.Unix(0, stall.Load()))) }
		rate, start := 1+0.04*(rng.Float64()-0.5), time.Now()
		c.Clock = func() time.Duration { return time.Hour + time.Duration(float64(time.Since(start))*rate) }
		change(c)
	})
	secret := s.client()
	s.traffic = &history.Traffic{Recorder: s.recorder, Password: testcluster.Password, ClientID: "asker", Secret: secret}
	for i := range 6 {
		s.traffic.Users = append(s.traffic.Users, s.cluster.CreateUser(fmt.Sprint("user-", i)).Username)
	}
	for _, n := range s.cluster.Nodes {
		s.traffic.Targets = append(s.traffic.Targets, history.Target{Name: n.Name, Client: n.Client()})
	}
	return s
}

// client makes the client that introspects.
func (s *stage) client() string {
	s.t.Helper()
	c, err := s.cluster.Nodes[0].Operator().CreateClient(s.t.Context(), api.CreateClientRequest{ClientID: "asker", Name: "Asker"})
	if err != nil {
		s.t.Fatal(err)
	}
	return c.ClientSecret
}

// Names implements history.Cluster.
func (s *stage) Names() (names []string) {
	for _, n := range s.cluster.Nodes {
		names = append(names, n.Name)
	}
	return names
}

func (s *stage) leader() *testcluster.Node {
	for _, n := range s.cluster.Nodes {
		if running := n.Running(); running != nil && running.Cluster().Role() == "leader" {
			return n
		}
	}
	return nil
}

// Leader implements history.Cluster.
func (s *stage) Leader() string {
	if n := s.leader(); n != nil {
		return n.Name
	}
	return ""
}

// Transfer implements history.Cluster.
func (s *stage) Transfer(ctx context.Context) {
	if n := s.leader(); n != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = n.Running().Cluster().Transfer(ctx)
	}
}

func (s *stage) node(name string) *testcluster.Node {
	return s.cluster.Nodes[slices.Index(s.Names(), name)]
}

// Restart implements history.Cluster.
func (s *stage) Restart(name string) {
	n := s.node(name)
	n.Stop()
	n.Start()
}

// Stall implements history.Cluster.
func (s *stage) Stall(name string, d time.Duration) {
	s.stalls[name].Store(time.Now().Add(d).UnixNano())
}

// torture returns how long tests may take, if they may take long.
func torture(t *testing.T, usual time.Duration) time.Duration {
	t.Helper()
	if os.Getenv("KEYSTONE_TORTURE") == "" {
		return usual
	}
	long, err := time.ParseDuration(os.Getenv("KEYSTONE_TORTURE_FOR"))
	if err != nil {
		return 10 * time.Minute
	}
	return long
}

// seeds are the ones of KEYSTONE_SEED, or as many as there is time for.
func seeds(t *testing.T, each, total time.Duration) (all []uint64) {
	t.Helper()
	if text := os.Getenv("KEYSTONE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	for seed := uint64(1); time.Duration(seed)*each <= total; seed++ {
		if os.Getenv("KEYSTONE_TORTURE") != "" {
			all = append(all, rand.Uint64())
			continue
		}
		all = append(all, seed)
	}
	return all
}

// TestHistories: whatever is done to the nodes, what clients see of each token can be explained: it was
// good from its issue on, until it was taken away, and on no node after that.
func TestHistories(t *testing.T) {
	const each = 12 * time.Second
	for _, seed := range seeds(t, each, torture(t, 3*each)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newStage(t, seed, func(*node.Config) {})
			ctx, cancel := context.WithTimeout(t.Context(), each)
			defer cancel()
			var nemesis sync.WaitGroup
			nemesis.Go(func() { history.NewNemesis(s, s.board, s.recorder, seed).Run(ctx) })
			s.traffic.Run(ctx, seed, 8)
			nemesis.Wait()
			s.cluster.WaitReady()
			if err := s.recorder.Check(); err != nil {
				t.Errorf("KEYSTONE_SEED=%d shows: %v", seed, err)
			}
			answers, kills := s.recorder.Count()
			t.Logf("seed %d: %d answers, %d taken away", seed, answers, kills)
			if answers < 100 || kills < 5 {
				t.Errorf("too little happened to show anything: %d answers, %d taken away", answers, kills)
			}
		})
	}
}

// TestHistoriesFindAMissingLease: with nodes that answer from an old state, which is what a node without
// leases does, the same check fails. Otherwise it would show nothing.
func TestHistoriesFindAMissingLease(t *testing.T) {
	s := newStage(t, 1, func(c *node.Config) { c.StaleReads = time.Hour })
	s.cluster.WaitReady()
	apart := s.cluster.Followers()[0]
	var others []history.Target
	for _, target := range s.traffic.Targets {
		if target.Name != apart.Name {
			others = append(others, target)
		}
	}
	ctx := t.Context()
	tokens, err := others[0].Client.Login(ctx, api.TokenRequest{Username: s.traffic.Users[0], Password: testcluster.Password})
	if err != nil {
		t.Fatal(err)
	}
	testcluster.Poll(t, "an answer that holds", func() error {
		_, err := apart.Client().WithCredentials("asker", s.traffic.Secret).WithConsistency("strict").Introspect(ctx, tokens.AccessToken)
		return err
	})
	s.board.Isolate(apart.Name, s.Names())
	testcluster.Poll(t, "a revocation", func() error {
		call := s.recorder.Now()
		err := others[0].Client.WithToken(tokens.AccessToken).Revoke(ctx, tokens.AccessToken)
		if err == nil || client.CodeOf(err) == "invalid_token" {
			s.recorder.Killed(1, tokens.AccessToken, others[0].Name, call, true)
			return nil
		}
		return err
	})
	testcluster.Poll(t, "an answer of the node that is cut off", func() error {
		call := s.recorder.Now()
		answer, err := apart.Client().WithCredentials("asker", s.traffic.Secret).Introspect(ctx, tokens.AccessToken)
		if err == nil {
			s.recorder.Asked(2, tokens.AccessToken, apart.Name, call, answer.Active)
		}
		return err
	})
	s.board.Heal()
	if err := s.recorder.Check(); err == nil || !strings.Contains(err.Error(), "no order of events") {
		t.Errorf("a node without a lease is not found out: %v", err)
	}
}
