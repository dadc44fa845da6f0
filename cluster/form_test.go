package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

func TestLoneNode(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	scope := n.put("read")
	n = n.restart()
	n.ready()
	if !n.has(scope) {
		t.Error("what was acknowledged before the restart is gone")
	}
	n.put("write")
}

func TestFormingOfThree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			nodes := three(t, random.Perm(3))
			for i, n := range nodes {
				scope := n.put(fmt.Sprintf("scope.%d", i))
				if !n.has(scope) {
					t.Errorf("%s does not see what it proposed", n.conf.Name)
				}
			}
		})
	}
}

func TestFormingWaitsForALateNode(t *testing.T) {
	initial := peers(t, 3)
	b, c := start(t, member(initial[1], initial)), start(t, member(initial[2], initial))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := b.Propose(ctx, fsm.Origin{}, &fsm.PutScope{Scope: iam.Scope{ID: iam.NewID(), Name: "early"}}); iam.CodeOf(err) != iam.TemporarilyUnavailable {
		t.Errorf("a node without a cluster answered %v", err)
	}
	if b.Role() != "forming" || c.Role() != "forming" {
		t.Errorf("roles are %s and %s before the last founder came", b.Role(), c.Role())
	}
	a := start(t, member(initial[0], initial))
	for _, n := range []*node{a, b, c} {
		n.ready()
	}
	ids := map[string]bool{}
	for _, n := range []*node{a, b, c} {
		ids[n.Status(t.Context()).ClusterID] = true
	}
	if len(ids) != 1 {
		t.Errorf("the nodes are in clusters %v", ids)
	}
}

func TestInitialListsThatDiffer(t *testing.T) {
	initial := peers(t, 3)
	other := slices.Clone(initial)
	other[2].Name = "d"
	a := start(t, member(initial[0], initial))
	b := start(t, member(initial[1], other))
	for _, n := range []*node{a, b} {
		if got := faultOf(t, n); !strings.Contains(got, "the initial lists differ") || !strings.Contains(got, "d="+initial[2].Address) {
			t.Errorf("%s says %q", n.conf.Name, got)
		}
	}
}

func TestTwoFoundersWithOneName(t *testing.T) {
	initial := peers(t, 3)
	impostor := member(initial[1], initial)
	impostor.Bind, impostor.Advertise = initial[2].Address, initial[2].Address
	nodes := []*node{start(t, member(initial[0], initial)), start(t, member(initial[1], initial)), start(t, impostor)}
	// The one that is wrong finds out by itself, for it meets itself under another name. Whether the others
	// notice depends on who asks first: whoever gives up is gone at once, as a process is.
	wrong := nodes[2]
	if got := faultOf(t, wrong); !strings.Contains(got, "called b") {
		t.Errorf("the impostor says %q", got)
	}
	wrong.stop()
	for _, n := range nodes[:2] {
		if err := n.fault(); err != nil && !strings.Contains(err.Error(), "called b") {
			t.Errorf("%s says %q", n.conf.Name, err)
		}
	}
}

func TestNameOfALivingMember(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	twin := start(t, cluster.Config{Name: "b", Bind: freeAddress(t), Join: []string{nodes[0].Address()}, Secret: clusterSecret})
	if got := faultOf(t, twin); !strings.Contains(got, "Two nodes are called b") {
		t.Errorf("it says %q", got)
	}
	for _, n := range nodes {
		if len(n.Status(t.Context()).Nodes) != 3 || n.fault() != nil {
			t.Errorf("%s was harmed: %v", n.conf.Name, n.fault())
		}
	}
}

func TestWrongSecret(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	stranger := start(t, cluster.Config{Name: "d", Bind: freeAddress(t), Join: []string{nodes[0].Address()}, Secret: secret.NewClusterSecret()})
	if got := faultOf(t, stranger); !strings.Contains(got, "another cluster secret") {
		t.Errorf("it says %q", got)
	}
	nodes[1].put("still.works")
}

func TestPreviousSecretIsTrusted(t *testing.T) {
	initial := peers(t, 3)
	next := secret.NewClusterSecret()
	var nodes []*node
	for i, p := range initial {
		c := member(p, initial)
		if c.Previous = []secret.ClusterSecret{next}; i == 2 {
			c.Secret, c.Previous = next, []secret.ClusterSecret{clusterSecret}
		}
		nodes = append(nodes, start(t, c))
	}
	for _, n := range nodes {
		n.ready()
		n.put("from." + n.conf.Name)
	}
}

func TestDataOfAnotherCluster(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	alone := start(t, cluster.Config{Name: "d", Bind: freeAddress(t), Secret: clusterSecret})
	alone.ready()
	kept := alone.put("mine")
	alone.stop()
	mixed := alone.conf
	mixed.Join = []string{nodes[0].Address()}
	n := start(t, mixed)
	if got := faultOf(t, n); !strings.Contains(got, "belongs to cluster") || !strings.Contains(got, alone.conf.DataDir) {
		t.Errorf("it says %q", got)
	}
	n.stop()
	again := start(t, alone.conf)
	again.ready()
	if !again.has(kept) {
		t.Error("the data was damaged")
	}
}

