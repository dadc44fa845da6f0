package fsm

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// TestAuditLogHolds applies any log, signs and trims in between, and then damages the audit log of the
// file: whatever is done to it is found at the entry to which it was done.
func TestAuditLogHolds(t *testing.T) {
	dir, run, done := t.TempDir(), 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := newMachine(rt, filepath.Join(dir, fmt.Sprint(run)))
		for _, entry := range drawLog(rt, 10, 40) {
			entry.Index += m.index // for those that were put in between
			m.deliver(entry)
			if one(rt, "in between", []int{0, 0, 0, 1}) == 1 {
				m.signOrTrim(rt, entry.Index)
			}
		}
		m.check()
		rows := m.auditRows()
		if len(rows) < 3 {
			return
		}
		m.close()
		what, want := damage(rt, m, rows)
		done[what]++
		m.open()
		_, err := m.store.VerifyAudit(nil)
		var broken *iam.AuditBreak
		if !errors.As(err, &broken) || !slices.Contains(want, broken.Sequence) {
			rt.Fatalf("%s: VerifyAudit says %v, and the fault is at %d", what, err, want)
		}
		if m.store.Check() == nil {
			rt.Fatalf("%s: Check finds nothing", what)
		}
		m.fatal = err // so that nobody asks for a sound state at the end
	})
	for _, what := range []string{"byte", "removal", "insertion", "swap", "forgery", "cut"} {
		if done[what] == 0 && run >= 100 {
			t.Errorf("no %s was tried in %d runs", what, run)
		}
	}
}

// signOrTrim puts a checkpoint about an entry that there is, right behind a log entry.
func (m *machine) signOrTrim(t *rapid.T, index uint64) {
	var e iam.AuditEntry
	m.view(func(r *store.Reader) {
		if first, last := r.AuditRange(); last > 0 {
			e, _ = r.AuditEntry(uint64(between(t, "at", int(first), int(last))))
		}
	})
	if e.Sequence == 0 {
		return
	}
	checkpoint := checkpointOf(e, max(1, m.meta().Time))
	checkpoint.Removed = rapid.Bool().Draw(t, "trim")
	var cmd Command = &SignAudit{Checkpoints: []iam.AuditCheckpoint{checkpoint}}
	if checkpoint.Removed {
		cmd = &TrimAudit{Checkpoint: checkpoint}
	}
	data, err := Encode(Origin{}, m.meta().Time, cmd)
	if err != nil {
		t.Fatal(err)
	}
	m.index++
	m.deliver(&raft.Log{Index: index + 1, Term: m.meta().Term, Type: raft.LogCommand, Data: data})
	if m.fatal != nil {
		t.Fatal(m.fatal)
	}
	if _, err := m.store.VerifyAudit(nil); err != nil {
		t.Fatalf("after %+v: %v", cmd, err)
	}
}

func (m *machine) auditRows() (rows []iam.AuditEntry) {
	m.view(func(r *store.Reader) { rows = r.Audit(0, 1<<20) })
	return rows
}

// damage does one thing to the audit log of a closed machine. The fault is at one of the entries want.
func damage(t *rapid.T, m *machine, rows []iam.AuditEntry) (what string, want []uint64) {
	at := between(t, "row", 0, len(rows)-2)
	row, next := rows[at], rows[at+1]
	put := func(key uint64, value []byte) {
		path := filepath.Join(m.dir, "state.db")
		if err := plantAudit(path, key, value); err != nil {
			t.Fatal(err)
		}
	}
	what = one(t, "damage", []string{"byte", "byte", "byte", "removal", "insertion", "swap", "forgery", "cut"})
	switch what {
	case "byte":
		data := store.Encode(row)
		data[between(t, "byte", 0, len(data)-1)] ^= byte(1 << between(t, "bit", 0, 7))
		put(row.Sequence, data)
		return what, []uint64{row.Sequence}
	case "removal":
		put(row.Sequence, nil)
		return what, []uint64{row.Sequence, 1} // 1 where it was the first
	case "insertion":
		row.Sequence = rows[len(rows)-1].Sequence + 1
		row.Previous = rows[len(rows)-1].Hash
		row.Hash = row.Sum()
		put(row.Sequence, store.Encode(row))
		return what, []uint64{row.Sequence}
	case "swap":
		put(row.Sequence, store.Encode(next))
		put(next.Sequence, store.Encode(row))
		return what, []uint64{row.Sequence}
	case "forgery": // with the hash that fits
		row.Actor += "x"
		row.Hash = row.Sum()
		put(row.Sequence, store.Encode(row))
		return what, []uint64{row.Sequence, next.Sequence} // the former where it has a checkpoint
	}
	put(rows[len(rows)-1].Sequence, nil)
	return what, []uint64{rows[len(rows)-1].Sequence}
}

