package cluster_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
)

// cable connects nodes and can be pulled out of one of them.
type cable struct {
	mu    sync.Mutex
	apart string // the address of the node that is cut off; "": none
	conns map[net.Conn][2]string
}

// dialFrom is the cluster.Config.Dial of the node at that address.
func (c *cable) dialFrom(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, to string) (net.Conn, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.apart == from || c.apart == to {
			return nil, errors.New("the cable is out")
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", to)
		if err == nil {
			c.conns[conn] = [2]string{from, to}
		}
		return conn, err
	}
}

// pull cuts one node off, or nobody.
func (c *cable) pull(apart string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart = apart
	for conn, ends := range c.conns {
		if ends[0] == apart || ends[1] == apart {
			_ = conn.Close()
			delete(c.conns, conn)
		}
	}
}

// cabled starts three nodes on a cable.
func cabled(t *testing.T, change func(*cluster.Config)) (*cable, []*node) {
	t.Helper()
	c := &cable{conns: map[net.Conn][2]string{}}
	initial := peers(t, 3)
	nodes := make([]*node, 3)
	for i, p := range initial {
		conf := member(p, initial)
		conf.Dial = c.dialFrom(p.Address)
		change(&conf)
		nodes[i] = start(t, conf)
	}
	for _, n := range nodes {
		n.ready()
		n.fresh()
	}
	return c, nodes
}

func (n *node) fresh() {
	n.t.Helper()
	eventually(n.t, n.conf.Name+" holds no lease", n.Fresh)
}

func (n *node) read(c lease.Consistency) (lease.Reading, error) {
	return n.Read(n.t.Context(), c)
}

// TestCutOffNode: a node that hears of nobody stops answering, a revocation waits until then and no
// longer, and who insists is told how old the answer is.
func TestCutOffNode(t *testing.T) {
	for _, which := range []string{"leader", "follower"} {
		t.Run(which, func(t *testing.T) {
			c, nodes := cabled(t, func(*cluster.Config) {})
			apart, rest := leaderOf(t, nodes)
			if which == "follower" {
				apart, rest = rest[0], []*node{apart, rest[1]}
			}
			c.pull(apart.Address())
			var receipt *fsm.Receipt
			eventually(t, "a revocation without it", func() bool {
				result, err := rest[0].Propose(t.Context(), fsm.Origin{}, &fsm.RevokeToken{Jti: "j"})
				receipt = result.Receipt
				return err == nil
			})
			if apart.Fresh() {
				t.Error("a revocation was confirmed while a node that was not told answers")
			}
			if receipt == nil || receipt.Confirmed != 2 || receipt.Members != 3 {
				t.Errorf("the receipt is %+v", receipt)
			}
			if _, err := apart.read(lease.Consistency{}); iam.CodeOf(err) != iam.TemporarilyUnavailable {
				t.Errorf("a node that is cut off says %v", err)
			}
			if _, err := apart.read(lease.Consistency{Level: lease.Strict}); iam.CodeOf(err) != iam.TemporarilyUnavailable {
				t.Errorf("a node that is cut off says %v to who is strict", err)
			}
			for _, late := range []lease.Consistency{{Level: lease.Local}, {Level: lease.Bounded, Within: time.Hour}} {
				if r, err := apart.read(late); err != nil || r.Staleness <= 0 {
					t.Errorf("to %+v it answers %+v, %v", late, r, err)
				}
			}
			if _, err := apart.read(lease.Consistency{Level: lease.Bounded, Within: time.Nanosecond}); err == nil {
				t.Error("it answers later than the caller bears")
			}
			c.pull("")
			apart.fresh()
			if r, err := apart.read(lease.Consistency{Level: lease.Strict}); err != nil || r.Staleness != 0 || r.Index < receipt.Index {
				t.Errorf("once it is back it answers %+v, %v", r, err)
			}
		})
	}
}

// TestStaleReads: a site that would rather answer late than not may, and for no longer than it said.
func TestStaleReads(t *testing.T) {
	for _, limit := range []time.Duration{time.Hour, time.Millisecond} {
		c, nodes := cabled(t, func(conf *cluster.Config) { conf.StaleReads = limit })
		_, others := leaderOf(t, nodes)
		c.pull(others[0].Address())
		eventually(t, "the lease is over", func() bool { return !others[0].Fresh() })
		r, err := others[0].read(lease.Consistency{})
		if late := err == nil && r.Staleness > 0; late != (limit == time.Hour) {
			t.Errorf("with %s: %+v, %v", limit, r, err)
		}
		if _, err := others[0].read(lease.Consistency{Level: lease.Strict}); err == nil {
			t.Errorf("with %s: a strict answer is a late one", limit)
		}
	}
}

