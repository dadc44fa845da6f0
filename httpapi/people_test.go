package httpapi_test

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

const newPassword = "Tr0ub4dor&3xyz"

// outbox collects what would be sent.
type outbox struct {
	mu   sync.Mutex
	sent []login.Message
}

func (o *outbox) Send(_ context.Context, m login.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, m)
	return nil
}

func (o *outbox) all() []login.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]login.Message(nil), o.sent...)
}

// tokenTo waits for the nth message to somebody about something and returns the token in it.
func (o *outbox) tokenTo(t testing.TB, to, subject string, nth int) (token string) {
	t.Helper()
	eventually(t, "message to "+to, func() bool {
		n := 0
		for _, m := range o.all() {
			if m.To == to && m.Subject == subject {
				if n++; n == nth {
					token = regexp.MustCompile(`kst_[A-Za-z0-9_-]+`).FindString(m.Text)
				}
			}
		}
		return token != ""
	})
	return token
}

const resetSubject, verifySubject = "Reset your password", "Confirm your e-mail address"

func withMail(t testing.TB) (*outbox, option) {
	o := new(outbox)
	return o, func(c *httpapi.Config) {
		c.Login.Mailer = login.NewMailer(o, slog.New(slog.DiscardHandler))
		c.Login.Policy.PreventReuse = 5
		t.Cleanup(c.Login.Mailer.Close)
	}
}

func (s *stack) user1(name string) (u iam.User) {
	s.t.Helper()
	must(s.t, s.store.View(func(r *store.Reader) error { u, _ = r.UserByUsername(name); return nil }))
	return u
}

func TestProfileChanges(t *testing.T) {
	outbox, mail := withMail(t)
	s := newStack(t, mail)
	alice := s.user.AccessToken
	tag := s.do(s.public, fetch("/users/me").as(alice)).header.Get("ETag")
	s.run([]scenario{
		{"a name", put("/users/profile", `{"first_name":"Alice","last_name":"Liddell","bio":"x"}`).as(alice), 200, []string{`"full_name":"Alice Liddell"`, `"bio":"x"`}, []string{"hash"}},
		{"what is absent stays", patch("/users/me", `{"display_name":"Al"}`).as(alice), 200, []string{`"full_name":"Alice Liddell"`, `"display_name":"Al"`}, nil},
		{"a stale version", func() call {
			c := put("/users/me", `{"bio":"late"}`).sending("If-Match", tag)
			c.bearer = alice
			return c
		}(), 412, []string{`"precondition_failed"`}, []string{"late"}},
		{"another's version", func() call { c := put("/users/me", `{}`).sending("If-Match", `"x-1"`); c.bearer = alice; return c }(), 412, nil, nil},
		{"rights", put("/users/profile", `{"is_superuser":true}`).as(alice), 422, []string{`"field":"is_superuser"`}, nil},
		{"roles", patch("/users/profile", `{"roles":["admin"]}`).as(alice), 422, []string{`"field":"roles"`}, nil},
		{"the mark of a verified address", put("/users/me", `{"is_verified":true}`).as(alice), 422, nil, nil},
		{"the username", put("/users/me", `{"username":"al"}`).as(alice), 422, nil, nil},
		{"two faults, both named", put("/users/me", `{"email":"nope-mail","first_name":"`+strings.Repeat("x", 101)+`"}`).as(alice), 422, []string{`"field":"email"`, `"field":"first_name"`}, []string{"nope-mail"}},
		{"another's address", put("/users/me", `{"email":"BOB@example.com"}`).as(alice), 409, []string{`"conflict"`}, []string{"BOB@"}},
		{"a service", put("/users/me", `{}`).as(s.service.AccessToken), 403, nil, nil},
		{"nobody", put("/users/me", `{}`), 401, nil, nil},
	})
	s.do(s.public, post("/users/email-verification/confirm", `{"token":"`+outbox.tokenTo(t, "Alice@example.com", verifySubject, 1)+`"}`))
	if !s.user1("alice").Verified {
		t.Fatal("the address is not verified")
	}
	changed := get[api.User](s, put("/users/me", `{"email":"ALICE@example.com"}`).as(alice))
	if !changed.IsVerified {
		t.Error("the same address in another letter case is not verified any more")
	}
	changed = get[api.User](s, put("/users/me", `{"email":"new@example.com"}`).as(alice))
	if changed.IsVerified || changed.Email != "new@example.com" {
		t.Errorf("after another address: %+v", changed)
	}
	outbox.tokenTo(t, "new@example.com", verifySubject, 1)
	eventually(t, "word to the old address", func() bool {
		for _, m := range outbox.all() {
			if m.To == "ALICE@example.com" && m.Subject == "Your e-mail address was changed" {
				return true
			}
		}
		return false
	})
}

