package fsm

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

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

// TestStopOnAFullDisk: a state machine that stands still can be stopped, and has applied nothing then. Its file
// stands at an earlier index, and the log leads on from there to the same state.
func TestStopOnAFullDisk(t *testing.T) {
	disk := testdisk.New(t, 1)
	m := newMachine(t, filepath.Join(disk.Dir, "data"))
	free := disk.Fill()
	var log []*raft.Log
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for responses := []any{nil}; responses != nil; {
			log = append(log, m.entry(Origin{}, &RevokeToken{Jti: iam.NewID().String()}))
			responses = m.deliver(log[len(log)-1])
		}
	}()
	for !m.fsm.Stuck() {
		time.Sleep(time.Millisecond)
	}
	m.fsm.Stop()
	<-ended
	last := uint64(len(log) - 1)
	if got := m.meta().Index; got != last || m.fsm.Applied() != last {
		t.Errorf("the state is at %d, and was told of at %d, want %d", got, m.fsm.Applied(), last)
	}
	hash, _ := m.fsm.StateHash(last)
	m.close()
	free()
	m.open()
	if got := m.fsm.Applied(); got >= last {
		t.Errorf("the file stands at %d, as if there had been room for %d", got, last)
	}
	m.check()
	m.deliver(log[:last]...)
	if got, ok := m.fsm.StateHash(last); !ok || got != hash {
		t.Error("the log leads to another state after the restart")
	}
}
