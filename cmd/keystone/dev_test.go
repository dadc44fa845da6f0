package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/store"
)

// devRun is a `keystone dev` process.
type devRun struct {
	*devReport
	cmd    *exec.Cmd
	stdout *lockedBuffer
	stderr *lockedBuffer
}

// startDev starts the process and waits for its line.
func startDev(t *testing.T, args ...string) *devRun {
	t.Helper()
	r := &devRun{stdout: new(lockedBuffer), stderr: new(lockedBuffer)}
	r.cmd = exec.Command("keystone", append([]string{"dev", "--json"}, args...)...)
	r.cmd.Env = append(os.Environ(), "KEYSTONE_ARGON2_MEMORY_KIB=64", "KEYSTONE_ARGON2_PASSES=1", "GORACE=atexit_sleep_ms=0")
	r.cmd.Stdout, r.cmd.Stderr = r.stdout, r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	})
	eventually(t, "keystone dev says that it serves", func() bool { return strings.HasSuffix(r.stdout.String(), "\n") })
	if err := json.Unmarshal([]byte(r.stdout.String()), &r.devReport); err != nil {
		t.Fatalf("standard output is not one line of JSON: %v\n%s", err, r.stdout)
	}
	return r
}

// stop presses Ctrl-C.
func (r *devRun) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("keystone dev did not stop cleanly: %v\n%s", err, r.stderr)
	}
	for _, n := range r.Nodes {
		if alive(n.PID) {
			t.Errorf("%s runs on after keystone dev has ended", n.Name)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func eventually(t *testing.T, what string, hope func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !hope(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// freePorts finds a row of ports that nobody has.
func freePorts(t *testing.T, count int) (first int) {
	t.Helper()
	for first = 10_000 + os.Getpid()%8_000; first < 20_000; first += count {
		taken := false
		for i := range count {
			taken = taken || !free(net.JoinHostPort("127.0.0.1", strconv.Itoa(first+i)))
		}
		if !taken {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// TestDev is the first quarter of an hour of a newcomer: log in on one node, verify on another,
// revoke on the third; kill a node, go on, bring it back; stop, start again.
func TestDev(t *testing.T) {
	t.Setenv("KEYSTONE_PUBLIC_URL", "https://auth.example.com/")
	data, port := filepath.Join(t.TempDir(), "cluster"), freePorts(t, 3)
	dev := startDev(t, "--data", data, "--port", strconv.Itoa(port))
	if len(dev.Nodes) != 3 || dev.Admin.Username != "admin" || dev.Client.ID != "demo-service" {
		t.Fatalf("keystone dev reports %s", dev.stdout)
	}
	for i, n := range dev.Nodes {
		if want := fmt.Sprintf("http://127.0.0.1:%d", port+i); n.HTTP != want || !alive(n.PID) {
			t.Errorf("%s is process %d at %s, want one that runs at %s", n.Name, n.PID, n.HTTP, want)
		}
	}
	for _, name := range []string{"dev.json", "node-1/secret", "node-2/log"} {
		if info, err := os.Stat(filepath.Join(data, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is missing or others may read it: %v", name, err)
		}
	}
	dev.loginVerifyRevoke(t, 0, 1, 2)
	if said := dev.fetch(t, 1, "/.well-known/oauth-authorization-server"); !strings.Contains(said, `"https://auth.example.com/oauth2/token"`) {
		t.Errorf("the metadata does not say how clients reach the cluster: %s", said)
	}

	victim := dev.Nodes[1]
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed node is told of", func() bool { return strings.Contains(dev.stderr.String(), "node-2 (pid") })
	dev.loginVerifyRevoke(t, 0, 2, 0)
	if err := dev.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed node serves again", func() bool { return dev.ready(t, 1) })
	if alive(victim.PID) {
		t.Error("the killed process is alive")
	}
	dev.loginVerifyRevoke(t, 1, 0, 2)
	for range 2 { // killed and asked for in one breath
		pid := dev.pid(t, 2)
		if err := errors.Join(syscall.Kill(pid, syscall.SIGKILL), dev.cmd.Process.Signal(syscall.SIGHUP)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node serves in a new process", func() bool { return dev.pid(t, 2) != pid && dev.ready(t, 2) })
	}
	dev.stop(t)
	checkAll(t, data)

	again := startDev(t, "--data", data)
	if again.Admin != dev.Admin || again.Client != dev.Client || again.Nodes[2].HTTP != dev.Nodes[2].HTTP {
		t.Errorf("after a restart keystone dev reports %s", again.stdout)
	}
	again.loginVerifyRevoke(t, 2, 1, 0)
	again.stop(t)
	checkAll(t, data)
	if got := again.stdout.String(); strings.Count(got, "\n") != 1 {
		t.Errorf("standard output holds more than the one line: %s", got)
	}
}

// TestDevKilled lets keystone dev die without a chance to end its nodes.
func TestDevKilled(t *testing.T) {
	data, port := filepath.Join(t.TempDir(), "cluster"), strconv.Itoa(freePorts(t, 3))
	dev := startDev(t, "--data", data, "--port", port)
	if err := dev.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dev.cmd.Wait()
	for _, n := range dev.Nodes {
		eventually(t, n.Name+" ends with keystone dev", func() bool { return !alive(n.PID) })
	}
	again := startDev(t, "--data", data, "--port", port)
	again.loginVerifyRevoke(t, 0, 1, 2)
	again.stop(t)
	checkAll(t, data)
}

// TestDevRefuses looks at what stops keystone dev before a node is started.
func TestDevRefuses(t *testing.T) {
	dev := startDev(t, "--nodes", "1", "--data", filepath.Join(t.TempDir(), "cluster"), "--port", strconv.Itoa(freePorts(t, 1)))
	data := dev.folder(t)
	port := strings.TrimPrefix(dev.Nodes[0].HTTP, "http://127.0.0.1:")
	f := func(want string, args ...string) {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command("keystone", append([]string{"dev"}, args...)...)
		cmd.Stderr = &stderr
		err := cmd.Run()
		if got := stderr.String(); err == nil || !strings.Contains(got, "keystone: "+want) || strings.Contains(got, "starting") {
			t.Errorf("keystone dev %s says %q, want %q", args, got, want)
		}
	}
	f("the data folder "+data+": in use by another Keystone process (pid "+strconv.Itoa(dev.cmd.Process.Pid)+")", "--data", data)
	f("port "+port+", which node-1 is to serve on, is in use: choose others with --port", "--data", filepath.Join(t.TempDir(), "new"), "--port", port)
	dev.stop(t)
	f("the data in "+data+" is that of 1 nodes", "--data", data, "--nodes", "3")
}

// pid is the process that has the data of a node now, as its lock file says.
func (r *devRun) pid(t *testing.T, i int) (pid int) {
	t.Helper()
	lock := filepath.Join(r.folder(t), r.Nodes[i].Name, "keystone.lock")
	eventually(t, "the lock names a process", func() bool {
		text, err := os.ReadFile(lock)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	return pid
}

// folder is where the data of all nodes is, as the first line says.
func (r *devRun) folder(t *testing.T) string {
	t.Helper()
	line, _, _ := strings.Cut(r.stderr.String(), "\n")
	_, path, found := strings.Cut(line, "data in ")
	if !found {
		t.Fatalf("keystone dev does not say where its data is: %s", r.stderr)
	}
	return path
}

func (r *devRun) node(t *testing.T, i int) *client.Client {
	t.Helper()
	c, err := client.New(r.Nodes[i].HTTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (r *devRun) fetch(t *testing.T, i int, path string) string {
	t.Helper()
	resp, err := http.Get(r.Nodes[i].HTTP + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r *devRun) ready(t *testing.T, i int) bool {
	ready, _ := r.node(t, i).Ready(t.Context())
	return ready
}

// loginVerifyRevoke logs in on one node, asks a second, revokes on a third and asks all that run. A
// cluster that has just lost a node may ask for patience.
func (r *devRun) loginVerifyRevoke(t *testing.T, login, verify, revoke int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var tokens api.TokenResponse
	var err error
	eventually(t, "a login", func() bool {
		tokens, err = r.node(t, login).Login(ctx, api.TokenRequest{Username: r.Admin.Username, Password: r.Admin.Password})
		return client.CodeOf(err) != "temporarily_unavailable"
	})
	if err != nil {
		t.Fatalf("login on node %d: %v", login, err)
	}
	asDemo := func(i int) *client.Client { return r.node(t, i).WithCredentials(r.Client.ID, r.Client.Secret) }
	if said, err := asDemo(verify).Introspect(ctx, tokens.AccessToken); err != nil || !said.Active || said.Username != "admin" {
		t.Errorf("node %d says of a fresh token: %+v, %v", verify, said, err)
	}
	eventually(t, "a revocation", func() bool {
		err = r.node(t, revoke).WithToken(tokens.AccessToken).Revoke(ctx, tokens.AccessToken)
		return client.CodeOf(err) != "temporarily_unavailable"
	})
	if err != nil {
		t.Fatalf("revocation on node %d: %v", revoke, err)
	}
	for i := range r.Nodes {
		if !r.ready(t, i) {
			continue
		}
		eventually(t, "a revoked token is dead on every node", func() bool {
			said, err := asDemo(i).Introspect(ctx, tokens.AccessToken)
			return err == nil && !said.Active
		})
	}
}

// checkAll proves that the states of all nodes are sound.
func checkAll(t *testing.T, data string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "node-*", "state.db"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no states in %s: %v", data, err)
	}
	for _, path := range files {
		s, err := store.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s is not sound: %v", path, err)
		}
		s.Close()
	}
}

// lockedBuffer takes what a process prints while the test reads it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*lockedBuffer)(nil)

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
