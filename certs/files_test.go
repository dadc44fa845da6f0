package certs

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/internal/testca"
)

// serial is the number of the certificate that is used.
func serial(f *Files) string { return f.current.get().Leaf.SerialNumber.String() }

func open(t *testing.T, dir string) (*Files, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	f, err := OpenFiles(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return f, &log
}

// TestFilesAreReadAgain: a new pair is taken, however it gets there, and one that does not fit is not.
func TestFilesAreReadAgain(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	first := ca.Issue(dir, time.Hour)
	f, log := open(t, dir)
	if serial(f) != first.SerialNumber.String() || !f.Expires().Equal(first.NotAfter) {
		t.Fatal("another certificate is used than the one in the file")
	}
	second := ca.Issue(dir, time.Hour)
	f.look(false)
	if serial(f) != second.SerialNumber.String() {
		t.Error("the new certificate is not used")
	}

	old, err := os.ReadFile(filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	third := ca.Issue(dir, time.Hour) // of which only one file has arrived yet
	fresh, err := os.ReadFile(filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tls.key"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	if f.look(false); log.Len() > 0 || serial(f) != second.SerialNumber.String() {
		t.Errorf("half of a new pair is not waited for: %s", log)
	}
	for range 3 {
		f.look(false)
	}
	if strings.Count(log.String(), "is not used") != 1 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "tls.crt") {
		t.Errorf("of a pair that does not fit together the log says %q, want one line", log)
	}
	if err := os.WriteFile(filepath.Join(dir, "tls.key"), fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	if f.look(false); serial(f) != third.SerialNumber.String() {
		t.Error("the pair that is complete now is not used")
	}
	log.Reset()
	if err := os.Remove(filepath.Join(dir, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	if f.Reload(); !strings.Contains(log.String(), "cannot be read") || serial(f) != third.SerialNumber.String() {
		t.Errorf("of a file that is gone the log says %q", log)
	}
}

// TestSymlinksAreFollowed: Kubernetes lets the files be links into a folder that is a link itself, and swaps that one.
func TestSymlinksAreFollowed(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ca.Issue(filepath.Join(dir, "v1"), time.Hour)
	next := ca.Issue(filepath.Join(dir, "v2"), time.Hour)
	link("v1", "data")
	link("data/tls.crt", "tls.crt")
	link("data/tls.key", "tls.key")
	f, _ := open(t, dir)
	link("v2", "swap")
	if err := os.Rename(filepath.Join(dir, "swap"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if f.look(false); serial(f) != next.SerialNumber.String() {
		t.Error("the certificate behind the swapped link is not used")
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	ca.Issue(dir, time.Hour)
	log := slog.New(slog.DiscardHandler)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for _, bad := range [][2]string{{cert, cert}, {key, key}, {ca.File, key}, {cert, filepath.Join(dir, "none")}} {
		_, err := OpenFiles(bad[0], bad[1], log)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v gives %v", bad, err)
		}
	}
}

// TestKeyForEverybody: who else may read the key is worth a warning.
func TestKeyForEverybody(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	ca.Issue(dir, time.Hour)
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(filepath.Join(dir, "tls.key"), mode); err != nil {
			t.Fatal(err)
		}
		if _, log := open(t, dir); strings.Contains(log.String(), "everybody") != warned {
			t.Errorf("a key with mode %v: %s", mode, log)
		}
	}
}

func TestEndsSoon(t *testing.T) {
	now, day := time.Now(), 24*time.Hour
	for _, c := range []struct {
		age, left time.Duration
		soon      bool
	}{
		{76 * day, 15 * day, false},
		{77 * day, 13 * day, true},
		{day, 6 * day, false}, // lives for a week
		{6 * day, day, true},
		{90 * day, -day, true},
	} {
		leaf := &x509.Certificate{NotBefore: now.Add(-c.age), NotAfter: now.Add(c.left)}
		if endsSoon(leaf, now) != c.soon {
			t.Errorf("of %v with %v left it says %v", c.age+c.left, c.left, !c.soon)
		}
	}
}

// TestWarnsOnceADay: a certificate that ends soon is told of, and not each time that somebody looks.
func TestWarnsOnceADay(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	leaf := ca.Issue(dir, time.Hour)
	f, log := open(t, dir)
	log.Reset()
	var remind reminder
	late := leaf.NotAfter.Add(-time.Minute)
	for _, at := range []time.Time{late, late.Add(time.Second), late.Add(25 * time.Hour)} {
		remind.look(f.log, leaf, at)
	}
	if said := log.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "expires soon") || !strings.Contains(said, "has expired") {
		t.Errorf("the log says %q", said)
	}
}
