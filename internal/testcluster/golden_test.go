package testcluster_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/secret"
)

// golden makes the data folder of a release, once, for ever: go test ./internal/testcluster -run TestGolden -golden 1.2.0
var golden = flag.String("golden", "", "make the golden data folder of this release")

const goldenFolder = "testdata/golden"

// TestGolden opens the data folder of each release with the code of today: every hash is as it was then, also that of the
// whole log applied anew, and a person of then can log in.
func TestGolden(t *testing.T) {
	if *golden != "" {
		makeGolden(t, filepath.Join(goldenFolder, *golden+".tar.gz"))
	}
	archives, err := filepath.Glob(filepath.Join(goldenFolder, "*.tar.gz"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("there is no golden data folder: %v", err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) { openGolden(t, archive) })
	}
}

func openGolden(t *testing.T, archive string) {
	copied := t.TempDir()
	unpack(t, archive, copied)
	text, err := os.ReadFile(archive + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var want backup.Replay
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got, err := backup.ReplayFolder(copied, "test")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(backup.Replay{}, "Program", "Commands", "Format")); diff != "" {
		t.Error(diff)
	}

	// A node that was killed has a log that is ahead of its state: here all of it is.
	killed := t.TempDir()
	unpack(t, archive, killed)
	if err := os.Remove(filepath.Join(killed, "state.db")); err != nil {
		t.Fatal(err)
	}
	if got, err := backup.ReplayFolder(killed, "test"); err != nil || got.Tail < want.Index || got.TailHash != want.Hash {
		t.Errorf("the log applied to an empty state makes %+v, %v", got, err)
	}

	c := testcluster.Prepare(t, 1, func(n *node.Config) {
		n.Secret = secret.ClusterSecret{} // that of the folder
		unpack(t, archive, n.DataDir)
	})
	c.Start()
	pair, err := c.Nodes[0].Client().Login(t.Context(), api.TokenRequest{Username: "ada", Password: testcluster.Password})
	if err != nil {
		t.Fatal(err)
	}
	if said, err := c.Nodes[0].Operator().Introspect(t.Context(), pair.AccessToken); err != nil || !said.Active {
		t.Errorf("the token is not good: %+v, %v", said, err)
	}
}

// makeGolden runs a node, has it do some of everything, and packs what it leaves.
func makeGolden(t *testing.T, archive string) {
	c := testcluster.Prepare(t, 1, func(n *node.Config) {
		if err := errors.Join(os.MkdirAll(n.DataDir, 0o700), os.WriteFile(node.SecretFile(n.DataDir), []byte(n.Secret.Reveal()+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	})
	c.Start()
	n := c.Nodes[0]
	ctx, operator := t.Context(), n.Operator()
	_, err := operator.CreateScope(ctx, api.CreateScopeRequest{Name: "files:read"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator.CreateRole(ctx, api.RoleRequest{Name: "reader", Scopes: []string{"files:read"}}); err != nil {
		t.Fatal(err)
	}
	c.CreateUser("ada", "reader")
	c.CreateUser("grace")
	program, err := operator.CreateClient(ctx, api.CreateClientRequest{Name: "reports", Scopes: []string{"files:read"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator.RotateSecret(ctx, program.ClientID, api.RotateSecretRequest{}); err != nil {
		t.Fatal(err)
	}
	var pair api.TokenResponse
	for range 3 {
		if pair, err = n.Client().Login(ctx, api.TokenRequest{Username: "ada", Password: testcluster.Password}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Client().Refresh(ctx, api.RefreshRequest{RefreshToken: pair.RefreshToken}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Client().WithToken(pair.AccessToken).Logout(ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := operator.DeleteUser(ctx, "grace"); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.InvalidateAll(ctx, "for the golden data folder"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Client().Login(ctx, api.TokenRequest{Username: "ada", Password: testcluster.Password}); err != nil {
		t.Fatal(err)
	}
	n.Stop()

	copied := t.TempDir()
	if err := errors.Join(node.TakeCopy(copied, n.Dir), os.Mkdir(goldenFolder, 0o755)); err != nil && !os.IsExist(err) {
		t.Log(err)
	}
	if err := errors.Join(os.Link(node.SecretFile(n.Dir), node.SecretFile(copied)), os.WriteFile(filepath.Join(copied, "keystone.lock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	pack(t, archive, copied)
	replayed, err := backup.ReplayFolder(copied, "test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(replayed, "", "  ")
	if err == nil {
		err = os.WriteFile(archive+".json", append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pack(t *testing.T, archive, folder string) {
	t.Helper()
	file, err := os.OpenFile(archive, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // a release has one for ever
	if err != nil {
		t.Fatal(err)
	}
	z, _ := gzip.NewWriterLevel(file, gzip.BestCompression)
	w := tar.NewWriter(z)
	if err := errors.Join(w.AddFS(os.DirFS(folder)), w.Close(), z.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, archive, folder string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		path := filepath.Join(folder, h.Name)
		data, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}
