package testcluster_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// people log in and refresh in a loop, each at another node, and try the next node once when one fails them.
type people struct {
	nodes   []*client.Client // which keep their connections
	ended   chan struct{}
	running sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Int64
	first   atomic.Pointer[error]
	pause   atomic.Int64 // the longest time that one of them waited
}

func (p *people) start(n int) {
	for i := range n {
		p.running.Go(func() {
			for at := i; ; at++ {
				select {
				case <-p.ended:
					return
				default:
				}
				p.turn(at)
			}
		})
	}
}

// turn is one login and one refresh.
func (p *people) turn(at int) {
	var pair api.TokenResponse
	p.try(at, func(c *client.Client) (err error) {
		pair, err = c.Login(context.Background(), api.TokenRequest{Username: "ada", Password: testcluster.Password})
		return err
	})
	if pair.RefreshToken == "" {
		return
	}
	p.try(at+1, func(c *client.Client) error {
		_, err := c.Refresh(context.Background(), api.RefreshRequest{RefreshToken: pair.RefreshToken})
		return err
	})
}

func (p *people) try(at int, what func(*client.Client) error) {
	start := time.Now()
	err := what(p.nodes[at%len(p.nodes)])
	if err != nil {
		err = what(p.nodes[(at+1)%len(p.nodes)])
	}
	p.done.Add(1)
	if err != nil {
		p.failed.Add(1)
		p.first.CompareAndSwap(nil, &err)
	}
	for took := int64(time.Since(start)); ; {
		longest := p.pause.Load()
		if took <= longest || p.pause.CompareAndSwap(longest, took) {
			return
		}
	}
}

// TestRollingRestart restarts one node after the other under load: nobody who tries the next node once fails to log
// in or to refresh.
func TestRollingRestart(t *testing.T) {
	rounds := 1
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		rounds = 30
	}
	c := testcluster.Start(t, 3)
	c.CreateUser("ada")
	p := &people{ended: make(chan struct{})}
	for _, n := range c.Nodes {
		p.nodes = append(p.nodes, n.Client())
	}
	p.start(4)
	for range rounds {
		for _, n := range c.Nodes {
			n.Stop()
			n.Start()
			c.WaitReady()
		}
	}
	close(p.ended)
	p.running.Wait()
	t.Logf("%d logins and refreshes over %d rolling restarts, the longest took %v", p.done.Load(), rounds, time.Duration(p.pause.Load()))
	if err := p.first.Load(); err != nil {
		t.Errorf("%d of %d failed, the first one with: %v", p.failed.Load(), p.done.Load(), *err)
	}
	if p.done.Load() == 0 {
		t.Error("nobody did anything meanwhile")
	}
}

// TestLeaving: a node that stops says so, leads no more, and goes on answering for a while.
func TestLeaving(t *testing.T) {
	c := testcluster.StartWith(t, 3, func(n *node.Config) { n.Drain = time.Second })
	c.CreateUser("ada")
	leader := c.Leader()
	there, running := leader.Client(), leader.Running()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		leader.Stop()
	}()
	testcluster.Poll(t, "the node that stops says that it is ready, or leads", func() error {
		ready, err := there.Ready(t.Context())
		if role := running.Cluster().Role(); ready && err == nil || role == "leader" {
			return fmt.Errorf("ready %t, %s", ready, role)
		}
		return nil
	})
	if _, err := there.Login(t.Context(), api.TokenRequest{Username: "ada", Password: testcluster.Password}); err != nil {
		select {
		case <-ended: // a machine so busy that it was over before
		default:
			t.Errorf("a node that is leaving does not answer: %v", err)
		}
	}
	<-ended
}
