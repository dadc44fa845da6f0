package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// TestUnmap lets go of a file that is read and that grows, which maps it to other places.
func TestUnmap(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	machine, err := fsm.New(fsm.Config{
		Store: s, Committed: func([]store.Change) {}, Restored: func() {}, Fatal: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := s.Mapped(unmap); err != nil {
				t.Error(err)
			}
		}
	}()
	const users = 300
	for n := range users {
		entry, err := fsm.Encode(fsm.Origin{}, iam.TimeOf(time.Unix(1e9, 0)), &fsm.CreateUser{User: iam.User{
			ID: iam.NewID(), Username: fmt.Sprintf("user-%d", n), Email: fmt.Sprintf("user-%d@example.org", n), PasswordHash: "h", Bio: strings.Repeat("x", 9000),
		}})
		if err != nil {
			t.Fatal(err)
		}
		machine.Apply(&raft.Log{Index: uint64(n + 1), Term: 1, Type: raft.LogCommand, Data: entry})
	}
	close(done)
	<-ended
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(s.Path()); err != nil || info.Size() < users*9000 {
		t.Errorf("the file did not grow: %v, %v", info, err)
	}
}
