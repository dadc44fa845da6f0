package testcluster_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/secret"
)

// take makes a plain backup of the state of a node.
func take(t *testing.T, n *testcluster.Node) (file string, meta backup.Meta) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "backup")
	meta, err := backup.Keep(file, backup.Plain, false, func(w io.Writer) error { return n.Operator().Backup(t.Context(), w) })
	if err != nil {
		t.Fatal(err)
	}
	return file, meta
}

// as starts nodes with the secret and the settings of another cluster.
func as(n *testcluster.Node) func(*node.Config) {
	return func(c *node.Config) {
		c.Secret, c.SharedKey, c.Settings = n.Config().Secret, n.Config().SharedKey, n.Config().Settings
	}
}

// restore makes a cluster of n nodes of a backup.
func restore(t *testing.T, n int, file string, newCluster bool, change func(*node.Config)) (*testcluster.Cluster, backup.Restored) {
	t.Helper()
	c := testcluster.Prepare(t, n, change)
	out, err := node.Restore(c.Nodes[0].Config(), file, backup.Keys{}, newCluster)
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	return c, out
}

// dead tests that nothing that a login gave is good any more.
func dead(t *testing.T, n *testcluster.Node, issued api.TokenResponse) {
	t.Helper()
	if _, err := n.Client().WithToken(issued.AccessToken).Profile(t.Context()); client.CodeOf(err) != "invalid_token" {
		t.Errorf("%s: an access token of before: %v", n.Name, err)
	}
	if _, err := n.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: issued.RefreshToken}); client.CodeOf(err) != "invalid_grant" {
		t.Errorf("%s: a refresh token of before: %v", n.Name, err)
	}
}

