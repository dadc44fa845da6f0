package fsm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// fatal delivers a batch that must stop the node and change nothing.
func (m *machine) fatalBy(want string, batch ...*raft.Log) {
	m.Helper()
	before, rows, applied := m.meta(), m.dump(), m.fsm.Applied()
	m.changes = nil
	if responses := m.deliver(batch...); responses != nil {
		m.Errorf("a batch that cannot be applied is answered with %v", responses)
	}
	if m.fatal == nil || !strings.Contains(m.fatal.Error(), want) {
		m.Errorf("Fatal was told %v; want it to say %q", m.fatal, want)
	}
	if m.fsm.Applied() != applied || m.changes != nil {
		m.Errorf("something was published: index %d, changes %v", m.fsm.Applied(), m.changes)
	}
	if diff := cmp.Diff(before, m.meta()) + cmp.Diff(rows, m.dump()); diff != "" {
		m.Errorf("something was applied: %s", diff)
	}
	m.fatal = nil // and the state passes Check at the end
}

func raw(index uint64, e envelope) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: store.Encode(e)}
}

func TestUnknownEntriesStopTheNode(t *testing.T) {
	good := envelope{Format: envelopeFormat, Kind: kindRevokeToken, MinVersion: Version(), At: epoch, Payload: store.Encode(&RevokeToken{Jti: "j"})}
	f := func(what, want string, change func(*envelope)) {
		t.Run(what, func(t *testing.T) {
			m := peopled(t)
			bad := good
			change(&bad)
			// A good command before it in the batch must go with it: a transaction is whole.
			m.fatalBy(want, raw(m.index+1, good), raw(m.index+2, bad), raw(m.index+3, good))
		})
	}
	f("kind 0", "kind 0", func(e *envelope) { e.Kind = 0 })
	f("a kind of the future", "newer version", func(e *envelope) { e.Kind = 9999 })
	f("a version of the future", "newer version", func(e *envelope) { e.MinVersion = Version() + 1 })
	f("a format of the future", "newer version", func(e *envelope) { e.Format = envelopeFormat + 1 })
	f("no format", "format 0", func(e *envelope) { e.Format = 0 })
	f("no payload", "cannot be read", func(e *envelope) { e.Payload = nil })
	f("a payload of another kind", "cannot be read", func(e *envelope) { e.Payload = store.Encode([]int{1}) })
	f("a payload with a tail", "cannot be read", func(e *envelope) { e.Payload = append(slices.Clone(e.Payload), 0) })

	m := peopled(t)
	m.fatalBy("log entry 5", &raft.Log{Index: m.index + 1, Type: raft.LogCommand})
	m.fatalBy("cannot be read", &raft.Log{Index: m.index + 1, Type: raft.LogCommand, Data: []byte("garbage")})
	m.deliver(raw(m.index+1, good))
	if m.fatal != nil {
		t.Error(m.fatal)
	}
}

// TestImpossibleRowsStopTheNode: what Validate refuses never comes here; if it did, the node must
// not go on with half a change.
func TestImpossibleRowsStopTheNode(t *testing.T) {
	m := peopled(t)
	entry := func(cmd Command) *raft.Log {
		return raw(m.index+1, envelope{Format: envelopeFormat, Kind: cmd.Kind(), MinVersion: 1, At: epoch, Payload: store.Encode(cmd)})
	}
	m.fatalBy("log entry 5", entry(&PutScope{}))
	m.fatalBy("log entry 5", entry(&RevokeToken{Jti: strings.Repeat("x", 40_000)}))
	m.fatalBy("log entry 5", entry(&CreateUser{User: iam.User{ID: id('u', 7)}}))
}

