package testcluster_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/store"
)

// TestEveryNodeGivesABackup: what any of the nodes sends is the state that all of them have.
func TestEveryNodeGivesABackup(t *testing.T) {
	c := testcluster.Start(t, 3)
	c.CreateUser("alice")
	for _, n := range c.Nodes {
		var archive bytes.Buffer
		if err := n.Operator().Backup(t.Context(), &archive); err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		u, err := backup.Unpack(&archive, t.TempDir())
		if err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		if u.Meta.Rows["users"] != 1 || u.Meta.ClusterID != n.Running().Cluster().ClusterID() || u.Meta.Node != n.Name {
			t.Errorf("%s: the meta is %+v", n.Name, u.Meta)
		}
		s, err := store.OpenReadOnly(u.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Check(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	c.WaitAgreed()
	events, err := c.Nodes[0].Operator().AuditEvents(t.Context(), client.AuditQuery{Type: "cluster.backup_read"})
	if err != nil || len(events.Events) != 3 || events.Events[0].Actor != "operator" {
		t.Errorf("the audit log says %+v, %v", events.Events, err)
	}
}

// TestBackupsAreForFew: a token needs the scope.
func TestBackupsAreForFew(t *testing.T) {
	c := testcluster.Start(t, 1)
	n := c.Nodes[0]
	c.CreateUser("alice")
	c.CreateUser("root", "admin")
	for name, want := range map[string]string{"alice": "insufficient_scope", "root": ""} {
		err := n.Client().WithToken(login(t, n, name).AccessToken).Backup(t.Context(), io.Discard)
		if client.CodeOf(err) != want || want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneNodeKeepsBackups: of nodes that share a folder one makes the backup, and after another election nobody
// makes it again before its time.
func TestOneNodeKeepsBackups(t *testing.T) {
	folder := t.TempDir()
	c := testcluster.StartWith(t, 3, func(c *node.Config) {
		c.Backup = backup.Schedule{Folder: folder, Every: time.Hour, Keep: 3}
	})
	kept := func() []backup.Kept {
		t.Helper()
		all, err := backup.List(folder)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	testcluster.Poll(t, "no backup was made", func() error {
		if len(kept()) == 0 {
			return errors.New("none")
		}
		return nil
	})
	before := c.Leader()
	before.Stop()
	if _, err := c.Leader().Operator().CreateUser(t.Context(), api.CreateUserRequest{Username: "alice", Email: "alice@example.org", Password: testcluster.Password}); err != nil { // another one leads
		t.Fatal(err)
	}
	before.Start()
	c.WaitReady()
	if all := kept(); len(all) != 1 {
		t.Errorf("the folder holds %+v", all)
	}
	if r, err := backup.Verify(filepath.Join(folder, kept()[0].Name), backup.Keys{}, t.TempDir(), before.Config().Secret); err != nil || r.Signature != backup.SignatureGood {
		t.Errorf("%+v, %v", r, err)
	}
}