func TestChangePassword(t *testing.T) {
	s := newStack(t, func(c *httpapi.Config) { c.Login.Policy.PreventReuse = 3 })
	second := get[api.TokenResponse](s, post("/auth/token", loginBody("alice", password)))
	change := func(current, next string) call {
		return post("/users/change-password", `{"current_password":"`+current+`","new_password":"`+next+`"}`).as(s.user.AccessToken)
	}
	s.run([]scenario{
		{"wrong", change("Wrong-1-horse", newPassword), 400, []string{`"invalid_request"`, `"field":"current_password"`}, []string{"Wrong-1-horse", newPassword}},
		{"weak", change(password, "weak"), 422, []string{"at least 8", "upper-case", "digit", "special", `"field":"new_password"`}, nil},
		{"the same", change(password, password), 422, []string{"last 3"}, nil},
		{"nothing", post("/users/change-password", ``).as(s.user.AccessToken), 422, []string{`"field":"current_password"`}, nil},
		{"nobody", post("/users/change-password", `{}`), 401, nil, nil},
		{"right", change(password, newPassword), 200, []string{`"sessions_terminated":1`, `"message":"`}, []string{newPassword}},
		{"the present session goes on", fetch("/users/me").as(s.user.AccessToken), 200, nil, nil},
		{"the other one does not", fetch("/users/me").as(second.AccessToken), 401, nil, nil},
		{"the old password logs nobody in", post("/auth/token", loginBody("alice", password)), 401, nil, nil},
		{"the new one does", post("/auth/token", loginBody("alice", newPassword)), 200, nil, nil},
		{"back to the last one", change(newPassword, password), 422, []string{"last 3"}, nil},
		{"two others", change(newPassword, "Second&2nd-moor"), 200, nil, nil},
		{"two others", change("Second&2nd-moor", "Third&3rd-moor"), 200, nil, nil},
		{"and the one of three before", change("Third&3rd-moor", password), 200, nil, nil},
	})
	if n := len(s.user1("alice").PreviousHashes); n != 2 {
		t.Errorf("%d earlier hashes are kept", n)
	}
	if again := s.do(s.public, post("/auth/refresh", `{"refresh_token":"`+s.user.RefreshToken+`"}`)); again.status != 200 {
		t.Errorf("the present session cannot be refreshed: %d", again.status)
	}
}

// TestGuessingAtThePresentPassword: a token that was found must not be an oracle for the password.
func TestGuessingAtThePresentPassword(t *testing.T) {
	s := newStack(t)
	guess := post("/users/change-password", `{"current_password":"Wrong-1-horse","new_password":"`+newPassword+`"}`).as(s.user.AccessToken)
	for range 5 {
		if a := s.do(s.public, guess); a.status != 400 {
			t.Fatalf("a guess: %d %s", a.status, a.body)
		}
	}
	right := post("/users/change-password", `{"current_password":"`+password+`","new_password":"`+newPassword+`"}`).as(s.user.AccessToken)
	s.run([]scenario{{"after five guesses", right, 423, []string{`"account_locked"`, `"locked_until"`}, nil}})
}