func TestRefusedFolders(t *testing.T) {
	used := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	used.ready()
	used.stop()
	for _, row := range []struct {
		name, want string
		spoil      func(dir string, c *cluster.Config)
	}{
		{"another name", "belongs to the node called solo", func(_ string, c *cluster.Config) { c.Name = "other" }},
		{"newer format", "newer Keystone", func(dir string, _ *cluster.Config) {
			write(t, filepath.Join(dir, "cluster.json"), `{"format":2,"node_id":"x"}`)
		}},
		{"garbage", "cannot be read", func(dir string, _ *cluster.Config) {
			write(t, filepath.Join(dir, "cluster.json"), `{`)
		}},
		{"incomplete", "not complete", func(dir string, _ *cluster.Config) {
			write(t, filepath.Join(dir, "cluster.json"), `{"format":1}`)
		}},
		{"place lost", "cluster.json is missing", func(dir string, _ *cluster.Config) {
			remove(t, filepath.Join(dir, "cluster.json"))
		}},
		{"log lost", "log of this node is gone", func(dir string, _ *cluster.Config) {
			remove(t, filepath.Join(dir, "raft", "log.db"))
		}},
		{"log and place lost", "without the log", func(dir string, _ *cluster.Config) {
			remove(t, filepath.Join(dir, "raft", "log.db"))
			remove(t, filepath.Join(dir, "cluster.json"))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := used.conf
			c.DataDir = t.TempDir()
			if err := os.CopyFS(c.DataDir, os.DirFS(used.conf.DataDir)); err != nil {
				t.Fatal(err)
			}
			row.spoil(c.DataDir, &c)
			_, err := tryStart(t, c)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("start says %v, want %q", err, row.want)
			}
		})
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for want, c := range map[string]cluster.Config{
		"is not usable":            {Name: "no blanks"},
		"no cluster secret":        {Name: "a"},
		"does not hold that name":  {Name: "a", Secret: clusterSecret, Initial: []cluster.Peer{{Name: "b", Address: "h:1"}}},
		"names b twice":            {Name: "b", Secret: clusterSecret, Initial: []cluster.Peer{{Name: "b", Address: "h:1"}, {Name: "b", Address: "h:2"}}},
		"to two nodes":             {Name: "b", Secret: clusterSecret, Initial: []cluster.Peer{{Name: "b", Address: "h:1"}, {Name: "c", Address: "h:1"}}},
		"the initial list gives":   {Name: "b", Secret: clusterSecret, Initial: []cluster.Peer{{Name: "b", Address: "h"}}},
		"to join is not host:port": {Name: "b", Secret: clusterSecret, Join: []string{"h"}},
		"initial list votes":       {Name: "b", Secret: clusterSecret, NonVoter: true, Initial: []cluster.Peer{{Name: "b", Address: "h:1"}}},
		"on all addresses":         {Name: "b", Secret: clusterSecret, Bind: ":0"},
		"cannot be opened":         {Name: "b", Secret: clusterSecret, Bind: "192.0.2.1:1"},
	} {
		if _, err := tryStart(t, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("start says %v, want %q", err, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// silence is an address that takes connections and never says a word.
func silence(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// A member that is starting again must not be taken for an empty node meanwhile: the one that decides
// about new clusters, on a new disk, would begin a second one with it.
func TestResumingNodesAreNotEmpty(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	scope := nodes[1].put("kept")
	id := nodes[1].ClusterID()
	for _, n := range nodes[1:] {
		n.stop()
	}
	nodes[0].wipe()
	quiet := silence(t) // keeps the others busy looking for strangers
	for i, n := range nodes[1:] {
		n.conf.Join = []string{quiet}
		nodes[1+i] = start(t, n.conf)
	}
	nodes[0] = start(t, nodes[0].conf)
	for _, n := range nodes {
		n.ready()
		if n.ClusterID() != id || !n.has(scope) || n.fault() != nil {
			t.Errorf("%s is in cluster %s, has the data: %v, fault: %v", n.conf.Name, n.ClusterID(), n.has(scope), n.fault())
		}
	}
}

// A stranger at one member's address must not keep the others from starting, or stop them.
func TestStrangerInAMembersPlace(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	nodes[0].stop()
	stranger := start(t, cluster.Config{Name: "z", Bind: nodes[0].conf.Bind, Secret: clusterSecret})
	stranger.ready()
	nodes[1].stop()
	nodes[2].stop()
	for i, n := range nodes[1:] {
		nodes[1+i] = start(t, n.conf)
	}
	for _, n := range nodes[1:] {
		n.ready()
		n.put("by." + n.conf.Name)
		if err := n.fault(); err != nil {
			t.Errorf("%s gave up: %v", n.conf.Name, err)
		}
	}
}