// TestRestoreOfABackupUnderLoad: what three nodes had while they worked, three fresh ones have afterwards; and
// whoever logged in before has to do so again.
func TestRestoreOfABackupUnderLoad(t *testing.T) {
	old := testcluster.Start(t, 3)
	old.CreateUser("alice")
	issued := login(t, old.Nodes[0], "alice")
	var load sync.WaitGroup
	stop := make(chan struct{})
	for i, n := range old.Nodes {
		load.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("user-%d-%d", i, j)
				if _, err := n.Operator().CreateUser(t.Context(), api.CreateUserRequest{Username: name, Email: name + "@example.org", Password: testcluster.Password}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	testcluster.Poll(t, "no load", func() error {
		if stats, err := old.Nodes[0].Operator().Stats(t.Context()); err != nil || stats.Users < 30 {
			return fmt.Errorf("%d users, %w", stats.Users, err)
		}
		return nil
	})
	file, meta := take(t, old.Followers()[0])
	close(stop)
	load.Wait()
	report, err := backup.Verify(file, backup.Keys{}, t.TempDir(), old.Nodes[0].Config().Secret)
	if err != nil || report.Signature != backup.SignatureGood {
		t.Fatalf("%+v, %v", report, err)
	}
	old.WaitAgreed()
	for _, n := range old.Nodes {
		if hash, known := n.Running().Cluster().StateHash(meta.Index); !known || report.StateHash != fmt.Sprintf("%x", hash) {
			t.Errorf("the backup of index %d has not the state hash that %s had there", meta.Index, n.Name)
		}
	}
	late := login(t, old.Nodes[0], "alice") // after the backup
	for _, n := range old.Nodes {
		n.Stop()
	}

	c, out := restore(t, 3, file, false, as(old.Nodes[0]))
	c.WaitAgreed()
	if out.NewClusterID != meta.ClusterID || out.Rows["users"] != meta.Rows["users"] {
		t.Errorf("restored is %+v", out)
	}
	for _, n := range c.Nodes {
		dead(t, n, issued)
		dead(t, n, late)
		fresh := login(t, n, "alice")
		if _, err := n.Client().WithToken(fresh.AccessToken).Profile(t.Context()); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		if stats, err := n.Operator().Stats(t.Context()); err != nil || uint64(stats.Users) != meta.Rows["users"] {
			t.Errorf("%s has %d users, %v", n.Name, stats.Users, err)
		}
	}
	// Nobody was given entries that lead to a state without what the backup held.
	c.Nodes[2].Stop()
	c.WaitReady()
	c.CreateUser("bob")
	c.Nodes[2].Start()
	c.WaitReady()
	c.Leader().Stop() // so that another one that was sent the state leads
	c.WaitReady()
	login(t, c.Leader(), "bob")
	for _, n := range c.Nodes {
		if n.Running() == nil {
			n.Start()
		}
	}
	c.WaitReady()
	c.WaitAgreed()
	for _, n := range c.Nodes {
		if _, err := n.Running().Store().VerifyAudit(secret.NewNotary(n.Config().Secret).Check); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
	}
}

// TestRestoreUnderAnotherSecret needs to be told, and makes a cluster that works under the new secret alone.
func TestRestoreUnderAnotherSecret(t *testing.T) {
	old := testcluster.Start(t, 1)
	old.CreateUser("alice")
	issued := login(t, old.Nodes[0], "alice")
	testcluster.Poll(t, "the audit log is not signed", func() error {
		if checkpoints, err := old.Nodes[0].Operator().AuditCheckpoints(t.Context(), 0); err != nil || len(checkpoints.Checkpoints) == 0 {
			return fmt.Errorf("%d checkpoints, %w", len(checkpoints.Checkpoints), err)
		}
		return nil
	})
	file, meta := take(t, old.Nodes[0])

	c := testcluster.Prepare(t, 1, func(*node.Config) {})
	config := c.Nodes[0].Config()
	if _, err := node.Restore(config, file, backup.Keys{}, false); err == nil || !strings.Contains(err.Error(), "which has another secret") {
		t.Fatalf("a foreign backup: %v", err)
	}
	if _, err := os.Stat(config.DataDir); !os.IsNotExist(err) {
		t.Errorf("the data folder was made: %v", err)
	}
	out, err := node.Restore(config, file, backup.Keys{}, true)
	if err != nil || out.NewClusterID == meta.ClusterID || out.Signature != backup.SignatureForeign {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := node.Restore(config, file, backup.Keys{}, true); err == nil || !strings.Contains(err.Error(), "into an empty one") {
		t.Errorf("a second restore into the same folder: %v", err)
	}
	c.Start()
	dead(t, c.Nodes[0], issued)
	login(t, c.Nodes[0], "alice")
	if _, err := c.Nodes[0].Running().Store().VerifyAudit(secret.NewNotary(config.Secret).Check); err != nil {
		t.Error(err)
	}
}

// TestRestoreOfSharedKeys: in the compatible mode the key stays, so the epoch alone must tell old tokens from
// new ones, and those of one restore from those of the next.
func TestRestoreOfSharedKeys(t *testing.T) {
	old := testcluster.StartWith(t, 1, func(c *node.Config) {
		c.Settings.Algorithm, c.SharedKey = "HS256", secret.NewText("the-secret-that-other-services-know")
	})
	old.CreateUser("alice")
	file, _ := take(t, old.Nodes[0])
	if _, err := old.Nodes[0].Operator().InvalidateAll(t.Context(), "after the backup"); err != nil {
		t.Fatal(err)
	}
	issued := login(t, old.Nodes[0], "alice") // in an epoch that the backup does not know
	old.Nodes[0].Stop()
	c, _ := restore(t, 1, file, false, as(old.Nodes[0]))
	dead(t, c.Nodes[0], issued)
	login(t, c.Nodes[0], "alice")
	c.Nodes[0].Stop()

	foreign := as(old.Nodes[0])
	c, _ = restore(t, 1, file, true, func(config *node.Config) {
		foreign(config)
		config.Secret = secret.NewClusterSecret()
	})
	dead(t, c.Nodes[0], issued)
	testcluster.Poll(t, "the shared key does not sign again", func() error {
		keys, err := c.Nodes[0].Operator().Keys(t.Context())
		for _, k := range keys.Keys {
			if k.Algorithm == "HS256" {
				return err
			}
		}
		return fmt.Errorf("%+v, %w", keys, err)
	})
	login(t, c.Nodes[0], "alice")
}

// TestRefusedRestores: a folder is as it was after whatever goes wrong.
func TestRefusedRestores(t *testing.T) {
	old := testcluster.Start(t, 1)
	file, _ := take(t, old.Nodes[0])
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text := []byte(old.Nodes[0].Config().Secret.Reveal())
	if err := os.WriteFile(node.SecretFile(folder), text, 0o600); err != nil {
		t.Fatal(err)
	}
	config := old.Nodes[0].Config()
	config.DataDir, config.Secret = folder, secret.ClusterSecret{}
	for want, data := range map[string][]byte{
		"checksum does not fit: it was damaged": flipped, "cut short": good[:len(good)-7], "no backup of Keystone": []byte("a foreign file, long enough to be looked at"), "": good,
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			config.Name = "not a name"
			want = "not usable"
		}
		_, err := node.Restore(config, bad, backup.Keys{}, false)
		config.Name = "node-1"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 || entries[0].Name() != "secret" {
			t.Errorf("%s: the folder holds %v, %v", want, entries, err)
		}
	}
}
