package testcluster_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/internal/testdisk"
)

// TestFullDisk fills the disk of one node, a follower's and then the leader's: it steps aside, the others go
// on, nothing that was acknowledged is lost, and it comes back by itself when there is room.
func TestFullDisk(t *testing.T) {
	disk := testdisk.New(t, 16)
	c := testcluster.StartWith(t, 3, func(config *node.Config) {
		if config.Name == "node-2" {
			config.DataDir = filepath.Join(disk.Dir, "data")
		}
	})
	full, others := c.Nodes[1], []*testcluster.Node{c.Nodes[0], c.Nodes[2]}
	c.CreateUser("alice")
	for _, leads := range []bool{false, true} {
		testcluster.Poll(t, "the leadership is where it is wanted", func() error {
			leader := c.Leader()
			if (leader == full) == leads {
				return nil
			}
			_ = leader.Running().Cluster().Transfer(t.Context())
			return fmt.Errorf("%s leads", leader.Name)
		})
		free := disk.Fill()
		var tokens []api.TokenResponse
		testcluster.Poll(t, "the disk is full", func() error {
			tokens = append(tokens, login(t, others[len(tokens)%2], "alice"))
			if full.Running().Cluster().Trouble() == nil {
				return fmt.Errorf("not after %d logins", len(tokens))
			}
			return nil
		})
		for range 20 {
			tokens = append(tokens, login(t, others[len(tokens)%2], "alice"))
		}
		if _, err := full.Client().Health(t.Context()); err == nil {
			t.Error("a node whose disk is full calls itself healthy")
		}
		dead := tokens[len(tokens)/2]
		testcluster.Poll(t, "a revocation", func() error {
			return others[0].Client().WithToken(dead.AccessToken).Revoke(t.Context(), dead.AccessToken)
		})
		if answer, err := full.Operator().Introspect(t.Context(), dead.AccessToken); err == nil && answer.Active {
			t.Error("a node whose disk is full says of a revoked token that it is active")
		}
		free()
		testcluster.Poll(t, "the node comes back", func() error {
			if err := full.Running().Cluster().Trouble(); err != nil {
				return err
			}
			_, err := full.Client().Health(t.Context())
			return err
		})
		c.WaitAgreed()
		if answer, err := full.Operator().Introspect(t.Context(), tokens[len(tokens)-1].AccessToken); err != nil || !answer.Active {
			t.Errorf("what was acknowledged meanwhile is not there: %+v, %v", answer, err)
		}
	}
}
