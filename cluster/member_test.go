package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
	"github.com/keystone-auth/keystone/store"
)

// nodeStatus returns what n sees of the member of that name.
func nodeStatus(t *testing.T, n *node, name string) (cluster.NodeStatus, bool) {
	t.Helper()
	for _, s := range n.Status(t.Context()).Nodes {
		if s.Name == name {
			return s, true
		}
	}
	return cluster.NodeStatus{}, false
}

// roleIs waits until n sees the member in that role.
func roleIs(t *testing.T, n *node, name, role string) {
	t.Helper()
	eventually(t, name+" is "+role, func() bool {
		s, ok := nodeStatus(t, n, name)
		return ok && s.Role == role
	})
}

func TestFollowersPropose(t *testing.T) {
	nodes := three(t, []int{2, 0, 1})
	_, followers := leaderOf(t, nodes)
	for _, n := range followers {
		if scope := n.put("by." + n.conf.Name); !n.has(scope) {
			t.Errorf("%s does not see what it was told was done", n.conf.Name)
		}
	}
	// A refusal comes back as it was made.
	scope := iam.Scope{ID: iam.NewID(), Name: "by." + followers[0].conf.Name}
	_, err := followers[1].Propose(t.Context(), fsm.Origin{}, &fsm.PutScope{Scope: scope})
	if diff := cmp.Diff(error(iam.Errorf(iam.Conflict, "A scope of this name exists.")), err); diff != "" {
		t.Error(diff)
	}
	_, err = followers[1].Propose(t.Context(), fsm.Origin{}, &fsm.PutScope{})
	if iam.CodeOf(err) != iam.InternalError {
		t.Errorf("a command that is not valid was answered with %v", err)
	}
}

// TestCommitsAreAnnounced: raft would tell the followers in an hour what was committed. Who asks one of them for a
// change, or a revocation, is answered all the same.
func TestCommitsAreAnnounced(t *testing.T) {
	timings := fast()
	timings.Commit = time.Hour
	nodes := threeWith(t, timings)
	for i := range 20 {
		_, followers := leaderOf(t, nodes)
		for _, n := range followers {
			if scope := n.put(fmt.Sprint("by.", n.conf.Name, ".", i)); !n.has(scope) {
				t.Errorf("%s does not see what it was told was done", n.conf.Name)
			}
		}
		if r := followers[0].propose(fsm.Origin{}, &fsm.RevokeToken{Jti: fmt.Sprint("jti-", i)}); r.Receipt == nil {
			t.Error("a revocation has no receipt")
		}
	}
	eventually(t, "all nodes agree", func() bool { return allAgree(t, nodes[0], 3) })
}

func TestManyProposeAtOnce(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	const each = 50
	errs := make(chan error, each*len(nodes))
	for i := range each {
		for _, n := range nodes {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				scope := iam.Scope{ID: iam.NewID(), Name: fmt.Sprintf("%s.%d", n.conf.Name, i)}
				_, err := n.Propose(ctx, fsm.Origin{}, &fsm.PutScope{Scope: scope})
				errs <- err
			}()
		}
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "all nodes agree", func() bool { return allAgree(t, nodes[0], 3) })
}

// allAgree tells whether that many members are alive, caught up, and in the same state as n.
func allAgree(t *testing.T, n *node, count int) bool {
	t.Helper()
	all := n.Status(t.Context()).Nodes
	for _, s := range all {
		if s.State != "alive" || s.Lag > 0 || s.Agrees == nil || !*s.Agrees {
			return false
		}
	}
	return len(all) == count
}

func TestStatus(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	nodes[0].put("one")
	for _, n := range nodes {
		eventually(t, "all agree", func() bool { return allAgree(t, n, 3) })
		s, _ := nodeStatus(t, n, "b")
		if s.HTTP != "http://b" || s.Version != "test" || s.Address != nodes[1].Address() {
			t.Errorf("%s sees %+v", n.conf.Name, s)
		}
	}
	leader, others := leaderOf(t, nodes)
	if got := others[0].Leader(); got != leader.conf.Name {
		t.Errorf("the leader is %q, want %q", got, leader.conf.Name)
	}
	if s := leader.Stats(); !s.Leader || s.Peers != 3 || s.Term == 0 || s.Applied != leader.Applied() {
		t.Errorf("stats are %+v", s)
	}
	others[0].stop()
	eventually(t, "the stopped node is dead", func() bool {
		s, ok := nodeStatus(t, leader, others[0].conf.Name)
		return ok && s.State == "dead"
	})
}

