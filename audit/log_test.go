package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/audit"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/store"
)

// flaky proposes to a state, unless it was told to fail. It may apply and fail all the same, as a
// network does.
type flaky struct {
	*teststate.State
	mu      sync.Mutex
	refuse  error
	applies bool
}

func (f *flaky) set(refuse error, applies bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse, f.applies = refuse, applies
}

func (f *flaky) Propose(ctx context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil && !f.applies {
		return fsm.Result{}, f.refuse
	}
	res, err := f.State.Propose(ctx, origin, cmd)
	if f.refuse != nil {
		err = f.refuse
	}
	return res, err
}

func newLog(t *testing.T, every time.Duration) (*audit.Log, *flaky) {
	t.Helper()
	state := &flaky{State: teststate.New(t)}
	l := audit.New(audit.Config{Store: state.Store, Proposer: state, Now: state.Now, Logger: slog.New(slog.DiscardHandler), Every: every})
	return l, state
}

func flush(t *testing.T, l *audit.Log) {
	t.Helper()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func closeLog(t *testing.T, l *audit.Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// entries are all that were recorded.
func entries(t *testing.T, state *flaky) (all []iam.AuditEntry) {
	t.Helper()
	if err := state.Store.View(func(r *store.Reader) error {
		all = r.Audit(0, 1<<20)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func failure(ip string) iam.AuditEntry {
	return iam.AuditEntry{Type: "login.failed", Reason: "invalid_grant", IP: ip, UserAgent: "curl", RequestID: "r"}
}

func TestRefusalsAreRecordedByThemselves(t *testing.T) {
	l, state := newLog(t, time.Millisecond)
	l.Refused(failure("192.0.2.1"))
	for deadline := time.Now().Add(time.Minute); len(entries(t, state)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is recorded")
		}
	}
	l.Refused(failure("192.0.2.2"))
	closeLog(t, l)
	all := entries(t, state)
	if len(all) != 2 || all[0].IP != "192.0.2.1" || all[0].Result != iam.AuditRefused || all[0].At != state.Now() || all[0].Count != 0 {
		t.Errorf("recorded are %+v", all)
	}
}

// TestFloodsAreCounted: nobody fills the disks of all nodes by being refused, nor keeps the refusals of
// others out of the log.
func TestFloodsAreCounted(t *testing.T) {
	l, state := newLog(t, time.Hour)
	defer closeLog(t, l)
	for range 10_000 {
		l.Refused(failure("192.0.2.1"))
	}
	flush(t, l)
	if all := entries(t, state); len(all) != 1 || all[0].Count != 10_000 {
		t.Fatalf("one refusal, repeated, is recorded as %+v", all)
	}
	for i := range 10_000 { // one customer, many addresses
		e := failure(fmt.Sprintf("2001:db8::%x", i))
		e.Target = fmt.Sprint(i)
		l.Refused(e)
	}
	l.Refused(failure("192.0.2.7"))
	flush(t, l)
	all := entries(t, state)[1:]
	told, other := uint64(0), false
	for _, e := range all {
		if e.Type == audit.Dropped && e.IP == "2001:db8::/64" {
			told += e.Count
		}
		other = other || e.IP == "192.0.2.7"
	}
	if len(all) > 25 || told+uint64(len(all))-2 != 10_000 || !other {
		t.Errorf("%d entries, %d told to be missing, the other address: %v", len(all), told, other)
	}
	for i := range 10_000 { // a net of many
		l.Refused(failure(fmt.Sprintf("10.0.%d.%d", i/250, i%250)))
	}
	flush(t, l)
	all = entries(t, state)[1+len(all):]
	if last := all[len(all)-1]; len(all) > 110 || last.Type != audit.Dropped || int(last.Count)+len(all)-1 != 10_000 {
		t.Errorf("%d entries, the last is %+v", len(all), last)
	}
}

func TestTextsAreBounded(t *testing.T) {
	l, state := newLog(t, time.Hour)
	defer closeLog(t, l)
	long := strings.Repeat("é", 100_000)
	for i := range 100 {
		l.Refused(iam.AuditEntry{Type: long, Actor: fmt.Sprint(i) + long, Target: long, Reason: long, UserAgent: long, RequestID: long})
	}
	flush(t, l)
	if all := entries(t, state); len(all) != 100 || len(all[0].UserAgent) > 256 {
		t.Errorf("%d entries are recorded", len(all))
	}
}

func TestWithoutALeaderRefusalsWait(t *testing.T) {
	l, state := newLog(t, time.Hour)
	defer closeLog(t, l)
	l.Refused(failure("192.0.2.1"))
	state.set(iam.Unavailable(time.Second, "No leader."), false)
	if l.Flush(t.Context()) == nil {
		t.Error("a failure is not told")
	}
	state.set(iam.Unavailable(time.Second, "Nobody knows."), true)
	l.Refused(failure("192.0.2.2"))
	if l.Flush(t.Context()) == nil {
		t.Error("a failure is not told")
	}
	state.set(nil, false)
	l.Refused(failure("192.0.2.3"))
	flush(t, l)
	all := entries(t, state)
	if len(all) != 3 || all[0].IP != "192.0.2.1" || all[1].IP != "192.0.2.2" {
		t.Errorf("recorded are %+v", all)
	}
}

func TestWhatIsRefusedForGoodIsCounted(t *testing.T) {
	l, state := newLog(t, time.Hour)
	defer closeLog(t, l)
	l.Refused(failure("192.0.2.1"))
	state.set(iam.Errorf(iam.PayloadTooLarge, "Too large."), false)
	flush(t, l)
	state.set(nil, false)
	flush(t, l)
	if all := entries(t, state); len(all) != 1 || all[0].Type != audit.Dropped || all[0].Count != 1 {
		t.Errorf("recorded are %+v", all)
	}
}
