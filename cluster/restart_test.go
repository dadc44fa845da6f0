package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// edit changes cluster.json as a crash would have left it.
func edit(t *testing.T, dir string, change func(place map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "cluster.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var place map[string]any
	if err := json.Unmarshal(data, &place); err != nil {
		t.Fatal(err)
	}
	change(place)
	data, err = json.Marshal(place)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data))
}

// A node may die between any two steps of forming.
func TestFormingIsTakenUpAgain(t *testing.T) {
	begun := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	begun.ready()
	begun.put("kept")
	begun.stop()
	for _, row := range []struct {
		name   string
		reform bool // what was begun had not become a cluster: there is another one now
		spoil  func(dir string)
	}{
		{"a cluster was chosen and nothing else", true, func(dir string) {
			remove(t, filepath.Join(dir, "raft", "log.db"))
			remove(t, filepath.Join(dir, "state.db"))
		}},
		{"the first term was written and no entry", true, func(dir string) {
			remove(t, filepath.Join(dir, "raft", "log.db"))
			remove(t, filepath.Join(dir, "state.db"))
			log, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft", "log.db")})
			if err != nil {
				t.Fatal(err)
			}
			if err := log.SetUint64([]byte("CurrentTerm"), 1); err != nil {
				t.Fatal(err)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		}},
		{"the log was begun and not noted", false, func(string) {}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := begun.conf
			c.DataDir = t.TempDir()
			if err := os.CopyFS(c.DataDir, os.DirFS(begun.conf.DataDir)); err != nil {
				t.Fatal(err)
			}
			row.spoil(c.DataDir)
			edit(t, c.DataDir, func(place map[string]any) { place["joined"] = false })
			n := start(t, c)
			n.ready()
			n.put("after")
			if again := n.ClusterID() != begun.ClusterID(); again != row.reform {
				t.Errorf("it formed a cluster anew: %v, want %v", again, row.reform)
			}
		})
	}
}

func TestRemovedLeader(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	leader, others := leaderOf(t, nodes)
	if err := leader.Remove(t.Context(), leader.conf.Name); err != nil {
		t.Fatal(err)
	}
	for _, n := range others {
		n.put("without." + leader.conf.Name + ".by." + n.conf.Name)
	}
	if got := faultOf(t, leader); !strings.Contains(got, "was removed from the cluster") {
		t.Errorf("it says %q", got)
	}
	lone := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	lone.ready()
	if err := lone.Remove(t.Context(), "solo"); iam.CodeOf(err) != iam.Conflict {
		t.Errorf("removing the only node: %v", err)
	}
}

// Every node is restarted while the others are used: nothing that was acknowledged is lost, and no
// caller notices more than a delay.
func TestRollingRestartUnderLoad(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	var mu sync.Mutex
	var acknowledged []iam.ID
	for round, restarting := range []int{0, 1, 2} {
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for i, n := range nodes {
			if i == restarting {
				continue
			}
			writers.Go(func() {
				for j := 0; ctx.Err() == nil; j++ {
					scope := iam.Scope{ID: iam.NewID(), Name: fmt.Sprintf("%d.%s.%d", round, n.conf.Name, j)}
					asked, done := context.WithTimeout(t.Context(), patience)
					_, err := n.Propose(asked, fsm.Origin{}, &fsm.PutScope{Scope: scope})
					done()
					if err != nil {
						t.Errorf("a caller of %s was told: %v", n.conf.Name, err)
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, scope.ID)
					mu.Unlock()
				}
			})
		}
		nodes[restarting] = nodes[restarting].restart()
		nodes[restarting].ready()
		stop()
		writers.Wait()
	}
	for _, n := range nodes {
		n.ready()
		for _, id := range acknowledged {
			if !n.has(id) {
				t.Fatalf("%s has lost one of %d acknowledged changes", n.conf.Name, len(acknowledged))
			}
		}
	}
	eventually(t, "all agree", func() bool { return allAgree(t, nodes[0], 3) })
}