func TestPasswordReset(t *testing.T) {
	outbox, mail := withMail(t)
	s := newStack(t, mail)
	request := func(email string) call { return post("/users/password-reset/request", `{"email":"`+email+`"}`) }
	confirm := func(token, next string) call {
		return post("/users/password-reset/confirm", `{"token":"`+token+`","new_password":"`+next+`"}`)
	}
	known, unknown := s.do(s.public, request("alice@EXAMPLE.com")), s.do(s.public, request("nobody@example.com"))
	if known.status != 200 || known.body != unknown.body || known.status != unknown.status {
		t.Errorf("the answers differ: %d %s, %d %s", known.status, known.body, unknown.status, unknown.body)
	}
	first := outbox.tokenTo(t, "Alice@example.com", resetSubject, 1)
	s.do(s.public, request("alice@example.com"))
	second := outbox.tokenTo(t, "Alice@example.com", resetSubject, 2)
	for range 5 {
		s.do(s.public, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	}
	bad := []string{`"invalid_request"`, "expired"}
	s.run([]scenario{
		{"no address", request("nope"), 422, []string{`"field":"email"`}, nil},
		{"locked", post("/auth/token", loginBody("alice", password)), 423, nil, nil},
		{"garbage", confirm("garbage", newPassword), 400, bad, []string{"garbage", newPassword}},
		{"nothing", post("/users/password-reset/confirm", `{}`), 400, bad, nil},
		{"one that was replaced", confirm(first, newPassword), 400, bad, []string{first}},
		{"a weak password", confirm(second, "weak"), 422, []string{`"field":"new_password"`}, nil},
		{"the present password", confirm(second, password), 422, []string{"last 5"}, nil},
		{"as a proof of the address", post("/users/email-verification/confirm", `{"token":"`+second+`"}`), 400, bad, nil},
		{"good", confirm(second, newPassword), 200, []string{`{"message":"Password reset successfully",`}, []string{second}},
		{"once", confirm(second, "Third&3rd-moor"), 400, bad, nil},
		{"all sessions are over", fetch("/users/me").as(s.user.AccessToken), 401, nil, nil},
		{"the lock too", post("/auth/token", loginBody("alice", newPassword)), 200, nil, nil},
	})
	for _, m := range outbox.all() {
		if strings.HasPrefix(m.To, "nobody") {
			t.Error("a message went to nobody")
		}
	}
	if strings.Contains(s.logged.String(), "kst_") || strings.Contains(s.logged.String(), "alice@") {
		t.Error("the log holds a token or an address")
	}
}

func TestEmailVerification(t *testing.T) {
	outbox, mail := withMail(t)
	s := newStack(t, mail)
	first := outbox.tokenTo(t, "Alice@example.com", verifySubject, 1) // at the registration
	request := post("/users/email-verification/request", `{"email":"alice@example.com"}`)
	s.run([]scenario{{"again", request, 200, nil, nil}})
	second := outbox.tokenTo(t, "Alice@example.com", verifySubject, 2)
	confirm := func(token string) call {
		return post("/users/email-verification/confirm", `{"token":"`+token+`"}`)
	}
	s.run([]scenario{
		{"one that was replaced", confirm(first), 400, nil, []string{first}},
		{"good", confirm(second), 200, nil, nil},
		{"once", confirm(second), 400, nil, nil},
		{"it shows", fetch("/users/me").as(s.user.AccessToken), 200, []string{`"is_verified":true`}, nil},
		{"of nobody", post("/users/email-verification/request", `{"email":"nobody@example.com"}`), 200, nil, nil},
	})
}

func TestLimitsOfMessages(t *testing.T) {
	outbox, mail := withMail(t)
	s := newStack(t, mail, withLimits(limit.Set{Mail: limit.Limit{Name: "mail", Count: 7, Per: time.Hour}}))
	request := post("/users/password-reset/request", `{"email":"alice@example.com"}`)
	for range 7 {
		if a := s.do(s.public, request); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	s.run([]scenario{{"too many", request, 429, []string{`"rate_limit_exceeded"`}, nil}})
	outbox.tokenTo(t, "Alice@example.com", resetSubject, iam.MaxTickets)
	var refused int
	eventually(t, "two refusals", func() bool {
		refused = 0
		must(t, s.store.View(func(r *store.Reader) error {
			for _, e := range r.Audit(0, 1000) {
				if e.Type == "password.reset_requested" && e.Result == iam.AuditRefused {
					refused++
				}
			}
			return nil
		}))
		return refused == 2
	})
}

func TestOldPasswordsLogNobodyIn(t *testing.T) {
	var people *login.Service
	s := newStack(t, func(c *httpapi.Config) { people = c.Login })
	people.Policy.MaxAge = time.Nanosecond
	s.run([]scenario{
		{"right", post("/auth/token", loginBody("alice", password)), 403, []string{`"password_expired"`, "reset"}, nil},
		{"wrong", post("/auth/token", loginBody("alice", "Wrong-1-horse")), 401, []string{`"invalid_grant"`}, []string{"reset"}},
		{"under the standard name", postForm("/oauth2/token", "grant_type=password&username=alice&password=Zx9%21kestrel-Moor"), 400, []string{`"invalid_grant"`}, nil},
	})
}
