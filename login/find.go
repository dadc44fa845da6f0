package login

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// walkAtOnce is how many rows are looked at in one view of the state, so that no view grows old.
const walkAtOnce = 5000

// UserQuery is a part of the list of all users.
type UserQuery struct {
	Order      store.UserOrder
	Descending bool
	Search     string // folded; found in names and the e-mail address
	Role       string // its name
	Active     *bool
	Verified   *bool
	Locked     *bool

	After []byte // go on after this place of the order …
	Skip  int    // … or else after so many
	Most  int
}

// UserPage is the answer.
type UserPage struct {
	Users []iam.User
	Total int
	Next  []byte // the place of the last one; nil where none follows
}

// mostSorted is how many matches of a filter are sorted in memory. More of them lie so close to each other
// that a walk in their order soon meets enough.
var mostSorted = 50_000 // the tests need fewer

// FindUsers reads a part of the list of users in an order of which there is an index. The place of a row
// in it stays the same whatever comes and goes around it, so a walk from place to place repeats and skips
// nobody. A list without a filter costs the part that is read; one with a filter a look at each row, for
// the sake of its total.
func (s *Service) FindUsers(ctx context.Context, q UserQuery) (UserPage, error) {
	f := finder{UserQuery: q, now: s.Now(), store: s.Store, words: strings.Fields(q.Search)}
	if err := s.Store.View(f.prepare); err != nil || f.nobody {
		return f.page, err
	}
	if f.filtered {
		if err := f.scan(ctx); err != nil {
			return UserPage{}, err
		}
	}
	find := f.walk
	if f.filtered && f.page.Total <= mostSorted {
		find = f.pick
	}
	if err := find(ctx); err != nil {
		return UserPage{}, err
	}
	if !f.more {
		f.page.Next = nil
	}
	return f.page, nil
}

// finder reads one page.
type finder struct {
	UserQuery
	now      iam.Time
	store    *store.Store
	words    []string // of Search
	role     iam.ID
	filtered bool
	nobody   bool // can match
	matches  []match
	passed   int  // matches before the page
	more     bool // there is a match after the page
	page     UserPage
}

// match is a row that the filters let through.
type match struct {
	place []byte
	id    iam.ID
}

func (f *finder) prepare(r *store.Reader) error {
	f.filtered = f.Search != "" || f.Role != "" || f.Active != nil || f.Verified != nil || f.Locked != nil
	if f.Role != "" {
		role, ok := r.RoleByName(f.Role)
		f.role, f.nobody = role.ID, !ok
	}
	if !f.filtered {
		f.page.Total = r.UserCount()
	}
	return nil
}

// scan counts the matches, and keeps the first of them.
func (f *finder) scan(ctx context.Context) error {
	var after iam.ID
	return f.inViews(ctx, func(r *store.Reader) (more bool) {
		after, more = r.ScanUsers(after, walkAtOnce, func(at store.UserAt) {
			facts, ok := f.lets(at)
			if !ok {
				return
			}
			if f.page.Total++; f.page.Total <= mostSorted {
				f.matches = append(f.matches, match{at.PlaceIn(f.Order, facts), at.ID()})
			}
		})
		return more
	})
}

// pick takes the page out of all matches.
func (f *finder) pick(context.Context) error {
	slices.SortFunc(f.matches, func(a, b match) int {
		if f.Descending {
			a, b = b, a
		}
		return bytes.Compare(a.place, b.place)
	})
	from := min(f.Skip, len(f.matches))
	if f.After != nil {
		from = len(f.matches)
		if i := slices.IndexFunc(f.matches, func(m match) bool { return f.beyond(m.place) }); i >= 0 {
			from = i
		}
	}
	to := min(from+f.Most, len(f.matches))
	f.more = to < len(f.matches)
	return f.store.View(func(r *store.Reader) error {
		for _, m := range f.matches[from:to] {
			f.page.Next = m.place
			if u, ok := r.User(m.id); ok { // else it went in the meantime
				f.page.Users = append(f.page.Users, u)
			}
		}
		return nil
	})
}

// walk goes through the order until the page is full.
func (f *finder) walk(ctx context.Context) error {
	after := f.After
	return f.inViews(ctx, func(r *store.Reader) (more bool) {
		after, more = r.WalkUsers(f.Order, after, f.Descending, walkAtOnce, f.look)
		return more && !f.more
	})
}

// look takes one row in, and tells whether to go on.
func (f *finder) look(at store.UserAt) bool {
	if f.filtered {
		if _, ok := f.lets(at); !ok {
			return true
		}
	}
	switch {
	case f.After == nil && f.passed < f.Skip:
		f.passed++
	case len(f.page.Users) < f.Most:
		f.page.Users, f.page.Next = append(f.page.Users, at.User()), at.Place
	default:
		f.more = true
	}
	return !f.more
}

// inViews calls fn in one view of the state after another, as long as it says that there is more.
func (f *finder) inViews(ctx context.Context, fn func(*store.Reader) (more bool)) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.store.View(func(r *store.Reader) error {
			more = fn(r)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) beyond(place []byte) bool {
	if f.Descending {
		return bytes.Compare(place, f.After) < 0
	}
	return bytes.Compare(place, f.After) > 0
}

// lets tells whether the filters let a row through.
func (f *finder) lets(at store.UserAt) (u store.UserFacts, ok bool) {
	if f.Role != "" && !at.MayHold(f.role) || f.Search != "" && !at.MayContain(f.words) {
		return u, false
	}
	u = at.Facts()
	is := func(want *bool, got bool) bool { return want == nil || *want == got }
	return u, (f.Role == "" || slices.Contains(u.Roles, f.role)) &&
		is(f.Active, u.Active) && is(f.Verified, u.Verified) && is(f.Locked, u.LockedUntil > f.now) &&
		(f.Search == "" || f.found(u.Username, u.Email, u.DisplayName, u.FirstName+" "+u.LastName))
}

func (f *finder) found(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(iam.Fold(text), f.Search) })
}
