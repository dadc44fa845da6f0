package crash_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/store"
)

const patience = 3 * time.Minute

// torture tells whether the long form of the tests was asked for.
var torture = os.Getenv("KEYSTONE_TORTURE") != ""

// built is the folder with the binaries under test.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "keystone-crash-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// watched is the program with the race detector, next the same as one of the next version, which needs that for a new
// epoch, and shipped as it is given to people, for what takes too long otherwise or is measured.
var (
	watched = sync.OnceValues(func() (string, error) { return build("watched", "1", "-race") })
	next    = sync.OnceValues(func() (string, error) {
		return build("next", "1", "-race", "-ldflags", "-X main.version=next -X github.com/keystone-auth/keystone/fsm.next=yes")
	})
	shipped = sync.OnceValues(func() (string, error) { return build("shipped", "0", "-trimpath") })
)

func build(name, cgo string, flags ...string) (path string, err error) {
	path = filepath.Join(built, name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-tags", "hashicorpmetrics", "-o", path}, flags, []string{"github.com/keystone-auth/keystone/cmd/keystone"})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the program cannot be built: %w\n%s", err, out)
	}
	return path, nil
}

// made is the path of a program.
func made(t testing.TB, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// announcement is the line that `keystone dev --json` prints.
type announcement struct {
	Nodes []struct {
		Name string `json:"name"`
		HTTP string `json:"http"`
		PID  int    `json:"pid"`
	} `json:"nodes"`
	Client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	} `json:"client"`
}

// fleet is one `keystone dev` and its node processes.
type fleet struct {
	announcement
	t       testing.TB
	program string
	dir     string
	port    int
	cmd     *exec.Cmd // nil while it is stopped
}

// startFleet starts three nodes of a program; stop ends them.
func startFleet(t testing.TB, program func() (string, error)) *fleet {
	t.Helper()
	f := &fleet{t: t, program: made(t, program), dir: t.TempDir(), port: freePorts(t, 3)}
	f.start()
	t.Cleanup(func() {
		f.stop()
		f.check()
		if t.Failed() {
			f.showLogs()
		}
	})
	return f
}

// freePorts returns a port which is free together with those that follow.
func freePorts(t testing.TB, n int) int {
	// Above what keystone dev takes for its cluster ports, and below what the system gives to outgoing
	// connections: a node that was killed must find its port free.
	for port := 30_000 + os.Getpid()%2_000; port < 32_700; port += n {
		free := 0
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				break
			}
			_ = l.Close()
			free++
		}
		if free == n {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func (f *fleet) start() {
	f.t.Helper()
	f.cmd = exec.Command(f.program, "dev", "--json", "--no-rate-limit", "--data", f.dir, "--port", strconv.Itoa(f.port))
	// Cheap hashes, or the load would be argon2 and nothing else.
	f.cmd.Env = append(os.Environ(), "KEYSTONE_ARGON2_MEMORY_KIB=64", "KEYSTONE_ARGON2_PASSES=1", "KEYSTONE_HASH_QUEUE=1000")
	f.cmd.Stderr = os.Stderr
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	impatient := time.AfterFunc(2*patience, func() { _ = f.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if !impatient.Stop() || err != nil {
		f.showLogs()
		f.t.Fatalf("keystone dev said nothing: %v", err)
	}
	if err := json.Unmarshal(line, &f.announcement); err != nil {
		f.t.Fatalf("keystone dev said %s: %v", line, err)
	}
}

func (f *fleet) stop() {
	f.t.Helper()
	if f.cmd == nil {
		return
	}
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Error(err)
	}
	if err := f.cmd.Wait(); err != nil {
		f.t.Errorf("keystone dev did not stop cleanly: %v", err)
	}
	f.cmd = nil
}

func (f *fleet) folder(i int) string { return filepath.Join(f.dir, f.Nodes[i].Name) }

// pid is the process that holds the node's data folder now.
func (f *fleet) pid(i int) int {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.folder(i), "keystone.lock"))
	if err != nil {
		f.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		f.t.Fatal(err)
	}
	return pid
}

// kill ends the node as a power cut would.
func (f *fleet) kill(i int) {
	f.t.Helper()
	if err := syscall.Kill(f.pid(i), syscall.SIGKILL); err != nil {
		f.t.Fatal(err)
	}
}

// revive asks keystone dev to start what is down, and waits until the node is ready.
func (f *fleet) revive(i int) {
	f.t.Helper()
	poll(f.t, f.Nodes[i].Name+" does not come back", func() error {
		if err := f.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // or signals would be all that keystone dev sees
		return f.ready(i)
	})
}

func (f *fleet) ready(i int) error {
	ready, err := f.client(i).Ready(f.t.Context())
	if err == nil && !ready {
		return fmt.Errorf("not ready")
	}
	return err
}

func (f *fleet) client(i int) *client.Client {
	c, err := client.New(f.Nodes[i].HTTP)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fleet) operator(i int) *client.Client {
	c, err := client.New("unix:" + node.Socket(f.folder(i)))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// leader is the index of the node that leads.
func (f *fleet) leader() (leader int) {
	f.t.Helper()
	poll(f.t, "nobody leads", func() error {
		for i := range f.Nodes {
			h, err := f.client(i).Health(f.t.Context())
			if err != nil {
				continue
			}
			for j, n := range f.Nodes {
				if n.Name == h.Leader && f.ready(j) == nil {
					leader = j
					return nil
				}
			}
		}
		return fmt.Errorf("no node knows a leader that answers")
	})
	return leader
}

// agree waits until every node has applied the same log, and holds their states against each other.
func (f *fleet) agree() {
	f.t.Helper()
	poll(f.t, "the nodes do not agree", func() error {
		status, err := f.operator(0).Cluster(f.t.Context())
		if err != nil {
			return err
		}
		if len(status.Nodes) != len(f.Nodes) {
			return fmt.Errorf("%d nodes are members", len(status.Nodes))
		}
		for _, n := range status.Nodes {
			if n.Lag != 0 || n.Agrees == nil {
				return fmt.Errorf("%s is %d entries behind", n.Name, n.Lag)
			}
			if !*n.Agrees {
				f.t.Fatalf("%s has another state", n.Name)
			}
		}
		return nil
	})
}

// check proves every state file sound. The nodes must be down.
func (f *fleet) check() {
	f.t.Helper()
	var first store.Meta
	for i := range f.Nodes {
		s, err := store.Open(filepath.Join(f.folder(i), "state.db"))
		if err != nil {
			f.t.Error(err)
			continue
		}
		if err := s.Check(); err != nil {
			f.t.Errorf("%s: %v", f.Nodes[i].Name, err)
		}
		meta, err := s.Meta()
		if err != nil {
			f.t.Error(err)
		}
		if i == 0 {
			first = meta
		}
		if meta.Index == first.Index && meta.Hash != first.Hash {
			f.t.Errorf("%s has another state at index %d than %s", f.Nodes[i].Name, meta.Index, f.Nodes[0].Name)
		}
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	}
}

// showLogs prints how each node ended.
func (f *fleet) showLogs() {
	for i := range 3 {
		text, err := os.ReadFile(filepath.Join(f.dir, fmt.Sprintf("node-%d", i+1), "log"))
		if err == nil {
			f.t.Logf("the end of the log of node-%d:\n%s", i+1, text[max(0, len(text)-3000):])
		}
	}
}

func poll(t testing.TB, what string, done func() error) {
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
		time.Sleep(20 * time.Millisecond)
	}
}
