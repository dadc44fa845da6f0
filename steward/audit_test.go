package steward_test

import (
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/steward"
	"github.com/keystone-auth/keystone/store"
)

// auditor is a steward whose cluster keeps that much of the audit log.
func auditor(t *testing.T, state *teststate.State, days, count int64, secrets ...secret.ClusterSecret) *steward.Steward {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []secret.ClusterSecret{secret.NewClusterSecret()}
	}
	s := build(t, state, secret.NewSealer(secrets[0], secrets[1:]...))
	s.Notary = secret.NewNotary(secrets[0], secrets[1:]...)
	s.Settings.AuditKeepDays, s.Settings.AuditKeepCount = days, count
	return s
}

// refusals writes that many audit entries, dated now.
func refusals(t *testing.T, state *teststate.State, n int) {
	t.Helper()
	for ; n > 0; n -= 500 {
		entries := make([]iam.AuditEntry, min(n, 500))
		for i := range entries {
			entries[i] = iam.AuditEntry{At: state.Now(), Type: "login.failed", Result: iam.AuditRefused}
		}
		state.Must(t, &fsm.RecordAudit{Entries: entries})
	}
}

// auditLog proves the log and returns its ends and its checkpoints.
func auditLog(t *testing.T, state *teststate.State, n *secret.Notary) (first, last uint64, checkpoints []iam.AuditCheckpoint) {
	t.Helper()
	if _, err := state.Store.VerifyAudit(n.Check); err != nil {
		t.Fatal(err)
	}
	if err := state.Store.View(func(r *store.Reader) error {
		first, last = r.AuditRange()
		checkpoints = r.Checkpoints(0, 1000)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return first, last, checkpoints
}

func TestSignsTheAuditLog(t *testing.T) {
	state := teststate.New(t)
	s := auditor(t, state, 0, 0)
	signed := func(want int) {
		t.Helper()
		round(s)
		was := state.FSM.Applied()
		round(s)
		if _, _, checkpoints := auditLog(t, state, s.Notary); len(checkpoints) != want || state.FSM.Applied() != was {
			t.Errorf("%d checkpoints, want %d; %d more commands where nothing was to be done", len(checkpoints), want, state.FSM.Applied()-was)
		}
	}
	signed(1)
	refusals(t, state, 999)
	signed(1)
	refusals(t, state, 1)
	signed(2)
	refusals(t, state, 1)
	signed(2)
	state.Advance(iam.Time(61 * time.Minute / time.Microsecond))
	signed(3)
	state.Advance(iam.Time(61 * time.Minute / time.Microsecond))
	signed(3)
	_, last, checkpoints := auditLog(t, state, s.Notary)
	if checkpoints[2].Sequence != last {
		t.Errorf("the log ends at %d and is signed up to %d", last, checkpoints[2].Sequence)
	}
}

func TestTrimsTheAuditLogByNumber(t *testing.T) {
	state := teststate.New(t)
	s := auditor(t, state, 0, 1500)
	round(s)
	refusals(t, state, 2400)
	round(s)
	if first, _, _ := auditLog(t, state, s.Notary); first != 1 {
		t.Errorf("the log begins at %d before it is a thousand too long", first)
	}
	refusals(t, state, 5000)
	round(s)
	first, last, checkpoints := auditLog(t, state, s.Notary)
	if n := last - first + 1; n < 1500 || n >= 2500 || !checkpoints[0].Removed {
		t.Errorf("%d entries are left of 1500 that are kept, %+v", n, checkpoints[0])
	}
	was := state.FSM.Applied()
	round(s)
	if state.FSM.Applied() != was {
		t.Error("trimming makes entries that are trimmed")
	}
}

func TestTrimsTheAuditLogByAge(t *testing.T) {
	state := teststate.New(t)
	s := auditor(t, state, 30, 0)
	round(s)
	refusals(t, state, 3000)
	_, old, _ := auditLog(t, state, s.Notary)
	day := iam.Time(24 * time.Hour / time.Microsecond)
	state.Advance(20 * day)
	refusals(t, state, 10)
	round(s)
	state.Advance(10*day + 1)
	round(s)
	if first, _, _ := auditLog(t, state, s.Notary); first != 1 {
		t.Errorf("the log begins at %d before an hour's worth is too old", first)
	}
	state.Advance(day)
	round(s)
	if first, _, _ := auditLog(t, state, s.Notary); first != old+1 {
		t.Errorf("the log begins at %d, want %d", first, old+1)
	}
	state.Advance(100 * day)
	round(s)
	if first, last, _ := auditLog(t, state, s.Notary); first <= old+1 || last < first {
		t.Errorf("after long silence it goes from %d to %d", first, last)
	}
}

func TestCheckpointsFollowTheClusterSecret(t *testing.T) {
	state := teststate.New(t)
	old, fresh := secret.NewClusterSecret(), secret.NewClusterSecret()
	s := auditor(t, state, 0, 1000, old)
	round(s)
	for range 3 {
		refusals(t, state, 1000)
		round(s)
	}
	round(auditor(t, state, 0, 1000, fresh, old))
	if _, _, checkpoints := auditLog(t, state, secret.NewNotary(fresh)); len(checkpoints) < 2 || !checkpoints[0].Removed {
		t.Errorf("signed again are %+v", checkpoints)
	}
}

// TestForgedCheckpointsAreNotSigned: a leader must not lend its signature to what somebody wrote into the
// state.
func TestForgedCheckpointsAreNotSigned(t *testing.T) {
	state := teststate.New(t)
	own := secret.NewClusterSecret()
	s := auditor(t, state, 0, 0, own)
	round(s)
	_, _, checkpoints := auditLog(t, state, s.Notary)
	forged := secret.NewNotary(secret.NewClusterSecret()).Sign(checkpoints[0])
	state.Must(t, &fsm.SignAudit{Checkpoints: []iam.AuditCheckpoint{forged}})
	round(s)
	if _, err := state.Store.VerifyAudit(s.Notary.Check); err == nil {
		t.Error("a forged checkpoint became good")
	}
}
