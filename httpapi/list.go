package httpapi

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// listQuery is which part of a list is asked for, and in which order.
type listQuery struct {
	number, per int
	field       string // by which the list is sorted
	descending  bool
	search      string // in lower case
	after       *place // go on after this row; nil: by number
}

// place is where a row stands in a list: by what the list is sorted, and the id where that is equal,
// so that an order is never left to chance.
type place struct {
	value string // its bytes in order; see byTime
	id    iam.ID
}

// byTime is the text by which times are in order.
func byTime(t iam.Time) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(t)))
}

// list reads the query of a list that can be sorted by these fields. Without a wish it is by the
// first of them, the latest at first.
func (x *exchange) list(fields ...string) (listQuery, error) {
	q := listQuery{number: 1, per: 20, field: fields[0], descending: true, search: iam.Fold(x.query("search"))}
	for _, p := range []struct {
		name string
		into *int
		most int
	}{{"page", &q.number, 1 << 30}, {"per_page", &q.per, 100}} {
		text := x.query(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > p.most {
			return q, iam.Invalid(p.name, "must be a number from 1 to %d", p.most)
		}
		*p.into = n
	}
	if sort := x.query("sort"); sort != "" {
		field, direction, _ := strings.Cut(sort, ",")
		if !slices.Contains(fields, field) || direction != "asc" && direction != "desc" {
			return q, iam.Invalid("sort", "must be one of %s, then a comma, then asc or desc", strings.Join(fields, ", "))
		}
		q.field, q.descending = field, direction == "desc"
	}
	if cursor := x.query("cursor"); cursor != "" {
		after, ok := parseCursor(cursor, q.field)
		if !ok {
			return q, iam.Invalid("cursor", "must be the next_cursor of the page before")
		}
		q.after = &after
	}
	return q, nil
}

func (x *exchange) query(name string) string { return string(x.http.QueryArgs().Peek(name)) }

// finds tells whether one of the texts holds what is searched for, in any letter case.
func (q listQuery) finds(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(iam.Fold(text), q.search) })
}

// compare is the order of the list.
func (q listQuery) compare(a, b place) int {
	if q.descending {
		a, b = b, a
	}
	return cmp.Or(cmp.Compare(a.value, b.value), bytes.Compare(a.id[:], b.id[:]))
}

// cut sorts a short list and takes the page out of it. A cursor goes on after its place even when the
// row that stood there is gone meanwhile.
func cut[T any](rows []T, q listQuery, placeOf func(T) place) ([]T, api.Page) {
	slices.SortFunc(rows, func(a, b T) int { return q.compare(placeOf(a), placeOf(b)) })
	about := api.Page{Total: len(rows), Number: q.number, PerPage: q.per, Pages: (len(rows) + q.per - 1) / q.per}
	from := min(len(rows), (q.number-1)*q.per)
	if q.after != nil {
		from = len(rows)
		if i := slices.IndexFunc(rows, func(row T) bool { return q.compare(placeOf(row), *q.after) > 0 }); i >= 0 {
			from = i
		}
		about.Number = from/q.per + 1
	}
	shown := rows[from:min(len(rows), from+q.per)]
	if from+len(shown) < len(rows) {
		next := placeOf(shown[len(shown)-1]).cursor(q.field)
		about.NextCursor = &next
	}
	return shown, about
}

// maxCursor bounds a cursor's characters: an id and the longest name that a list is sorted by.
const maxCursor = 1024

// cursor is the place as text in which nobody is meant to read. It holds by what the list is sorted, for
// in another order the same place is another one.
func (p place) cursor(field string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(field + "\x00" + string(p.id[:]) + p.value))
}

func parseCursor(text, field string) (place, bool) {
	if len(text) > maxCursor {
		return place{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	rest, found := strings.CutPrefix(string(raw), field+"\x00")
	if err != nil || !found || len(rest) < len(iam.ID{}) {
		return place{}, false
	}
	var p place
	p.value = rest[copy(p.id[:], rest):]
	return p, true
}
