package fsm

import (
	"testing"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// hasTicket tells whether anything is in a user's mailbox that is still good.
func (m *machine) hasTicket(user iam.ID) (found bool) {
	m.Helper()
	m.view(func(r *store.Reader) { _, found = r.Ticket(iam.ResetPassword, user) })
	return found
}

func TestLockDownUser(t *testing.T) {
	m := peopled(t)
	m.login(1, "hash")
	m.login(2, "hash")
	m.do(issue(iam.ResetPassword, 7))
	if !m.hasTicket(bob) {
		t.Fatal("there is no ticket to take away")
	}
	for _, want := range []int{2, 0} { // done again it changes nothing
		if n := decoded[int](t, m.do(&LockDownUser{ID: bob})); n != want {
			t.Errorf("%d sessions ended, want %d", n, want)
		}
		if m.userOf(bob).Active || m.hasTicket(bob) || len(m.sessionsOf(bob)) > 0 {
			t.Error("something of the user is good after the lock-down")
		}
	}
	m.refuse(&StartSession{Proven: "hash", Session: iam.Session{
		ID: id('s', 3), UserID: bob, Family: digest(3), Refresh: digest(103), TokenID: "j", ExpiresAt: m.now + 1,
	}}, iam.AccountDisabled)
	m.refuse(&LockDownUser{ID: id('u', 9)}, iam.NotFound)
}

func TestEpoch(t *testing.T) {
	m := peopled(t)
	m.do(&AddKey{Key: iam.Key{ID: "old", Algorithm: "ES256", Sealed: []byte{1}, SignFrom: m.now}})
	m.login(1, "hash")
	for number := uint64(1); number <= 2; number++ {
		key := iam.Key{ID: string(rune('a' + number)), Algorithm: "ES256", Sealed: []byte{1}, SignFrom: m.now}
		e := decoded[iam.Epoch](t, m.do(&RaiseEpoch{Reason: "a backup was restored", Key: key}))
		if e.Number != number || e.Index != m.index || e.At != m.now || e.Of(e.Index) != number || e.Of(e.Index-1) != number-1 {
			t.Errorf("the epoch is %+v at %d", e, m.index)
		}
		m.view(func(r *store.Reader) {
			if keys := r.Keys(); len(keys) != 1 || keys[0].ID != key.ID {
				t.Errorf("the keys are %v", keys)
			}
		})
		if len(m.sessionsOf(bob)) > 0 {
			t.Error("a session has outlived its epoch")
		}
		m.login(1+int(number), "hash")
	}
	m.do(&RaiseEpoch{Reason: "of the compatible mode"}) // keeps the key
	m.view(func(r *store.Reader) {
		if len(r.Keys()) != 1 {
			t.Error("a key is gone that others know")
		}
	})
	m.refuse(&RaiseEpoch{Reason: "again", Key: iam.Key{ID: "c", Algorithm: "ES256", Sealed: []byte{1}, SignFrom: m.now}}, iam.Conflict)
}

// TestEpochEndsManySessions: all of them in one step, whatever their number.
func TestEpochEndsManySessions(t *testing.T) {
	m := peopled(t)
	_, err := m.store.Update(func(tx *store.Tx) error {
		for n := range 2500 {
			tx.PutSession(iam.Session{ID: id('x', n), UserID: id('u', n), ExpiresAt: m.now + 1})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.do(&RaiseEpoch{Reason: "r"})
	m.view(func(r *store.Reader) {
		if left := r.Sessions(iam.ID{}, 10); len(left) > 0 {
			t.Errorf("sessions are left: %v", left)
		}
	})
	m.check()
}

// TestEpochsOfRestores: a number that is asked for is reached, and none is ever used again.
func TestEpochsOfRestores(t *testing.T) {
	m := newMachine(t, t.TempDir())
	for _, c := range []struct{ least, want uint64 }{{0, 1}, {1000, 1000}, {7, 1001}, {0, 1002}} {
		if e := decoded[iam.Epoch](t, m.do(&RaiseEpoch{Reason: "restored", Least: c.least})); e.Number != c.want {
			t.Errorf("with %d at least the epoch is %d, want %d", c.least, e.Number, c.want)
		}
	}
}
