package backup_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testdisk"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// from fetches an archive that is there already.
func from(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// identity makes an age identity in a file, and what locks for it.
func identity(t *testing.T) (file string, lock backup.Lock) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(file, []byte("# a comment\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if lock, err = backup.ForRecipients([]string{id.Recipient().String()}); err != nil {
		t.Fatal(err)
	}
	return file, lock
}

// keysIn opens what was locked for the identities in a file.
func keysIn(t *testing.T, file string) backup.Keys {
	t.Helper()
	k, err := backup.FromIdentities([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBackupFiles(t *testing.T) {
	signer := secret.NewClusterSecret()
	archive, meta := read(t, newSource(t, signer))
	file, lock := identity(t)
	other, _ := identity(t)
	for name, c := range map[string]struct {
		lock   backup.Lock
		keys   backup.Keys
		sealed bool
	}{
		"plain":      {backup.Plain, backup.Keys{}, false},
		"recipients": {lock, keysIn(t, file), true},
	} {
		path := filepath.Join(t.TempDir(), name)
		if kept, err := backup.Keep(path, c.lock, false, from(archive)); err != nil || kept.Index != meta.Index {
			t.Fatalf("%s: %+v, %v", name, kept, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		r, err := backup.Verify(path, c.keys, t.TempDir(), signer)
		if err != nil || r.Encrypted != c.sealed || r.Signature != backup.SignatureGood || r.StateHash != meta.StateHash {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if r, err := backup.Verify(path, c.keys, t.TempDir(), secret.NewClusterSecret()); err != nil || r.Signature != backup.SignatureForeign {
			t.Errorf("%s: with another secret: %+v, %v", name, r, err)
		}
		if _, err := backup.Keep(path, c.lock, false, from(archive)); err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: a second one under its name: %v", name, err)
		}
		if _, err := backup.Keep(path, c.lock, true, from(archive)); err != nil {
			t.Errorf("%s: replaced: %v", name, err)
		}
		if !c.sealed {
			continue
		}
		for k, want := range map[string]backup.Keys{"others": keysIn(t, other), "give the passphrase or the identity": {}} {
			if _, err := backup.Verify(path, want, t.TempDir()); err == nil || !strings.Contains(err.Error(), k) {
				t.Errorf("%s: without its key: %v", name, err)
			}
		}
	}
}

func TestPassphrases(t *testing.T) {
	archive, _ := read(t, newSource(t, secret.NewClusterSecret()))
	lock, err := backup.ForPassphrase("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if _, err := backup.Keep(path, lock, false, from(archive)); err != nil {
		t.Fatal(err)
	}
	if need, err := backup.NeedOf(path); err != nil || need != backup.NeedPassphrase {
		t.Errorf("it needs %v, %v", need, err)
	}
	right, _ := backup.FromPassphrase("correct horse")
	wrong, _ := backup.FromPassphrase("wrong horse")
	if r, err := backup.Verify(path, right, t.TempDir()); err != nil || r.Signature != backup.SignatureUnchecked {
		t.Errorf("%+v, %v", r, err)
	}
	folder := t.TempDir()
	if _, err := backup.Verify(path, wrong, folder); err == nil || !strings.HasSuffix(err.Error(), "the passphrase does not open it") {
		t.Errorf("the wrong passphrase: %v", err)
	}
	empty(t, folder)
}

// TestDamagedFiles flips bits and cuts at places that a seed chooses, in encrypted and in plain files.
func TestDamagedFiles(t *testing.T) {
	archive, _ := read(t, newSource(t, secret.NewClusterSecret()))
	file, lock := identity(t)
	for name, l := range map[string]backup.Lock{"plain": backup.Plain, "encrypted": lock} {
		path := filepath.Join(t.TempDir(), name)
		if _, err := backup.Keep(path, l, false, from(archive)); err != nil {
			t.Fatal(err)
		}
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		folder, bad := t.TempDir(), filepath.Join(t.TempDir(), "bad")
		refused := func(what string, at int, data []byte) {
			t.Helper()
			if err := os.WriteFile(bad, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := backup.Verify(bad, keysIn(t, file), folder)
			if err == nil || !strings.Contains(err.Error(), "is not usable: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %s at %d of %d: %v", name, what, at, len(good), err)
			}
			empty(t, folder)
		}
		chance := rand.New(rand.NewPCG(6, 1))
		for range 15 {
			at := chance.IntN(len(good))
			flipped := bytes.Clone(good)
			flipped[at] ^= 1 << chance.IntN(8)
			refused("flipped", at, flipped)
			refused("cut", at, good[:at])
		}
		refused("cut", len(good)-1, good[:len(good)-1])
		refused("longer", len(good), append(bytes.Clone(good), "more"...))
	}
}

// TestFailedBackups: nothing is left of a backup that did not come to its end, and what had its name stays.
func TestFailedBackups(t *testing.T) {
	archive, _ := read(t, newSource(t, secret.NewClusterSecret()))
	broken := errors.New("the connection broke")
	for what, fetch := range map[string]func(io.Writer) error{
		"broke":     func(w io.Writer) error { return errors.Join(from(archive[:len(archive)/2])(w), broken) },
		"cut short": from(archive[:len(archive)/2]),
		"no backup": from(bytes.Repeat([]byte("hello"), 1000)),
		"checksum":  from(append(bytes.Clone(archive[:len(archive)-64]), make([]byte, 64)...)),
	} {
		folder := t.TempDir()
		if _, err := backup.Keep(filepath.Join(folder, "file"), backup.Plain, false, fetch); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		empty(t, folder)
	}
	if _, err := backup.Keep(filepath.Join(t.TempDir(), "no", "folder"), backup.Plain, false, from(archive)); err == nil {
		t.Error("it was written into a folder that does not exist")
	}
	for _, name := range []string{"age1nonsense", "AGE-SECRET-KEY-1ABCDEFGHIJKLMNOPQRSTUVWXYZ", t.TempDir()} {
		if _, err := backup.ForRecipients([]string{name}); err == nil || strings.Contains(err.Error(), "KEY-1ABC") {
			t.Errorf("the recipient %s gives %v", name, err)
		}
	}
}

// TestFullDisks: neither a copy nor a file for which there is no room leaves anything behind.
func TestFullDisks(t *testing.T) {
	disk := testdisk.New(t, 1)
	s := newSource(t, secret.NewClusterSecret())
	archive, _ := read(t, s)
	free := disk.Fill()
	s.Folder = disk.Dir
	if _, err := s.Open(); iam.CodeOf(err) != iam.TemporarilyUnavailable {
		t.Errorf("a copy: %v", err)
	}
	if _, err := backup.Keep(filepath.Join(disk.Dir, "file"), backup.Plain, false, from(archive)); !store.IsFull(err) {
		t.Errorf("a file: %v", err)
	}
	if _, err := backup.Unpack(bytes.NewReader(archive), disk.Dir); !store.IsFull(err) {
		t.Errorf("unpacking: %v", err)
	}
	free()
	empty(t, disk.Dir)
	read(t, s)
}
