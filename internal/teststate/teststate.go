// Package teststate gives tests a real store and a real state machine without a log: a command that
// is proposed is applied at once. It is for rooms above the state machine whose tests need no second
// node; tests that do take internal/testcluster.
package teststate

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// State is a store and the state machine over it. It is an fsm.Proposer.
type State struct {
	Store *store.Store
	FSM   *fsm.FSM

	mu    sync.Mutex
	now   iam.Time
	hooks []func([]store.Change)
}

// New returns an empty state in a temporary folder. When the test ends, the store is checked and
// closed.
func New(t testing.TB) *State {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	state := &State{Store: s, now: iam.Now()}
	state.FSM, err = fsm.New(fsm.Config{
		Store: s, Committed: state.committed, Restored: func() {},
		Fatal: func(err error) { t.Errorf("the state machine stopped: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(); err != nil {
			t.Errorf("the store is not sound after the test: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return state
}

// OnCommit adds a follower of the commits, such as a view.
func (s *State) OnCommit(fn func([]store.Change)) { s.hooks = append(s.hooks, fn) }

func (s *State) committed(changes []store.Change) {
	for _, fn := range s.hooks {
		fn(changes)
	}
}

// Now is the clock of this state. It stands still until Advance.
func (s *State) Now() iam.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Advance moves the clock.
func (s *State) Advance(d iam.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += d
}

// Propose implements fsm.Proposer.
func (s *State) Propose(_ context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := fsm.Encode(origin, s.now, cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	response := s.FSM.Apply(&raft.Log{Index: s.FSM.Applied() + 1, Term: 1, Type: raft.LogCommand, Data: entry}).(fsm.Response)
	if response.Refusal != nil {
		return fsm.Result{}, response.Refusal
	}
	if response.Denies {
		response.Result.Receipt = &fsm.Receipt{Index: s.FSM.Applied(), Confirmed: 1, Members: 1}
		origin.Receipts.Add(response.Result.Receipt)
	}
	return response.Result, nil
}

// CatchUp does nothing: there is no other node to be behind of.
func (s *State) CatchUp(context.Context) error { return nil }

// Confirm waits for nobody: there is no other node.
func (s *State) Confirm(context.Context) (*fsm.Receipt, error) {
	return &fsm.Receipt{Index: s.FSM.Applied(), Confirmed: 1, Members: 1}, nil
}

// Must proposes and fails the test on a refusal.
func (s *State) Must(t testing.TB, cmd fsm.Command) fsm.Result {
	t.Helper()
	res, err := s.Propose(context.Background(), fsm.Origin{Actor: "test"}, cmd)
	if err != nil {
		t.Fatalf("%T: %v", cmd, err)
	}
	return res
}
