package audit

import (
	"sort"
	"strings"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// maxScan bounds the entries that one search looks at, which keeps it within a tenth of a second. There is
// no index of the log: it would be written with every login, and read by an administrator now and then.
const maxScan = 20_000

// Query is what is looked for. Zero fields ask for nothing in particular.
type Query struct {
	From, To iam.Time // inclusive and exclusive
	Type     string   // exact, or the beginning of types before a star, such as user.*
	Actor    string
	Target   string
	Result   string
	Search   string // part of any text of an entry, in any letter case

	Oldest bool   // the oldest first
	After  uint64 // go on behind that sequence number
	Skip   int    // so many of those that are found
	Most   int
}

// Found is what a search came to.
type Found struct {
	Entries []iam.AuditEntry
	// Total is how many entries fit the query; where Partial is set, of those that were looked at.
	Total   int
	Partial bool
	Next    uint64 // where to go on, for After; 0 at the end
}

// narrow tells whether the query asks for anything but a span of the log.
func (q *Query) narrow() bool {
	return q.From != 0 || q.To != 0 || q.Type != "" || q.Actor != "" || q.Target != "" || q.Result != "" || q.Search != ""
}

func (q *Query) fits(e iam.AuditEntry) bool {
	prefix, isPrefix := strings.CutSuffix(q.Type, "*")
	switch {
	case q.From != 0 && e.At < q.From, q.To != 0 && e.At >= q.To:
		return false
	case isPrefix && !strings.HasPrefix(e.Type, prefix), !isPrefix && q.Type != "" && e.Type != q.Type:
		return false
	case q.Actor != "" && e.Actor != q.Actor, q.Target != "" && e.Target != q.Target, q.Result != "" && e.Result != q.Result:
		return false
	case q.Search == "":
		return true
	}
	for _, text := range []string{e.Type, e.Actor, e.Target, e.Reason, e.IP, e.UserAgent, e.RequestID} {
		if strings.Contains(iam.Fold(text), q.Search) {
			return true
		}
	}
	return false
}

// Find searches the log. A span of time is found by bisection, and nothing outside of it is looked at;
// within it at most maxScan entries are, and then Next goes on where the search stopped.
func (l *Log) Find(q Query) (Found, error) {
	found := Found{Entries: []iam.AuditEntry{}}
	q.Search = iam.Fold(q.Search)
	err := l.Store.View(func(r *store.Reader) error {
		first, last := q.span(r)
		if last < first {
			return nil
		}
		found.Total = int(last - first + 1)
		if q.narrow() {
			found.Total, found.Partial = q.count(r, first, last)
		}
		q.collect(r, first, last, &found)
		return nil
	})
	return found, err
}

// span is the part of the log outside of which nothing fits the times of the query. Entries are in the
// order in which they were recorded, and lie at most iam.AuditLate before that, see there.
func (q *Query) span(r *store.Reader) (first, last uint64) {
	first, last = r.AuditRange()
	if last == 0 {
		return 1, 0
	}
	late := iam.Time(iam.AuditLate.Microseconds())
	from := func(at iam.Time) uint64 { // the first entry that is not before that
		return first + uint64(sort.Search(int(last-first+1), func(i int) bool {
			e, _ := r.AuditEntry(first + uint64(i))
			return e.At >= at
		}))
	}
	begin, end := first, last
	if q.From != 0 {
		begin = from(q.From - late)
	}
	if q.To != 0 {
		end = from(q.To+late) - 1
	}
	return begin, end
}

// count counts what fits, beginning where the list begins.
func (q *Query) count(r *store.Reader, first, last uint64) (n int, partial bool) {
	looked := 0
	q.walk(r, first, last, 0, func(e iam.AuditEntry) bool {
		if looked++; looked > maxScan {
			partial = true
			return false
		}
		if q.fits(e) {
			n++
		}
		return true
	})
	return n, partial
}

// collect takes the entries that are to be shown, and looks for one more: only if there is one does the
// list go on.
func (q *Query) collect(r *store.Reader, first, last uint64, found *Found) {
	skip, looked, seen := q.Skip, 0, uint64(0)
	after := q.After
	if !q.narrow() && after == 0 && skip > 0 { // the place can be computed
		if uint64(skip) > last-first {
			return
		}
		after = last + 1 - uint64(skip)
		if q.Oldest {
			after = first + uint64(skip) - 1
		}
		skip = 0
	}
	q.walk(r, first, last, after, func(e iam.AuditEntry) bool {
		if looked++; looked > maxScan {
			found.Partial, found.Next = true, seen
			return false
		}
		switch {
		case !q.fits(e):
		case skip > 0:
			skip--
		case len(found.Entries) == q.Most:
			found.Next = found.Entries[q.Most-1].Sequence
			return false
		default:
			found.Entries = append(found.Entries, e)
		}
		seen = e.Sequence
		return true
	})
}

// walk goes through a part of the log in the order of the list, behind the entry after; 0 = all of it.
func (q *Query) walk(r *store.Reader, first, last, after uint64, fn func(iam.AuditEntry) bool) {
	from := last
	if after != 0 {
		from = min(last, after-1)
	}
	if q.Oldest {
		from = max(first, after+1)
	}
	if from < first || from > last {
		return
	}
	r.WalkAudit(from, !q.Oldest, func(e iam.AuditEntry) bool {
		return e.Sequence >= first && e.Sequence <= last && fn(e)
	})
}

// Span returns up to most entries after that sequence number, the oldest first, that lie between the two
// times, and where to go on; 0 at the end. Whoever writes them to a slow reader must ask again for each
// part: a transaction that stays open keeps the file from using its space again.
func (l *Log) Span(q Query) (entries []iam.AuditEntry, next uint64, err error) {
	q.Oldest, q.Search = true, iam.Fold(q.Search)
	err = l.Store.View(func(r *store.Reader) error {
		first, last := q.span(r)
		looked := 0
		q.walk(r, first, last, q.After, func(e iam.AuditEntry) bool {
			if looked == q.Most {
				return false
			}
			looked++
			next = e.Sequence
			if q.fits(e) {
				entries = append(entries, e)
			}
			return true
		})
		if next == last {
			next = 0
		}
		return nil
	})
	return entries, next, err
}

// Checkpoints returns up to most checkpoints after that sequence number, in order, and the last entry,
// whose number is 0 where there is none.
func (l *Log) Checkpoints(after uint64, most int) (checkpoints []iam.AuditCheckpoint, head iam.AuditEntry, err error) {
	err = l.Store.View(func(r *store.Reader) error {
		checkpoints = r.Checkpoints(after, most)
		_, last := r.AuditRange()
		head, _ = r.AuditEntry(last)
		return nil
	})
	return checkpoints, head, err
}
