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

// FindUsers reads a part of the list of users in an order of which there is an index. The place of a row
// in it stays the same whatever comes and goes around it, so a walk from place to place repeats and skips
// nobody. A list without a filter costs the part that is read; one with a filter a look at each row, for
// the sake of its total.
func (s *Service) FindUsers(ctx context.Context, q UserQuery) (UserPage, error) {
	f := finder{UserQuery: q, now: s.Now()}
	if err := s.Store.View(f.prepare); err != nil || f.nobody {
		return f.page, err
	}
	var after []byte
	if !f.filtered {
		after = q.After
	}
	for more := true; more && !f.done; {
		if err := ctx.Err(); err != nil {
			return UserPage{}, err
		}
		if err := s.Store.View(func(r *store.Reader) error {
			after, more = r.WalkUsers(q.Order, after, q.Descending, walkAtOnce, f.look)
			return nil
		}); err != nil {
			return UserPage{}, err
		}
	}
	if !f.more {
		f.page.Next = nil
	}
	return f.page, nil
}

// finder walks the list.
type finder struct {
	UserQuery
	now      iam.Time
	role     iam.ID
	filtered bool
	nobody   bool // can match
	passed   int  // matches so far
	more     bool // there is a match after the page
	done     bool
	page     UserPage
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

// look takes one row in, and tells whether to go on.
func (f *finder) look(at store.UserAt) bool {
	if f.filtered && !f.matches(at) {
		return true
	}
	if f.filtered {
		f.page.Total++
	}
	switch {
	case f.After != nil && !f.beyond(at.Place):
	case f.After == nil && f.passed < f.Skip:
		f.passed++
	case len(f.page.Users) < f.Most:
		f.page.Users = append(f.page.Users, at.User())
		f.page.Next = at.Place
	default:
		f.more = true
		f.done = !f.filtered // the total of the others is known
	}
	return !f.done
}

func (f *finder) beyond(place []byte) bool {
	if f.Descending {
		return bytes.Compare(place, f.After) < 0
	}
	return bytes.Compare(place, f.After) > 0
}

func (f *finder) matches(at store.UserAt) bool {
	if f.Role != "" && !at.MayHold(f.role) {
		return false
	}
	u := at.Facts()
	is := func(want *bool, got bool) bool { return want == nil || *want == got }
	return (f.Role == "" || slices.Contains(u.Roles, f.role)) &&
		is(f.Active, u.Active) && is(f.Verified, u.Verified) && is(f.Locked, u.LockedUntil > f.now) &&
		(f.Search == "" || f.found(u.Username, u.Email, u.DisplayName, u.FirstName+" "+u.LastName))
}

func (f *finder) found(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(iam.Fold(text), f.Search) })
}
