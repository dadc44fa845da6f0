package fsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// OutcomeLifetime is how long a retry of a command is recognised, in the state's own time.
const OutcomeLifetime = 10 * time.Minute

// Config is what an FSM is made of.
type Config struct {
	Store *store.Store
	// Committed is called after each transaction with what it changed, before its index is
	// published. It must not block, and must bear to see a change twice.
	Committed func([]store.Change)
	// Restored is called when the whole state was replaced.
	Restored func()
	// Fatal is told why the node can no longer apply the log, and ends the process. Nothing is
	// applied after it.
	Fatal func(error)
	// Version is the highest command version that it applies; 0: that of this build. Tests make nodes of others.
	Version uint64
}

// FSM applies the log to the store.
type FSM struct {
	Config
	applied atomic.Uint64 // published after the state and the commit hook
	time    atomic.Int64  // of the state, as of the last entry
	needs   atomic.Uint64 // see Needs
	hashes  hashRing
	stopped chan struct{} // closed by Stop

	stopOnce sync.Once

	mu      sync.Mutex
	advance chan struct{} // closed and replaced whenever applied grows
}

var (
	_ raft.BatchingFSM = (*FSM)(nil)
	_ raft.FSM         = (*FSM)(nil)
)

// New returns an FSM that continues where the store stands.
func New(c Config) (*FSM, error) {
	meta, err := c.Store.Meta()
	if err != nil {
		return nil, err
	}
	c.Version = cmp.Or(c.Version, Version())
	f := &FSM{Config: c, advance: make(chan struct{}), stopped: make(chan struct{})}
	if err := f.understands(meta); err != nil {
		return nil, err
	}
	c.Store.OnBroken(func(err error) { c.Fatal(fmt.Errorf("this node cannot keep its state and stops: %w", err)) })
	f.applied.Store(meta.Index)
	f.time.Store(int64(meta.Time))
	f.needs.Store(meta.Needs)
	f.hashes.add(meta.Index, meta.Hash)
	return f, nil
}

// Response is what raft hands back to whoever proposed an entry.
type Response struct {
	Result  Result
	Refusal *iam.Error
	Denies  bool // something was taken away, so that its success must not be told before all nodes know
}

