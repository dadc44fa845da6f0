package cluster

import (
	"bytes"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
)

// TestMappedLog lets go of a log that is written and grows, which maps it to other places. Were anything else to lie
// there meanwhile, it would be lost.
func TestMappedLog(t *testing.T) {
	log, err := openLog(filepath.Join(t.TempDir(), "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan int)
	go func() {
		found := 0
		for {
			select {
			case <-done:
				ended <- found
				return
			default:
			}
			err := log.mapped(func(address, size uintptr) error {
				found++
				if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, address, size, syscall.MADV_DONTNEED); errno != 0 {
					return errno
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	}()
	const entries = 200
	data := func(i uint64) []byte { return bytes.Repeat([]byte{byte(i)}, 50_000) }
	for i := uint64(1); i <= entries; i++ {
		if err := log.StoreLogs([]*raft.Log{{Index: i, Term: 1, Data: data(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if <-ended == 0 {
		t.Error("the log was found nowhere in memory")
	}
	for i := uint64(1); i <= entries; i++ {
		var entry raft.Log
		if err := log.GetLog(i, &entry); err != nil || !bytes.Equal(entry.Data, data(i)) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}
