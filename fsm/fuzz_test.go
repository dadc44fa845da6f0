package fsm

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// seeds are one log entry of each kind, and some that no node can read.
func seeds(f *testing.F) {
	f.Helper()
	m := &machine{now: epoch}
	user, client := person(1, "ann", roleAdmin), program(1, "app")
	for _, cmd := range []Command{
		initialize(), &SetSettings{Settings: settings()}, &CreateUser{User: user}, &UpdateUser{User: user}, &DeleteUser{ID: bob},
		&LockUser{ID: ann, Until: epoch}, &PutRole{Role: iam.Role{ID: roleUser, Name: "user"}}, &DeleteRole{ID: roleUser},
		&PutScope{Scope: iam.Scope{ID: scopeRead, Name: "read:demo"}}, &DeleteScope{ID: scopeRead},
		&CreateClient{Client: client}, &UpdateClient{Client: client}, &DeleteClient{ID: client.ID},
		login(m, ann, 1), rotate(m, 1, 0), &EndSessions{User: ann}, &RevokeToken{Jti: "j"}, &RevokeIssued{User: ann},
		&AddKey{Key: iam.Key{ID: "k", Sealed: []byte("x"), SignFrom: epoch}}, &Expire{Most: 1},
		&RecordAudit{Entries: []iam.AuditEntry{{Type: "x"}}}, &ResealKeys{Keys: []SealedKey{{ID: "k", Sealed: []byte("x")}}},
		&SignAudit{Checkpoints: []iam.AuditCheckpoint{checkpointOf(iam.AuditEntry{Sequence: 1, Hash: iam.AuditHash{1}}, epoch)}},
	} {
		entry, err := Encode(Origin{RequestID: id('q', 1), Actor: "ann"}, epoch, cmd)
		if err != nil {
			f.Fatalf("%T: %v", cmd, err)
		}
		f.Add(entry)
		f.Add(entry[:len(entry)-1])
	}
	f.Add(store.Encode(envelope{Format: envelopeFormat, Kind: 9999}))
	f.Add(store.Encode(envelope{Format: envelopeFormat, Kind: kindPutScope, Payload: store.Encode(&PutScope{})}))
	f.Add(store.Encode(envelope{Format: envelopeFormat, Kind: kindExpire, Payload: store.Encode(&Expire{Most: -1}), At: 1<<63 - 1}))
	f.Add([]byte{})
	f.Add([]byte{0xf6})
	f.Add([]byte("garbage"))
}

// FuzzDecodeCommand: whatever is in the log, reading it does not panic; and what can be read and is
// valid is written again as what it was.
func FuzzDecodeCommand(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, cmd, err := decode(data, Version())
		if err != nil || cmd.Validate() != nil {
			return
		}
		if cmd.Kind() != e.Kind {
			t.Fatalf("an entry of kind %d became a command of kind %d", e.Kind, cmd.Kind())
		}
		again, err := Encode(e.Origin, e.At, cmd)
		if err != nil {
			if iam.CodeOf(err) != iam.PayloadTooLarge {
				t.Fatalf("%+v was read and cannot be written: %v", cmd, err)
			}
			return
		}
		e2, cmd2, err := decode(again, Version())
		if err != nil {
			t.Fatalf("%+v was written and cannot be read: %v", cmd, err)
		}
		if want, got := store.Encode(tidy(cmd)), store.Encode(cmd2); !bytes.Equal(want, got) {
			t.Fatalf("%+v became %+v", cmd, cmd2)
		}
		if e2.At != e.At || e2.Origin != bounded(e.Origin) {
			t.Fatalf("%+v became %+v", e, e2)
		}
	})
}

// FuzzApply: whatever is in the log, it is applied or it stops the node. Neither leaves a state that
// does not fit together.
func FuzzApply(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMachine(t, t.TempDir())
		m.do(initialize())
		m.do(&CreateUser{User: person(1, "ann", roleAdmin)})
		before := m.dump()
		responses := m.deliver(&raft.Log{Index: m.index + 1, Term: 1, Type: raft.LogCommand, Data: data})
		if (responses == nil) != (m.fatal != nil) {
			t.Fatalf("answered %v, and Fatal was told %v", responses, m.fatal)
		}
		refused := responses != nil && responses[0].(Response).Refusal != nil
		if diff := cmp.Diff(before, m.dump()); (refused || m.fatal != nil) && diff != "" {
			t.Fatalf("%+v, %v: the state was changed: %s", responses, m.fatal, diff)
		}
		m.check()
	})
}

// FuzzSnapshotStream: whatever arrives as a snapshot, what does not pass leaves nothing behind, and
// what passes can be opened. The checksum is the gate: bbolt itself ends the process on pages that
// do not fit together, so nothing that was damaged on the way may come as far as that.
func FuzzSnapshotStream(f *testing.F) {
	whole := newMachine(f, f.TempDir()).stream()
	f.Add([]byte{})
	f.Add([]byte("garbage"))
	f.Add(sealed([]byte("garbage")))
	f.Add(sealed(make([]byte, 4096)))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:8192])
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMachine(t, t.TempDir())
		s := m.snapshots()
		sink, err := s.Create(raft.SnapshotVersionMax, 50, 5, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(data); err != nil {
			t.Fatal(err)
		}
		if sink.Close() == nil {
			if _, reader, err := s.Open(sink.ID()); err != nil {
				t.Fatal(err)
			} else if err := reader.Close(); err != nil {
				t.Fatal(err)
			}
			return
		}
		if left := files(t, s.dir); len(left) != 0 {
			t.Fatalf("it left %q", left)
		}
	})
}
