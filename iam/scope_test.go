package iam

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseScopes(t *testing.T) {
	f := func(s string, want ...string) {
		t.Helper()
		if got, err := ParseScopes(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseScopes(%q) = %q, %v; want %q", s, got, err, want)
		}
	}
	f("")
	f("   ")
	f("b a", "a", "b")
	f(" a  a b a ", "a", "b")
	f("read:demo write:demo", "read:demo", "write:demo")
	f("https://example.org/x?y=1#z !#[]~", "!#[]~", "https://example.org/x?y=1#z")
	f(strings.Repeat("x", 100), strings.Repeat("x", 100))
}

func TestParseScopesRefuses(t *testing.T) {
	f := func(s string) {
		t.Helper()
		if got, err := ParseScopes(s); got != nil || CodeOf(err) != InvalidScope {
			t.Errorf("ParseScopes(%q) = %q, %v; want invalid_scope", s, got, err)
		}
	}
	f(`a"b`)
	f(`"`)
	f(`a\b`)
	f("a\tb") // RFC 6749 §3.3 separates by a space alone
	f("a\nb")
	f("a\x00")
	f("a\x7f")
	f("a\u00a0b")
	f("é")
	f("ok \xff")
	f(strings.Repeat("x", 101))
}

func TestScopesRoundTrip(t *testing.T) {
	name := rapid.StringMatching(`[!#-\[\]-~]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name, 0, 8).Draw(t, "names")
		want := slices.Compact(slices.Sorted(slices.Values(names)))
		got, err := ParseScopes(JoinScopes(names))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q came back as %q, %v", names, got, err)
		}
	})
}

func TestGrants(t *testing.T) {
	held := []string{"admin:users", "read:demo", "plain"}
	f := func(want string, granted bool) {
		t.Helper()
		if got := Grants(held, want); got != granted {
			t.Errorf("Grants(%q) = %v", want, got)
		}
	}
	f("admin:users", true)
	f("read:users", true)
	f("write:users", true)
	f("delete:users", false)
	f("read:user", false)
	f("read:userss", false)
	f("read:demo", true)
	f("write:demo", false)
	f("admin:demo", false)
	f("plain", true)
	f("read:plain", false)
	f("read", false)
	f("", false)
	f("read:", false)
	f(":users", false)
	f("READ:users", false)
	if Grants(nil, "x") {
		t.Error("nothing held grants something")
	}
}

func TestNarrow(t *testing.T) {
	f := func(want, held string, granted ...string) {
		t.Helper()
		got, err := Narrow(strings.Fields(want), strings.Fields(held))
		if err != nil || !slices.Equal(got, granted) {
			t.Errorf("Narrow(%q, %q) = %q, %v; want %q", want, held, got, err, granted)
		}
	}
	f("", "b a", "a", "b")
	f("", "")
	f("b a b c", "a b", "a", "b")
	f("read:x", "admin:x", "read:x") // what was asked for, not what it follows from
	f("admin:x", "admin:x read:x", "admin:x")
}

func TestNarrowRefuses(t *testing.T) {
	f := func(want, held string) {
		t.Helper()
		if got, err := Narrow(strings.Fields(want), strings.Fields(held)); got != nil || CodeOf(err) != InvalidScope {
			t.Errorf("Narrow(%q, %q) = %q, %v; want invalid_scope", want, held, got, err)
		}
	}
	f("a", "")
	f("a", "b")
	f("admin:x", "read:x write:x")
}

func TestNarrowKeepsItsArguments(t *testing.T) {
	held, want := []string{"b", "a"}, []string{"b", "a"}
	all, _ := Narrow(nil, held)
	all[0] = "changed"
	if _, err := Narrow(want, held); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(held, []string{"b", "a"}) || !slices.Equal(want, []string{"b", "a"}) {
		t.Errorf("Narrow changed what it was given: %q, %q", held, want)
	}
}
