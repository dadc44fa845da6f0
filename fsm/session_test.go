package fsm

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

var ann, bob = id('u', 1), id('u', 2)

func (m *machine) session(n int) (s iam.Session, ok bool) {
	m.Helper()
	m.view(func(r *store.Reader) { s, ok = r.Session(id('s', n)) })
	return s, ok
}

// ended proves that the session is gone and that its tokens are dead.
func (m *machine) ended(n int) {
	m.Helper()
	if _, ok := m.session(n); ok {
		m.Fatalf("session %d goes on", n)
	}
	m.view(func(r *store.Reader) {
		dead, ok := r.Revocation(iam.RevokedSession, id('s', n).String())
		if !ok || dead.ExpiresAt.Sub(m.now) <= iam.MaxTokenLifetime {
			m.Fatalf("session %d left the revocation %+v, %v", n, dead, ok)
		}
	})
}

func (m *machine) stands(n int) {
	m.Helper()
	if _, ok := m.session(n); !ok {
		m.Fatalf("session %d is gone", n)
	}
}

func TestStartSession(t *testing.T) {
	m := peopled(t)
	m.wait(time.Minute)
	got := decoded[iam.Session](t, m.do(login(m, ann, 1)))
	if got.ID != id('s', 1) || got.CreatedAt != m.now || got.AuthTime != m.now || got.LastActivity != m.now {
		t.Errorf("the session is %+v", got)
	}
	if kept, _ := m.session(1); !cmp.Equal(kept, got) {
		t.Errorf("what was answered is not what was kept: %s", cmp.Diff(kept, got))
	}
	m.view(func(r *store.Reader) {
		if u, _ := r.User(ann); u.LastLogin != m.now || u.PasswordHash != "hash" {
			t.Errorf("the user is %+v", u)
		}
	})
	if m.lastAudit() != "session.started success" {
		t.Errorf("audited as %q", m.lastAudit())
	}
	m.refuse(login(m, ann, 1), iam.Conflict)
}

func TestStartSessionNeedsThePasswordOfNow(t *testing.T) {
	m := peopled(t)
	wrong := login(m, ann, 1)
	wrong.Proven = "another"
	unknown := login(m, id('u', 9), 1)
	a, b := m.refuse(wrong, iam.InvalidGrant), m.refuse(unknown, iam.InvalidGrant)
	if !cmp.Equal(a, b) {
		t.Errorf("a wrong password and an unknown user are told apart: %v, %v", a, b)
	}

	// Both were verified against the old hash; the first that is applied replaces it.
	first, second := login(m, ann, 1), login(m, ann, 2)
	first.Rehashed = "stronger"
	m.do(first)
	m.refuse(second, iam.InvalidGrant)
	second.Proven = "stronger"
	m.do(second)
	m.view(func(r *store.Reader) {
		if u, _ := r.User(ann); u.PasswordHash != "stronger" {
			t.Errorf("the hash is %q", u.PasswordHash)
		}
	})
}

func TestStartSessionRefusesTheDisabled(t *testing.T) {
	m := peopled(t)
	u := person(2, "bob", roleUser)
	u.Active = false
	m.do(&UpdateUser{User: u})
	m.refuse(login(m, bob, 1), iam.AccountDisabled)
}

func TestStartSessionRefusesTheLocked(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	until := m.now.Add(time.Minute)
	m.do(&LockUser{ID: bob, Until: until})
	if m.lastAudit() != "user.locked success" {
		t.Errorf("audited as %q", m.lastAudit())
	}
	if e := m.refuse(login(m, bob, 2), iam.AccountLocked); e.LockedUntil != until {
		t.Errorf("the refusal says until %d, want %d", e.LockedUntil, until)
	}
	m.do(rotate(m, 1, 0)) // whoever guesses passwords must not end the sessions of the owner

	m.wait(time.Minute)
	m.do(login(m, bob, 2))
	m.view(func(r *store.Reader) {
		if u, _ := r.User(bob); u.LockedUntil != 0 {
			t.Error("a login leaves the old lock")
		}
	})
	m.do(&LockUser{ID: bob, Until: m.now.Add(time.Hour)})
	m.do(&LockUser{ID: bob})
	if m.lastAudit() != "user.unlocked success" {
		t.Errorf("audited as %q", m.lastAudit())
	}
	m.do(login(m, bob, 3))
}

