package fsm

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

func (m *machine) snapshots() *Snapshots {
	m.Helper()
	s, err := NewSnapshots(m.store, filepath.Join(m.dir, "snapshots"))
	if err != nil {
		m.Fatal(err)
	}
	return s
}

// stream is what the machine sends to a node that fell behind.
func (m *machine) stream() []byte {
	m.Helper()
	_, reader, err := m.snapshots().Open(liveSnapshot)
	if err != nil {
		m.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	data, err := io.ReadAll(reader)
	if err != nil {
		m.Fatal(err)
	}
	return data
}

func files(t tester, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		names = append(names, entry.Name())
	}
	return names
}

func sealed(data []byte) []byte {
	sum := sha256.Sum256(data)
	return append(bytes.Clone(data), sum[:]...)
}

func TestList(t *testing.T) {
	m := start(t)
	s := m.snapshots()
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("an empty state is listed as %v, %v", all, err)
	}
	configuration := raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "b"}}}
	m.deliver(&raft.Log{Index: 2, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(configuration)})
	m.index = 6
	m.do(&RevokeToken{Jti: "j"})
	if _, err := m.fsm.Snapshot(); err != nil { // or what is listed may be of a moment before
		t.Fatal(err)
	}
	all, err := s.List()
	want := []*raft.SnapshotMeta{{
		Version: raft.SnapshotVersionMax, ID: liveSnapshot, Index: 7, Term: 1, Configuration: configuration, ConfigurationIndex: 2,
	}}
	if diff := cmp.Diff(want, all); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	meta, reader, err := s.Open(liveSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, reader)
	if err != nil || n != meta.Size || meta.Index != 7 {
		t.Errorf("%d bytes came, %+v, %v", n, meta, err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if left := files(t, s.dir); len(left) != 0 {
		t.Errorf("sending left %q", left)
	}
}

// TestOwnSnapshotWritesNothing: what raft calls taking a snapshot is free.
func TestOwnSnapshotWritesNothing(t *testing.T) {
	m := peopled(t)
	s := m.snapshots()
	snapshot, err := m.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	sink, err := s.Create(raft.SnapshotVersionMax, 9, 9, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Persist(sink); err != nil {
		t.Error(err)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	snapshot.Release()
	if left := files(t, s.dir); len(left) != 0 {
		t.Errorf("it left %q", left)
	}
	if all, err := s.List(); err != nil || len(all) != 1 || all[0].Index != m.index {
		t.Errorf("List = %+v, %v", all, err)
	}
}

func TestSnapshotMovesTheState(t *testing.T) {
	from, to := peopled(t), start(t)
	to.do(&RevokeToken{Jti: "old"})
	install(from, to)
	if diff := cmp.Diff(from.dump(), to.dump()); diff != "" {
		t.Error(diff)
	}
	if to.restored != 1 || to.fsm.Applied() != from.index {
		t.Errorf("Restored was called %d times, applied %d", to.restored, to.fsm.Applied())
	}
	want, _ := from.fsm.StateHash(from.index)
	if hash, ok := to.fsm.StateHash(from.index); !ok || hash != want {
		t.Errorf("the hash is %x, %v; want %x", hash, ok, want)
	}
	if left := files(t, filepath.Join(to.dir, "snapshots")); len(left) != 0 {
		t.Errorf("it left %q", left)
	}
}

// TestSnapshotStandsWhereTheLogSays: after the restore of a backup raft gives it an index beyond all
// entries. Were the older one inside the file believed, they would be applied to it again.
func TestSnapshotStandsWhereTheLogSays(t *testing.T) {
	from, to := peopled(t), start(t)
	configuration := raft.Configuration{Servers: []raft.Server{{ID: "n", Address: "a"}}}
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: from.index + 100, Term: 7, Configuration: configuration, ConfigurationIndex: 99}
	receive(to, to.snapshots(), meta, bytes.NewReader(from.stream()))
	got := to.meta()
	if got.Index != from.index+100 || got.Term != 7 || got.ConfigurationIndex != 99 || to.fsm.Applied() != got.Index {
		t.Errorf("the state stands at %+v, applied %d", got, to.fsm.Applied())
	}
	if !cmp.Equal(raft.DecodeConfiguration(got.Configuration), configuration) {
		t.Errorf("the configuration is %q", got.Configuration)
	}
	before := to.dump()
	to.index = from.index
	if r := to.ask(Origin{}, &DeleteUser{ID: bob}); r.Refusal == nil || r.Refusal.Code != iam.TemporarilyUnavailable {
		t.Errorf("an old entry is answered with %+v", r)
	}
	if diff := cmp.Diff(before, to.dump()); diff != "" {
		t.Errorf("an old entry was applied to the restored state: %s", diff)
	}
	to.index = got.Index
	to.do(&DeleteUser{ID: bob})
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	from := peopled(t)
	good := from.stream()
	f := func(what, want string, stream []byte) {
		t.Run(what, func(t *testing.T) {
			m := peopled(t)
			s := m.snapshots()
			before, rows := m.meta(), m.dump()
			sink, err := s.Create(raft.SnapshotVersionMax, 50, 5, raft.Configuration{}, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for chunk := range bytes.Lines(stream) { // in pieces of any size, as from a network
				if n, err := sink.Write(chunk); err != nil || n != len(chunk) {
					t.Fatal(n, err)
				}
			}
			if err := sink.Close(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Close = %v; want it to say %q", err, want)
			}
			if left := files(t, s.dir); len(left) != 0 {
				t.Errorf("it left %q", left)
			}
			if _, _, err := s.Open(sink.ID()); err == nil {
				t.Error("what was refused can be opened")
			}
			if diff := cmp.Diff(before, m.meta()) + cmp.Diff(rows, m.dump()); diff != "" {
				t.Errorf("the state was touched: %s", diff)
			}
			m.do(&RevokeToken{Jti: "on"})
		})
	}
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	trailer := bytes.Clone(good)
	trailer[len(good)-1] ^= 1
	f("one bit", "checksum", flipped)
	f("one bit of the checksum", "checksum", trailer)
	f("truncated", "checksum", good[:len(good)-1])
	f("half", "checksum", good[:len(good)/2])
	f("a page less", "checksum", good[4096:])
	f("trailing garbage", "checksum", append(bytes.Clone(good), "garbage"...))
	f("twice", "checksum", append(bytes.Clone(good), good...))
	f("one byte", "too short", []byte{0})
	f("a checksum alone", "too short", sealed(nil))
	f("sealed garbage", "state file", sealed([]byte("garbage")))
	f("sealed zeroes", "state file", sealed(make([]byte, 1<<16)))

	// Rows that do not fit together, in a file that is otherwise whole.
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, good[:len(good)-sha256.Size], 0o600); err != nil {
		t.Fatal(err)
	}
	plantRow(t, path, "users", ann[:], store.Encode(person(1, "another")))
	planted, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f("rows that do not fit", "users_by_username", sealed(planted))
}

// TestEmptySnapshot: nothing on the wire looks like raft's own snapshot, which has no bytes. What
// matters is that it can never become the state.
func TestEmptySnapshot(t *testing.T) {
	m := peopled(t)
	s := m.snapshots()
	sink, err := s.Create(raft.SnapshotVersionMax, 50, 5, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Open(sink.ID()); err == nil {
		t.Error("an empty snapshot can be opened")
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	m := start(t)
	s := m.snapshots()
	for _, data := range []string{"", "some bytes"} {
		sink, err := s.Create(raft.SnapshotVersionMax, 50, 5, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if data != "" {
			if _, err := io.WriteString(sink, data); err != nil {
				t.Fatal(err)
			}
		}
		if err := sink.Cancel(); err != nil {
			t.Error(err)
		}
		if err := sink.Close(); err != nil {
			t.Error("Close after Cancel:", err)
		}
		if left := files(t, s.dir); len(left) != 0 {
			t.Errorf("it left %q", left)
		}
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	m := start(t)
	from := peopled(t)
	s := m.snapshots()
	sink, err := s.Create(raft.SnapshotVersionMax, 50, 5, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(from.stream()); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.tmp", "send-1"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The node dies here, before Restore: the snapshot was received and never became the state.
	m.reopen()
	s = m.snapshots()
	if left := files(t, s.dir); len(left) != 0 {
		t.Errorf("the start left %q", left)
	}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("what was never put in place is listed: %+v, %v", all, err)
	}
	if _, _, err := s.Open(sink.ID()); err == nil {
		t.Error("a snapshot of before the start can be opened")
	}
}

func TestOpenUnknownSnapshot(t *testing.T) {
	m := start(t)
	for _, id := range []string{"", "unknown", "../state", "../../state"} {
		if _, _, err := m.snapshots().Open(id); err == nil {
			t.Errorf("Open(%q) opens something", id)
		}
	}
}

func TestRestoreOfAForeignReaderIsFatal(t *testing.T) {
	m := peopled(t)
	before, rows := m.meta(), m.dump()
	f := func(what string, source io.ReadCloser) {
		t.Helper()
		m.fatal = nil
		returned := false
		err := guarded(func() { _ = m.fsm.Restore(source); returned = true })
		if err != nil || returned || m.fatal == nil {
			t.Errorf("%s: returned %v, Fatal was told %v, %v", what, returned, m.fatal, err)
		}
		if m.restored != 0 {
			t.Errorf("%s: Restored was called", what)
		}
	}
	f("a stream", io.NopCloser(bytes.NewReader(peopled(t).stream())))
	_, live, err := m.snapshots().Open(liveSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	f("the live state", live)
	m.fatal = nil
	if diff := cmp.Diff(before, m.meta()) + cmp.Diff(rows, m.dump()); diff != "" {
		t.Errorf("the state was touched: %s", diff)
	}
	f("a received file that is gone", received{gone(t)})
}

func gone(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "gone"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := os.Remove(file.Name()); err != nil {
		t.Fatal(err)
	}
	return file
}
