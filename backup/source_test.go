package backup_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// newSource makes backups of a state that holds something.
func newSource(t *testing.T, signer secret.ClusterSecret) *backup.Source {
	t.Helper()
	state := teststate.New(t)
	return &backup.Source{
		Store: state.Store, Folder: t.TempDir(), Secret: signer, Node: "node-1", Keystone: "test",
		ClusterID: func() string { return "the-cluster" },
	}
}

// read opens a backup and reads it to its end.
func read(t *testing.T, s *backup.Source) ([]byte, backup.Meta) {
	t.Helper()
	a, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(a)
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != a.Size {
		t.Errorf("%d bytes came of %d", len(data), a.Size)
	}
	return data, a.Meta
}

func empty(t *testing.T, folder string) {
	t.Helper()
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestBackupHoldsTheState(t *testing.T) {
	signer := secret.NewClusterSecret()
	s := newSource(t, signer)
	data, meta := read(t, s)
	empty(t, s.Folder)
	u, err := backup.Unpack(bytes.NewReader(data), s.Folder)
	if err != nil {
		t.Fatal(err)
	}
	if u.Meta.Index != meta.Index || u.Meta.ClusterID != "the-cluster" || !u.SignedBy(secret.NewClusterSecret(), signer) || u.SignedBy(secret.NewClusterSecret()) {
		t.Errorf("the meta is %+v", u.Meta)
	}
	copied, err := store.OpenReadOnly(u.Path)
	if err != nil {
		t.Fatal(err)
	}
	state, err := copied.Meta()
	if err := errors.Join(err, copied.Check(), copied.Close()); err != nil {
		t.Fatal(err)
	}
	if own, _ := s.Store.Meta(); state.Hash != own.Hash || state.Index != own.Index {
		t.Errorf("the copy is at %d, the state at %d", state.Index, own.Index)
	}
}

// TestOneBackupAtATime: the next one may be asked for as soon as the last byte was read, and no sooner.
func TestOneBackupAtATime(t *testing.T) {
	s := newSource(t, secret.NewClusterSecret())
	a, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(); iam.CodeOf(err) != iam.RateLimitExceeded {
		t.Errorf("a second one at the same time: %v", err)
	}
	if _, err := io.Copy(io.Discard, a); err != nil {
		t.Fatal(err)
	}
	b, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(); iam.CodeOf(err) != iam.RateLimitExceeded {
		t.Errorf("beside the second one: %v", err)
	}
	if err := b.Close(); err != nil { // unread
		t.Fatal(err)
	}
	read(t, s)
}

func TestBackupNeedsRoom(t *testing.T) {
	s := newSource(t, secret.NewClusterSecret())
	s.Free = func() uint64 { return 1000 }
	if _, err := s.Open(); iam.CodeOf(err) != iam.TemporarilyUnavailable {
		t.Errorf("without room: %v", err)
	}
	s.Free = nil
	read(t, s)
}

// TestDamagedArchives: wherever an archive was changed or cut, it is refused and leaves nothing behind.
func TestDamagedArchives(t *testing.T) {
	s := newSource(t, secret.NewClusterSecret())
	good, _ := read(t, s)
	refused := func(what string, data []byte) {
		t.Helper()
		folder := t.TempDir()
		if _, err := backup.Unpack(bytes.NewReader(data), folder); err == nil || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v", what, err)
		}
		empty(t, folder)
	}
	for at := 0; at < len(good)-32; at += 1 + len(good)/41 { // the last 32 bytes are the signature
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		refused("a flipped bit", bad)
		refused("cut short", good[:at])
	}
	refused("cut at its end", good[:len(good)-1])
	refused("longer", append(bytes.Clone(good), 0))
	refused("a tar", bytes.Repeat([]byte("tar"), 1000))
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	u, err := backup.Unpack(bytes.NewReader(bad), t.TempDir())
	if err != nil || u.SignedBy(s.Secret) {
		t.Errorf("a changed signature counts: %v", err)
	}
	if _, err := backup.Unpack(bytes.NewReader(good), filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("it was unpacked into a folder that does not exist")
	}
}
