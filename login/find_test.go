package login_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

// TestFindUsers compares pages with a list that is filtered and sorted in the plain way, whether matches
// are sorted in memory or met on a walk.
func TestFindUsers(t *testing.T) {
	s, people := build(t)
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"ann", "Ann", "ANNA", "bob", "\u212aelvin", "\u0130pek", "x_y", "Größe", "a b"}
	var all []iam.User
	for n := range 200 {
		u := iam.User{
			ID: iam.NewID(), Username: fmt.Sprintf("u%d", random.IntN(1000)*1000+n), Email: fmt.Sprintf("%d-%d@example.org", random.IntN(9), n), PasswordHash: "h",
			FirstName: names[random.IntN(len(names))], LastName: names[random.IntN(len(names))], Active: random.IntN(2) == 0,
		}
		s.Advance(iam.Time(random.IntN(3)))
		s.Must(t, &fsm.CreateUser{User: u})
	}
	if err := s.Store.View(func(r *store.Reader) error { all = r.Users(iam.ID{}, 1000); return nil }); err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	for _, most := range []int{50_000, 10} {
		restore := login.SortAtMost(most)
		for _, q := range []login.UserQuery{
			{},
			{Search: "ann"},
			{Search: "kelvin"},
			{Search: "i\u0307pek"},
			{Search: "x_y"},
			{Search: "größe"},
			{Search: "n b"},
			{Search: "a b"},
			{Search: "%"},
			{Active: &yes},
			{Active: &no, Search: "bob"},
			{Locked: &yes},
			{Verified: &no},
			{Role: "user"},
			{Role: "nope"},
		} {
			for _, order := range []store.UserOrder{store.UsersByCreation, store.UsersByUsername, store.UsersByEmail} {
				q.Order, q.Descending, q.Most = order, random.IntN(2) == 0, 7
				compare(t, people, q, expected(all, q))
			}
		}
		restore()
	}
}

func expected(all []iam.User, q login.UserQuery) (ids []iam.ID) {
	var left []iam.User
	for _, u := range all {
		text := iam.Fold(u.Username + "\x00" + u.Email + "\x00" + u.FirstName + " " + u.LastName)
		is := func(want *bool, got bool) bool { return want == nil || *want == got }
		if strings.Contains(text, q.Search) && is(q.Active, u.Active) && is(q.Verified, u.Verified) && is(q.Locked, false) && q.Role == "" {
			left = append(left, u)
		}
	}
	slices.SortFunc(left, func(a, b iam.User) int {
		if q.Descending {
			a, b = b, a
		}
		switch q.Order {
		case store.UsersByUsername:
			return cmp.Compare(iam.Fold(a.Username), iam.Fold(b.Username))
		case store.UsersByEmail:
			return cmp.Compare(iam.Fold(a.Email), iam.Fold(b.Email))
		}
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	for _, u := range left {
		ids = append(ids, u.ID)
	}
	return ids
}

func compare(t *testing.T, people *login.Service, q login.UserQuery, want []iam.ID) {
	t.Helper()
	for _, byCursor := range []bool{true, false} {
		var got []iam.ID
		q.After, q.Skip = nil, 0
		for pages := 0; ; pages++ {
			page, err := people.FindUsers(t.Context(), q)
			if err != nil || page.Total != len(want) || pages > len(want) {
				t.Fatalf("%+v: total %d, want %d, %v", q, page.Total, len(want), err)
			}
			for _, u := range page.Users {
				got = append(got, u.ID)
			}
			if page.Next == nil {
				break
			}
			if byCursor {
				q.After = page.Next
			} else {
				q.Skip += q.Most
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %d users that are not the %d wanted in this order", q, len(got), len(want))
		}
	}
}