func TestLeaderCloses(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	leader, others := leaderOf(t, nodes)
	scope := leader.put("before")
	leader.stop()
	others[0].put("after.0")
	others[1].put("after.1")
	back := start(t, leader.conf)
	back.ready()
	if !back.has(scope) {
		t.Error("the node came back without its data")
	}
	eventually(t, "all agree", func() bool { return allAgree(t, back, 3) })
}

func TestWholeClusterRestarts(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	scope := nodes[1].put("kept")
	for _, n := range nodes {
		n.stop()
	}
	for i := range nodes {
		nodes[i] = start(t, nodes[i].conf)
	}
	for _, n := range nodes {
		n.ready()
		if !n.has(scope) {
			t.Errorf("%s lost what was acknowledged", n.conf.Name)
		}
	}
}

func TestWipedNodeComesBackAsAnother(t *testing.T) {
	for _, name := range []string{"a", "c"} { // the one that formed the cluster, and one that did not
		t.Run(name, func(t *testing.T) {
			nodes := three(t, []int{0, 1, 2})
			lost := nodes[name[0]-'a']
			kept := nodes[1]
			scope := kept.put("kept")
			old, _ := nodeStatus(t, kept, name)
			lost.wipe()
			back := start(t, lost.conf)
			back.ready()
			if !back.has(scope) {
				t.Error("it has not got the data")
			}
			eventually(t, "it votes under a new id", func() bool {
				s, ok := nodeStatus(t, kept, name)
				return ok && s.ID != old.ID && (s.Role == "follower" || s.Role == "leader") && allAgree(t, kept, 3)
			})
			back.put("from.the.new.one")
		})
	}
}

func TestFourthNodeJoins(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	nodes[0].put("before")
	_, followers := leaderOf(t, nodes)
	d := start(t, cluster.Config{Name: "d", Bind: freeAddress(t), Join: []string{followers[0].Address()}, Secret: clusterSecret})
	d.ready()
	roleIs(t, nodes[0], "d", "follower")
	d.put("by.d")
	d = d.restart()
	d.ready()

	e := start(t, cluster.Config{Name: "e", Bind: freeAddress(t), Join: []string{d.Address()}, NonVoter: true, Secret: clusterSecret})
	e.ready()
	e.put("by.e")
	if e.Role() != "nonvoter" {
		t.Errorf("a node that does not want to vote is %s", e.Role())
	}
}

func TestLoneNodeGrows(t *testing.T) {
	a := start(t, cluster.Config{Name: "a", Secret: clusterSecret})
	a.ready()
	scope := a.put("alone")
	// It only listened to itself so far: its address is another one from now on.
	a.stop()
	a.conf.Bind = freeAddress(t)
	a = start(t, a.conf)
	a.ready()
	b := start(t, cluster.Config{Name: "b", Bind: freeAddress(t), Join: []string{a.Address()}, Secret: clusterSecret})
	b.ready()
	roleIs(t, a, "b", "follower")
	if !b.has(scope) {
		t.Error("the newcomer has not got the data")
	}
	b.put("together")
}

func TestNodeMoves(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	_, followers := leaderOf(t, nodes)
	moved := followers[0]
	moved.stop()
	moved.conf.Bind, moved.conf.Advertise = freeAddress(t), ""
	moved.conf.Initial = nil
	moved = start(t, moved.conf)
	eventually(t, "the others know the new address", func() bool {
		s, ok := nodeStatus(t, followers[1], moved.conf.Name)
		return ok && s.Address == moved.conf.Bind && s.State == "alive"
	})
	moved.ready()
	moved.put("from.the.new.place")
}

