package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// shells is a fleet whose nodes are shell scripts, each of them past its first line.
func shells(t *testing.T, scripts ...string) *fleet {
	t.Helper()
	f := &fleet{dev: &devCluster{path: t.TempDir()}, progress: io.Discard, exits: make(chan exit, 64)}
	f.logFrom = make([]int64, len(scripts))
	for i, script := range scripts {
		f.dev.Nodes = append(f.dev.Nodes, devNode{Name: "node-" + strconv.Itoa(i+1)})
		cmd := exec.Command("sh", "-c", script+"; echo ready; while :; do sleep 0.02; done")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		f.running = append(f.running, cmd)
		go func() { f.exits <- exit{i, cmd, cmd.Wait()} }()
	}
	return f
}

// TestStopTellsOfFaults: a node that cannot shut down cleanly is a fault, and a script that runs
// keystone dev has to see it.
func TestStopTellsOfFaults(t *testing.T) {
	const clean, faulty, deaf = `trap 'exit 0' TERM`, `trap 'exit 3' TERM`, `trap '' TERM`
	if err := shells(t, clean, clean).stop(); err != nil {
		t.Errorf("nodes that stopped cleanly: %v", err)
	}
	if err := shells(t, clean, faulty).stop(); err == nil || !strings.Contains(err.Error(), "node-2 (exit status 3)") || strings.Contains(err.Error(), "node-1") {
		t.Errorf("a node that ended with 3: %v", err)
	}
	f := shells(t, deaf, clean)
	signals := make(chan os.Signal, 1)
	f.signals = signals
	signals <- syscall.SIGINT // nobody wants to wait for it
	if err := f.stop(); err == nil || !strings.Contains(err.Error(), "node-1 (signal: killed)") {
		t.Errorf("a node that had to be killed: %v", err)
	}
	f = shells(t, deaf, clean)
	if err := f.running[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.stop(); err != nil {
		t.Errorf("a node that somebody had killed before: %v", err)
	}
}

// TestLastWords: what a node said in an earlier run is no reason for the end of this one.
func TestLastWords(t *testing.T) {
	f := &fleet{dev: &devCluster{path: t.TempDir(), Nodes: []devNode{{Name: "node-1"}}}, logFrom: []int64{0}}
	say := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(f.log(0)), 0o700); err != nil {
			t.Fatal(err)
		}
		log, err := os.OpenFile(f.log(0), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		if f.logFrom[0], err = log.Seek(0, io.SeekEnd); err == nil {
			_, err = log.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(reason string, said bool) {
		t.Helper()
		if r, s := f.lastWords(0); s != said || s && r != reason {
			t.Errorf("the last words are %q, %v; want %q, %v", r, s, reason, said)
		}
	}
	want("", false)
	say("serving\nkeystone: the port is in use\n")
	want("the port is in use", true)
	say("")
	want("", false)
	say("serving\n")
	want("", false)
}

// TestRevivedNodeThatDies: whoever asks for a node is told why it does not come.
func TestRevivedNodeThatDies(t *testing.T) {
	dev := startDev(t, "--nodes", "1", "--data", filepath.Join(t.TempDir(), "cluster"), "--port", strconv.Itoa(freePorts(t, 1)))
	if err := syscall.Kill(dev.Nodes[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed node is told of", func() bool { return strings.Contains(dev.stderr.String(), "is down: signal: killed") })
	var taken net.Listener
	eventually(t, "its port is free", func() (ok bool) {
		var err error
		taken, err = net.Listen("tcp", strings.TrimPrefix(dev.Nodes[0].HTTP, "http://"))
		return err == nil
	})
	if err := dev.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reason is told", func() bool {
		return strings.Contains(dev.stderr.String(), "is down: the API cannot listen on ")
	})
	taken.Close()
	if err := dev.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node serves again", func() bool { return dev.ready(t, 0) })
	dev.stop(t)
}

// TestClaimPorts: no port is given away twice, not even one that no node listens on yet.
func TestClaimPorts(t *testing.T) {
	d := &devCluster{}
	for i := range 9 {
		d.Nodes = append(d.Nodes, devNode{Name: "node-" + strconv.Itoa(i+1), Port: 20_000 + i})
	}
	ports := []int{}
	for i := range 500 {
		n := &d.Nodes[i%len(d.Nodes)]
		n.ClusterPort = d.pickPort()
		for _, other := range d.Nodes {
			if other.Port == n.ClusterPort || other.Name != n.Name && other.ClusterPort == n.ClusterPort {
				t.Fatalf("port %d is given to %s and %s", n.ClusterPort, n.Name, other.Name)
			}
		}
		ports = append(ports, n.ClusterPort)
	}
	if slices.Sort(ports); ports[0] == ports[len(ports)-1] {
		t.Error("always the same port")
	}
	gossip, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gossip.Close()
	if at := gossip.LocalAddr().String(); freeForCluster(at) {
		t.Errorf("%s counts as free, and its UDP port is not", at)
	}
	d = &devCluster{Nodes: []devNode{{Name: "node-1", Port: 28_000, ClusterPort: 28_001}, {Name: "node-2", Port: 28_001, ClusterPort: 28_002}}}
	if err := d.claimPorts(true); err == nil || !strings.Contains(err.Error(), "port 28001, which node-2 is to serve on, is one at which the nodes know each other") {
		t.Errorf("a port for two purposes: %v", err)
	}
}
