package fsm

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testdisk"
)

// TestFullDisk: the state machine stands still while there is no room, says so, and goes on where it was.
func TestFullDisk(t *testing.T) {
	disk := testdisk.New(t, 1)
	m := newMachine(t, filepath.Join(disk.Dir, "data"))
	m.do(&RevokeToken{Jti: "first"})
	free := disk.Fill()
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
	free()
	<-done
	m.do(&RevokeToken{Jti: "last"})
	if m.fsm.Stuck() || m.fatal != nil || m.fsm.Applied() <= at {
		t.Errorf("it did not go on: stuck %t at %d of %d, %v", m.fsm.Stuck(), m.fsm.Applied(), at, m.fatal)
	}
	m.reopen()
	m.check()
}

// TestStopOnAFullDisk: a state machine that stands still can be stopped, and has applied nothing then.
func TestStopOnAFullDisk(t *testing.T) {
	disk := testdisk.New(t, 1)
	m := newMachine(t, filepath.Join(disk.Dir, "data"))
	free := disk.Fill()
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
	free()
}
