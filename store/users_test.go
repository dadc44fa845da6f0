package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

func TestWalkUsers(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) {
		for n := range byte(9) {
			u := user(n+1, fmt.Sprintf("u%d", (n*4)%9)) // names in another order than times
			u.CreatedAt = iam.Time(100 + n/2)           // pairs at one instant
			tx.PutUser(u)
		}
	})
	f := func(order UserOrder, descending bool, most int, want ...byte) {
		t.Helper()
		var got []byte
		var after []byte
		for more := true; more; {
			view(t, s, func(r *Reader) {
				after, more = r.WalkUsers(order, after, descending, most, func(at UserAt) bool {
					u := at.User()
					if facts := at.Facts(); facts.Username != u.Username || facts.Email != u.Email {
						t.Errorf("the facts are %+v of %+v", facts, u)
					}
					got = append(got, u.ID[15])
					return true
				})
			})
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, descending %v, %d at a time: %v, want %v", order, descending, most, got, want)
		}
	}
	for _, most := range []int{1, 2, 100} {
		f(UsersByCreation, false, most, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		f(UsersByCreation, true, most, 9, 8, 7, 6, 5, 4, 3, 2, 1)
		f(UsersByUsername, false, most, 1, 8, 6, 4, 2, 9, 7, 5, 3)
		f(UsersByEmail, true, most, 3, 5, 7, 9, 2, 4, 6, 8, 1)
	}
	view(t, s, func(r *Reader) {
		if n := r.UserCount(); n != 9 {
			t.Errorf("%d users are counted", n)
		}
	})
}

func TestRowsAreCounted(t *testing.T) {
	s := open(t)
	count := func(want int) {
		t.Helper()
		check(t, s)
		view(t, s, func(r *Reader) {
			if n := r.UserCount(); n != want {
				t.Errorf("%d users are counted, want %d", n, want)
			}
		})
	}
	count(0)
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")); tx.PutUser(user(2, "bob")); tx.PutUser(user(1, "eve")) })
	count(2)
	update(t, s, func(tx *Tx) { tx.DeleteUser(id(1)); tx.DeleteUser(id(1)); tx.DeleteUser(id(9)) })
	count(1)
	update(t, s, func(tx *Tx) { tx.DeleteUser(id(2)) })
	count(0)
	update(t, s, func(tx *Tx) { tx.Meta.Rows["users"] = 5 })
	if err := s.Check(); err == nil {
		t.Error("Check does not find a wrong count")
	}
	update(t, s, func(tx *Tx) { tx.Meta.Rows["users"] = 0 })
}

func TestTickets(t *testing.T) {
	ticket := func(email string) func(*Tx) {
		return func(tx *Tx) {
			tx.PutTicket(iam.Ticket{Purpose: iam.ResetPassword, User: id(1), Digest: make([]byte, 32), Email: email, ExpiresAt: 5})
		}
	}
	found := func(r *Reader) bool {
		row, ok := r.Ticket(iam.ResetPassword, id(1))
		_, byDigest := r.TicketByDigest(make([]byte, 32))
		_, other := r.Ticket(iam.VerifyEmail, id(1))
		return ok && byDigest && !other && row.Email == "a"
	}
	life(t, "ticket", ticket("a"), ticket("b"), func(tx *Tx) { tx.DeleteTicket(iam.ResetPassword, id(1)) }, found)
	life(t, "ticket that expires", ticket("a"), ticket("b"), func(tx *Tx) { tx.Expire(6, 10) }, found)
}
