package httpapi

import (
	"slices"
	"strconv"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// pageQuery is which part of a list is asked for.
type pageQuery struct {
	number, per int
	cursor      string // the key of the row before the first one wanted; empty: by number
}

// page reads the query of a list.
func (x *exchange) page() (pageQuery, error) {
	q := pageQuery{number: 1, per: 20, cursor: string(x.http.QueryArgs().Peek("cursor"))}
	for _, p := range []struct {
		name string
		into *int
		most int
	}{{"page", &q.number, 1 << 30}, {"per_page", &q.per, 100}} {
		text := string(x.http.QueryArgs().Peek(p.name))
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > p.most {
			return q, iam.Invalid(p.name, "must be a number from 1 to %d", p.most)
		}
		*p.into = n
	}
	return q, nil
}

// cut takes the page out of a short list in a fixed, descending order of keys. A cursor goes on after
// its key even when that row is gone meanwhile.
func cut[T any](rows []T, q pageQuery, key func(T) string) ([]T, api.Page) {
	about := api.Page{Total: len(rows), Number: q.number, PerPage: q.per, Pages: (len(rows) + q.per - 1) / q.per}
	from := min(len(rows), (q.number-1)*q.per)
	if q.cursor != "" {
		from = len(rows)
		if i := slices.IndexFunc(rows, func(row T) bool { return key(row) < q.cursor }); i >= 0 {
			from = i
		}
		about.Number = from/q.per + 1
	}
	shown := rows[from:min(len(rows), from+q.per)]
	if from+len(shown) < len(rows) {
		next := key(shown[len(shown)-1])
		about.NextCursor = &next
	}
	return shown, about
}
