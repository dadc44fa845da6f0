// Package testdisk gives tests a disk that is soon full.
package testdisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system of its own, for as long as the test runs.
type Disk struct {
	Dir string
	t   testing.TB
}

// New mounts a file system of so many MiB, or skips the test where that is not allowed.
func New(t testing.TB, mib int) *Disk {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("only root may mount the small file system that this test fills")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %s", out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &Disk{dir, t}
}

// Fill writes until there is no room, and returns what gives it back.
func (d *Disk) Fill() (free func()) {
	d.t.Helper()
	name := filepath.Join(d.Dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		d.t.Fatal(err)
	}
	for piece := make([]byte, 4096); err == nil; {
		_, err = f.Write(piece)
	}
	_ = f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatalf("the disk cannot be filled: %v", err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			d.t.Error(err)
		}
	}
}
