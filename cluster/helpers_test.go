package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// patience bounds every wait of a test. It is no measurement: a machine under load needs it.
const patience = 2 * time.Minute

// fast hurries where that cannot fail on a busy machine. The clocks of elections are the ordinary ones:
// a pause of a tenth of a second must not depose a leader.
func fast() cluster.Timings {
	return cluster.Timings{Stabilisation: 200 * time.Millisecond, Retry: 50 * time.Millisecond}
}

// node is one node of a test with what belongs to it.
type node struct {
	*cluster.Node
	t     *testing.T
	conf  cluster.Config
	store *store.Store
	// version is the command version that the node knows; 0: that of this build.
	version uint64

	mu     sync.Mutex
	fatal  error
	closed bool
}

// start starts a node in c.DataDir and fails the test if that is refused.
func start(t *testing.T, c cluster.Config) *node {
	t.Helper()
	n, err := tryStart(t, c)
	if err != nil {
		t.Fatalf("start of %s: %v", c.Name, err)
	}
	return n
}

func tryStart(t *testing.T, c cluster.Config) (*node, error) {
	t.Helper()
	return tryStartOf(t, c, 0)
}

// startOf starts a node that knows the commands of that version.
func startOf(t *testing.T, c cluster.Config, version uint64) *node {
	t.Helper()
	n, err := tryStartOf(t, c, version)
	if err != nil {
		t.Fatalf("start of %s: %v", c.Name, err)
	}
	return n
}

func tryStartOf(t *testing.T, c cluster.Config, version uint64) (*node, error) {
	t.Helper()
	n := &node{t: t, conf: c, version: version}
	if c.DataDir == "" {
		n.conf.DataDir = t.TempDir()
	}
	if n.conf.Timings == (cluster.Timings{}) {
		n.conf.Timings = fast()
	}
	if err := os.MkdirAll(n.conf.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(n.conf.DataDir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	n.store = s
	run := n.conf
	run.Logger = slog.New(slog.NewTextHandler(testWriter{t, c.Name}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	run.Fatal = n.fail
	run.FSM, err = fsm.New(fsm.Config{Store: s, Committed: func([]store.Change) {}, Restored: func() {}, Fatal: n.fail, Version: version})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	run.Snapshots, err = fsm.NewSnapshots(s, filepath.Join(n.conf.DataDir, "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	n.Node, err = cluster.Start(t.Context(), run)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	t.Cleanup(n.stop)
	return n, nil
}

func (n *node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fatal == nil {
		n.fatal = err
	}
}

func (n *node) fault() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fatal
}

// stop stops the node and checks its state.
func (n *node) stop() {
	if n.closed {
		return
	}
	n.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		n.t.Errorf("close of %s: %v", n.conf.Name, err)
	}
	if err := n.store.Check(); err != nil {
		n.t.Errorf("state of %s: %v", n.conf.Name, err)
	}
	if err := n.store.Close(); err != nil {
		n.t.Error(err)
	}
}

// restart starts the node again with the data that it left.
func (n *node) restart() *node {
	n.t.Helper()
	n.stop()
	return startOf(n.t, n.conf, n.version)
}

// wipe stops the node and empties its disk.
func (n *node) wipe() {
	n.t.Helper()
	n.stop()
	if err := os.RemoveAll(n.conf.DataDir); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) ready() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	if err := n.WaitReady(ctx); err != nil {
		n.t.Fatalf("%s: %v", n.conf.Name, err)
	}
}

// put proposes a scope on the node and returns its id.
func (n *node) put(name string) iam.ID {
	n.t.Helper()
	scope := iam.Scope{ID: iam.NewID(), Name: name}
	n.propose(fsm.Origin{}, &fsm.PutScope{Scope: scope})
	return scope.ID
}

func (n *node) propose(origin fsm.Origin, cmd fsm.Command) fsm.Result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	result, err := n.Propose(ctx, origin, cmd)
	if err != nil {
		n.t.Fatalf("propose on %s: %v", n.conf.Name, err)
	}
	return result
}

func (n *node) has(scope iam.ID) (found bool) {
	_ = n.store.View(func(r *store.Reader) error {
		_, found = r.Scope(scope)
		return nil
	})
	return found
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// faultOf waits for the sentence with which a node gives up.
func faultOf(t *testing.T, n *node) string {
	t.Helper()
	eventually(t, n.conf.Name+" gives up", func() bool { return n.fault() != nil })
	return n.fault().Error()
}

var clusterSecret = secret.NewClusterSecret()

// peers returns that many free addresses with the names a, b, c …
func peers(t *testing.T, count int) []cluster.Peer {
	t.Helper()
	var out []cluster.Peer
	for i := range count {
		out = append(out, cluster.Peer{Name: string(rune('a' + i)), Address: freeAddress(t)})
	}
	return out
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// member is the configuration of one of the initial peers.
func member(p cluster.Peer, initial []cluster.Peer) cluster.Config {
	return cluster.Config{Name: p.Name, Bind: p.Address, Initial: initial, Secret: clusterSecret, Version: "test", HTTPAddress: "http://" + p.Name}
}

// three starts the initial peers in that order.
func three(t *testing.T, order []int) []*node {
	t.Helper()
	initial := peers(t, 3)
	nodes := make([]*node, 3)
	for _, i := range order {
		nodes[i] = start(t, member(initial[i], initial))
	}
	for _, n := range nodes {
		n.ready()
	}
	return nodes
}

// threeWith starts three nodes with those timings.
func threeWith(t *testing.T, timings cluster.Timings) (nodes []*node) {
	t.Helper()
	initial := peers(t, 3)
	for _, p := range initial {
		c := member(p, initial)
		c.Timings = timings
		nodes = append(nodes, start(t, c))
	}
	for _, n := range nodes {
		n.ready()
	}
	return nodes
}

// leaderOf returns the leader of the nodes and the others.
func leaderOf(t *testing.T, nodes []*node) (leader *node, others []*node) {
	t.Helper()
	eventually(t, "one leader", func() bool {
		leader, others = nil, nil
		for _, n := range nodes {
			if n.Role() == "leader" && leader == nil {
				leader = n
			} else {
				others = append(others, n)
			}
		}
		return leader != nil
	})
	return leader, others
}

type testWriter struct {
	t    *testing.T
	name string
}

func (w testWriter) Write(p []byte) (int, error) {
	if testing.Verbose() {
		fmt.Printf("%s %s", w.name, p)
	}
	return len(p), nil
}
