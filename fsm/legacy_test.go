package fsm

import (
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// plantLegacy writes refresh tokens of another system, as an import does.
func (m *machine) plantLegacy(rows ...iam.LegacySession) {
	m.Helper()
	if _, err := m.store.Update(func(tx *store.Tx) error {
		for _, s := range rows {
			tx.PutLegacySession(s)
		}
		return nil
	}); err != nil {
		m.Fatal(err)
	}
}

// old is the refresh token of that number, which the user got an hour ago.
func (m *machine) old(n int, user iam.ID) iam.LegacySession {
	return iam.LegacySession{ID: id('l', n), UserID: user, TokenHash: "token", IssuedAt: m.now.Add(-time.Hour), ExpiresAt: m.now.Add(time.Hour)}
}

func (m *machine) legacyOf(user iam.ID) (n int) {
	m.view(func(r *store.Reader) { n = len(r.LegacySessionsOf(user, 10_000)) })
	return n
}

// redeemed presents that token for the session of that number.
func redeemed(m *machine, user iam.ID, token, session int) *RedeemLegacy {
	return &RedeemLegacy{ID: id('l', token), TokenHash: "token", Session: login(m, user, session).Session}
}

func TestRedeemLegacy(t *testing.T) {
	m := peopled(t)
	m.plantLegacy(m.old(1, bob), m.old(2, bob), m.old(3, ann))
	first := redeemed(m, bob, 1, 1)
	first.Session.UserAgent = strings.Repeat("x", 300)
	s := decoded[iam.Session](t, m.do(first))
	if s.UserID != bob || s.AuthTime != m.now.Add(-time.Hour) || s.CreatedAt != m.now || s.Index != m.index || len(s.UserAgent) != 256 {
		t.Errorf("got %+v", s)
	}
	if m.userOf(bob).LastLogin != 0 || m.legacyOf(bob) != 1 || m.legacyOf(ann) != 1 {
		t.Error("the wrong tokens are left, or a refresh counts as a login")
	}
	m.do(rotate(m, 1, 0)) // it goes on like any other
	m.refuse(redeemed(m, bob, 1, 2), iam.InvalidGrant)
	m.stands(1)
}

func TestRedeemLegacyRefuses(t *testing.T) {
	m := peopled(t)
	m.plantLegacy(m.old(1, bob))
	f := func(code iam.Code, change func(*RedeemLegacy)) {
		t.Helper()
		c := redeemed(m, bob, 1, 1)
		change(c)
		m.refuse(c, code)
		if m.legacyOf(bob) != 1 || len(m.sessionsOf(bob)) != 0 {
			t.Error("what was refused left something behind")
		}
	}
	f(iam.InvalidGrant, func(c *RedeemLegacy) { c.ID = id('l', 9) })
	f(iam.InvalidGrant, func(c *RedeemLegacy) { c.TokenHash = "of another row" })
	f(iam.InvalidGrant, func(c *RedeemLegacy) { c.Session.UserID = ann })
	f(iam.InvalidClient, func(c *RedeemLegacy) { c.Session.ClientID = "nowhere" })
	m.wait(time.Hour)
	f(iam.InvalidGrant, func(*RedeemLegacy) {})
}

// TestRedeemLegacyKeepsTheBound: it makes room like a login does.
func TestRedeemLegacyKeepsTheBound(t *testing.T) {
	m := peopled(t)
	for n := range MaxSessions {
		m.do(login(m, bob, n+1))
	}
	m.plantLegacy(m.old(1, bob))
	m.do(redeemed(m, bob, 1, MaxSessions+1))
	m.ended(1)
	m.stands(MaxSessions + 1)
}

// TestLegacyEndsWithTheRest: whatever ends the sessions of a user ends the other system's too, also those that an import
// brings only afterwards.
func TestLegacyEndsWithTheRest(t *testing.T) {
	f := func(name string, cmd Command) {
		t.Run(name, func(t *testing.T) {
			m := peopled(t)
			m.plantLegacy(m.old(1, bob), m.old(2, bob), m.old(3, ann))
			m.do(cmd)
			if n := m.legacyOf(bob); n != 0 {
				t.Errorf("%d tokens of the other system are left", n)
			}
			if _, all := cmd.(*RaiseEpoch); (m.legacyOf(ann) == 0) != all {
				t.Error("somebody else's token is the wrong one")
			}
			m.plantLegacy(m.old(1, bob))
			m.wait(time.Second)
			m.refuse(redeemed(m, bob, 1, 1), iam.InvalidGrant)
		})
	}
	disabled := person(2, "bob", roleUser)
	disabled.Active = false
	change := NewPassword{Hash: "new", Was: "hash"}
	f("logout", &EndSessions{User: bob})
	f("revoked", &RevokeIssued{User: bob})
	f("password changed", &ChangePassword{ID: bob, New: change})
	f("password set", &SetPassword{ID: bob, New: change})
	f("disabled", &UpdateUser{User: disabled})
	f("demoted", &UpdateUser{User: person(2, "bob")})
	f("deleted", &DeleteUser{ID: bob})
	f("locked down", &LockDownUser{ID: bob})
	f("epoch", &RaiseEpoch{Reason: "r"})
	t.Run("password reset", func(t *testing.T) {
		m := peopled(t)
		m.plantLegacy(m.old(1, bob))
		m.do(issue(iam.ResetPassword, 7))
		m.do(&ResetPassword{User: bob, Digest: digest(7), New: change})
		if m.legacyOf(bob) != 0 {
			t.Error("a token of the other system outlives the password")
		}
	})
}

func TestEndLegacy(t *testing.T) {
	m := peopled(t)
	m.plantLegacy(m.old(1, bob), m.old(2, bob), m.old(3, bob), m.old(4, ann))
	f := func(c *EndLegacy, ended, left int) {
		t.Helper()
		if n := decoded[int](t, m.do(c)); n != ended || m.legacyOf(bob) != left {
			t.Errorf("%d ended and %d are left, want %d and %d", n, m.legacyOf(bob), ended, left)
		}
	}
	f(&EndLegacy{User: bob, ID: id('l', 1)}, 1, 2)
	f(&EndLegacy{User: bob, ID: id('l', 1)}, 0, 2)
	f(&EndLegacy{User: bob, ID: id('l', 4)}, 0, 2) // of somebody else
	f(&EndLegacy{User: bob, Jti: "old"}, 2, 0)
	m.view(func(r *store.Reader) {
		if _, ok := r.Revocation(iam.RevokedToken, "old"); !ok || m.legacyOf(ann) != 1 {
			t.Error("the access token goes on, or somebody else was logged out")
		}
	})
}

// TestManyLegacySessionsEnd: however many the old system left to one user.
func TestManyLegacySessionsEnd(t *testing.T) {
	m := peopled(t)
	rows := make([]iam.LegacySession, 2*maxEnded+1)
	for n := range rows {
		rows[n] = m.old(1, bob)
		rows[n].ID[1], rows[n].ID[2] = byte(n), byte(n>>8)
	}
	m.plantLegacy(rows...)
	if n := decoded[int](t, m.do(&EndLegacy{User: bob})); n != len(rows) || m.legacyOf(bob) != 0 {
		t.Errorf("%d ended, %d are left", n, m.legacyOf(bob))
	}
}

func TestLegacySessionsExpire(t *testing.T) {
	m := peopled(t)
	m.plantLegacy(m.old(1, bob))
	m.wait(time.Hour + time.Second)
	m.do(&Expire{Most: 10})
	if m.legacyOf(bob) != 0 {
		t.Error("an expired token of the other system stays")
	}
}
