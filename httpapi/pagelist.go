package httpapi

import (
	"net/url"
	"slices"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
)

// pageStep is how many rows a list reads at a time.
const pageStep = 500

// listUp is list for what is mostly looked up by its name: in rising order unless another is asked for.
func (x *exchange) listUp(fields ...string) (listQuery, error) {
	q, err := x.list(fields...)
	if x.query("sort") == "" {
		q.descending = false
	}
	return q, err
}

// placeOf is where a row stands in a list that is sorted by one of its values.
func placeOf(q listQuery, id iam.ID, values map[string]string) place {
	return place{values[q.field], id}
}

// pageOf takes a page out of a table that is walked for each request, as those of programs are, which
// nobody has a million of. Of the rows that fit it keeps the places alone, and reads those that are shown
// once more.
func pageOf[T any](q listQuery, rows func(after iam.ID, most int) []T, row func(iam.ID) (T, bool), at func(T) place, fits func(T) bool) ([]T, api.Page) {
	var places []place
	for after := (iam.ID{}); ; {
		batch := rows(after, pageStep)
		for _, found := range batch {
			if fits(found) {
				places = append(places, at(found))
			}
		}
		if len(batch) < pageStep {
			break
		}
		after = at(batch[len(batch)-1]).id
	}
	shown, about := cut(places, q, func(p place) place { return p })
	out := make([]T, 0, len(shown))
	for _, p := range shown {
		if found, ok := row(p.id); ok {
			out = append(out, found)
		}
	}
	return out, about
}

func each[From, To any](all []From, fn func(From) To) []To {
	out := make([]To, 0, len(all))
	for _, one := range all {
		out = append(out, fn(one))
	}
	return out
}

// oneOf reads a filter of a list, which is empty when it is missing.
func (x *exchange) oneOf(name string, values ...string) (string, error) {
	text := x.query(name)
	if text != "" && !slices.Contains(values, text) {
		return "", iam.Invalid(name, "must be %s or %s", values[0], values[1])
	}
	return text, nil
}

// key is a parameter of the path that names something by any characters: a slash in it comes as %2F.
func (x *exchange) key(name string) string {
	raw := x.param(name)
	if text, err := url.PathUnescape(raw); err == nil {
		return text
	}
	return raw // which names nothing
}

// edit says who changes a row, and which version of it was seen.
func (x *exchange) edit() oauth.Edit {
	return oauth.Edit{Origin: x.origin(), By: x.caller.Permissions(), Match: x.ifMatch}
}

func errNothingThere() error {
	return iam.Errorf(iam.NotFound, "There is nothing of this name.")
}