// Apply implements raft.FSM.
func (f *FSM) Apply(entry *raft.Log) any { return f.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch implements raft.BatchingFSM: one transaction holds all changes, the audit entries and
// the index that they lead to.
func (f *FSM) ApplyBatch(entries []*raft.Log) []any {
	var responses []any
	var marks []mark
	var at iam.Time
	var needs uint64
	changes, err := f.update(func(tx *store.Tx) error {
		responses, marks = make([]any, len(entries)), nil
		for i, entry := range entries {
			if entry.Index <= tx.Meta.Index {
				// raft delivers again what it delivered before a crash. The entry took effect then.
				responses[i] = Response{Refusal: iam.Unavailable(time.Second, "The change was applied before this node restarted; ask again.")}
				continue
			}
			response, err := f.applyEntry(tx, entry)
			if err != nil {
				return fmt.Errorf("log entry %d: %w", entry.Index, err)
			}
			responses[i] = response
			tx.Meta.Index, tx.Meta.Term = entry.Index, entry.Term
			marks = append(marks, mark{entry.Index, tx.StateHash()})
		}
		at, needs = tx.Meta.Time, tx.Meta.Needs
		return nil
	})
	if err != nil {
		f.die(err)
	}
	if len(marks) == 0 {
		return responses
	}
	f.Committed(changes)
	for _, m := range marks {
		f.hashes.add(m.index, m.hash)
	}
	f.publish(marks[len(marks)-1].index, at, needs)
	return responses
}

// update commits what fn does. On a full disk it waits for room and does it again: nothing was changed, and
// what comes of the entries depends on the state alone.
func (f *FSM) update(fn func(*store.Tx) error) ([]store.Change, error) {
	for {
		changes, err := f.Store.Update(fn)
		if !store.IsFull(err) {
			return changes, err
		}
		if !store.WaitForRoom(f.stopped) {
			runtime.Goexit() // as if the process had ended here: the entries are applied at the next start
		}
	}
}

// Stuck tells whether the state machine stands still because the disk is full.
func (f *FSM) Stuck() bool { return f.Store.Full() }

// Stop ends a state machine that stands still. Nothing is applied after it.
func (f *FSM) Stop() { f.stopOnce.Do(func() { close(f.stopped) }) }

func (f *FSM) applyEntry(tx *store.Tx, entry *raft.Log) (any, error) {
	if entry.Type == raft.LogConfiguration {
		tx.Meta.Configuration, tx.Meta.ConfigurationIndex = entry.Data, entry.Index
		return nil, nil
	}
	e, cmd, err := decode(entry.Data, f.Version)
	if err != nil {
		return nil, err
	}
	tx.Meta.Time = max(tx.Meta.Time, e.At)
	if e.MinVersion > 1 {
		tx.Meta.Needs = max(tx.Meta.Needs, e.MinVersion)
	}
	m := Meta{Origin: e.Origin, Index: entry.Index, At: tx.Meta.Time}
	response, err := applyOnce(tx, m, cmd)
	response.Denies = response.Denies || cmd.Denies()
	if err == nil {
		err = tx.Err()
	}
	return response, err
}

// applyOnce applies the command unless its request id says that this was done before.
func applyOnce(tx *store.Tx, m Meta, cmd Command) (Response, error) {
	if past, ok := tx.Outcome(m.RequestID); ok && past.ExpiresAt > m.At {
		if past.Kind != uint64(cmd.Kind()) || past.Actor != m.Actor {
			return Response{Refusal: iam.Errorf(iam.Conflict, "The idempotency key was used for another request.")}, nil
		}
		return Response{Result: Result{Index: past.Index, Value: past.Value}, Refusal: past.Refusal, Denies: denied(cmd, past)}, nil
	}
	value, err := cmd.apply(tx, m)
	var refusal *iam.Error
	if err != nil && !errors.As(err, &refusal) {
		return Response{}, err
	}
	response := Response{Result: Result{Index: m.Index}, Refusal: refusal}
	if refusal == nil && value != nil {
		response.Result.Value = store.Encode(value)
	}
	if !m.RequestID.IsZero() {
		tx.PutOutcome(store.Outcome{
			RequestID: m.RequestID, Index: m.Index, Kind: uint64(cmd.Kind()),
			Value: response.Result.Value, Refusal: refusal, ExpiresAt: m.At.Add(OutcomeLifetime),
			Actor: m.Actor,
		})
	}
	event := cmd.event()
	switch v := value.(type) {
	case Rotation:
		if v.Killed {
			response.Denies = true
			event.Type, refusal = "session.replayed", badRefresh() // a success of the command alone
		}
	case ImportOutcome:
		response.Denies = v.Denied
	}
	record(tx, m, event, refusal)
	return response, nil
}

// denied tells whether a command that is done again has taken something away the first time, where only its
// outcome says so: a session by an old refresh token, or rights by an import. Whoever asks again must be told no
// sooner than the first one that this holds everywhere.
func denied(cmd Command, past store.Outcome) bool {
	switch cmd.(type) {
	case *RotateSession:
		var r Rotation
		return past.Value != nil && store.Decode(past.Value, &r) == nil && r.Killed
	case *ImportBatch:
		var o ImportOutcome
		return past.Value != nil && store.Decode(past.Value, &o) == nil && o.Denied
	}
	return false
}

// record writes the audit entry of a command.
func record(tx *store.Tx, m Meta, e Event, refusal *iam.Error) {
	if e.Type == "" {
		return
	}
	entry := iam.AuditEntry{
		At: m.At, Type: e.Type, Target: e.Target, Result: iam.AuditSuccess,
		Actor: m.Actor, IP: m.IP, UserAgent: m.UserAgent, RequestID: m.Trace,
	}
	if refusal != nil {
		entry.Result, entry.Reason = iam.AuditRefused, string(refusal.Code)
	}
	tx.AppendAudit(entry)
}

// die ends this node's part in the cluster: after an error of the disk, or a command that it does
// not know, whatever it would apply next could differ from what the others apply.
func (f *FSM) die(err error) {
	f.Fatal(fmt.Errorf("this node cannot apply the log and stops: %w", err))
	runtime.Goexit() // Fatal does not return in production; a test's may, and nothing may be applied after it
}

func (f *FSM) publish(index uint64, at iam.Time, needs uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.time.Store(int64(at))
	f.needs.Store(needs)
	f.applied.Store(index)
	close(f.advance)
	f.advance = make(chan struct{})
}

// Applied returns the index of the last entry whose effect every reader of this node can see.
func (f *FSM) Applied() uint64 { return f.applied.Load() }

// Time returns the state's own clock: the latest time that a command has carried.
func (f *FSM) Time() iam.Time { return iam.Time(f.time.Load()) }

// WaitApplied returns when this node has applied the entry at index, or with ctx's error.
func (f *FSM) WaitApplied(ctx context.Context, index uint64) error {
	for {
		f.mu.Lock()
		advance := f.advance
		f.mu.Unlock()
		if f.applied.Load() >= index {
			return nil
		}
		select {
		case <-advance:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// StateHash returns the hash of the state as it was after the entry at index, and false when that
// was too long ago, or is yet to come. Two nodes whose hashes at one index differ have diverged.
func (f *FSM) StateHash(index uint64) ([32]byte, bool) { return f.hashes.at(index) }

// Restore implements raft.FSM: it puts a snapshot that was received in the place of the state.
func (f *FSM) Restore(source io.ReadCloser) error {
	path, err := receivedPath(source)
	if err == nil {
		err = f.Store.Replace(path)
	}
	var meta store.Meta
	if err == nil {
		meta, err = f.Store.Meta()
	}
	if err == nil {
		err = f.understands(meta)
	}
	if err != nil {
		// raft would log the error and go on with a state of which nobody knows what it is.
		f.die(fmt.Errorf("a snapshot could not be put in place: %w", err))
	}
	f.Restored()
	f.hashes.add(meta.Index, meta.Hash)
	f.publish(meta.Index, meta.Time, meta.Needs)
	// Its error must not be raft's to see, which would take the restore for failed.
	_ = source.Close()
	return nil
}

// mark is the state's hash after one entry.
type mark struct {
	index uint64
	hash  [32]byte
}

// hashRing remembers the last marks, so that nodes a little apart can compare a common index.
type hashRing struct {
	mu    sync.Mutex
	marks [4096]mark
}

func (r *hashRing) add(index uint64, hash [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks[index%uint64(len(r.marks))] = mark{index, hash}
}

func (r *hashRing) at(index uint64) ([32]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks[index%uint64(len(r.marks))]
	return m.hash, m.index == index
}