func TestNoEntryPoisonsTheLog(t *testing.T) {
	m := peopled(t)
	const bad = "\xff\xfe"
	refused := func(cmd Command) {
		t.Helper()
		var refusal *iam.Error
		if _, err := Encode(Origin{}, m.now, cmd); !errors.As(err, &refusal) {
			t.Errorf("%T: %v; want a refusal, or every node of the cluster stops", cmd, err)
		}
	}
	taken := func(origin Origin, cmd Command) {
		t.Helper()
		if got := m.ask(origin, cmd); got.Refusal != nil {
			t.Errorf("%T is refused: %v", cmd, got.Refusal)
		}
	}
	refused(&RevokeToken{Jti: bad})
	refused(&RevokeToken{Jti: strings.Repeat("x", 256)})
	refused(&EndSessions{User: bob, Jti: strings.Repeat("x", 40_000)})
	refused(&RevokeIssued{Client: bad})
	c := rotate(m, 1, 0)
	c.ClientID = bad
	refused(c)
	named := login(m, bob, 1)
	named.Session.ClientID = bad
	refused(named)
	many := person(9, "many")
	many.Roles = make([]iam.ID, 20_000)
	refused(&CreateUser{User: many})

	// What every request carries must not get anybody's login refused, nor other people's audit
	// entries lost: it is cut instead.
	odd := login(m, bob, 1)
	odd.Session.UserAgent = strings.Repeat(bad, 1000)
	taken(Origin{UserAgent: bad + "x", Actor: bad, IP: bad, Trace: strings.Repeat("é", 1000)}, odd)
	entry := iam.AuditEntry{
		Type: "login.failed", Actor: bad, Target: strings.Repeat("é", 1000), Result: iam.AuditRefused,
		Reason: bad, IP: bad, UserAgent: strings.Repeat("é", 1000), RequestID: bad,
	}
	taken(Origin{}, &RecordAudit{Entries: []iam.AuditEntry{entry}})
	if entry.Actor != bad || len(odd.Session.UserAgent) != 2000 {
		t.Error("Encode changed the command of its caller")
	}
	m.view(func(r *store.Reader) {
		for _, e := range r.Audit(0, 100) {
			if len(e.UserAgent) > 256 || len(e.Target) > 255 || len(e.Actor) > 255 || len(e.RequestID) > 64 {
				t.Errorf("an audit entry is not bounded: %+v", e)
			}
		}
	})
}

func TestEncodeBounds(t *testing.T) {
	entries := slices.Repeat([]iam.AuditEntry{{Type: "x", UserAgent: strings.Repeat("x", 256), Target: strings.Repeat("x", 255)}}, 1000)
	if _, err := Encode(Origin{}, epoch, &RecordAudit{Entries: entries}); iam.CodeOf(err) != iam.PayloadTooLarge {
		t.Errorf("a command over the bound: %v", err)
	}
	if _, err := Encode(Origin{}, epoch, &RecordAudit{}); err == nil {
		t.Error("a command that is not valid is encoded")
	}
}

func TestAuditSaysWhoAskedForWhat(t *testing.T) {
	m := peopled(t)
	origin := Origin{Actor: "ann", IP: "192.0.2.1", UserAgent: "curl", Trace: "t1"}
	m.ask(origin, &DeleteUser{ID: id('u', 9)})
	m.wait(time.Second)
	m.ask(origin, &DeleteUser{ID: bob})
	want := iam.AuditEntry{
		At: m.now, Type: "user.deleted", Actor: "ann", Target: bob.String(), Result: iam.AuditSuccess,
		IP: "192.0.2.1", UserAgent: "curl", RequestID: "t1",
	}
	m.view(func(r *store.Reader) {
		all := r.Audit(0, 100)
		got, before := all[len(all)-1], all[len(all)-2]
		want.Sequence, want.Previous, want.Hash = got.Sequence, before.Hash, got.Sum()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if before.Result != iam.AuditRefused || before.Reason != string(iam.NotFound) || before.Sequence+1 != got.Sequence {
			t.Errorf("the refused one is audited as %+v", before)
		}
	})
	lines := len(m.audit())
	m.do(&Expire{Most: 1})
	if len(m.audit()) != lines {
		t.Error("the sweeping of old rows is in the audit log")
	}
}

func TestTheStatesTimeNeverRunsBack(t *testing.T) {
	m := peopled(t)
	latest := m.now
	m.wait(-time.Hour)
	m.do(&RevokeToken{Jti: "j"})
	if got := m.meta().Time; got != latest {
		t.Errorf("the state's time is %d, want %d", got, latest)
	}
	m.view(func(r *store.Reader) {
		if dead, _ := r.Revocation(iam.RevokedToken, "j"); dead.Before != latest {
			t.Errorf("the command was applied at %d", dead.Before)
		}
	})
}