// TestStrictReads: whatever was acknowledged, by whichever node, is seen by who is strict.
func TestStrictReads(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	for i := range 30 {
		scope := nodes[i%3].put("scope-" + string(rune('a'+i)))
		n := nodes[(i+1)%3]
		if _, err := n.read(lease.Consistency{Level: lease.Strict}); err != nil {
			t.Fatal(err)
		}
		if !n.has(scope) {
			t.Errorf("a strict read does not see what was acknowledged before")
		}
	}
}

// TestLoneNodeHoldsItsLease: nobody could know better.
func TestLoneNodeHoldsItsLease(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	n.fresh()
	if r := n.propose(fsm.Origin{}, &fsm.RevokeToken{Jti: "j"}).Receipt; r == nil || r.Confirmed != 1 || r.Members != 1 {
		t.Errorf("the receipt is %+v", r)
	}
}

// TestNonVoterHoldsALease: nodes that only read answer like the others, are waited for like the others,
// and leave the cluster only without a lease.
func TestNonVoterHoldsALease(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	reader := start(t, cluster.Config{Name: "reader", Secret: clusterSecret, Join: []string{nodes[0].Address()}, NonVoter: true})
	reader.ready()
	reader.fresh()
	if role := reader.Role(); role != "nonvoter" {
		t.Fatalf("it is a %s", role)
	}
	if r := reader.propose(fsm.Origin{}, &fsm.RevokeToken{Jti: "j"}).Receipt; r == nil || r.Members != 4 {
		t.Errorf("the receipt is %+v", r)
	}
	if err := nodes[1].Remove(t.Context(), "reader"); err != nil {
		t.Fatal(err)
	}
	if reader.Fresh() {
		t.Error("it was removed with a lease in its hands")
	}
}

// TestClockThatJumps: a machine that was frozen drops its lease, and gets another.
func TestClockThatJumps(t *testing.T) {
	var ahead atomic.Int64
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret, Clock: func() time.Duration {
		return time.Duration(time.Now().UnixNano() + ahead.Load())
	}})
	n.ready()
	n.fresh()
	ahead.Store(int64(time.Minute))
	eventually(t, "the jump was seen", func() bool { return n.Stats().ClockJumps == 1 })
	n.fresh()
}

// TestManyReadersWithoutALease: all who come while one question is under way share the next.
func TestManyReadersWithoutALease(t *testing.T) {
	c, nodes := cabled(t, func(*cluster.Config) {})
	_, others := leaderOf(t, nodes)
	c.pull(others[0].Address())
	eventually(t, "the lease is over", func() bool { return !others[0].Fresh() })
	var all sync.WaitGroup
	var refused atomic.Int64
	for range 500 {
		all.Go(func() {
			if _, err := others[0].read(lease.Consistency{}); iam.CodeOf(err) == iam.TemporarilyUnavailable {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if refused.Load() != 500 || others[0].Stats().ReadsRefused < 500 {
		t.Errorf("%d of 500 were refused, %d are counted", refused.Load(), others[0].Stats().ReadsRefused)
	}
	c.pull("")
	for range 500 {
		all.Go(func() {
			for {
				if _, err := others[0].read(lease.Consistency{}); err == nil || t.Context().Err() != nil {
					return
				}
			}
		})
	}
	all.Wait()
}

// TestOtherRulesNoLease: nodes that count leases in another way must not rely on each other.
func TestOtherRulesNoLease(t *testing.T) {
	initial := peers(t, 3)
	nodes := make([]*node, 3)
	for i, p := range initial {
		conf := member(p, initial)
		conf.Timings = fast()
		if i == 2 {
			conf.Timings.Lease = 500 * time.Millisecond
		}
		nodes[i] = start(t, conf)
	}
	eventually(t, "a leader that is not the odd one", func() bool {
		if nodes[2].Role() == "leader" {
			_ = nodes[2].Transfer(t.Context())
		}
		return nodes[0].Fresh() && nodes[1].Fresh()
	})
	if nodes[2].Fresh() {
		t.Error("a node of other rules holds a lease")
	}
}

// TestReadingUnderALeaseCostsNothing: it stands before every request.
func TestReadingUnderALeaseCostsNothing(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	n.fresh()
	ctx := t.Context()
	if allocs := testing.AllocsPerRun(1000, func() {
		if _, err := n.Read(ctx, lease.Consistency{}); err != nil {
			t.Error(err)
		}
	}); allocs >= 1 { // what runs in the background may allocate now and then
		t.Errorf("it allocates %.2f times", allocs)
	}
}

func BenchmarkRead(b *testing.B) {
	var l lease.Lease
	l.Hold(1, 1<<62)
	for b.Loop() {
		if !l.Valid(lease.Stamp(cluster.BootTime()), 1, 1) {
			b.Fatal("the lease is over")
		}
	}
}
