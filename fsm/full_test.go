package fsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// smallDisk mounts a file system that is soon full.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("only root may mount the small file system that this test fills")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %s", out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestFullDisk: the state machine stands still while there is no room, says so, and goes on where it was.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	m := newMachine(t, filepath.Join(disk, "data"))
	m.do(&RevokeToken{Jti: "first"})
	ballast := filepath.Join(disk, "ballast")
	fill := func() {
		f, err := os.Create(ballast)
		for piece := make([]byte, 4096); err == nil; {
			_, err = f.Write(piece)
		}
		_ = f.Close()
	}
	fill()
	done := make(chan int)
	var over atomic.Bool
	go func() {
		n := 0
		for ; !over.Load() && n < 10_000; n++ {
			m.do(&RevokeToken{Jti: iam.NewID().String()})
		}
		done <- n
	}()
	for !m.fsm.Stuck() {
		select {
		case n := <-done:
			t.Fatalf("the disk was not full after %d entries", n)
		case <-time.After(time.Millisecond):
		}
	}
	at := m.fsm.Applied()
	over.Store(true)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	<-done
	if m.fsm.Stuck() || m.fatal != nil || m.fsm.Applied() <= at {
		t.Errorf("it did not go on: stuck %t at %d of %d, %v", m.fsm.Stuck(), m.fsm.Applied(), at, m.fatal)
	}
	m.reopen()
	m.check()
}

// TestStopOnAFullDisk: a state machine that stands still can be stopped, and has applied nothing then.
func TestStopOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	m := newMachine(t, filepath.Join(disk, "data"))
	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	for piece := make([]byte, 4096); err == nil; {
		_, err = ballast.Write(piece)
	}
	_ = ballast.Close()
	var last uint64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for responses := []any{nil}; responses != nil; {
			last = m.fsm.Applied()
			responses = m.deliver(m.entry(Origin{}, &RevokeToken{Jti: iam.NewID().String()}))
		}
	}()
	for !m.fsm.Stuck() {
		time.Sleep(time.Millisecond)
	}
	m.fsm.Stop()
	<-ended
	if got := m.meta().Index; got != last {
		t.Errorf("the state is at %d, and was told of at %d", got, last)
	}
	_ = os.Remove(ballast.Name())
}
