package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/secret"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOpenFolder looks at which folders are taken, and that the others are left as they were: whoever
// mistypes --data / would else lock everybody out of the machine.
func TestOpenFolder(t *testing.T) {
	f := func(want string, entries ...string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "data")
		for _, name := range entries {
			write(t, filepath.Join(path, name), "x")
		}
		opened, err := openFolder(path)
		if want == "" {
			if err != nil {
				t.Errorf("a folder with %q: %v", entries, err)
				return
			}
			if info, _ := os.Stat(path); info.Mode().Perm() != 0o700 {
				t.Errorf("a folder with %q has mode %v", entries, info.Mode())
			}
			if err := opened.close(); err != nil {
				t.Error(err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a folder with %q gives %v, want %q", entries, err, want)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o755 || IsUsed(path) {
			t.Errorf("a folder with %q was refused, and changed", entries)
		}
	}
	f("")
	f("", "lost+found/x", secretName, LogName)
	f("", lockName, "anything")
	f("", secretName+"-123456") // a secret that a crash kept from getting its name
	f("no data folder, for it holds etc", "etc/passwd")
	f("no data folder, for it holds notes", secretName, "notes")
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); err == nil || !strings.Contains(err.Error(), "in use by another Keystone process (pid ") {
		t.Errorf("a second lock gives %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestClusterSecret(t *testing.T) {
	open := func() *folder {
		f, err := openFolder(filepath.Join(t.TempDir(), "data"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.close() })
		return f
	}
	f := open()
	if _, _, err := f.clusterSecret(secret.ClusterSecret{}, false); err == nil {
		t.Error("a node that joins a cluster made a secret")
	}
	made, _, err := f.clusterSecret(secret.ClusterSecret{}, true)
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := f.clusterSecret(secret.ClusterSecret{}, false)
	if err != nil || kept.Reveal() != made.Reveal() {
		t.Errorf("the secret was not kept: %v", err)
	}
	given := secret.NewClusterSecret()
	if got, _, err := f.clusterSecret(given, true); err != nil || got.Reveal() != given.Reveal() {
		t.Errorf("the secret that was given does not count: %v", err)
	}

	lost := open()
	write(t, lost.statePath(), "x")
	if _, _, err := lost.clusterSecret(secret.ClusterSecret{}, true); err == nil {
		t.Error("a new secret was made for data that is sealed under another")
	}
}

// TestWriteFile looks at what a reader and a crash would find.
func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "a longer text that was there before")
	if err := WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "new" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
	if err := WriteFile(filepath.Join(t.TempDir(), "no", "folder"), nil); err == nil {
		t.Error("a file was written into a folder that does not exist")
	}
}
