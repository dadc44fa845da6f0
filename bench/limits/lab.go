package limits

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/client"
)

const (
	startWithin = 90 * time.Second
	endWithin   = 30 * time.Second
)

// lab is a cluster of three processes and a bare server, beside each other on this machine.
type lab struct {
	options Options
	folder  string
	nodes   []devNode
	admin   *client.Client
	bare    string        // URL of the bare server
	running []*exec.Cmd   // children that end on SIGTERM
	storm   *storm        // once it was measured
	lone    *lone         // a node with many users, which runs; nil: none does
	filled  map[int]*lone // those that were made, by how many users they have
}

// devNode is a node as keystone dev tells of it.
type devNode struct {
	Name string `json:"name"`
	HTTP string `json:"http"`
	PID  int    `json:"pid"`
}

func openLab(ctx context.Context, o Options) (_ *lab, err error) {
	l := &lab{options: o, filled: map[int]*lone{}}
	if l.folder, err = os.MkdirTemp("", "keystone-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	o.Say("starting three nodes")
	data := filepath.Join(l.folder, "cluster")
	started, err := l.start(ctx, "dev", "--json", "--no-rate-limit", "--data", data)
	if err != nil {
		return nil, err
	}
	var told struct {
		Nodes []devNode `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(started), &told); err != nil || len(told.Nodes) == 0 {
		return nil, fmt.Errorf("keystone dev told nothing of its nodes: %q", started)
	}
	l.nodes = told.Nodes
	if l.admin, err = client.New("unix:" + filepath.Join(data, l.nodes[0].Name, "keystone.sock")); err != nil {
		return nil, err
	}
	address, err := l.start(ctx, "bench", "bare")
	l.bare = "http://" + strings.TrimSpace(address)
	return l, err
}

// start starts this program with other arguments and returns the first line that it prints.
func (l *lab) start(ctx context.Context, args ...string) (string, error) {
	cmd := exec.Command(l.options.Program, args...)
	cmd.Env = append(os.Environ(), "LOG_FORMAT=json") // as a service logs, and not as a developer reads
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	l.running = append(l.running, cmd)
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case text := <-line:
		if text == "" {
			return "", fmt.Errorf("keystone %s did not start: %s", args[0], strings.TrimSpace(said.String()))
		}
		return text, nil
	case <-time.After(startWithin):
		return "", fmt.Errorf("keystone %s did not start in time", args[0])
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close ends everything and removes the data.
func (l *lab) close() error {
	if l.lone != nil {
		_ = l.lone.stop() // its data goes with the folder
	}
	if l.admin != nil {
		l.admin.Close()
	}
	for _, cmd := range l.running {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		killer := time.AfterFunc(endWithin, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // a child that is ended by a signal is no news
		killer.Stop()
	}
	return os.RemoveAll(l.folder)
}

// urls are those of the first so many nodes.
func (l *lab) urls(count int) (all []string) {
	for _, n := range l.nodes[:count] {
		all = append(all, n.HTTP)
	}
	return all
}

// cluster is the first so many nodes as a site.
func (l *lab) cluster(nodes int) bench.Site { return bench.Site{Nodes: l.urls(nodes), Admin: l.admin} }

// plan is one measurement.
func (l *lab) plan() bench.Plan {
	return bench.Plan{
		Connections: l.options.Connections, Warmup: time.Second, Duration: l.options.Duration, Rounds: 1,
		Tokens: 10_000, Mix: bench.Mix{bench.MixValid: 1}, Seed: 1,
	}
}

// operation runs a scenario once and returns one of its operations. A wrong answer, or one that is missing,
// ends the measurement: what is fast and false is not fast.
func operation(ctx context.Context, site bench.Site, scenario, name string, p bench.Plan) (bench.Operation, error) {
	r, err := bench.Run(ctx, site, scenario, p, bench.Options{})
	if err != nil {
		return bench.Operation{}, err
	}
	for _, o := range r.Rounds[0].Operations {
		switch {
		case o.Wrong > 0:
			return o, fmt.Errorf("%d answers about %s must never be given: %v", o.Wrong, o.Name, o.Kinds)
		case o.Errors > 0:
			return o, fmt.Errorf("%d requests of %s failed: %v", o.Errors, o.Name, o.Kinds)
		}
	}
	for _, o := range r.Rounds[0].Operations {
		if o.Name == name {
			return o, nil
		}
	}
	return bench.Operation{}, fmt.Errorf("nothing was measured of %s", name)
}

func throughput(ctx context.Context, site bench.Site, scenario, name string, p bench.Plan) (float64, error) {
	o, err := operation(ctx, site, scenario, name, p)
	return o.PerSecond, err
}
