// Package testcluster starts one to five real nodes inside one test: real logs on disk, real TLS
// between them, real HTTP in front. Nothing of a node is replaced; only its password hashes are cheap, and
// what a machine under load cannot hurry along is given more time.
//
// When the test ends, the nodes that still run must agree about the state, and every state file must
// pass its check.
package testcluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// Password is that of every user that a Cluster makes.
const Password = "Zx9!kestrel-Moor"

// patience bounds every wait of a test on a busy machine; nothing is expected to take that long.
const patience = 3 * time.Minute

// Cluster is some nodes of one cluster.
type Cluster struct {
	Nodes []*Node
	t     testing.TB
}

// Node is one of them. It may be stopped and started again on the same data.
type Node struct {
	Name string
	Dir  string

	t      testing.TB
	config node.Config
	mu     sync.Mutex
	run    *node.Node // nil while it is stopped
}

// Start starts n nodes and returns when each of them is ready.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	return StartWith(t, n, func(*node.Config) {})
}

// StartWith is Start with a change to the configuration of each node.
func StartWith(t testing.TB, n int, change func(*node.Config)) *Cluster {
	t.Helper()
	c := Prepare(t, n, change)
	c.Start()
	return c
}

// Prepare is StartWith for whoever has something to do in the data folders first, which do not exist yet.
func Prepare(t testing.TB, n int, change func(*node.Config)) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	shared, dir := secret.NewClusterSecret(), t.TempDir()
	var initial []cluster.Peer
	for i := range n {
		initial = append(initial, cluster.Peer{Name: fmt.Sprintf("node-%d", i+1), Address: FreeAddress(t)})
	}
	for _, peer := range initial {
		config := node.Config{
			Name: peer.Name, DataDir: filepath.Join(dir, peer.Name), HTTP: "127.0.0.1:0", Secret: shared,
			Timings: cluster.Timings{Retry: 50 * time.Millisecond, Stabilisation: 100 * time.Millisecond},
			Settings: iam.Settings{
				Issuer: "keystone-auth", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 86400,
				ServiceSeconds: 900, DefaultRole: iam.RoleUser,
			},
			Hasher:  secret.HasherConfig{Params: secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}, Queue: 1000},
			Policy:  login.DefaultPolicy,
			Lockout: login.Lockout{Attempts: 5, For: 15 * time.Minute},
			Consult: patience,
			Version: "test", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Fatal: func(err error) { t.Errorf("%s stopped: %v", peer.Name, err) },
		}
		if n > 1 {
			config.Bind, config.Initial = peer.Address, initial
		}
		change(&config)
		c.Nodes = append(c.Nodes, &Node{Name: peer.Name, Dir: config.DataDir, t: t, config: config})
	}
	return c
}

// Start starts the nodes of a cluster that was prepared.
func (c *Cluster) Start() {
	c.t.Helper()
	c.t.Cleanup(c.finish)
	for _, n := range c.Nodes {
		n.Start()
	}
	c.WaitReady()
}

// FreeAddress returns a loopback address whose port was free a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// finish checks what the test left behind.
func (c *Cluster) finish() {
	if !c.t.Failed() {
		c.WaitAgreed()
	}
	for _, n := range c.Nodes {
		n.Stop()
		s, err := store.Open(filepath.Join(n.Dir, "state.db"))
		if err != nil {
			c.t.Errorf("%s: %v", n.Name, err)
			continue
		}
		if err := s.Check(); err != nil {
			c.t.Errorf("%s: %v", n.Name, err)
		}
		_ = s.Close()
	}
}

// Poll asks until done says yes, and fails the test with the last reason when it never does.
func Poll(t testing.TB, what string, done func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// WaitReady returns when each running node can answer and the cluster is filled.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	for _, n := range c.running() {
		Poll(c.t, n.Name+" is not ready", func() error {
			ready, err := n.Operator().Ready(context.Background())
			if err == nil && !ready {
				return fmt.Errorf("not yet")
			}
			return err
		})
	}
}

// WaitAgreed returns when all running nodes have applied the same log and have the same state.
func (c *Cluster) WaitAgreed() {
	c.t.Helper()
	Poll(c.t, "the nodes do not agree", func() error {
		var first store.Meta
		for i, n := range c.running() {
			meta, err := n.Running().Store().Meta()
			switch {
			case err != nil:
				return err
			case i == 0:
				first = meta
			case meta.Index != first.Index:
				return fmt.Errorf("%s is at %d, the first one at %d", n.Name, meta.Index, first.Index)
			case meta.Hash != first.Hash:
				return fmt.Errorf("%s has another state at %d", n.Name, meta.Index)
			}
		}
		return nil
	})
}

func (c *Cluster) running() (all []*Node) {
	for _, n := range c.Nodes {
		if n.Running() != nil {
			all = append(all, n)
		}
	}
	return all
}

// Leader returns the node that leads, when there is one.
func (c *Cluster) Leader() (leader *Node) {
	c.t.Helper()
	Poll(c.t, "nobody leads", func() error {
		for _, n := range c.running() {
			if n.Running().Cluster().Role() == "leader" {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("no leader among %d nodes", len(c.running()))
	})
	return leader
}

// Followers returns the running nodes that do not lead.
func (c *Cluster) Followers() (all []*Node) {
	leader := c.Leader()
	for _, n := range c.running() {
		if n != leader {
			all = append(all, n)
		}
	}
	return all
}

// CreateUser makes a user with [Password] and the given roles.
func (c *Cluster) CreateUser(name string, roles ...string) api.User {
	c.t.Helper()
	u, err := c.Nodes[0].Operator().CreateUser(c.t.Context(), api.CreateUserRequest{
		Username: name, Email: name + "@example.org", Password: Password, Roles: roles,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// Config is what the node is started with.
func (n *Node) Config() node.Config { return n.config }

// Start starts the node on its data.
func (n *Node) Start() {
	n.t.Helper()
	running, err := node.Start(context.Background(), n.config)
	if err != nil {
		n.t.Fatalf("%s: %v", n.Name, err)
	}
	n.config.HTTP = running.HTTP() // the same address after a restart
	n.mu.Lock()
	defer n.mu.Unlock()
	n.run = running
}

// Stop stops the node cleanly.
func (n *Node) Stop() {
	n.t.Helper()
	n.mu.Lock()
	running := n.run
	n.run = nil
	n.mu.Unlock()
	if running == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := running.Close(ctx); err != nil {
		n.t.Errorf("%s did not stop cleanly: %v", n.Name, err)
	}
}

// Running returns the node itself, or nil while it is stopped.
func (n *Node) Running() *node.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// Client asks this node over HTTP, as everybody does.
func (n *Node) Client() *client.Client { return n.dial("http://" + n.config.HTTP) }

// Operator asks this node over its Unix socket.
func (n *Node) Operator() *client.Client { return n.dial("unix:" + node.Socket(n.Dir)) }

func (n *Node) dial(address string) *client.Client {
	n.t.Helper()
	c, err := client.New(address)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}
