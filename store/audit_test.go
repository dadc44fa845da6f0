package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

// audited returns a store with n audit entries.
func audited(t *testing.T, n int) *Store {
	t.Helper()
	s := open(t)
	update(t, s, func(tx *Tx) {
		for i := range n {
			tx.AppendAudit(iam.AuditEntry{At: iam.Time(i + 1), Type: "x", Result: iam.AuditSuccess})
		}
	})
	return s
}

func TestAuditRows(t *testing.T) {
	s := audited(t, 9)
	check(t, s)
	walk := func(from uint64, back bool, most int) (got []uint64) {
		view(t, s, func(r *Reader) {
			r.WalkAudit(from, back, func(e iam.AuditEntry) bool {
				got = append(got, e.Sequence)
				return len(got) < most
			})
		})
		return got
	}
	f := func(from uint64, back bool, most int, want ...uint64) {
		t.Helper()
		if got := walk(from, back, most); !slices.Equal(got, want) {
			t.Errorf("from %d, back %v: %d, want %d", from, back, got, want)
		}
	}
	f(0, false, 2, 1, 2)
	f(8, false, 9, 8, 9)
	f(10, false, 9)
	f(3, true, 9, 3, 2, 1)
	f(99, true, 2, 9, 8)
	f(0, true, 9)

	update(t, s, func(tx *Tx) {
		for _, sequence := range []uint64{2, 4, 6} {
			e, _ := tx.AuditEntry(sequence)
			tx.PutCheckpoint(iam.AuditCheckpoint{Sequence: sequence, Hash: e.Hash})
		}
	})
	check(t, s)
	update(t, s, func(tx *Tx) {
		c, _ := tx.Checkpoint(4)
		tx.TrimAudit(4)
		c.Removed = true
		tx.PutCheckpoint(c)
	})
	check(t, s)
	f(0, false, 2, 5, 6)
	f(2, true, 9)
	view(t, s, func(r *Reader) {
		first, last := r.AuditRange()
		newest, ok := r.LastCheckpoint()
		if first != 5 || last != 9 || newest.Sequence != 6 || !ok || len(r.Checkpoints(4, 9)) != 1 {
			t.Errorf("from %d to %d, %+v", first, last, newest)
		}
	})
	empty := open(t)
	view(t, empty, func(r *Reader) {
		if first, last := r.AuditRange(); first != 0 || last != 0 {
			t.Errorf("an empty log goes from %d to %d", first, last)
		}
		if _, ok := r.LastCheckpoint(); ok {
			t.Error("an empty log has a checkpoint")
		}
	})
}

// TestAuditBreaks damages what the chain alone does not show.
func TestAuditBreaks(t *testing.T) {
	f := func(what string, at uint64, says string, change func(*Tx)) {
		t.Helper()
		s := audited(t, 5)
		update(t, s, func(tx *Tx) {
			e, _ := tx.AuditEntry(3)
			tx.PutCheckpoint(iam.AuditCheckpoint{Sequence: 3, Hash: e.Hash})
		})
		check(t, s)
		update(t, s, change)
		_, err := s.VerifyAudit(nil)
		var broken *iam.AuditBreak
		if !errors.As(err, &broken) || broken.Sequence != at || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want entry %d and %q", what, err, at, says)
		}
		if s.Check() == nil {
			t.Errorf("%s: Check finds nothing", what)
		}
		update(t, s, func(tx *Tx) { tx.TrimAudit(99); tx.Meta.AuditSequence, tx.Meta.AuditHash = 0, iam.AuditHash{} })
	}
	f("a history written anew", 3, "written anew", func(tx *Tx) {
		tx.TrimAudit(2)
		rows := tx.Audit(0, 9)
		tx.Meta.AuditSequence, tx.Meta.AuditHash = 0, iam.AuditHash{}
		for range 2 {
			tx.AppendAudit(iam.AuditEntry{Type: "forged"})
		}
		for _, e := range rows {
			tx.AppendAudit(e)
		}
	})
	f("a beginning that is gone", 1, "no checkpoint says that the entries before were removed", func(tx *Tx) {
		c, _ := tx.Checkpoint(3)
		tx.TrimAudit(3)
		tx.PutCheckpoint(c) // it is about a head, and no licence to remove
	})
	f("another beginning than was signed", 4, "one of the two was replaced", func(tx *Tx) {
		c, _ := tx.Checkpoint(3)
		tx.TrimAudit(3)
		c.Removed, c.Hash[0] = true, c.Hash[0]+1
		tx.PutCheckpoint(c)
	})
	f("a removal that did not happen", 1, "stands where", func(tx *Tx) {
		c, _ := tx.Checkpoint(3)
		c.Removed = true
		tx.PutCheckpoint(c)
	})
	f("a tail that is gone", 3, "a checkpoint is about entry 3", func(tx *Tx) {
		e, _ := tx.AuditEntry(2)
		for sequence := uint64(3); sequence <= 5; sequence++ {
			audit.remove(tx, sequenceKey(sequence))
		}
		tx.Meta.AuditSequence, tx.Meta.AuditHash = 2, e.Hash
	})
	f("a head that is another", 5, "the state says that the last one has", func(tx *Tx) { tx.Meta.AuditHash[5]++ })
	f("a head that is ahead", 6, "should go on to entry 7", func(tx *Tx) { tx.Meta.AuditSequence += 2 })
	f("a head that is behind", 5, "should end at entry 4", func(tx *Tx) { tx.Meta.AuditSequence-- })
}

func TestVerifyAsksForSignatures(t *testing.T) {
	s := audited(t, 5)
	update(t, s, func(tx *Tx) {
		e, _ := tx.AuditEntry(4)
		tx.PutCheckpoint(iam.AuditCheckpoint{Sequence: 4, Hash: e.Hash})
	})
	_, err := s.VerifyAudit(func(iam.AuditCheckpoint) error { return errors.New("forged") })
	var broken *iam.AuditBreak
	if !errors.As(err, &broken) || broken.Sequence != 4 || !strings.Contains(err.Error(), "forged") {
		t.Errorf("VerifyAudit = %v", err)
	}
	chain, err := s.VerifyAudit(func(iam.AuditCheckpoint) error { return nil })
	if err != nil || chain.First != 1 || chain.Last != 5 || chain.Head.IsZero() {
		t.Errorf("VerifyAudit = %+v, %v", chain, err)
	}
}

func TestOpenReadOnly(t *testing.T) {
	s := audited(t, 3)
	if _, err := OpenReadOnly(s.Path()); !errors.Is(err, ErrInUse) {
		t.Errorf("a state in use: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "state.db")
	if _, err := OpenReadOnly(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("looking at a missing file made it")
	}
	path := copyOf(t, s)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	looked, err := OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	if chain, err := looked.VerifyAudit(nil); err != nil || chain.Last != 3 {
		t.Errorf("VerifyAudit = %+v, %v", chain, err)
	}
	if err := looked.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, or %v", err)
	}
}