func TestStartSessionNeedsItsClient(t *testing.T) {
	m := peopled(t)
	c := login(m, bob, 1)
	c.Session.ClientID = "nobody"
	m.refuse(c, iam.InvalidClient)
	c.Session.ClientID = "app"
	m.do(c)
	disabled := program(1, "app")
	disabled.Active = false
	m.do(&UpdateClient{Client: disabled})
	c = login(m, bob, 2)
	c.Session.ClientID = "app"
	m.refuse(c, iam.InvalidClient)
}

func TestStartSessionMakesRoom(t *testing.T) {
	m := peopled(t)
	for n := 1; n <= MaxSessions; n++ {
		m.do(login(m, bob, n))
	}
	m.stands(1)
	m.do(login(m, bob, MaxSessions+1))
	m.ended(1)
	m.stands(2)
	m.view(func(r *store.Reader) {
		if n := len(r.SessionsOf(bob, 1000)); n != MaxSessions {
			t.Errorf("%d sessions, want %d", n, MaxSessions)
		}
	})
	if got := decoded[int](t, m.do(&EndSessions{User: bob})); got != MaxSessions {
		t.Errorf("%d sessions ended, want %d", got, MaxSessions)
	}
}

func TestRotation(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	for k := range 3 {
		m.wait(time.Minute)
		got := decoded[Rotation](t, m.do(rotate(m, 1, k)))
		s := got.Session
		switch {
		case got.Replayed || got.Killed:
			t.Fatalf("rotation %d: %+v", k, got)
		case !bytes.Equal(s.Refresh, digest(1000+k+1)) || !bytes.Equal(s.Previous, digest(1000+k)) || !bytes.Equal(s.Replay, []byte{byte(k + 1)}):
			t.Fatalf("rotation %d has the wrong tokens: %+v", k, s)
		case s.Rotations != uint64(k+1) || s.RotatedAt != m.now || s.LastActivity != m.now || s.ExpiresAt != m.now.Add(time.Hour):
			t.Fatalf("rotation %d has the wrong times: %+v", k, s)
		}
	}
	if m.lastAudit() != "session.refreshed success" {
		t.Errorf("audited as %q", m.lastAudit())
	}
}

func TestRotationReplay(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	want := decoded[Rotation](t, m.do(rotate(m, 1, 0)))
	m.wait(iam.RefreshGrace)
	before := m.dump()
	again := rotate(m, 1, 0)
	again.Next, again.Replay, again.TokenID = digest(77), []byte("another"), "another"
	got := decoded[Rotation](t, m.do(again))
	if !got.Replayed || got.Killed || !cmp.Equal(got.Session, want.Session) {
		t.Errorf("within the grace: %s", cmp.Diff(want.Session, got.Session))
	}
	if diff := cmp.Diff(before, m.dump()); diff != "" {
		t.Errorf("a replay within the grace changed the state: %s", diff)
	}
	m.do(rotate(m, 1, 1)) // and the token that was given twice is good
}

func TestRotationKillsAfterTheGrace(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	m.do(rotate(m, 1, 0))
	m.wait(iam.RefreshGrace + time.Microsecond)
	m.killed(rotate(m, 1, 0))
}

func TestRotationKillsForAnOlderToken(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	m.do(login(m, bob, 2))
	m.do(rotate(m, 1, 0))
	m.do(rotate(m, 1, 1))
	m.killed(rotate(m, 1, 0)) // even within the grace of its successor
	m.stands(2)
}

// killed presents a token that was stolen and proves that the session ends.
func (m *machine) killed(c *RotateSession) {
	m.Helper()
	lines := len(m.audit())
	origin := Origin{Actor: "test", RequestID: iam.NewID()}
	killed, again := m.ask(origin, c), m.ask(origin, c) // whoever asks again is told no sooner
	if killed.Refusal != nil || !killed.Denies || !again.Denies {
		m.Errorf("a replay that ends the session need not be known everywhere: %+v, %+v", killed, again)
	}
	if got := decoded[Rotation](m, killed.Result); !got.Killed || got.Replayed || !got.Session.ID.IsZero() {
		m.Fatalf("a stolen token is answered with %+v", got)
	}
	m.ended(1)
	if all := m.audit(); len(all) != lines+1 || all[lines] != "session.replayed refused" {
		m.Fatalf("audited as %q", all[lines:])
	}
	for k := range 4 {
		m.refuse(rotate(m, 1, k), iam.InvalidGrant)
	}
}

