package testcluster_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// faults are the sentences with which nodes gave up.
type faults struct {
	mu  sync.Mutex
	all map[string]string
}

func (f *faults) of(name string) func(error) {
	return func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.all[name] = err.Error()
	}
}

func (f *faults) wait(t *testing.T, name, want string) {
	t.Helper()
	testcluster.Poll(t, name+" goes on", func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if got := f.all[name]; !strings.Contains(got, want) {
			return fmt.Errorf("it said %q, want %q", got, want)
		}
		return nil
	})
}

// TestRecover loses two nodes of three. The third goes on with everything that it had, and without the tokens of before;
// the others are refused as they were, and let in when they are empty.
func TestRecover(t *testing.T) {
	ctx := t.Context()
	given := &faults{all: map[string]string{}}
	c := testcluster.StartWith(t, 3, func(n *node.Config) { n.Fatal = given.of(n.Name) })
	c.CreateUser("ada")
	left, lost := c.Nodes[0], c.Nodes[1:]
	before, err := left.Client().Login(ctx, api.TokenRequest{Username: "ada", Password: testcluster.Password})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Inspect(left.Config()); err == nil || !strings.Contains(err.Error(), "in use by another Keystone process") {
		t.Errorf("a node that runs was inspected: %v", err)
	}
	c.WaitAgreed()
	for _, n := range []*testcluster.Node{lost[0], lost[1], left} {
		n.Stop()
	}
	there, err := node.Inspect(left.Config())
	if err != nil {
		t.Fatal(err)
	}
	out, kept, err := node.Recover(left.Config())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(out.Dropped) != "[node-2 node-3]" || out.LastIndex != there.LastIndex || out.Sessions != 1 || out.NewClusterID == out.ClusterID {
		t.Errorf("recovered %+v of %+v", out, there)
	}
	if _, err := os.Stat(kept + "/state.db"); err != nil {
		t.Errorf("what was there before is gone: %v", err)
	}

	left.Start()
	testcluster.Poll(t, "the node that is left is not ready", func() error {
		ready, err := left.Client().Ready(ctx)
		if err == nil && !ready {
			err = fmt.Errorf("not yet")
		}
		return err
	})
	if _, err := left.Client().Login(ctx, api.TokenRequest{Username: "ada", Password: testcluster.Password}); err != nil {
		t.Errorf("what was applied is not there: %v", err)
	}
	if said, err := left.Operator().Introspect(ctx, before.AccessToken); err != nil || said.Active {
		t.Errorf("a token of before is good: %+v, %v", said, err)
	}
	if _, err := left.Client().Refresh(ctx, api.RefreshRequest{RefreshToken: before.RefreshToken}); err == nil {
		t.Error("a refresh token of before is good")
	}

	for _, n := range lost { // both at once: they would be a majority of the old cluster
		n.Start()
	}
	for _, n := range lost {
		given.wait(t, n.Name, "the cluster of this node was recovered without it")
		n.Stop()
	}
	for _, n := range lost {
		if err := os.RemoveAll(n.Dir); err != nil {
			t.Fatal(err)
		}
		n.Start()
	}
	c.WaitReady()
	c.WaitAgreed()
	if _, err := lost[0].Client().Login(ctx, api.TokenRequest{Username: "ada", Password: testcluster.Password}); err != nil {
		t.Errorf("a node that joined the recovered cluster: %v", err)
	}
}
