package fsm

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

func TestInitialize(t *testing.T) {
	m := start(t)
	m.do(initialize())
	m.view(func(r *store.Reader) {
		admin, ok := r.RoleByName(iam.RoleAdmin)
		if !ok || !cmp.Equal(admin.Scopes, []iam.ID{scopeRead, scopeWrite}) || admin.CreatedAt != m.now {
			t.Errorf("the role admin is %+v, %v", admin, ok)
		}
	})
	other := initialize()
	other.Settings.Issuer = "another"
	m.refuse(other, iam.Conflict)
}

func TestInitializeRefusesWhatCannotStand(t *testing.T) {
	f := func(what string, change func(*Initialize)) {
		t.Helper()
		c := initialize()
		change(c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: accepted, and every node would stop", what)
		}
	}
	f("two scopes of one name", func(c *Initialize) { c.Scopes[1].Name = c.Scopes[0].Name })
	f("two scopes of one id", func(c *Initialize) { c.Scopes[1].ID = c.Scopes[0].ID })
	f("two roles of one name", func(c *Initialize) { c.Roles[1].Name = c.Roles[0].Name })
	f("two roles of one id", func(c *Initialize) { c.Roles[1].ID = c.Roles[0].ID })
	f("a role with an unknown scope", func(c *Initialize) { c.Roles[1].Scopes = []iam.ID{id('p', 9)} })
	f("a scope without an id", func(c *Initialize) { c.Scopes[0].ID = iam.ID{} })
	f("a role without a name", func(c *Initialize) { c.Roles[0].Name = "" })
	f("no issuer", func(c *Initialize) { c.Settings.Issuer = "" })

	for what, cmd := range map[string]Command{
		"a role's name":  &PutRole{Role: iam.Role{ID: id('r', 9), Name: iam.RoleAdmin}},
		"a role's id":    &PutRole{Role: iam.Role{ID: roleAdmin, Name: "x"}},
		"a scope's name": &PutScope{Scope: iam.Scope{ID: id('p', 9), Name: "read:demo"}},
		"a scope's id":   &PutScope{Scope: iam.Scope{ID: scopeRead, Name: "x"}},
	} {
		t.Run(what, func(t *testing.T) {
			m := start(t)
			m.do(cmd)
			m.refuse(initialize(), iam.Conflict)
		})
	}
}

func TestUserNamesAreUnique(t *testing.T) {
	m := peopled(t)
	f := func(cmd Command, code iam.Code) { t.Helper(); m.refuse(cmd, code) }
	named := func(n int, name, email string) iam.User {
		u := person(n, name)
		u.Email = email
		return u
	}
	f(&CreateUser{User: named(3, "ANN", "x@example.org")}, iam.Conflict)
	f(&CreateUser{User: named(3, "eve", "Ann@Example.ORG")}, iam.Conflict)
	f(&CreateUser{User: named(1, "eve", "eve@example.org")}, iam.Conflict)
	f(&UpdateUser{User: named(2, "Ann", "bob@example.org")}, iam.Conflict)
	f(&UpdateUser{User: named(2, "bob", "ANN@example.org")}, iam.Conflict)
	f(&UpdateUser{User: named(9, "new", "new@example.org")}, iam.NotFound)
	f(&CreateUser{User: person(3, "eve", id('r', 9))}, iam.ValidationError)
	f(&UpdateUser{User: person(2, "bob", id('r', 9))}, iam.ValidationError)
	m.do(&UpdateUser{User: named(2, "BOB", "Bob@example.org")}) // one's own name in another case
}