func TestRotationWithAForgedFamily(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	m.do(rotate(m, 1, 0))
	// The session's id is in every access token: it must not be enough to end the session.
	for k := range 3 {
		forged := rotate(m, 1, k)
		forged.Family = digest(99)
		m.refuse(forged, iam.InvalidGrant)
	}
	m.stands(1)
	m.do(rotate(m, 1, 1))
}

func TestRotationOfTheExpired(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	m.wait(time.Hour)
	m.refuse(rotate(m, 1, 0), iam.InvalidGrant)
	m.refuse(rotate(m, 2, 0), iam.InvalidGrant) // as one that never was
	m.do(&Expire{Most: 10})
	m.stands(1) // what ends now has not ended before now
	m.wait(time.Microsecond)
	m.do(&Expire{Most: 10})
	if _, ok := m.session(1); ok {
		t.Error("the expired session is still there")
	}
}

func TestRotationByClients(t *testing.T) {
	m := peopled(t)
	public := program(2, "tool")
	public.Type, public.SecretDigest = iam.Public, nil
	m.do(&CreateClient{Client: public})
	for n, client := range []string{"", "app", "tool"} {
		c := login(m, bob, n+1)
		c.Session.ClientID = client
		m.do(c)
	}
	f := func(n int, by string, code iam.Code) {
		t.Helper()
		s, _ := m.session(n)
		c := rotate(m, n, int(s.Rotations))
		c.ClientID = by
		if code == "" {
			m.do(c)
		} else {
			m.refuse(c, code)
		}
		m.stands(n)
	}
	f(1, "", "")
	f(1, "app", iam.InvalidGrant)
	f(2, "", iam.InvalidGrant) // a confidential client's session needs the client
	f(2, "tool", iam.InvalidGrant)
	f(2, "app", "")
	f(3, "", "")
	f(3, "app", iam.InvalidGrant)
	f(3, "tool", "")
	app := program(1, "app")
	app.Active = false
	m.do(&UpdateClient{Client: app})
	f(2, "app", iam.InvalidGrant)
	app.Active = true
	m.do(&UpdateClient{Client: app})
	f(2, "app", "")
}

// What was issued before a shorter lifetime was set must be possible to take back as long as it lives.
func TestShorterLifetimeKeepsTheSession(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1)) // for an hour
	short := rotate(m, 1, 0)
	short.ExpiresAt = m.now.Add(time.Minute)
	if got := decoded[Rotation](t, m.do(short)).Session.ExpiresAt; got != m.now.Add(time.Hour) {
		t.Errorf("the session ends at %v, want an hour after its start", got.Std())
	}
	long := login(m, bob, 2)
	long.Session.ExpiresAt = m.now.Add(30 * 24 * time.Hour)
	m.do(long)
	short = rotate(m, 2, 0)
	short.ExpiresAt = m.now.Add(time.Minute)
	if got := decoded[Rotation](t, m.do(short)).Session.ExpiresAt; got != m.now.Add(iam.MaxTokenLifetime) {
		t.Errorf("the session ends at %v, want when no token can be left", got.Std())
	}
}

// Revoking all that a client has takes the sessions along that were opened through it.
func TestRevokedClientsSessionsAreOver(t *testing.T) {
	m := peopled(t)
	c := login(m, bob, 1)
	c.Session.ClientID = "app"
	m.do(c)
	m.do(&RevokeIssued{Client: "app"})
	again := rotate(m, 1, 0)
	again.ClientID = "app"
	m.refuse(again, iam.InvalidGrant)
	c = login(m, bob, 2)
	c.Session.ClientID = "app"
	m.do(c)
	again = rotate(m, 2, 0)
	again.ClientID = "app"
	m.do(again)
}

