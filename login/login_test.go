package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
)

func TestPolicyAccepts(t *testing.T) {
	for _, password := range []string{"Zx9!kestrel-Moor", "Str0ng!Passw0rd-2026", "Ünïcode-9-Größe", "Tr0ub4dor&3xyz", strings.Repeat("aB3-", 32)} {
		if err := login.DefaultPolicy.Check("password", password, "alice", "alice@example.org"); err != nil {
			t.Errorf("%q: %v", password, err.(*iam.Error).Fields)
		}
	}
}

func TestPolicyNamesEachBrokenRule(t *testing.T) {
	f := func(password string, want ...string) {
		t.Helper()
		err := login.DefaultPolicy.Check("password", password, "alice", "alice@example.org")
		var refusal *iam.Error
		if !errors.As(err, &refusal) || refusal.Code != iam.ValidationError {
			t.Fatalf("%q: got %v", password, err)
		}
		var got []string
		for _, field := range refusal.Fields {
			got = append(got, field.Message)
		}
		all := strings.Join(got, "; ")
		for _, message := range want {
			if !strings.Contains(all, message) {
				t.Errorf("%q: %q lacks %q", password, all, message)
			}
		}
		if strings.Contains(all, password) {
			t.Errorf("the refusal repeats the password")
		}
	}
	f("short", "at least 8", "upper-case", "digit", "special")
	f("alllowercase1!", "upper-case")
	f("ALLUPPERCASE1!", "lower-case")
	f("NoDigitsHere!", "digit")
	f("NoSpecial123x", "special")
	f("xALICE-12345z", "user's name")
	f("Password1!", "common password")
	f("Qwertyuiop1!", "keyboard")
	f(strings.Repeat("aB3-", 33), "at most 128")
}

func build(t *testing.T) (*teststate.State, *login.Service) {
	t.Helper()
	s := teststate.New(t)
	role := iam.Role{ID: iam.NewID(), Name: "user"}
	s.Must(t, &fsm.Initialize{Roles: []iam.Role{role}, Settings: iam.Settings{
		Issuer: "iss", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 900, ServiceSeconds: 900, DefaultRole: "user",
	}})
	return s, &login.Service{
		Store: s.Store, Proposer: s, CatchUp: s.CatchUp, Now: s.Now, Policy: login.DefaultPolicy,
		Lockout: login.Lockout{Attempts: 5, For: 15 * time.Minute}, Tally: tally.New(tally.Config{Now: s.Now}),
		Hasher: secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 128, Passes: 2, Lanes: 1}}),
	}
}

var alice = login.NewUser{Username: "alice", Email: "alice@example.org", Password: "Zx9!kestrel-Moor"}

