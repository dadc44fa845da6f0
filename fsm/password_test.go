package fsm

import (
	"slices"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

func (m *machine) userOf(user iam.ID) (u iam.User) {
	m.Helper()
	m.view(func(r *store.Reader) { u, _ = r.User(user) })
	return u
}

func (m *machine) login(n int, proven string) iam.ID {
	m.Helper()
	m.do(&StartSession{Proven: proven, Session: iam.Session{
		ID: id('s', n), UserID: bob, Family: digest(n), Refresh: digest(n + 100), TokenID: "j", ExpiresAt: m.now.Add(time.Hour),
	}})
	return id('s', n)
}

func (m *machine) sessionsOf(user iam.ID) (ids []iam.ID) {
	m.Helper()
	m.view(func(r *store.Reader) {
		for _, s := range r.SessionsOf(user, 100) {
			ids = append(ids, s.ID)
		}
	})
	return ids
}

func TestChangePassword(t *testing.T) {
	m := peopled(t)
	keep, other := m.login(1, "hash"), m.login(2, "hash")
	m.refuse(&ChangePassword{ID: bob, New: NewPassword{Hash: "h2", Was: "another"}, Keep: keep}, iam.PreconditionFailed)
	m.refuse(&ChangePassword{ID: id('u', 9), New: NewPassword{Hash: "h2", Was: "hash"}}, iam.NotFound)
	if n := decoded[int](t, m.do(&ChangePassword{ID: bob, New: NewPassword{Hash: "h2", Was: "hash", Remember: 2}, Keep: keep})); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if got := m.sessionsOf(bob); !slices.Equal(got, []iam.ID{keep}) || slices.Contains(got, other) {
		t.Errorf("sessions after the change: %v", got)
	}
	for _, step := range [][2]string{{"h2", "h3"}, {"h3", "h4"}} {
		m.do(&ChangePassword{ID: bob, New: NewPassword{Hash: step[1], Was: step[0], Remember: 2}, Keep: keep})
	}
	if u := m.userOf(bob); u.PasswordHash != "h4" || !slices.Equal(u.PreviousHashes, []string{"h3", "h2"}) || u.PasswordChangedAt != m.now {
		t.Errorf("after three changes: %+v", u)
	}
	u := m.userOf(bob)
	u.FirstName, u.PreviousHashes = "Bob", nil
	m.do(&UpdateUser{User: u})
	if u := m.userOf(bob); len(u.PreviousHashes) != 2 {
		t.Error("who changes a name makes earlier passwords forgotten")
	}
}

func TestSetPassword(t *testing.T) {
	m := peopled(t)
	m.login(1, "hash")
	m.do(&LockUser{ID: bob, Until: m.now.Add(time.Hour)})
	seen := m.userOf(bob).Changed
	m.refuse(&SetPassword{ID: bob, New: NewPassword{Hash: "h2", Was: "hash"}, If: seen + 1}, iam.PreconditionFailed)
	if n := decoded[int](t, m.do(&SetPassword{ID: bob, New: NewPassword{Hash: "h2", Was: "hash"}, If: seen})); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if u := m.userOf(bob); u.LockedUntil != 0 || u.PasswordHash != "h2" || u.PreviousHashes != nil || u.Changed == seen {
		t.Errorf("got %+v", u)
	}
}

func issue(purpose iam.TicketPurpose, n int) *IssueTicket {
	return &IssueTicket{Purpose: purpose, User: bob, Digest: digest(n), Email: "Bob@example.org"}
}

func reset(n int) *ResetPassword {
	return &ResetPassword{Digest: digest(n), User: bob, New: NewPassword{Hash: "h2", Was: "hash"}}
}

func TestResetTicket(t *testing.T) {
	m := peopled(t)
	m.login(1, "hash")
	m.do(&LockUser{ID: bob, Until: m.now.Add(time.Hour)})
	m.refuse(reset(1), iam.InvalidRequest)
	m.do(issue(iam.ResetPassword, 1))
	m.do(issue(iam.ResetPassword, 2))
	m.do(issue(iam.VerifyEmail, 3))
	m.refuse(reset(1), iam.InvalidRequest) // replaced
	m.refuse(reset(3), iam.InvalidRequest) // for something else
	another := reset(2)
	another.User = ann
	m.refuse(another, iam.InvalidRequest)
	m.do(reset(2))
	m.refuse(reset(2), iam.InvalidRequest) // used
	if u := m.userOf(bob); u.PasswordHash != "h2" || u.LockedUntil != 0 || len(m.sessionsOf(bob)) != 0 {
		t.Errorf("after the reset: %+v with %d sessions", u, len(m.sessionsOf(bob)))
	}
	m.do(issue(iam.ResetPassword, 4))
	m.wait(iam.ResetLifetime)
	late := reset(4)
	late.New = NewPassword{Hash: "h3", Was: "h2"}
	m.refuse(late, iam.InvalidRequest)
}

func TestTicketsDieWithTheAddress(t *testing.T) {
	m := peopled(t)
	m.do(issue(iam.ResetPassword, 1))
	m.do(issue(iam.VerifyEmail, 2))
	u := m.userOf(bob)
	u.Email = "robert@example.org"
	m.do(&UpdateUser{User: u})
	m.refuse(reset(1), iam.InvalidRequest)
	m.refuse(&ConfirmEmail{Digest: digest(2), User: bob}, iam.InvalidRequest)
	m.refuse(issue(iam.ResetPassword, 3), iam.PreconditionFailed)
	if m.userOf(bob).Verified {
		t.Error("an address was verified by what another one was sent")
	}
}

func TestConfirmEmail(t *testing.T) {
	m := peopled(t)
	m.do(issue(iam.VerifyEmail, 1))
	m.do(&ConfirmEmail{Digest: digest(1), User: bob})
	if !m.userOf(bob).Verified {
		t.Error("the address is not verified")
	}
	m.refuse(&ConfirmEmail{Digest: digest(1), User: bob}, iam.InvalidRequest)
	m.refuse(issue(iam.VerifyEmail, 2), iam.Conflict)
}

// TestMailboxIsNotFlooded: the bound holds in the state itself, so that it is one for all nodes.
func TestMailboxIsNotFlooded(t *testing.T) {
	m := peopled(t)
	for n := range iam.MaxTickets {
		m.do(issue(iam.ResetPassword, n))
		m.wait(time.Minute)
	}
	m.refuse(issue(iam.ResetPassword, 99), iam.RateLimitExceeded)
	m.do(issue(iam.VerifyEmail, 50))
	m.wait(iam.TicketWindow)
	m.do(issue(iam.ResetPassword, 99))
}

// TestSuperusersAdminister: one of them is enough, and the last one is kept.
func TestSuperusersAdminister(t *testing.T) {
	m := peopled(t)
	root := person(3, "eve")
	root.Superuser = true
	m.do(&CreateUser{User: root})
	m.do(&DeleteUser{ID: ann})
	m.refuse(&DeleteUser{ID: root.ID}, iam.Conflict)
	root.Superuser = false
	m.refuse(&UpdateUser{User: root}, iam.Conflict)
	root.Roles = []iam.ID{roleAdmin}
	m.do(&UpdateUser{User: root})
}