func TestDeletedClientTakesItsSessions(t *testing.T) {
	m := peopled(t)
	c := login(m, bob, 1)
	c.Session.ClientID = "app"
	m.do(c)
	m.do(login(m, bob, 2))
	m.do(&DeleteClient{ID: id('c', 1)})
	m.ended(1)
	m.stands(2)
	m.view(func(r *store.Reader) {
		if dead, ok := r.Revocation(iam.RevokedClient, "app"); !ok || dead.Before <= m.now {
			t.Errorf("the client left %+v, %v", dead, ok)
		}
	})
	// Neither does another word about the dead client make its tokens good again …
	m.do(&RevokeIssued{Client: "app"})
	m.view(func(r *store.Reader) {
		if dead, _ := r.Revocation(iam.RevokedClient, "app"); dead.Before <= m.now {
			t.Errorf("the revocation was weakened to %+v", dead)
		}
	})
	// … nor does a client of the same name inherit the session.
	m.do(&CreateClient{Client: program(2, "app")})
	again := rotate(m, 1, 0)
	again.ClientID = "app"
	m.refuse(again, iam.InvalidGrant)
	m.view(func(r *store.Reader) {
		dead, _ := r.Revocation(iam.RevokedClient, "app")
		if made, _ := r.ClientByClientID("app"); made.Generation <= dead.Index {
			t.Errorf("the tokens of the new client, generation %d, are dead: %+v", made.Generation, dead)
		}
	})
}

func TestDisabledAndDemotedUsersLoseTheirSessions(t *testing.T) {
	f := func(what string, ends bool, change func(*iam.User)) {
		t.Run(what, func(t *testing.T) {
			m := peopled(t)
			u := person(2, "bob", roleUser)
			u.Superuser = true
			m.do(&UpdateUser{User: u})
			m.do(login(m, bob, 1))
			m.wait(time.Second)
			change(&u)
			m.do(&UpdateUser{User: u})
			if !ends {
				m.stands(1)
				return
			}
			m.ended(1)
			m.view(func(r *store.Reader) {
				if dead, ok := r.Revocation(iam.RevokedUser, bob.String()); !ok || dead.Before != m.now {
					t.Errorf("the user's tokens are revoked by %+v, %v", dead, ok)
				}
			})
		})
	}
	f("renamed", false, func(u *iam.User) { u.Username = "rob" })
	f("another role", false, func(u *iam.User) { u.Roles = append(u.Roles, roleAdmin) })
	f("disabled", true, func(u *iam.User) { u.Active = false })
	f("one role less", true, func(u *iam.User) { u.Roles = nil })
	f("no superuser", true, func(u *iam.User) { u.Superuser = false })
}

func TestDeletedUserTakesItsSessions(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	m.do(login(m, ann, 2))
	m.do(&DeleteUser{ID: bob})
	m.ended(1)
	m.stands(2)
	m.refuse(rotate(m, 1, 0), iam.InvalidGrant)
	m.do(&RevokeIssued{User: bob})
	m.view(func(r *store.Reader) {
		if dead, ok := r.Revocation(iam.RevokedUser, bob.String()); !ok || dead.Before <= m.now {
			t.Errorf("a node that has not heard of it may still issue: %+v, %v", dead, ok)
		}
	})
	m.refuse(&DeleteUser{ID: bob}, iam.NotFound)
}

func TestEndSessions(t *testing.T) {
	m := peopled(t)
	for n := 1; n <= 3; n++ {
		m.do(login(m, bob, n))
	}
	m.do(login(m, ann, 4))
	f := func(want int, c *EndSessions) {
		t.Helper()
		if got := decoded[int](t, m.do(c)); got != want {
			t.Errorf("%+v ended %d sessions, want %d", c, got, want)
		}
	}
	f(0, &EndSessions{User: bob, Session: id('s', 4)}) // another's
	m.stands(4)
	f(1, &EndSessions{User: bob, Session: id('s', 1), Jti: "jti1"})
	m.ended(1)
	f(0, &EndSessions{User: bob, Session: id('s', 1)})
	f(0, &EndSessions{Session: id('s', 2), Family: digest(3)}) // a forged token must not end a session
	f(0, &EndSessions{Session: id('s', 2), Family: digest(2), Client: "app"})
	m.stands(2)
	f(2, &EndSessions{User: bob})
	m.ended(2)
	m.ended(3)
	m.stands(4)
	f(0, &EndSessions{User: bob})
	f(1, &EndSessions{Session: id('s', 4), Family: digest(4)})
	m.ended(4)
	m.do(login(m, ann, 4))
	m.do(login(m, ann, 5))
	if got := decoded[int](t, m.do(&RevokeIssued{User: ann})); got != 2 {
		t.Errorf("RevokeIssued ended %d sessions, want 2", got)
	}
	m.view(func(r *store.Reader) {
		if _, ok := r.Revocation(iam.RevokedToken, "jti1"); !ok {
			t.Error("the token of the request is not revoked")
		}
	})
}