func TestUpdateUserKeepsWhatIsNotItsOwn(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	m.wait(time.Second)
	u := person(2, "bob", roleUser, roleUser)
	u.PasswordHash, u.LockedUntil, u.LastLogin, u.CreatedAt, u.PasswordChangedAt = "evil", 1, 2, 3, 4
	got := decoded[iam.User](t, m.do(&UpdateUser{User: u}))
	want := person(2, "bob", roleUser)
	want.CreatedAt, want.PasswordChangedAt, want.LastLogin, want.UpdatedAt = epoch, epoch, epoch, m.now
	want.Changed = got.Changed
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStaleWrites: of two writers who have read the same version the second must read again.
func TestStaleWrites(t *testing.T) {
	m := peopled(t)
	var u iam.User
	var r iam.Role
	var p iam.Scope
	read := func() {
		m.view(func(rd *store.Reader) {
			u, _ = rd.User(bob)
			r, _ = rd.Role(roleUser)
			p, _ = rd.Scope(scopeRead)
		})
	}
	read()
	stale := []Command{
		&UpdateUser{User: u, If: u.Changed}, &DeleteUser{ID: u.ID, If: u.Changed},
		&PutRole{Role: r, If: r.Changed}, &DeleteRole{ID: r.ID, If: r.Changed},
		&PutScope{Scope: p, If: p.Changed}, &DeleteScope{ID: p.ID, If: p.Changed},
	}
	m.do(login(m, bob, 1)) // a login is no change that anybody could lose
	m.do(&UpdateUser{User: u, If: u.Changed})
	m.do(&PutRole{Role: r, If: r.Changed})
	m.do(&PutScope{Scope: p, If: p.Changed})
	for _, c := range stale {
		m.refuse(c, iam.PreconditionFailed)
	}
	read()
	m.do(&UpdateUser{User: u, If: u.Changed})
}

func TestOneAdministratorRemains(t *testing.T) {
	m := peopled(t)
	without := func(change func(*iam.User)) Command {
		u := person(1, "ann", roleAdmin)
		change(&u)
		return &UpdateUser{User: u}
	}
	disabled := without(func(u *iam.User) { u.Active = false })
	demoted := without(func(u *iam.User) { u.Roles = nil })
	m.refuse(disabled, iam.Conflict)
	m.refuse(demoted, iam.Conflict)
	m.refuse(&DeleteUser{ID: ann}, iam.Conflict)
	asleep := person(3, "eve", roleAdmin)
	asleep.Active = false
	m.do(&CreateUser{User: asleep})
	m.refuse(&DeleteUser{ID: ann}, iam.Conflict)
	asleep.Active = true
	m.do(&UpdateUser{User: asleep})
	m.do(&DeleteUser{ID: ann})
	m.refuse(&DeleteUser{ID: id('u', 3)}, iam.Conflict)
}

func TestRolesAndScopes(t *testing.T) {
	m := peopled(t)
	role := func(n int, name string, scopes ...iam.ID) Command {
		return &PutRole{Role: iam.Role{ID: id('r', n), Name: name, Scopes: scopes}}
	}
	scope := func(n int, name string) Command { return &PutScope{Scope: iam.Scope{ID: id('p', n), Name: name}} }
	m.do(scope(3, "s"))
	m.do(role(4, "team", id('p', 3)))
	m.wait(time.Second)
	got := decoded[iam.Role](t, m.do(role(4, "crew", id('p', 3))))
	if got.CreatedAt != epoch || got.UpdatedAt != m.now {
		t.Errorf("the replaced role is %+v", got)
	}

	m.refuse(role(5, "crew"), iam.Conflict)
	m.refuse(role(4, "admin"), iam.Conflict)
	m.refuse(role(1, "boss"), iam.Conflict)
	m.refuse(role(4, "crew", id('p', 9)), iam.ValidationError)
	m.refuse(scope(4, "s"), iam.Conflict)
	m.refuse(scope(3, "t"), iam.Conflict)
	m.refuse(&DeleteScope{ID: id('p', 3)}, iam.Conflict)
	m.refuse(&DeleteScope{ID: id('p', 9)}, iam.NotFound)
	m.refuse(&DeleteRole{ID: id('r', 9)}, iam.NotFound)
	for _, seeded := range []iam.ID{roleAdmin, roleUser, roleService} {
		m.refuse(&DeleteRole{ID: seeded}, iam.Conflict)
	}

	m.do(&CreateUser{User: person(3, "eve", id('r', 4))})
	m.refuse(&DeleteRole{ID: id('r', 4)}, iam.Conflict)
	m.do(&DeleteUser{ID: id('u', 3)})
	given := settings()
	given.DefaultRole = "crew"
	m.do(&SetSettings{Settings: given})
	m.refuse(&DeleteRole{ID: id('r', 4)}, iam.Conflict)
	m.refuse(role(4, "team"), iam.Conflict)
	m.do(&SetSettings{Settings: settings()})
	m.do(&DeleteRole{ID: id('r', 4)})
	app := program(1, "app")
	app.Scopes = []iam.ID{id('p', 3)}
	m.do(&UpdateClient{Client: app})
	m.refuse(&DeleteScope{ID: id('p', 3)}, iam.Conflict)
	app.Scopes = nil
	m.do(&UpdateClient{Client: app})
	m.do(&DeleteScope{ID: id('p', 3)})
}

func TestClients(t *testing.T) {
	m := peopled(t)
	m.refuse(&CreateClient{Client: program(2, "app")}, iam.Conflict)
	m.refuse(&CreateClient{Client: program(1, "other")}, iam.Conflict)
	m.refuse(&UpdateClient{Client: program(9, "app")}, iam.NotFound)
	m.refuse(&DeleteClient{ID: id('c', 9)}, iam.NotFound)
	unknown := program(1, "app")
	unknown.Scopes = []iam.ID{id('p', 9)}
	m.refuse(&UpdateClient{Client: unknown}, iam.ValidationError)

	changed := program(1, "renamed")
	changed.SecretDigest, changed.Type, changed.TotalRequests, changed.Description = []byte("evil"), iam.Public, 99, "new"
	changed.Generation, changed.SessionsFrom = 99, 99
	made := uint64(4) // the fourth entry of the log made the client
	m.wait(time.Second)
	got := decoded[iam.Client](t, m.do(&UpdateClient{Client: changed}))
	want := program(1, "app")
	want.Name, want.Description, want.CreatedAt, want.UpdatedAt = "renamed", "new", epoch, m.now
	want.Generation, want.SessionsFrom, want.Changed = made, made, got.Changed
	if got.Changed <= made {
		t.Errorf("the version %d is not that of the change", got.Changed)
	}
	m.refuse(&UpdateClient{Client: changed, If: made}, iam.PreconditionFailed)
	m.refuse(&DeleteClient{ID: changed.ID, If: made}, iam.PreconditionFailed)
	m.do(&UpdateClient{Client: changed, If: got.Changed})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A change of algorithm that is taken back brings back the secret that is given and not made.
func TestSharedKeyComesBack(t *testing.T) {
	m := peopled(t)
	shared := func() *AddKey {
		return &AddKey{Key: iam.Key{ID: "shared", Algorithm: "HS256", Sealed: []byte("sealed"), SignFrom: m.now}}
	}
	m.do(shared())
	m.refuse(shared(), iam.Conflict)
	m.do(&AddKey{Key: iam.Key{ID: "pair", Algorithm: "ES256", Sealed: []byte("sealed"), SignFrom: m.now}})
	m.wait(time.Hour)
	m.do(shared())
	m.view(func(r *store.Reader) {
		back, _ := r.Key("shared")
		gone, _ := r.Key("pair")
		if back.VerifyUntil != 0 || back.SignFrom <= gone.SignFrom || gone.VerifyUntil == 0 {
			t.Errorf("the keys are %+v and %+v", back, gone)
		}
	})
	m.refuse(&AddKey{Key: iam.Key{ID: "pair", Algorithm: "ES256", Sealed: []byte("sealed"), SignFrom: m.now}}, iam.Conflict)
}

func TestRestrictedClientsTokensDie(t *testing.T) {
	f := func(what string, dies bool, change func(*iam.Client)) {
		t.Run(what, func(t *testing.T) {
			m := peopled(t)
			c := program(1, "app")
			c.Scopes, c.Audiences = []iam.ID{scopeRead, scopeWrite}, []string{"a", "b"}
			m.do(&UpdateClient{Client: c})
			change(&c)
			m.do(&UpdateClient{Client: c})
			m.view(func(r *store.Reader) {
				if _, dead := r.Revocation(iam.RevokedClient, "app"); dead != dies {
					t.Errorf("tokens revoked: %v, want %v", dead, dies)
				}
			})
		})
	}
	f("described", false, func(c *iam.Client) { c.Description = "x" })
	f("one audience more", false, func(c *iam.Client) { c.Audiences = []string{"b", "c", "a"} })
	f("one scope less", true, func(c *iam.Client) { c.Scopes = []iam.ID{scopeRead} })
	f("one audience less", true, func(c *iam.Client) { c.Audiences = []string{"a"} })
	f("disabled", true, func(c *iam.Client) { c.Active = false })
}

func TestKeys(t *testing.T) {
	m := peopled(t)
	add := func(kid string, from iam.Time) *AddKey {
		return &AddKey{Key: iam.Key{ID: kid, Algorithm: "ES256", Sealed: []byte("sealed"), SignFrom: from, VerifyUntil: 1}}
	}
	key := func(kid string) (k iam.Key) {
		m.view(func(r *store.Reader) { k, _ = r.Key(kid) })
		return k
	}
	later := m.now.Add(time.Hour)
	m.do(add("a", m.now))
	if key("a").VerifyUntil != 0 {
		t.Error("the only key has an end")
	}
	m.do(add("b", later))
	if want := later.Add(iam.MaxTokenLifetime + time.Hour); key("a").VerifyUntil != want || key("b").VerifyUntil != 0 {
		t.Errorf("the key before verifies until %d, want %d", key("a").VerifyUntil, want)
	}
	// Another node planned at the same time, for an earlier hour: what came last signs last.
	m.do(add("c", m.now))
	if key("c").SignFrom <= later || key("c").VerifyUntil != 0 || key("b").VerifyUntil == 0 {
		t.Errorf("after two plans b is %+v and c is %+v", key("b"), key("c"))
	}
	m.refuse(add("a", later), iam.Conflict)

	n := decoded[int](t, m.do(&ResealKeys{Keys: []SealedKey{{ID: "b", Sealed: []byte("new")}, {ID: "gone", Sealed: []byte("new")}}}))
	if n != 1 || string(key("b").Sealed) != "new" || string(key("a").Sealed) != "sealed" {
		t.Errorf("%d keys resealed: %+v", n, key("b"))
	}
	m.wait(iam.MaxTokenLifetime + 3*time.Hour)
	m.do(&Expire{Most: 10})
	if key("a").ID != "" || key("b").ID != "" || key("c").ID != "c" {
		t.Error("the keys that signed no more were not forgotten, or the one that signs was")
	}
}

// TestValidate has what each command must refuse before the log.
func TestValidate(t *testing.T) {
	m := &machine{tester: t, now: epoch}
	f := func(what string, cmd Command) {
		t.Helper()
		var refusal *iam.Error
		if err := cmd.Validate(); !errors.As(err, &refusal) {
			t.Errorf("%T with %s: %v; want an *iam.Error", cmd, what, err)
		}
	}
	user := func(change func(*iam.User)) *CreateUser {
		u := person(1, "ann")
		change(&u)
		return &CreateUser{User: u}
	}
	f("no id", user(func(u *iam.User) { u.ID = iam.ID{} }))
	f("no password", user(func(u *iam.User) { u.PasswordHash = "" }))
	f("no username", user(func(u *iam.User) { u.Username = "" }))
	f("a long username", user(func(u *iam.User) { u.Username = strings.Repeat("x", 51) }))
	f("no e-mail", user(func(u *iam.User) { u.Email = "" }))
	f("a control character", user(func(u *iam.User) { u.Bio = "\x1b" }))
	client := func(change func(*iam.Client)) *CreateClient {
		c := program(1, "app")
		change(&c)
		return &CreateClient{Client: c}
	}
	f("no id", client(func(c *iam.Client) { c.ID = iam.ID{} }))
	f("no secret", client(func(c *iam.Client) { c.SecretDigest = nil }))
	f("no type", client(func(c *iam.Client) { c.Type = "" }))
	f("no client_id", client(func(c *iam.Client) { c.ClientID = "" }))
	f("a short lifetime", client(func(c *iam.Client) { c.AccessLifetime = 59 }))
	f("a long lifetime", client(func(c *iam.Client) { c.AccessLifetime = 86401 }))
	f("a negative limit", client(func(c *iam.Client) { c.RatePerHour = -1 }))
	f("an empty audience", client(func(c *iam.Client) { c.Audiences = []string{""} }))
	f("a bad range", client(func(c *iam.Client) { c.AllowedIPs = []string{"x"} }))
	session := func(change func(*StartSession)) *StartSession {
		c := login(m, ann, 1)
		change(c)
		return c
	}
	f("no id", session(func(c *StartSession) { c.Session.ID = iam.ID{} }))
	f("a short digest", session(func(c *StartSession) { c.Session.Refresh = []byte("x") }))
	f("no family", session(func(c *StartSession) { c.Session.Family = nil }))
	f("no token", session(func(c *StartSession) { c.Session.TokenID = "" }))
	f("no end", session(func(c *StartSession) { c.Session.ExpiresAt = 0 }))
	rotation := func(change func(*RotateSession)) *RotateSession {
		c := rotate(m, 1, 0)
		change(c)
		return c
	}
	f("no id", rotation(func(c *RotateSession) { c.ID = iam.ID{} }))
	f("a short digest", rotation(func(c *RotateSession) { c.Presented = nil }))
	f("no next", rotation(func(c *RotateSession) { c.Next = nil }))
	f("the same token again", rotation(func(c *RotateSession) { c.Next = c.Presented }))
	f("no end", rotation(func(c *RotateSession) { c.ExpiresAt = -1 }))
	f("no user", &EndSessions{})
	f("no proof", &EndSessions{Session: id('s', 1)})
	f("an empty proof", &EndSessions{Session: id('s', 1), Family: []byte{}})
	f("a short proof", &EndSessions{Session: id('s', 1), Family: []byte{1}})
	f("no user", &EndLegacy{})
	f("a long token", &EndLegacy{User: ann, Jti: strings.Repeat("x", 256)})
	f("no id", &RedeemLegacy{TokenHash: "token", Session: login(m, ann, 1).Session})
	f("no session", &RedeemLegacy{ID: id('l', 1), TokenHash: "token"})
	f("no token", &RedeemLegacy{ID: id('l', 1), Session: login(m, ann, 1).Session})
	f("neither", &RevokeIssued{})
	f("both", &RevokeIssued{User: ann, Client: "app"})
	f("no token", &RevokeToken{})
	f("no time", &AddKey{Key: iam.Key{ID: "k", Sealed: []byte("x")}})
	f("nothing sealed", &AddKey{Key: iam.Key{ID: "k", SignFrom: 1}})
	f("nothing sealed", &ResealKeys{Keys: []SealedKey{{ID: "k"}}})
	f("nothing", &Expire{})
	f("too much", &Expire{Most: 10_001})
	f("too many", &RecordAudit{Entries: make([]iam.AuditEntry, 1001)})
	f("no id", &PutRole{Role: iam.Role{Name: "r"}})
	f("no id", &PutScope{Scope: iam.Scope{Name: "s"}})
	f("too long a grace", &RotateSecret{Digest: digest(1), Grace: iam.MaxGrace + 1})
	f("a negative grace", &RotateSecret{Digest: digest(1), Grace: -1})
	f("a short digest", &RotateSecret{Digest: []byte("short")})
	f("too many uses", &RecordUse{Uses: make([]Use, MaxUses+1)})
	f("a use less", &RecordUse{Uses: []Use{{Requests: -1}}})
	f("a bad name", &PutScope{Scope: iam.Scope{ID: scopeRead, Name: "a b"}})
}

// TestDenies: a command that takes something away is not acknowledged before all nodes know.
func TestDenies(t *testing.T) {
	denying := map[Kind]bool{
		kindUpdateUser: true, kindDeleteUser: true, kindUpdateClient: true, kindDeleteClient: true,
		kindEndSessions: true, kindRevokeToken: true, kindRevokeIssued: true,
		kindChangePassword: true, kindSetPassword: true, kindResetPassword: true,
		kindRotateSecret: true, kindLockDownUser: true, kindLockDownClient: true, kindRaiseEpoch: true,
		kindPutRole: true, kindDeleteRole: true, kindDeleteScope: true,
		kindEndLegacy: true,
	}
	for kind, build := range registry {
		if got := build().Denies(); got != denying[kind] {
			t.Errorf("%T: Denies = %v", build(), got)
		}
	}
}
