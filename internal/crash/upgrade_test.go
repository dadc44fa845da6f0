package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/secret"
)

const upgradePassword = "Zx9!kestrel-Moor"

// process is one node, which is started with one version or another.
type process struct {
	t            *testing.T
	name, folder string
	http, peer   string
	initial      string
	secret       string
	cmd          *exec.Cmd
	said         *bytes.Buffer
}

// start runs the node with that program.
func (p *process) start(with string) {
	p.t.Helper()
	p.said = new(bytes.Buffer)
	p.cmd = exec.Command(with, "serve", "--name", p.name, "--data", p.folder, "--http", p.http, "--cluster", p.peer, "--initial", p.initial)
	p.cmd.Env = append(os.Environ(), "KEYSTONE_SECRET="+p.secret, "KEYSTONE_ARGON2_MEMORY_KIB=64", "KEYSTONE_ARGON2_PASSES=1", "KEYSTONE_HASH_QUEUE=1000",
		"KEYSTONE_NO_RATE_LIMIT=true", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) stop() {
	p.t.Helper()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s did not stop cleanly: %v\n%s", p.name, err, p.said)
	}
	p.cmd = nil
}

func (p *process) ready() {
	p.t.Helper()
	c := p.client()
	poll(p.t, p.name+" is not ready", func() error {
		ready, err := c.Ready(p.t.Context())
		if err == nil && !ready {
			return fmt.Errorf("not yet")
		}
		return err
	})
}

func (p *process) client() *client.Client { return dialed(p.t, "http://"+p.http) }

func (p *process) operator() *client.Client { return dialed(p.t, "unix:"+node.Socket(p.folder)) }

func dialed(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// startProcesses starts three nodes.
func startProcesses(t *testing.T) (all []*process) {
	dir, port := t.TempDir(), freePorts(t, 6)
	var initial []string
	shared := secret.NewClusterSecret().Reveal()
	for i := range 3 {
		p := &process{
			t: t, name: string(rune('a' + i)), secret: shared,
			http: fmt.Sprintf("127.0.0.1:%d", port+i), peer: fmt.Sprintf("127.0.0.1:%d", port+3+i),
		}
		p.folder = filepath.Join(dir, p.name)
		initial = append(initial, p.name+"="+p.peer)
		all = append(all, p)
	}
	for _, p := range all {
		p.initial = strings.Join(initial, ",")
		p.start(made(t, watched))
	}
	t.Cleanup(func() {
		for _, p := range all {
			p.stop()
		}
	})
	for _, p := range all {
		p.ready()
	}
	return all
}

// visitors log in and refresh, and try the next node once when one fails them.
type visitors struct {
	nodes   []*client.Client
	ended   chan struct{}
	running sync.WaitGroup
	done    atomic.Int64
	longest atomic.Int64
	mu      sync.Mutex
	failed  []error
}

func visit(all []*process, n int) *visitors {
	v := &visitors{ended: make(chan struct{})}
	for _, p := range all {
		v.nodes = append(v.nodes, p.client())
	}
	for i := range n {
		v.running.Go(func() {
			for at := i; ; at++ {
				select {
				case <-v.ended:
					return
				case <-time.After(20 * time.Millisecond):
					v.turn(at)
				}
			}
		})
	}
	return v
}

func (v *visitors) turn(at int) {
	var pair api.TokenResponse
	v.try(at, func(c *client.Client) (err error) {
		pair, err = c.Login(context.Background(), api.TokenRequest{Username: "ada", Password: upgradePassword})
		return err
	})
	if pair.RefreshToken != "" {
		v.try(at+1, func(c *client.Client) error {
			_, err := c.Refresh(context.Background(), api.RefreshRequest{RefreshToken: pair.RefreshToken})
			return err
		})
	}
}

func (v *visitors) try(at int, what func(*client.Client) error) {
	start := time.Now()
	err := what(v.nodes[at%3])
	if err != nil {
		err = what(v.nodes[(at+1)%3])
	}
	v.done.Add(1)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.longest.Store(max(v.longest.Load(), int64(time.Since(start))))
	if err != nil {
		v.failed = append(v.failed, err)
	}
}

func (v *visitors) end(t *testing.T) {
	t.Helper()
	close(v.ended)
	v.running.Wait()
	t.Logf("%d logins and refreshes, the longest took %v", v.done.Load(), time.Duration(v.longest.Load()))
	if len(v.failed) > 0 || v.done.Load() == 0 {
		t.Errorf("%d of %d failed, the first with: %v", len(v.failed), v.done.Load(), v.failed[:min(1, len(v.failed))])
	}
}

// TestRollingUpgrade replaces the program of one node after the other by that of the next version, under load. Nobody is
// failed; what only the new version knows is refused until all have it; afterwards the old one is refused.
func TestRollingUpgrade(t *testing.T) {
	program, next := made(t, watched), made(t, next)
	all := startProcesses(t)
	if _, err := all[0].operator().CreateUser(t.Context(), api.CreateUserRequest{Username: "ada", Email: "ada@example.org", Password: upgradePassword}); err != nil {
		t.Fatal(err)
	}
	v := visit(all, 3)
	checkSame(t, all[1], next)
	for i, p := range all {
		if i > 0 {
			poll(t, "the cluster is not said to be mixed", func() error {
				status, err := p.operator().Cluster(t.Context())
				if err == nil && !status.Mixed {
					err = fmt.Errorf("it has %+v", status.Nodes)
				}
				return err
			})
			_, err := all[0].operator().InvalidateAll(t.Context(), "too early")
			if err == nil || !strings.Contains(err.Error(), "not possible before all nodes run the newer Keystone") {
				t.Errorf("with %d of 3 nodes upgraded a new command gives %v", i, err)
			}
		}
		p.stop()
		if i == 0 {
			checkSame(t, p, next)
		}
		p.start(next)
		for _, q := range all {
			q.ready()
		}
	}
	v.end(t)
	poll(t, "the new command is refused", func() error {
		_, err := all[0].operator().InvalidateAll(t.Context(), "all have it")
		return err
	})
	all[2].stop()
	all[2].start(program)
	if err := all[2].cmd.Wait(); err == nil || !strings.Contains(all[2].said.String(), "start the newer version") {
		t.Errorf("the old version went on: %v\n%s", err, all[2].said)
	}
	all[2].cmd = nil
	if out, err := exec.Command(next, "upgrade", "check", program, "--data", all[2].folder).CombinedOutput(); err == nil || !strings.Contains(string(out), "REFUSED") {
		t.Errorf("a check of the old version says %v\n%s", err, out)
	}
}

// checkSame has keystone upgrade check compare both programs, on the data of a node that runs or does not run.
func checkSame(t *testing.T, p *process, next string) {
	t.Helper()
	out, err := exec.Command(made(p.t, watched), "upgrade", "check", next, "--data", p.folder, "--json").CombinedOutput()
	var said struct {
		Same bool `json:"same"`
		New  struct {
			Program string `json:"program"`
			Anew    uint64 `json:"anew"`
		} `json:"new"`
	}
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil || !said.Same || said.New.Program != "next" || said.New.Anew == 0 {
		t.Errorf("the check of the next version says %v\n%s", err, out)
	}
}
