package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/secret"
)

// command runs the program in this process, and returns what it said.
func command(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestRotateTheClusterSecret goes through all steps on three nodes while somebody logs in all the time, and finds
// that a node with the old secret alone is then a stranger.
func TestRotateTheClusterSecret(t *testing.T) {
	old := secret.NewClusterSecret()
	c := testcluster.Prepare(t, 3, func(c *node.Config) { c.Secret = secret.ClusterSecret{} })
	for _, n := range c.Nodes {
		if err := os.MkdirAll(n.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, node.SecretFile(n.Dir), old.Reveal()+"\n")
	}
	c.Start()
	c.CreateUser("alice")
	logins := loggingIn(t, c)
	step := func(stdin string, n *testcluster.Node, args ...string) string {
		t.Helper()
		said, err := command(t, stdin, append([]string{"secret", "rotate", "--data", n.Dir}, args...)...)
		if err != nil {
			t.Fatalf("secret rotate %s on %s: %v", args, n.Name, err)
		}
		return said
	}
	refused := func(want string, n *testcluster.Node, args ...string) {
		t.Helper()
		before := readFile(t, node.SecretFile(n.Dir))
		_, err := command(t, "", append([]string{"secret", "rotate", "--data", n.Dir}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) || before != readFile(t, node.SecretFile(n.Dir)) {
			t.Errorf("secret rotate %s: %v, want %q", args, err, want)
		}
	}
	rolling := func() {
		t.Helper()
		for _, n := range c.Nodes {
			n.Stop()
			n.Start()
			c.WaitReady()
		}
		for _, n := range c.Nodes {
			testcluster.Poll(t, "a node does not know of all others", func() error {
				said, err := command(t, "", "secret", "status", "--data", n.Dir)
				if err == nil && strings.Contains(said, "not known") {
					err = errors.New(said)
				}
				return err
			})
		}
	}

	refused("begin with keystone secret rotate", c.Nodes[0], "--use")
	said := step("", c.Nodes[0])
	_, line, _ := strings.Cut(said, " echo ")
	fresh, _, _ := strings.Cut(line, " |")
	for _, n := range c.Nodes[1:] {
		step(fresh, n, "--with", "-")
	}
	refused("does not take that secret yet", c.Nodes[0], "--use")
	refused("holds two secrets", c.Nodes[0])
	rolling()
	for _, n := range c.Nodes {
		step("", n, "--use")
	}
	refused("goes by another secret than the first one", c.Nodes[0], "--finish")
	rolling()
	testcluster.Poll(t, "nothing needs the old secret", func() error {
		_, err := command(t, "", "secret", "rotate", "--finish", "--data", c.Nodes[0].Dir)
		return err
	})
	for _, n := range c.Nodes[1:] {
		step("", n, "--finish")
	}
	rolling()
	if said, err := command(t, "", "secret", "status", "--data", c.Nodes[1].Dir); err != nil || !strings.Contains(said, "go by one secret, and take no other") {
		t.Errorf("the status says %s, %v", said, err)
	}
	logins()

	address := c.Nodes[0].Config().Bind
	if _, err := cluster.Probe(t.Context(), address, old); err == nil || !strings.Contains(err.Error(), "another cluster secret") {
		t.Errorf("with the old secret: %v", err)
	}
	parsed, err := secret.ParseClusterSecret(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if members, err := cluster.Probe(t.Context(), address, parsed); err != nil || len(members) != 3 {
		t.Errorf("with the new secret: %v, %v", members, err)
	}
	for _, n := range c.Nodes {
		for _, file := range []string{"raft/log.db", "state.db"} {
			if strings.Contains(readFile(t, filepath.Join(n.Dir, file)), fresh) {
				t.Errorf("the new secret is in %s of %s", file, n.Name)
			}
		}
	}
}

// loggingIn logs in on one node after the other, as a client does that tries the next one when one is down. The
// function that it returns ends that, and fails the test if any login found no node.
func loggingIn(t *testing.T, c *testcluster.Cluster) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var good, bad atomic.Int64
	clients := []interface {
		Login(context.Context, api.TokenRequest) (api.TokenResponse, error)
	}{c.Nodes[0].Client(), c.Nodes[1].Client(), c.Nodes[2].Client()}
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			var err error
			for again := range 30 {
				if _, err = clients[(i+again)%3].Login(ctx, api.TokenRequest{Username: "alice", Password: testcluster.Password}); err == nil || ctx.Err() != nil {
					break
				}
				time.Sleep(100 * time.Millisecond) // while another node is elected
			}
			switch {
			case ctx.Err() != nil:
			case err == nil:
				good.Add(1)
			default:
				bad.Add(1)
			}
			time.Sleep(10 * time.Millisecond) // a pace, so that the test is not about speed
		}
	}()
	return func() {
		cancel()
		<-done
		if good.Load() == 0 || bad.Load() > 0 {
			t.Errorf("%d logins, and %d that no node answered", good.Load(), bad.Load())
		}
		t.Logf("%d logins", good.Load())
	}
}