// plantAudit writes, or without a value deletes, a row behind the back of the store.
func plantAudit(path string, sequence uint64, value []byte) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		key := []byte{0, 0, 0, 0, byte(sequence >> 24), byte(sequence >> 16), byte(sequence >> 8), byte(sequence)}
		if value == nil {
			return tx.Bucket([]byte("audit")).Delete(key)
		}
		return tx.Bucket([]byte("audit")).Put(key, value)
	})
	return errors.Join(err, db.Close())
}

func TestTrimAudit(t *testing.T) {
	m := peopled(t)
	m.do(&RecordAudit{Entries: make([]iam.AuditEntry, 1000)})
	m.do(&RecordAudit{Entries: make([]iam.AuditEntry, 100)})
	rows := m.auditRows()
	trim := func(e iam.AuditEntry) *TrimAudit {
		c := &TrimAudit{Checkpoint: checkpointOf(e, m.now)}
		c.Checkpoint.Removed = true
		return c
	}
	wrong := rows[4]
	wrong.Hash = rows[5].Hash
	m.refuse(trim(wrong), iam.Conflict)
	m.refuse(trim(rows[1000]), iam.Conflict) // too many at once
	m.refuse(trim(iam.AuditEntry{Sequence: 1 << 40, Hash: rows[1].Hash}), iam.Conflict)

	m.do(&SignAudit{Checkpoints: []iam.AuditCheckpoint{checkpointOf(rows[2], m.now)}})
	m.do(&SignAudit{Checkpoints: []iam.AuditCheckpoint{checkpointOf(rows[1050], m.now)}})
	m.do(trim(rows[999]))
	left := m.auditRows()
	if left[0].Sequence != 1001 || left[len(left)-1].Type != "audit.trimmed" || left[len(left)-1].Target != "1000" {
		t.Errorf("from %+v to %+v is left", left[0], left[len(left)-1])
	}
	m.view(func(r *store.Reader) {
		if all := r.Checkpoints(0, 100); len(all) != 2 || !all[0].Removed || all[0].Sequence != 1000 || all[1].Sequence != 1051 {
			t.Errorf("the checkpoints are %+v", all)
		}
	})
	m.refuse(trim(rows[999]), iam.Conflict)
	left = m.auditRows()
	m.refuse(trim(left[len(left)-1]), iam.Conflict) // would leave nothing
	m.check()
}

func TestSignAudit(t *testing.T) {
	m := peopled(t)
	rows := m.auditRows()
	sign := func(all ...iam.AuditCheckpoint) *SignAudit { return &SignAudit{Checkpoints: all} }
	first, last := checkpointOf(rows[1], m.now), checkpointOf(rows[3], m.now)
	lines := len(m.audit())
	m.do(sign(last))
	m.do(sign(last))
	if len(m.audit()) != lines {
		t.Error("a signature is in the audit log, so that the log is never signed to its end")
	}
	m.refuse(sign(first), iam.Conflict)
	other := last
	other.Hash = rows[2].Hash
	m.refuse(sign(other), iam.Conflict)
	other = last
	other.Removed = true
	m.refuse(sign(other), iam.Conflict)
	m.refuse(sign(checkpointOf(iam.AuditEntry{Sequence: 99, Hash: rows[2].Hash}, m.now)), iam.Conflict)
	again := last
	again.Key = slices.Repeat([]byte{1}, 32)
	m.do(sign(again))
	m.view(func(r *store.Reader) {
		if c, ok := r.LastCheckpoint(); !ok || c.Key[0] != 1 {
			t.Errorf("signed again it is %+v", c)
		}
	})
}

// TestRecordedTimes: an entry that waited long must not stand where a search in time passes it over.
func TestRecordedTimes(t *testing.T) {
	m := peopled(t)
	f := func(at, want iam.Time) {
		t.Helper()
		m.do(&RecordAudit{Entries: []iam.AuditEntry{{At: at, Type: "x", Result: iam.AuditRefused}}})
		rows := m.auditRows()
		if got := rows[len(rows)-1].At; got != want {
			t.Errorf("what is dated %d is recorded at %d with the time %d, want %d", at, m.now, got, want)
		}
	}
	m.wait(time.Hour)
	f(m.now.Add(-time.Minute), m.now.Add(-time.Minute))
	f(m.now.Add(-30*time.Minute), m.now.Add(-iam.AuditLate))
	f(m.now.Add(time.Minute), m.now)
	f(0, m.now.Add(-iam.AuditLate))
}