func TestRemovedNode(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	_, followers := leaderOf(t, nodes)
	gone, stays := followers[0], followers[1]
	if err := stays.Remove(t.Context(), gone.conf.Name); err != nil {
		t.Fatal(err)
	}
	if got, want := faultOf(t, gone), "was removed from the cluster"; !strings.Contains(got, want) {
		t.Errorf("it says %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := gone.Propose(ctx, fsm.Origin{}, &fsm.Expire{Most: 1}); err == nil {
		t.Error("a removed node can still propose")
	}
	stays.put("without.it")
	if err := stays.Remove(t.Context(), "nobody"); iam.CodeOf(err) != iam.NotFound {
		t.Errorf("removing nobody: %v", err)
	}
	// Emptied, it is a newcomer like any other.
	gone.wipe()
	back := start(t, gone.conf)
	back.ready()
	roleIs(t, stays, gone.conf.Name, "follower")
}

func TestSnapshotForANodeFarBehind(t *testing.T) {
	timings := fast()
	timings.SnapshotInterval, timings.SnapshotThreshold, timings.TrailingLogs = 50*time.Millisecond, 20, 5
	nodes := threeWith(t, timings)
	_, followers := leaderOf(t, nodes)
	behind := followers[0]
	behind.stop()
	var last iam.ID
	for i := range 200 {
		last = followers[1].put(fmt.Sprintf("scope.%d", i))
	}
	eventually(t, "the log was cut", func() bool {
		followers[1].put(iam.NewID().String())
		return followers[1].FirstLogIndex(t) > 150
	})
	back := start(t, behind.conf)
	back.ready()
	if !back.has(last) {
		t.Error("the snapshot did not bring everything")
	}
	back.put("after.the.snapshot")
	eventually(t, "all agree", func() bool { return allAgree(t, back, 3) })
	back = back.restart()
	back.ready()
}

func TestRetryAcrossLeaders(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	leader, others := leaderOf(t, nodes)
	origin := fsm.Origin{RequestID: iam.NewID(), Actor: "operator"}
	cmd := &fsm.PutScope{Scope: iam.Scope{ID: iam.NewID(), Name: "once"}}
	first := leader.propose(origin, cmd)
	leader.stop()
	for _, n := range others {
		if diff := cmp.Diff(first, n.propose(origin, cmd)); diff != "" {
			t.Errorf("the retry on %s came to something else: %s", n.conf.Name, diff)
		}
	}
}

func TestRevocationIsEverywhereWhenConfirmed(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	revoke := func(i int) {
		jti := fmt.Sprint("token-", i)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		result, err := nodes[i%3].Propose(ctx, fsm.Origin{}, &fsm.RevokeToken{Jti: jti})
		for err != nil { // a busy machine may take longer than a caller waits, and then nothing was confirmed
			if ctx.Err() != nil {
				t.Errorf("%s on %s: %v", jti, nodes[i%3].conf.Name, err)
				return
			}
			result, err = nodes[i%3].Propose(ctx, fsm.Origin{}, &fsm.RevokeToken{Jti: jti})
		}
		if r := result.Receipt; r == nil || r.Members != 3 || r.Index < result.Index {
			t.Errorf("%s: the receipt is %+v", jti, r)
		}
		for _, n := range nodes {
			_, err := n.Read(ctx, lease.Consistency{})
			_ = n.store.View(func(r *store.Reader) error {
				if _, found := r.Revocation(iam.RevokedToken, jti); err == nil && !found {
					t.Errorf("%s answers and does not know that %s was revoked", n.conf.Name, jti)
				}
				return nil
			})
		}
	}
	for i := range 20 {
		revoke(i)
	}
	var many sync.WaitGroup // more at once than there may be connections or handshakes
	for i := range 400 {
		many.Go(func() { revoke(100 + i) })
	}
	many.Wait()
}

// A member that is down is not waited for.
func TestRevocationWithoutAMember(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	leader, others := leaderOf(t, nodes)
	others[0].stop()
	leader.propose(fsm.Origin{}, &fsm.RevokeToken{Jti: "one"}) // in far less than the time it may wait, or this fails
	others[1].propose(fsm.Origin{}, &fsm.RevokeToken{Jti: "two"})
}

func TestNoMajority(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	nodes[0].stop()
	nodes[1].stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := nodes[2].Propose(ctx, fsm.Origin{}, &fsm.PutScope{Scope: iam.Scope{ID: iam.NewID(), Name: "lost"}})
	if iam.CodeOf(err) != iam.TemporarilyUnavailable {
		t.Errorf("without a majority the answer is %v", err)
	}
	nodes[0] = start(t, nodes[0].conf)
	nodes[2].ready()
	nodes[2].put("found")
}

// However long there is no leader, no more callers wait than there are slots.
func TestNoQueueWithoutALeader(t *testing.T) {
	initial := peers(t, 3)
	n := start(t, member(initial[0], initial))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const callers = cluster.MostPending + 50
	errs := make(chan error, callers)
	for range callers {
		go func() {
			_, err := n.Propose(ctx, fsm.Origin{}, &fsm.Expire{Most: 1})
			errs <- err
		}()
	}
	for range callers - cluster.MostPending { // those for whom there is no slot need not wait
		err := <-errs
		if iam.CodeOf(err) != iam.TemporarilyUnavailable || !strings.Contains(err.Error(), "more changes") {
			t.Fatalf("a caller without a slot was told %v", err)
		}
	}
	cancel()
	for range cluster.MostPending {
		if err := <-errs; iam.CodeOf(err) != iam.TemporarilyUnavailable {
			t.Fatalf("a caller who waited in vain was told %v", err)
		}
	}
}

// An entry that a leader cannot apply must not reach its log: every node would stop, at each start.
func TestForwardedEntriesAreChecked(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	good, err := fsm.Encode(fsm.Origin{}, iam.Now(), &fsm.RevokeToken{Jti: "j"})
	if err != nil {
		t.Fatal(err)
	}
	future, err := fsm.Encode(fsm.Origin{}, iam.Now().Add(time.Hour), &fsm.RevokeToken{Jti: "j"})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(kind, version int, payload map[int]any) []byte {
		return store.Encode(map[int]any{1: 1, 2: kind, 3: version, 4: int64(iam.Now()), 5: map[int]any{}, 6: store.Encode(payload)})
	}
	for what, row := range map[string]struct {
		entry []byte
		want  iam.Code
	}{
		"garbage":         {[]byte("garbage"), iam.InternalError},
		"nothing":         {nil, iam.InternalError},
		"a newer kind":    {entry(9999, 1, nil), iam.InternalError},
		"a newer version": {entry(17, 99, map[int]any{1: "j"}), iam.Conflict},
		"a newer member":  {entry(17, 1, map[int]any{1: "j", 99: true}), iam.InternalError},
		"not valid":       {entry(17, 1, map[int]any{1: ""}), iam.InternalError},
		"too large":       {make([]byte, fsm.MaxCommand+1), iam.InternalError},
		"from the future": {future, iam.TemporarilyUnavailable},
	} {
		if err := n.Receive(t.Context(), row.entry); err == nil || iam.CodeOf(err) != row.want {
			t.Errorf("%s was answered with %v, want %s", what, err, row.want)
		}
	}
	if err := n.Receive(t.Context(), good); err != nil {
		t.Errorf("a good entry: %v", err)
	}
}

func TestDuties(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	var running [3]atomic.Int32
	for i, n := range nodes {
		n.Lead(func(ctx context.Context) {
			running[i].Add(1)
			<-ctx.Done()
			running[i].Add(-1)
		})
	}
	onlyLeader := func() bool {
		sum, led := int32(0), false
		for i, n := range nodes {
			sum += running[i].Load()
			led = led || !n.closed && n.Role() == "leader" && running[i].Load() == 1
		}
		return sum == 1 && led
	}
	eventually(t, "the duty runs on the leader alone", onlyLeader)
	leader, _ := leaderOf(t, nodes)
	leader.stop()
	eventually(t, "the duty moves with the leadership", onlyLeader)
}
