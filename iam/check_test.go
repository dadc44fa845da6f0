package iam

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// verdict tells whether err is what a check may answer: nothing, or one field of a refusal.
func verdict(t *testing.T, what string, err error, good bool) {
	t.Helper()
	if good {
		if err != nil {
			t.Errorf("%s is refused: %v", what, err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || e.Code != ValidationError || len(e.Fields) != 1 || e.Fields[0].Field == "" || e.Fields[0].Message == "" {
		t.Errorf("%s: %v; want a refusal that names one field", what, err)
	}
}

func TestCheckUsername(t *testing.T) {
	f := func(s string, good bool) { t.Helper(); verdict(t, fmt.Sprintf("%q", s), CheckUsername(s), good) }
	f("abc", true)
	f("A.b_c-9", true)
	f(strings.Repeat("x", 50), true)
	f("ab", false)
	f("", false)
	f(strings.Repeat("x", 51), false)
	f("a b", false)
	f("abc\n", false)
	f("añb", false)
	f("a@b", false)
	f("abc\x00", false)
}

func TestCheckEmail(t *testing.T) {
	f := func(s string, good bool) { t.Helper(); verdict(t, fmt.Sprintf("%q", s), CheckEmail(s), good) }
	f("ann@example.org", true)
	f("ann+tag@sub.example.org", true)
	f("o'brien@example.org", true)
	f("ünï@example.org", true)
	f(strings.Repeat("x", 243)+"@example.org", true)
	f(strings.Repeat("x", 244)+"@example.org", false)
	f("", false)
	f("ann", false)
	f("@example.org", false)
	f("ann@", false)
	f("Ann <ann@example.org>", false)
	f("<ann@example.org>", false)
	f("ann@example.org, bob@example.org", false)
	f("ann@example.org\r\nBcc: bob@example.org", false)
	f(" ann@example.org", false)
	f("ann@example.org ", false)
	f(`"a b"@example.org`, false)
	f("ann@example.org (work)", false)
	f("ann\x00@example.org", false)
	f("ann\xff@example.org", false)
}

func TestCheckText(t *testing.T) {
	f := func(s string, good bool) { t.Helper(); verdict(t, fmt.Sprintf("%q", s), CheckText("bio", s, 5), good) }
	f("", true)
	f("12345", true)
	f("ééééé", true) // characters, not bytes
	f("a\nb\tc", true)
	f("123456", false)
	f("a\x00", false)
	f("a\rb", false)
	f("a\x1b[0", false)
	f("a\x7f", false)
	f("\xff", false)
}

func TestCheckNames(t *testing.T) {
	f := func(check func(string) error, s string, good bool) {
		t.Helper()
		verdict(t, fmt.Sprintf("%q", s), check(s), good)
	}
	f(CheckScopeName, "read:demo", true)
	f(CheckScopeName, "!", true)
	f(CheckScopeName, "", false)
	f(CheckScopeName, "a b", false)
	f(CheckScopeName, `a"`, false)
	f(CheckScopeName, `a\`, false)
	f(CheckScopeName, "a\n", false)
	f(CheckScopeName, strings.Repeat("x", 101), false)
	f(CheckRoleName, "team:lead-1", true)
	f(CheckRoleName, "", false)
	f(CheckRoleName, "a/b", false)
	f(CheckRoleName, "a\n", false)
	f(CheckRoleName, strings.Repeat("x", 51), false)
	f(CheckClientID, "https://app.example.org/x@y", true)
	f(CheckClientID, strings.Repeat("x", 255), true)
	f(CheckClientID, "", false)
	f(CheckClientID, "a b", false)
	f(CheckClientID, "a\x00", false)
	f(CheckClientID, strings.Repeat("x", 256), false)
}

func TestCheckCIDRs(t *testing.T) {
	f := func(good bool, ranges ...string) {
		t.Helper()
		verdict(t, fmt.Sprintf("%q", ranges), CheckCIDRs(ranges), good)
	}
	f(true)
	f(true, "10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32")
	f(false, "10.0.0.0/8", "10.0.0.1")
	f(false, "10.0.0.0/33")
	f(false, "10.0.0/8")
	f(false, "fe80::%eth0/64")
	f(false, "")
}

func TestSettingsCheck(t *testing.T) {
	f := func(change func(*Settings), good bool) {
		t.Helper()
		s := Settings{Issuer: "keystone-auth", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 86400, ServiceSeconds: 900, DefaultRole: RoleUser}
		change(&s)
		verdict(t, fmt.Sprintf("%+v", s), s.Check(), good)
	}
	f(func(*Settings) {}, true)
	for _, algorithm := range Algorithms {
		f(func(s *Settings) { s.Algorithm = algorithm }, true)
	}
	f(func(s *Settings) { s.AccessSeconds = 86400 }, true)
	f(func(s *Settings) { s.AccessSeconds = 86401 }, false)
	f(func(s *Settings) { s.AccessSeconds = 0 }, false)
	f(func(s *Settings) { s.ServiceSeconds = -1 }, false)
	f(func(s *Settings) { s.ServiceSeconds = 1 << 62 }, false)
	f(func(s *Settings) { s.RefreshSeconds = 0 }, false)
	f(func(s *Settings) { s.RefreshSeconds = 1 << 62 }, false)
	f(func(s *Settings) { s.Algorithm = "none" }, false)
	f(func(s *Settings) { s.Algorithm = "es256" }, false)
	f(func(s *Settings) { s.Issuer = "" }, false)
	f(func(s *Settings) { s.Issuer = strings.Repeat("x", 256) }, false)
	f(func(s *Settings) { s.DefaultRole = "" }, false)
}

func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if Fold(Fold(s)) != Fold(s) {
			t.Fatalf("folding %q twice gives something else", s)
		}
	})
	if Fold("Ann@Example.ORG") != Fold("ann@example.org") {
		t.Error("Fold tells letter case apart")
	}
}

func TestCodeOf(t *testing.T) {
	f := func(err error, want Code) {
		t.Helper()
		if got := CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %s, want %s", err, got, want)
		}
	}
	f(Errorf(Conflict, "x"), Conflict)
	f(fmt.Errorf("around: %w", Errorf(NotFound, "x")), NotFound)
	f(errors.New("x"), InternalError)
	f(nil, InternalError)
	f(Invalid("f", "x"), ValidationError)
	e := Unavailable(time.Second, "wait %d", 1)
	f(e, TemporarilyUnavailable)
	if e.RetryAfter != time.Second || e.Error() != "temporarily_unavailable: wait 1" {
		t.Errorf("Unavailable = %+v", e)
	}
}

func TestUser(t *testing.T) {
	f := func(first, last, want string) {
		t.Helper()
		if got := (User{FirstName: first, LastName: last}).FullName(); got != want {
			t.Errorf("FullName(%q, %q) = %q, want %q", first, last, got, want)
		}
	}
	f("", "", "")
	f("Ann", "", "Ann")
	f("", "Lee", "Lee")
	f("Ann", "Lee", "Ann Lee")
	u := User{Roles: []ID{{1}}, LockedUntil: 10}
	if !u.Has(ID{1}) || u.Has(ID{2}) {
		t.Error("Has is wrong")
	}
	if !u.LockedAt(9) || u.LockedAt(10) {
		t.Error("a lock ends at its time")
	}
}
