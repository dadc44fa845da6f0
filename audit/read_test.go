package audit_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/audit"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

const minute = iam.Time(time.Minute / time.Microsecond)

// TestFindFindsAll compares every way through a log of any times with a plain look at all entries.
func TestFindFindsAll(t *testing.T) {
	l, state := newLog(t, time.Hour)
	defer closeLog(t, l)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(0, 5).Draw(rt, "batches") {
			state.Advance(iam.Time(rapid.IntRange(0, 30).Draw(rt, "wait")) * minute)
			var batch []iam.AuditEntry
			for range rapid.IntRange(1, 4).Draw(rt, "entries") {
				batch = append(batch, iam.AuditEntry{
					At:    state.Now() - iam.Time(rapid.IntRange(-1, 15).Draw(rt, "late"))*minute,
					Type:  rapid.SampledFrom([]string{"user.created", "user.deleted", "login.failed"}).Draw(rt, "type"),
					Actor: rapid.SampledFrom([]string{"ann", "bob", ""}).Draw(rt, "actor"), Result: iam.AuditRefused,
				})
			}
			state.Must(t, &fsm.RecordAudit{Entries: batch})
		}
		q := audit.Query{
			Type:  rapid.SampledFrom([]string{"", "", "user.*", "login.failed", "user"}).Draw(rt, "want"),
			Actor: rapid.SampledFrom([]string{"", "", "ann"}).Draw(rt, "by"), Most: rapid.IntRange(1, 7).Draw(rt, "most"),
			Search: rapid.SampledFrom([]string{"", "", "CREAT"}).Draw(rt, "search"), Oldest: rapid.Bool().Draw(rt, "oldest"),
		}
		if rapid.Bool().Draw(rt, "between") {
			q.From = state.Now() - iam.Time(rapid.IntRange(0, 90).Draw(rt, "from"))*minute
			q.To = q.From + iam.Time(rapid.IntRange(0, 60).Draw(rt, "to"))*minute
		}
		want := plain(entries(t, state), q)
		var byCursor, byNumber []uint64
		for after := uint64(0); ; {
			page := q
			page.After = after
			found, err := l.Find(page)
			if err != nil || found.Total != len(want) || found.Partial || len(found.Entries) > q.Most {
				rt.Fatalf("%+v: %+v, %v; there are %d", page, found, err, len(want))
			}
			byCursor = append(byCursor, numbers(found.Entries)...)
			if after = found.Next; after == 0 {
				break
			}
		}
		for skip := 0; skip <= len(want); skip += q.Most {
			page := q
			page.Skip = skip
			found, err := l.Find(page)
			if err != nil {
				rt.Fatal(err)
			}
			byNumber = append(byNumber, numbers(found.Entries)...)
		}
		if !slices.Equal(byCursor, want) || !slices.Equal(byNumber, want) {
			rt.Fatalf("%+v: by cursor %d, by number %d, want %d", q, byCursor, byNumber, want)
		}
		var spanned []uint64
		for q.After = 0; ; {
			part, next, err := l.Span(q)
			if err != nil {
				rt.Fatal(err)
			}
			spanned = append(spanned, numbers(part)...)
			if q.After = next; next == 0 {
				break
			}
		}
		q.Oldest = true
		if want := plain(entries(t, state), q); !slices.Equal(spanned, want) {
			rt.Fatalf("%+v: Span gives %d, want %d", q, spanned, want)
		}
	})
}

func numbers(all []iam.AuditEntry) (n []uint64) {
	for _, e := range all {
		n = append(n, e.Sequence)
	}
	return n
}

// plain looks at all entries, one by one.
func plain(all []iam.AuditEntry, q audit.Query) (n []uint64) {
	for _, e := range all {
		typed := q.Type == "" || e.Type == q.Type || q.Type == "user.*" && e.Type != "login.failed"
		timed := (q.From == 0 || e.At >= q.From) && (q.To == 0 || e.At < q.To)
		searched := q.Search == "" || e.Type == "user.created"
		if typed && timed && searched && (q.Actor == "" || e.Actor == q.Actor) {
			n = append(n, e.Sequence)
		}
	}
	if !q.Oldest {
		slices.Reverse(n)
	}
	return n
}

// TestSearchesAreBounded: a search for what is not there does not read a long log to its end, and goes on
// where it stopped.
func TestSearchesAreBounded(t *testing.T) {
	l, state := newLog(t, time.Hour)
	defer closeLog(t, l)
	state.Must(t, &fsm.RecordAudit{Entries: []iam.AuditEntry{{At: state.Now(), Type: "needle"}}})
	for i := range 25 {
		hay := make([]iam.AuditEntry, 1000)
		for k := range hay {
			hay[k] = iam.AuditEntry{At: state.Now(), Type: fmt.Sprint("hay", i)}
		}
		state.Must(t, &fsm.RecordAudit{Entries: hay})
	}
	q := audit.Query{Type: "needle", Most: 5}
	first, err := l.Find(q)
	if err != nil || !first.Partial || len(first.Entries) != 0 || first.Next != 5002 {
		t.Fatalf("the first search gives %+v, %v", first, err)
	}
	q.After = first.Next
	second, err := l.Find(q)
	if err != nil || len(second.Entries) != 1 || second.Next != 0 {
		t.Errorf("the second search gives %+v, %v", second, err)
	}
	deep, err := l.Find(audit.Query{Skip: 24_000, Most: 5})
	if err != nil || deep.Partial || deep.Total != 25_001 || deep.Entries[0].Sequence != 1001 {
		t.Errorf("a page deep down is %+v, %v", deep, err)
	}
}
