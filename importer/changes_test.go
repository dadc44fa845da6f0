package importer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pglogrepl"
)

// TestChangesBySnapshot: a transaction is taken when the snapshot shows it, whatever its place in the log, and the place to
// go on from is never behind one that is not.
func TestChangesBySnapshot(t *testing.T) {
	row := func(id string) []rowKey { return []rowKey{{usersShape, id}} }
	c := newChanges(100)
	c.add(transaction{xid: 10, commit: 200, end: 210}, row("a"))
	c.add(transaction{xid: 12, commit: 300, end: 310}, row("b")) // committed, and not visible yet
	c.add(transaction{xid: 11, commit: 400, end: 410}, row("c"))
	c.add(transaction{xid: 13, commit: 500, end: 510}, row("a")) // begun after the snapshot
	c.passed(600)

	s, ok := parseSnapshot("12:13:12", 450)
	if !ok {
		t.Fatal("the snapshot cannot be read")
	}
	first := c.take(s)
	if len(first.rows) != 3 || first.transactions != 2 || first.upTo != 300 {
		t.Errorf("%+v", first)
	}
	s, _ = parseSnapshot("14:14:", 600)
	second := c.take(s)
	if ids := fmt.Sprint(second.rows[0].id, second.rows[1].id); len(second.rows) != 2 || ids != "ab" || second.transactions != 2 || second.upTo != 600 {
		t.Errorf("%+v", second)
	}
	if third := c.take(s); len(third.rows) != 0 || third.upTo != 600 {
		t.Errorf("%+v", third)
	}
}

// TestSnapshotsWrap: ids of transactions go in a circle of 2^32, and those of snapshots do not.
func TestSnapshotsWrap(t *testing.T) {
	s, ok := parseSnapshot("4294967290:4294967300:4294967297", 1000)
	if !ok {
		t.Fatal("the snapshot cannot be read")
	}
	for xid, want := range map[uint32]bool{4294967289: true, 4294967295: true, 0: true, 1: false, 3: true, 4: false, 100: false} {
		if got := s.shows(transaction{xid: xid, commit: 1}); got != want {
			t.Errorf("%d: %v", xid, got)
		}
	}
	if s.shows(transaction{xid: 0, commit: 1000}) {
		t.Error("it shows what was committed after it")
	}
	for _, text := range []string{"", "1:2", "a:b:c", "1:2:x", "1:-2:"} {
		if _, ok := parseSnapshot(text, 1); ok {
			t.Errorf("%q is a snapshot", text)
		}
	}
}

// TestTooManyChanges: beyond a number of rows it is only known that there are too many.
func TestTooManyChanges(t *testing.T) {
	c := newChanges(0)
	for n := range 3 {
		rows := make([]rowKey, maxChanged/2)
		for i := range rows {
			rows[i] = rowKey{usersShape, fmt.Sprint(n, "-", i)}
		}
		c.add(transaction{xid: uint32(n), commit: pglogrepl.LSN(10 * n), end: pglogrepl.LSN(10*n + 5)}, rows)
	}
	s, _ := parseSnapshot("2:2:", 1000)
	if now := c.take(s); !now.everything || len(now.rows) != 0 || now.transactions != 2 || now.upTo != 20 {
		t.Errorf("%v, %d rows, %d transactions up to %s", now.everything, len(now.rows), now.transactions, now.upTo)
	}
	s, _ = parseSnapshot("3:3:", 1000)
	if now := c.take(s); !now.everything || now.transactions != 1 {
		t.Errorf("what was not shown at first is lost: %+v", now)
	}
	if now := c.take(s); now.everything {
		t.Error("everything is read again and again")
	}
}

// TestPlaces: what the cluster keeps of a sync is read as it was written, and an import knows it for none of its own.
func TestPlaces(t *testing.T) {
	for _, p := range []syncPlace{
		{phase: following, lsn: 0x1_6B37_4200, slot: "keystone_app", system: "7301"},
		{phase: copying, lsn: 1, slot: "s", system: "1", copied: position{"users", "00000000-0000-4000-8000-000000000001"}},
		{phase: copying, lsn: 1, slot: "s", system: "1"},
	} {
		got, part := parsePlace(p.cursor(7))
		if got != p || part != 7 {
			t.Errorf("%q became %+v, %d", p.cursor(7), got, part)
		}
		if _, err := parsePosition(p.cursor(7)); err == nil {
			t.Errorf("an import goes on from %q", p.cursor(7))
		}
	}
	for _, cursor := range []string{"", "end", "users 1", "sync following", "sync following x s 1 0", "sync following 0/1 s 1 x"} {
		if p, _ := parsePlace(cursor); p.phase != "" {
			t.Errorf("%q became %+v", cursor, p)
		}
	}
	if name := SlotName("App-Über.2-0123456789012345678901234567890123456789-deadbeef"); len(name) > 63 || !slices.Contains([]byte("kK"), name[0]) {
		t.Error(name)
	}
}

// TestEndangered: each reason to drop a slot, and none where there is none.
func TestEndangered(t *testing.T) {
	little, much := int64(1<<20), int64(1<<40)
	for _, c := range []struct {
		s    slotState
		goes bool
	}{
		{slotState{retained: 100, status: "reserved"}, false},
		{slotState{retained: 100, status: "extended", safe: &much}, false},
		{slotState{retained: 1001, status: "reserved"}, true},
		{slotState{status: "unreserved"}, true},
		{slotState{status: "lost"}, true},
		{slotState{status: "extended", safe: &little}, true},
	} {
		if why := c.s.endangered(1000); (why != "") != c.goes {
			t.Errorf("%+v: %q", c.s, why)
		}
	}
}
