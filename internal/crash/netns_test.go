package crash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/history"
	"github.com/keystone-auth/keystone/internal/hosts"
	"github.com/keystone-auth/keystone/secret"
)

func address(network, i int) string { return fmt.Sprintf("10.213.%d.%d", network, i) }

// machines are three hosts with two networks: one between the nodes, which the test tears apart, and one on
// which clients reach every node all the time.
type machines struct {
	*hosts.Set
	t *testing.T
}

func newMachines(t *testing.T) *machines {
	t.Helper()
	m := &machines{hosts.New(t, 3), t}
	m.Connect("c", func(i int) string { return address(1, i) })
	m.Connect("h", func(i int) string { return address(2, i) })
	m.Must("addr", "add", address(2, 254)+"/24", "dev", m.Cable("h", 0)) // clients are on this machine itself
	return m
}

// start starts a node in a namespace of its own, and ends it with the test.
func (h *machines) start(i int, dir string, shared secret.ClusterSecret) {
	h.t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		h.t.Fatal(err)
	}
	var initial []string
	for n := 1; n <= 3; n++ {
		initial = append(initial, fmt.Sprintf("n%d=%s:7400", n, address(1, n)))
	}
	cmd := h.Command(i, made(h.t, watched), "serve", "--name", fmt.Sprint("n", i), "--data", filepath.Join(dir, "data"),
		"--cluster", address(1, i)+":7400", "--initial", strings.Join(initial, ","), "--http", address(2, i)+":8000", "--http-insecure", "--no-rate-limit")
	cmd.Env = append(os.Environ(), "KEYSTONE_SECRET="+shared.Reveal(), "KEYSTONE_ARGON2_MEMORY_KIB=64", "KEYSTONE_ARGON2_PASSES=1", "KEYSTONE_HASH_QUEUE=1000")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // ip has become the node
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("node %d did not stop cleanly: %v", i, err)
		}
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && h.t.Failed() {
			h.t.Logf("the end of the log of node %d:\n%s", i, text[max(0, len(text)-3000):])
		}
	})
}

// tear cuts the nodes' network, by its links or in one direction by a route, until ctx ends, and mends it.
func (h *machines) tear(ctx context.Context, r *history.Recorder, random *rand.Rand) {
	for ctx.Err() == nil {
		victim := 1 + random.IntN(3)
		other := 1 + (victim+random.IntN(2))%3
		cut, mend := []string{"link", "set", h.Cable("c", victim), "down"}, []string{"link", "set", h.Cable("c", victim), "up"}
		what := fmt.Sprintf("the link of n%d is cut", victim)
		if random.IntN(3) == 0 {
			route := []string{"blackhole", address(1, other) + "/32"}
			cut, mend = append([]string{"-n", h.Name(victim), "route", "add"}, route...), append([]string{"-n", h.Name(victim), "route", "del"}, route...)
			what = fmt.Sprintf("n%d does not hear n%d", other, victim)
		}
		r.Event("%s", what)
		if err := h.IP(cut...); err != nil {
			h.t.Error(err)
			return
		}
		time.Sleep(time.Second + time.Duration(random.IntN(3000))*time.Millisecond)
		if err := h.IP(mend...); err != nil {
			h.t.Error(err)
			return
		}
		r.Event("it is mended")
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
	}
}

// TestHistoriesOfHosts tears the network of three hosts apart, as the kernel does it.
func TestHistoriesOfHosts(t *testing.T) {
	duration, seed := 10*time.Second, uint64(1)
	if torture {
		duration, seed = 10*time.Minute, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	h, shared, dir := newMachines(t), secret.NewClusterSecret(), t.TempDir()
	r := history.NewRecorder()
	traffic := &history.Traffic{Recorder: r, Password: password}
	for i := 1; i <= 3; i++ {
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(own, 0o700); err != nil {
			t.Fatal(err)
		}
		h.start(i, own, shared)
		c, err := client.New("http://" + address(2, i) + ":8000")
		if err != nil {
			t.Fatal(err)
		}
		traffic.Targets = append(traffic.Targets, history.Target{Name: fmt.Sprint("n", i), Client: c})
	}
	ready := func() {
		for _, target := range traffic.Targets {
			poll(t, target.Name+" is not ready", func() error {
				ok, err := target.Client.Ready(t.Context())
				if err == nil && !ok {
					err = fmt.Errorf("not yet")
				}
				return err
			})
		}
	}
	ready()
	operator, err := client.New("unix:" + node.Socket(filepath.Join(dir, "1", "data")))
	if err != nil {
		t.Fatal(err)
	}
	made, err := operator.CreateClient(t.Context(), api.CreateClientRequest{ClientID: "asker", Name: "Asker"})
	if err != nil {
		t.Fatal(err)
	}
	traffic.ClientID, traffic.Secret = made.ClientID, made.ClientSecret
	people(t, operator, traffic)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var nemesis sync.WaitGroup
	nemesis.Go(func() { h.tear(ctx, r, rand.New(rand.NewPCG(seed, 0))) })
	traffic.Run(ctx, seed, 8)
	nemesis.Wait()
	ready()
	explained(t, r)
}
