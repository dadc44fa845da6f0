package backup_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/secret"
)

func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestScheduledBackups: one is made when the latest is old enough, only where this node leads; the oldest go, and
// nothing else does.
func TestScheduledBackups(t *testing.T) {
	file, lock := identity(t)
	signer, folder := secret.NewClusterSecret(), t.TempDir()
	others := []string{"keystone.ksb", "keystone-20200101T000000Z-1.ksb.old", "notes", "keystone-20200101T000000Z-x.ksb"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := []string{"keystone-20200101T000000Z-1.ksb", "keystone-20200102T000000Z-2.ksb", ".keystone-20200101T000000Z-1.ksb-123"}
	for _, name := range old {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-100*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	leads, now := false, time.Now
	s := backup.Schedule{Folder: folder, Every: time.Hour, Keep: 2, Lock: lock}
	k := backup.NewKeeper(s, newSource(t, signer), func() bool { return leads }, slog.New(slog.DiscardHandler))
	k.Now = func() time.Time { return now() }
	if pause := k.Round(t.Context()); pause != time.Minute || len(names(t, folder)) != len(others)+len(old) {
		t.Errorf("a node that does not lead looks again in %s: %q", pause, names(t, folder))
	}
	leads = true
	k.Round(t.Context())
	all, err := backup.List(folder)
	if err != nil || len(all) != 2 || all[1].Name != old[1] {
		t.Fatalf("the folder holds %+v, %v", all, err)
	}
	for _, name := range others {
		if !slices.Contains(names(t, folder), name) {
			t.Errorf("%s is gone", name)
		}
	}
	if left := names(t, folder); len(left) != len(others)+2 {
		t.Errorf("the folder holds %q", left)
	}
	if made, verified := k.Last(); made != all[0].Created.Unix() || verified < made {
		t.Errorf("the latest was made at %d and verified at %d", made, verified)
	}
	if r, err := backup.Verify(filepath.Join(folder, all[0].Name), keysIn(t, file), t.TempDir(), signer); err != nil || !r.Encrypted || r.Signature != backup.SignatureGood {
		t.Errorf("%+v, %v", r, err)
	}

	k.Round(t.Context())
	if again, _ := backup.List(folder); again[0].Name != all[0].Name {
		t.Errorf("another one was made after no time: %+v", again)
	}
	now = func() time.Time { return all[0].Created.Add(59*time.Minute + 50*time.Second) }
	if pause := k.Round(t.Context()); pause > 10*time.Second || pause <= 0 {
		t.Errorf("it looks again in %s", pause)
	}
	// A clock that was far ahead once must not put all backups off.
	future := filepath.Join(folder, "keystone-29990101T000000Z-9.ksb")
	if err := os.WriteFile(future, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if pause := k.Round(t.Context()); pause > 10*time.Second || pause <= 0 {
		t.Errorf("beside one of the future it looks again in %s", pause)
	}
}

// TestFailedSchedules: what goes on failing is told once, and tried again.
func TestFailedSchedules(t *testing.T) {
	var log bytes.Buffer
	folder := filepath.Join(t.TempDir(), "not-mounted")
	s := backup.Schedule{Folder: folder, Every: time.Hour, Keep: 2}
	k := backup.NewKeeper(s, newSource(t, secret.NewClusterSecret()), func() bool { return true }, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		if pause := k.Round(t.Context()); pause != time.Minute {
			t.Errorf("it tries again in %s", pause)
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "mount what belongs there") {
		t.Errorf("%d complaints: %s", n, log.String())
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Error("the folder was made where a disk was to be mounted")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	k.Round(t.Context())
	if all, err := backup.List(folder); err != nil || len(all) != 1 || !strings.Contains(log.String(), "work again") {
		t.Errorf("%+v, %v: %s", all, err, log.String())
	}
}