func TestRegister(t *testing.T) {
	s, people := build(t)
	u, _, err := people.Register(t.Context(), fsm.Origin{}, alice, iam.Permissions{})
	if err != nil {
		t.Fatal(err)
	}
	if !u.Active || u.Superuser || u.Verified || len(u.Roles) != 1 || strings.Contains(u.PasswordHash, alice.Password) {
		t.Errorf("got %+v", u)
	}
	refused := func(want iam.Code, change func(*login.NewUser), roles ...string) {
		t.Helper()
		n := login.NewUser{Username: "bob", Email: "bob@example.org", Password: alice.Password}
		change(&n)
		n.Roles = roles
		if _, _, err := people.Register(t.Context(), fsm.Origin{}, n, iam.Permissions{}); iam.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	refused(iam.Conflict, func(n *login.NewUser) { n.Username = "ALICE" })
	refused(iam.Conflict, func(n *login.NewUser) { n.Email = "Alice@Example.ORG" })
	refused(iam.ValidationError, func(n *login.NewUser) { n.Username = "a b" })
	refused(iam.ValidationError, func(n *login.NewUser) { n.Email = "Bob <bob@example.org>" })
	refused(iam.ValidationError, func(n *login.NewUser) { n.Password = "weak" })
	refused(iam.ValidationError, func(*login.NewUser) {}, "user", "no-such-role")
	var all *iam.Error
	_, _, err = people.Register(t.Context(), fsm.Origin{}, login.NewUser{
		Username: "b", Email: "x", Password: "Aa1!", FirstName: strings.Repeat("x", 101), LastName: "a\x00b",
		DisplayName: "\xff", Bio: strings.Repeat("x", 10_001), Roles: []string{"no-such-role"},
	}, iam.Permissions{})
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, f := range all.Fields {
		named[f.Field] = true
	}
	for _, field := range []string{"username", "email", "password", "first_name", "last_name", "display_name", "bio", "roles"} {
		if !named[field] {
			t.Errorf("got %v, which does not say what is wrong with %s", all.Fields, field)
		}
	}
	err = s.Store.View(func(r *store.Reader) error {
		if n := len(r.Users(iam.ID{}, 10)); n != 1 {
			t.Errorf("%d users, want the one that was not refused", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNobodyGivesWhatTheyDoNotHold: who may make users could else make an administrator and log in as
// that one.
func TestNobodyGivesWhatTheyDoNotHold(t *testing.T) {
	s, people := build(t)
	scope := iam.Scope{ID: iam.NewID(), Name: "admin:keys"}
	s.Must(t, &fsm.PutScope{Scope: scope})
	s.Must(t, &fsm.PutRole{Role: iam.Role{ID: iam.NewID(), Name: "keeper", Scopes: []iam.ID{scope.ID}}})
	f := func(name string, by iam.Permissions, want iam.Code, roles ...string) {
		t.Helper()
		n := login.NewUser{Username: name, Email: name + "@example.org", Password: alice.Password, Roles: roles}
		_, index, err := people.Register(t.Context(), fsm.Origin{}, n, by)
		if got := iam.CodeOf(err); err != nil && got != want || err == nil && (want != "" || index == 0) {
			t.Errorf("%s: %v at %d, want %q", name, err, index, want)
		}
	}
	clerk := iam.Permissions{Scopes: []string{iam.ScopeAdminUsers}}
	f("nobody", iam.Permissions{}, iam.Forbidden, "keeper")
	f("clerk", clerk, iam.Forbidden, "user", "keeper")
	f("clerk", clerk, "", "user")
	f("keeper", iam.Permissions{Scopes: []string{iam.ScopeAdminUsers, "admin:keys"}}, "", "keeper")
	f("operator", iam.Permissions{All: true}, "", "keeper")
}

func TestWeakHashIsReplaced(t *testing.T) {
	s, people := build(t)
	weak := secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}})
	hash, err := weak.Hash(t.Context(), alice.Password)
	if err != nil {
		t.Fatal(err)
	}
	s.Must(t, &fsm.CreateUser{User: iam.User{ID: iam.NewID(), Username: "alice", Email: "a@example.org", PasswordHash: hash, Active: true}})
	proof, err := people.Password(t.Context(), login.Attempt{Name: "alice", Password: alice.Password})
	if err != nil || proof.Rehashed == "" || people.Hasher.Weak(proof.Rehashed) {
		t.Errorf("a hash under weaker parameters was not replaced: %v", err)
	}
}

// TestUnprovenTailIsNotHashed: of a bcrypt hash only the first 72 bytes are proven, so whoever mistypes what follows
// must not make it the password.
func TestUnprovenTailIsNotHashed(t *testing.T) {
	s, people := build(t)
	const hash = "$2b$04$jRygm0Z40OaSR1JzgABwRuUr4U38TOVty4gLw3jk6K7EO2ulVMQOG"
	seen := strings.Repeat("Zx9!", 18)
	s.Must(t, &fsm.CreateUser{User: iam.User{ID: iam.NewID(), Username: "alice", Email: "a@example.org", PasswordHash: hash, Active: true}})
	for password, replaced := range map[string]bool{seen: true, seen + "x": false} {
		proof, err := people.Password(t.Context(), login.Attempt{Name: "alice", Password: password})
		if err != nil || (proof.Rehashed != "") != replaced {
			t.Errorf("%d bytes: %+v, %v", len(password), proof.Rehashed, err)
		}
	}
}

func TestDisabledIsToldOnlyToTheOwner(t *testing.T) {
	s, people := build(t)
	u, _, err := people.Register(t.Context(), fsm.Origin{}, alice, iam.Permissions{})
	if err != nil {
		t.Fatal(err)
	}
	u.Active = false
	s.Must(t, &fsm.UpdateUser{User: u})
	_, err = people.Password(t.Context(), login.Attempt{Name: "alice", Password: "wrong"})
	if iam.CodeOf(err) != iam.InvalidGrant {
		t.Errorf("wrong password: %v", err)
	}
	_, err = people.Password(t.Context(), login.Attempt{Name: "alice", Password: alice.Password})
	if iam.CodeOf(err) != iam.AccountDisabled {
		t.Errorf("right password: %v", err)
	}
}