func TestCommittedComesBeforeApplied(t *testing.T) {
	m := start(t)
	var seen []string
	m.fsm.Committed = func(changes []store.Change) {
		if m.fsm.Applied() != 0 {
			t.Error("the index was published before the change")
		}
		if meta, err := m.store.Meta(); err != nil || meta.Index != 2 {
			t.Errorf("the hook was called before the commit: %+v, %v", meta, err)
		}
		for _, c := range changes {
			switch row := c.Row.(type) {
			case iam.Scope:
				seen = append(seen, row.Name)
			case iam.AuditEntry:
				seen = append(seen, row.Type)
			}
		}
	}
	m.deliver(m.entry(Origin{}, &PutScope{Scope: iam.Scope{ID: scopeRead, Name: "a"}}), m.entry(Origin{}, &PutScope{Scope: iam.Scope{ID: scopeWrite, Name: "b"}}))
	if want := []string{"a", "scope.saved", "b", "scope.saved"}; !slices.Equal(seen, want) {
		t.Errorf("changes came as %q, want %q", seen, want)
	}
	if m.fsm.Applied() != 2 {
		t.Errorf("Applied = %d", m.fsm.Applied())
	}
}

func TestSecondDeliveryTellsNobody(t *testing.T) {
	m := start(t)
	entry := m.entry(Origin{}, &RevokeToken{Jti: "j"})
	m.deliver(entry)
	m.changes = nil
	if got := m.fsm.Apply(entry); !isUnavailable(got) || m.changes != nil {
		t.Errorf("a second delivery is answered with %+v, changes %v", got, m.changes)
	}
}

func TestConfigurationIsKept(t *testing.T) {
	m := start(t)
	data := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "b"}}})
	got := m.deliver(&raft.Log{Index: 3, Term: 2, Type: raft.LogConfiguration, Data: data})
	meta := m.meta()
	if len(got) != 1 || got[0] != nil || meta.ConfigurationIndex != 3 || meta.Index != 3 || meta.Term != 2 || string(meta.Configuration) != string(data) {
		t.Errorf("answered %v, kept %+v", got, meta)
	}
}

func TestWaitApplied(t *testing.T) {
	m := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.fsm.WaitApplied(ctx, 2) }()
	m.do(&RevokeToken{Jti: "a"})
	select {
	case err := <-done:
		t.Fatalf("index 1 is applied, and the wait for 2 ended: %v", err)
	default:
	}
	m.do(&RevokeToken{Jti: "b"})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := m.fsm.WaitApplied(ctx, 1); err != nil {
		t.Error(err)
	}
	go func() { done <- m.fsm.WaitApplied(ctx, 3) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("WaitApplied = %v", err)
	}
}

func TestStateHash(t *testing.T) {
	m := start(t)
	if hash, ok := m.fsm.StateHash(0); !ok || hash != [32]byte{} {
		t.Errorf("the empty state's hash is %x, %v", hash, ok)
	}
	m.do(&RevokeToken{Jti: "a"})
	first, ok := m.fsm.StateHash(1)
	if !ok || first != [32]byte(m.meta().Hash) {
		t.Errorf("the hash at 1 is %x, %v", first, ok)
	}
	if _, ok := m.fsm.StateHash(2); ok {
		t.Error("there is a hash of what is yet to come")
	}
	batch := make([]*raft.Log, len(m.fsm.hashes.marks))
	for i := range batch {
		batch[i] = m.entry(Origin{}, &Expire{Most: 1})
	}
	m.deliver(batch...)
	if _, ok := m.fsm.StateHash(1); ok {
		t.Error("the oldest hash was not forgotten")
	}
	if hash, ok := m.fsm.StateHash(m.index); !ok || hash != first {
		t.Errorf("commands that changed nothing changed the hash to %x, %v", hash, ok)
	}
	m.reopen()
	if hash, ok := m.fsm.StateHash(m.index); !ok || hash != first {
		t.Errorf("after a restart the hash is %x, %v", hash, ok)
	}
}
