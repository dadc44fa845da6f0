package fsm

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// importer is another system whose rows are imported, batch after batch.
type importer struct {
	*machine
	cursor, policy string
	batch          int
	limited        bool // not by a superuser
}

func importInto(m *machine) *importer { return &importer{machine: m, policy: iam.ConflictSkip} }

func (s *importer) command(rows ImportBatch) *ImportBatch {
	s.batch++
	rows.Source, rows.After, rows.Cursor, rows.OnConflict, rows.Superusers = "s1", s.cursor, fmt.Sprint("c", s.batch), s.policy, !s.limited
	return &rows
}

// bring applies a batch that must be kept, and returns its outcome in one line: "+created ~updated =unchanged
// -deleted !refused", and the notes behind it.
func (s *importer) bring(rows ImportBatch) (string, ImportOutcome) {
	s.Helper()
	cmd := s.command(rows)
	out := decoded[ImportOutcome](s.tester, s.do(cmd))
	s.cursor = cmd.Cursor
	line := fmt.Sprintf("+%d ~%d =%d -%d !%d", out.Created, out.Updated, out.Unchanged, out.Deleted, out.Refused)
	for _, n := range out.Notes {
		line += fmt.Sprintf("; %s %s %s: %s", n.Kind, n.Outcome, n.Field, n.Reason)
	}
	return line, out
}

// want brings a batch and compares what came of it.
func (s *importer) want(want string, rows ImportBatch) ImportOutcome {
	s.Helper()
	got, out := s.bring(rows)
	if got != want {
		s.Errorf("got  %s\nwant %s", got, want)
	}
	return out
}

// theirs is a user of the other system.
func theirs(n int, name, hash string, roles ...string) ImportedUser {
	sum := sha256.Sum256([]byte(hash))
	return ImportedUser{Roles: roles, Hash: sum[:], User: iam.User{
		ID: id('u', n), Username: name, Email: name + "@old.example", PasswordHash: hash, Active: true, Verified: true,
		CreatedAt: epoch - 5e9, UpdatedAt: epoch - 4e9, PasswordChangedAt: epoch - 3e9,
	}}
}

func people(all ...ImportedUser) ImportBatch { return ImportBatch{Users: all} }

func with(u ImportedUser, change func(*iam.User)) ImportedUser {
	change(&u.User)
	u.User.UpdatedAt++
	return u
}

func TestImportMovesItsCursor(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	s.want("+1 ~0 =0 -0 !0", people(theirs(3, "cat", "h")))
	stale := s.command(people(theirs(4, "dan", "h")))
	stale.After = ""
	if r := m.refuse(stale, iam.Conflict); len(r.Fields) != 1 || r.Fields[0].Field != "after" || !strings.HasSuffix(r.Fields[0].Message, " c1") {
		t.Errorf("the refusal does not tell the cursor: %+v", r)
	}
	unknown := s.command(people(theirs(4, "dan", "h")))
	unknown.Source = "s2"
	m.refuse(unknown, iam.Conflict)
	twice := ImportBatch{Deleted: []ImportedKey{{iam.ImportUser, id('u', 9)}}, Refused: 2}
	s.want("+0 ~0 =1 -0 !0", twice)
	m.view(func(r *store.Reader) {
		i, _ := r.Import("s1")
		want := iam.Import{Source: "s1", Cursor: s.cursor, Created: 1, Unchanged: 1, Refused: 2, StartedAt: epoch, UpdatedAt: epoch}
		if diff := cmp.Diff(want, i); diff != "" {
			t.Error(diff)
		}
	})
	if got := m.lastAudit(); got != "import.batch success" {
		t.Errorf("the audit log says %q", got)
	}
	m.do(&ForgetImport{Source: "s1"})
	m.refuse(&ForgetImport{Source: "s1"}, iam.NotFound)
	s.cursor = ""
	s.want("+0 ~0 =1 -0 !0", people(theirs(3, "cat", "h")))
}

// TestImportedTwice: a batch under the request id of one that was kept changes nothing, and gets its answer.
func TestImportedTwice(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	origin := Origin{RequestID: id('q', 1)}
	s.bring(people(theirs(3, "cat", "h")))
	cmd := s.command(people(with(theirs(3, "cat", "h"), func(u *iam.User) { u.Active = false })))
	first := m.ask(origin, cmd)
	again := m.ask(origin, cmd)
	if first.Refusal != nil || !first.Denies || !cmp.Equal(first, again) {
		t.Errorf("first %+v, then %+v", first, again)
	}
}

func TestImportConflicts(t *testing.T) {
	mail := func(n int, name, email string) ImportedUser {
		return with(theirs(n, name, "h"), func(u *iam.User) { u.Email = email })
	}
	rows := people(mail(3, "ANN", "x@old.example"), mail(4, "cat", "BOB@example.org"), mail(5, "dan", "dan@old.example"), mail(6, "Dan", "e@old.example"))
	t.Run("skip", func(t *testing.T) {
		s := importInto(peopled(t))
		s.want("+1 ~0 =0 -0 !3; user refused username: the username belongs to another user; user refused email: the e-mail address belongs to another user; "+
			"user refused username: the username belongs to another user", rows)
	})
	t.Run("rename", func(t *testing.T) {
		s := importInto(peopled(t))
		s.policy = iam.ConflictRename
		s.want("+4 ~0 =0 -0 !0; user created username: the username belongs to another user: this one has ANN-00000003 instead; "+
			"user created email: the e-mail address belongs to another user: this one has BOB+00000004@example.org instead; "+
			"user created username: the username belongs to another user: this one has Dan-00000006 instead", rows)
		if s.userOf(id('u', 4)).Verified || !s.userOf(id('u', 3)).Verified {
			t.Error("an address that nobody has proven counts as verified, or one that was proven does not")
		}
		s.want("+0 ~0 =4 -0 !0", rows)
		rows.Users[0].User.LastName = "Other"
		s.want("+0 ~1 =3 -0 !0", rows) // the name that it was given stays, and is not told of again
		if u := s.userOf(id('u', 3)); u.Username != "ANN-00000003" || u.LastName != "Other" {
			t.Errorf("got %+v", u)
		}
	})
	t.Run("fail", func(t *testing.T) {
		s := importInto(peopled(t))
		s.policy = iam.ConflictFail
		hash := s.meta().Rows
		r := s.refuse(s.command(people(mail(7, "zoe", "z@old.example"), rows.Users[0])), iam.Conflict)
		if len(r.Fields) != 1 || !strings.Contains(r.Fields[0].Message, id('u', 3).String()) {
			t.Errorf("the refusal does not name the row: %+v", r)
		}
		now := s.meta().Rows
		delete(hash, "outcomes")
		delete(now, "outcomes")
		delete(hash, "audit")
		delete(now, "audit")
		if diff := cmp.Diff(hash, now); diff != "" {
			t.Error(diff)
		}
		s.want("+1 ~0 =0 -0 !0", people(mail(7, "zoe", "z@old.example")))
	})
	t.Run("long names", func(t *testing.T) {
		s := importInto(peopled(t))
		s.policy = iam.ConflictRename
		long := strings.Repeat("ü", 50)
		s.bring(people(mail(3, long, "a@old.example"), mail(4, long, "b@old.example")))
		if got := s.userOf(id('u', 4)).Username; got != strings.Repeat("ü", 41)+"-00000004" {
			t.Errorf("the name is %q", got)
		}
	})
}

// TestImportLetsNamesMove: a name that one row of a batch gives up is there for another one, in whatever order they come.
func TestImportLetsNamesMove(t *testing.T) {
	s := importInto(peopled(t))
	s.policy = iam.ConflictFail
	s.bring(people(theirs(3, "a", "h"), theirs(4, "b", "h"), theirs(5, "c", "h")))
	named := func(n int, from, to string) ImportedUser {
		return with(theirs(n, from, "h"), func(u *iam.User) { u.Username = to })
	}
	rows := people(named(3, "a", "b"), named(4, "b", "c"))
	rows.Deleted = []ImportedKey{{iam.ImportUser, id('u', 5)}}
	s.want("+0 ~2 =0 -1 !0", rows)
}

// TestImportKeepsPasswords: the newer password wins, and another hash of the same is no change.
func TestImportKeepsPasswords(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	cat := theirs(3, "cat", "old hash")
	s.bring(people(cat))
	login := login(m, id('u', 3), 1)
	login.Proven, login.Rehashed = "old hash", "better hash"
	m.do(login)
	touched := with(cat, func(u *iam.User) { u.LastName = "Cat" })
	s.want("+0 ~1 =0 -0 !0", people(touched))
	if u := m.userOf(id('u', 3)); u.PasswordHash != "better hash" || u.LastName != "Cat" || u.LastLogin != m.now {
		t.Errorf("after a login and a change at the source: %+v", u)
	}
	m.stands(1)

	rehashed := theirs(3, "cat", "their better hash")
	s.want("+0 ~1 =0 -0 !0", people(rehashed))
	if u := m.userOf(id('u', 3)); u.PasswordHash != "their better hash" {
		t.Errorf("a hash that the source has made anew was not taken: %+v", u)
	}
	m.stands(1) // of the same password, for it was not changed since

	m.wait(time.Minute)
	m.do(&SetPassword{ID: id('u', 3), New: NewPassword{Hash: "set here", Was: "their better hash"}})
	changed := with(theirs(3, "cat", "set there before"), func(u *iam.User) { u.PasswordChangedAt = m.now - 1 })
	s.want("+0 ~0 =1 -0 !0; user unchanged password_hash: a password that is newer was set here and stays", people(changed))
	if got := m.userOf(id('u', 3)).PasswordHash; got != "set here" {
		t.Errorf("the password that was set here is gone: %q", got)
	}
	s.want("+0 ~0 =1 -0 !0", people(changed))
	second := login
	second.Session.ID, second.Session.TokenID, second.Proven, second.Rehashed = id('s', 2), "jti2", "set here", ""
	m.do(second)
	newer := with(theirs(3, "cat", "set there after"), func(u *iam.User) { u.PasswordChangedAt = m.now + 1 })
	if out := s.want("+0 ~1 =0 -0 !0", people(newer)); !out.Denied {
		t.Error("sessions that were opened with the old password go on somewhere")
	}
	if got := m.userOf(id('u', 3)).PasswordHash; got != "set there after" {
		t.Errorf("the newer password of the source was not taken: %q", got)
	}
	m.ended(2)

	unusable := theirs(3, "cat", "$weird$")
	unusable.User.PasswordHash = iam.UnusableHash
	unusable.User.PasswordChangedAt = m.now + 2
	s.want("+0 ~0 =1 -0 !0; user unchanged password_hash: the password that is set here stays", people(unusable))
}

// TestImportWithoutTimes: of a source that does not tell when a password was changed, a change is taken unless one
// was made here.
func TestImportWithoutTimes(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	timeless := func(hash string) ImportBatch {
		return people(with(theirs(3, "cat", hash), func(u *iam.User) { u.PasswordChangedAt, u.CreatedAt, u.UpdatedAt = 0, 0, -1 }))
	}
	s.bring(timeless("one"))
	if u := m.userOf(id('u', 3)); u.CreatedAt != m.now || u.UpdatedAt != m.now || u.PasswordChangedAt != m.now {
		t.Errorf("got %+v", u)
	}
	m.wait(time.Second)
	s.want("+0 ~1 =0 -0 !0", timeless("two"))
	m.wait(time.Second)
	s.want("+0 ~1 =0 -0 !0", timeless("three"))
	m.wait(time.Second)
	m.do(&SetPassword{ID: id('u', 3), New: NewPassword{Hash: "here", Was: "three"}})
	s.want("+0 ~0 =1 -0 !0; user unchanged password_hash: a password that is newer was set here and stays", timeless("four"))
}

// TestImportKeepsWhatWasChangedHere: the source changes what it changes, and nothing beside.
func TestImportKeepsWhatWasChangedHere(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	cat := theirs(3, "cat", "h", "user", "nobody")
	s.want("+1 ~0 =0 -0 !0; user created roles: there is no role of the name nobody", people(cat))
	m.do(&LockDownUser{ID: id('u', 3)})
	u := m.userOf(id('u', 3))
	u.Email, u.DisplayName = "new@example.org", "Here"
	m.do(&UpdateUser{User: u})
	touched := with(cat, func(u *iam.User) { u.LastLogin = epoch })
	s.want("+0 ~1 =0 -0 !0; user updated roles: there is no role of the name nobody", people(touched))
	if u := m.userOf(id('u', 3)); u.Active || u.Email != "new@example.org" || u.DisplayName != "Here" || u.LastLogin != epoch || !u.Has(roleUser) {
		t.Errorf("what was changed here is lost: %+v", u)
	}
	m.do(&PutRole{Role: iam.Role{ID: id('r', 9), Name: "nobody"}})
	s.want("+0 ~1 =0 -0 !0", people(touched)) // the role is there now
	if u := m.userOf(id('u', 3)); !u.Has(id('r', 9)) {
		t.Errorf("the role did not come: %+v", u)
	}
	more := with(touched, func(u *iam.User) { u.DisplayName = "There" })
	more.Roles = []string{"nobody"}
	if out := s.want("+0 ~1 =0 -0 !0", people(more)); !out.Denied {
		t.Error("a role was taken away without a word to the other nodes")
	}
	if u := m.userOf(id('u', 3)); u.DisplayName != "There" || u.Has(roleUser) {
		t.Errorf("what was changed at the source did not come: %+v", u)
	}
}

func TestImportKeepsAnAdministrator(t *testing.T) {
	m := start(t)
	m.do(initialize())
	s := importInto(m)
	boss := theirs(1, "boss", "h", "admin")
	s.want("+1 ~0 =0 -0 !0", people(boss))
	const last = "; user refused is_active: this is the last active administrator here: appoint another one first"
	s.want("+0 ~0 =0 -0 !1"+last, people(with(boss, func(u *iam.User) { u.Active = false })))
	fired := theirs(1, "boss", "h")
	s.want("+0 ~0 =0 -0 !1"+last, people(fired))
	s.want("+0 ~0 =0 -0 !1; user refused id: this is the last active administrator here: appoint another one first",
		ImportBatch{Deleted: []ImportedKey{{iam.ImportUser, id('u', 1)}}})

	super := with(theirs(2, "super", "h"), func(u *iam.User) { u.Superuser = true })
	s.limited = true
	const not = "; user refused is_superuser: only a superuser or the operator may import superusers"
	s.want("+0 ~0 =0 -0 !1"+not, people(super))
	s.limited = false
	s.want("+1 ~0 =0 -0 !0", people(super))
	s.limited = true
	s.want("+0 ~0 =0 -0 !1"+not, people(with(theirs(2, "super", "evil"), func(*iam.User) {})))
	s.want("+0 ~0 =0 -0 !1; user refused id: only a superuser or the operator may delete superusers", ImportBatch{Deleted: []ImportedKey{{iam.ImportUser, id('u', 2)}}})
	s.want("+0 ~1 =0 -0 !0", people(fired))
}

// TestImportDeletes: the source may delete what it has brought and nothing else.
func TestImportDeletes(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	gone := func(kind iam.ImportKind, of iam.ID) ImportBatch {
		return ImportBatch{Deleted: []ImportedKey{{kind, of}}}
	}
	const foreign = "; %s refused id: this import has not brought it"
	for kind, native := range map[iam.ImportKind]iam.ID{
		iam.ImportUser: bob, iam.ImportClient: id('c', 1), iam.ImportRole: roleUser, iam.ImportScope: scopeRead,
	} {
		s.want(fmt.Sprintf("+0 ~0 =0 -0 !1"+foreign, kind), gone(kind, native))
	}
	s.bring(ImportBatch{
		Scopes:  []iam.Scope{{ID: id('P', 1), Name: "new:scope"}, {ID: id('P', 2), Name: "read:demo"}},
		Roles:   []ImportedRole{{Role: iam.Role{ID: id('R', 1), Name: "clerk"}, Scopes: []string{"new:scope", "read:demo"}}},
		Users:   []ImportedUser{theirs(3, "cat", "hash", "clerk")},
		Clients: []ImportedClient{tool(2, "tool", "h", "new:scope", "read:demo")},
	})
	m.do(login(m, id('u', 3), 1))
	s.want("+0 ~0 =1 -0 !0; scope unchanged id: it was here before the import and stays", gone(iam.ImportScope, id('P', 2)))
	if out := s.want("+0 ~0 =0 -1 !0", gone(iam.ImportScope, id('P', 1))); !out.Denied {
		t.Error("a scope is gone without a word to the other nodes")
	}
	s.want("+0 ~0 =0 -1 !0", gone(iam.ImportRole, id('R', 1)))
	m.ended(1)
	state := m.dump()
	if c := state.Clients[1]; !slices.Equal(c.Scopes, []iam.ID{scopeRead}) || c.Generation != c.Changed {
		t.Errorf("the client is %+v", c)
	}
	if u := m.userOf(id('u', 3)); len(u.Roles) != 0 {
		t.Errorf("the user is %+v", u)
	}
	s.want("+0 ~0 =0 -1 !0", gone(iam.ImportClient, id('c', 2)))
	s.want("+0 ~0 =0 -1 !0", gone(iam.ImportUser, id('u', 3)))
	s.want("+0 ~0 =1 -0 !0", gone(iam.ImportUser, id('u', 3)))
	s.want("+1 ~0 =0 -0 !0", people(theirs(3, "cat", "hash"))) // at the source again, and so here
	m.do(&DeleteUser{ID: id('u', 3)})
	s.want("+0 ~0 =0 -0 !1; user refused id: "+goneHere, people(with(theirs(3, "cat", "hash"), func(*iam.User) {})))
	s.want("+0 ~0 =1 -0 !0", gone(iam.ImportUser, id('u', 3)))
}

func TestImportOfManyHolders(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	rows := ImportBatch{Roles: []ImportedRole{{Role: iam.Role{ID: id('R', 1), Name: "clerk"}}}}
	for n := range maxDetached + 1 {
		rows.Users = append(rows.Users, theirs(10+n, fmt.Sprint("u", n), "h", "clerk"))
	}
	s.bring(rows)
	s.want("+0 ~0 =0 -0 !1; role refused id: it is held by more than 100 users: take it from them first", ImportBatch{Deleted: []ImportedKey{{iam.ImportRole, id('R', 1)}}})
	rows = ImportBatch{Deleted: []ImportedKey{{iam.ImportUser, id('u', 10)}}}
	s.want("+0 ~0 =0 -1 !0", rows)
	s.want("+0 ~0 =0 -1 !0", ImportBatch{Deleted: []ImportedKey{{iam.ImportRole, id('R', 1)}}})
}

func TestImportRoles(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	role := func(n int, name string, scopes ...string) ImportBatch {
		return ImportBatch{Roles: []ImportedRole{{Role: iam.Role{ID: id('R', n), Name: name}, Scopes: scopes}}}
	}
	named := func(name string) (r iam.Role) {
		m.view(func(rd *store.Reader) { r, _ = rd.RoleByName(name) })
		return r
	}
	s.want("+0 ~0 =1 -0 !0", role(1, "admin"))
	if r := named("admin"); r.ID != roleAdmin || len(r.Scopes) != 2 {
		t.Errorf("the administrators have lost something: %+v", r)
	}
	s.want("+1 ~0 =0 -0 !0; role created scopes: there is no scope of the name a, b, c, d, e and more", role(2, "clerk", "read:demo", "write:demo", "a", "b", "c", "d", "e", "f"))
	if out := s.want("+0 ~1 =0 -0 !0", role(2, "clerk", "read:demo")); !out.Denied {
		t.Error("a role has lost a scope without a word to the other nodes")
	}
	s.want("+0 ~1 =0 -0 !0", role(2, "clerks", "read:demo"))
	if r := named("clerks"); r.ID != id('R', 2) || !slices.Equal(r.Scopes, []iam.ID{scopeRead}) || named("clerk").Name != "" {
		t.Errorf("got %+v", r)
	}
	s.want("+1 ~0 =0 -0 !0; user created roles: there is no role of the name clerk", people(theirs(3, "cat", "h", "clerk", "clerks", "admin")))
	if u := m.userOf(id('u', 3)); !u.Has(roleAdmin) || !u.Has(id('R', 2)) {
		t.Errorf("got %+v", u)
	}
	s.want("+0 ~0 =0 -0 !1; role refused name: the role keeps the name that it has here", role(1, "boss"))
	s.want("+0 ~0 =0 -0 !1; scope refused name: a scope keeps its name, for tokens carry it: make a new scope instead",
		ImportBatch{Scopes: []iam.Scope{{ID: scopeRead, Name: "other:name"}}})
}

// tool is a client of the other system.
func tool(n int, name, hash string, scopes ...string) ImportedClient {
	sum := sha256.Sum256([]byte(hash))
	return ImportedClient{Scopes: scopes, Hash: sum[:], Client: iam.Client{
		ID: id('c', n), ClientID: name, Name: name, Type: iam.Confidential, SecretHash: hash, Active: true, RatePerMinute: 60,
	}}
}

func TestImportClients(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	rows := func(all ...ImportedClient) ImportBatch { return ImportBatch{Clients: all} }
	get := func(n int) (c iam.Client) {
		m.view(func(r *store.Reader) { c, _ = r.Client(id('c', n)) })
		return c
	}
	s.want("+1 ~0 =0 -0 !1; client refused client_id: the client_id belongs to another client", rows(tool(2, "tool", "h", "read:demo"), tool(3, "app", "h")))
	s.want("+0 ~0 =0 -0 !1; client refused client_id: the client_id belongs to another client", rows(tool(3, bob.String(), "h")))
	s.policy = iam.ConflictRename
	s.want("+1 ~0 =0 -0 !0; client created client_id: the client_id belongs to another client: this one has app-00000003 instead", rows(tool(3, "app", "h")))

	made := get(2)
	if made.Generation != made.Changed || made.SessionsFrom != made.Changed || !slices.Equal(made.Scopes, []iam.ID{scopeRead}) {
		t.Errorf("got %+v", made)
	}
	m.do(&RotateSecret{ID: id('c', 2), Digest: digest(7)})
	other := tool(2, "tool", "another", "read:demo")
	other.Client.RatePerMinute = 90
	s.want("+0 ~1 =0 -0 !0; client updated client_secret_hash: a secret was made here and stays", rows(other))
	if c := get(2); c.RatePerMinute != 90 || !slices.Equal(c.SecretDigest, digest(7)) || c.SecretHash != "" || c.Generation != made.Generation {
		t.Errorf("got %+v", c)
	}
	less := tool(2, "tool", "another")
	if out := s.want("+0 ~1 =0 -0 !0", rows(less)); !out.Denied || get(2).Generation != m.index {
		t.Errorf("what was taken from a client goes on: %+v", get(2))
	}
	opened := login(m, bob, 1)
	opened.Session.ClientID = "tool"
	m.do(opened)
	renamed := tool(2, "gadget", "another")
	if out := s.want("+0 ~1 =0 -0 !0", rows(renamed)); !out.Denied {
		t.Error("a client has another name without a word to the other nodes")
	}
	m.ended(1)
	state := m.dump()
	if !slices.ContainsFunc(state.Revocations, func(r iam.Revocation) bool {
		return r.Kind == iam.RevokedClient && r.Subject == "tool" && r.Before > m.now
	}) {
		t.Errorf("tokens of a name that is gone are good: %+v", state.Revocations)
	}
}

func TestImportSessions(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	one := m.old(1, bob)
	expired := m.old(2, bob)
	expired.ExpiresAt = m.now
	rows := ImportBatch{Sessions: []iam.LegacySession{one, expired, m.old(3, id('u', 9))}}
	const refused = "; session refused expires_at: it has expired; session refused user_id: its user is not here or is disabled"
	s.want("+1 ~0 =0 -0 !2"+refused, rows)
	m.do(redeemed(m, bob, 1, 1))
	s.want("+0 ~0 =1 -0 !2"+refused, rows)
	if m.legacyOf(bob) != 0 {
		t.Error("a token that was used is good again")
	}
	m.do(&EndSessions{User: bob})
	s.want("+0 ~0 =0 -0 !1; session refused issued_at: everything that its user held at that time was taken back here", ImportBatch{Sessions: []iam.LegacySession{m.old(4, bob)}})
	fresh := m.old(5, bob)
	fresh.IssuedAt = m.now + 1
	s.want("+1 ~0 =0 -0 !0", ImportBatch{Sessions: []iam.LegacySession{fresh}})
	s.want("+0 ~0 =0 -1 !0", ImportBatch{Deleted: []ImportedKey{{iam.ImportSession, fresh.ID}}})
	m.wait(2 * time.Hour)
	m.do(&Expire{Most: 100})
	m.view(func(r *store.Reader) {
		if _, kept := r.Imported(iam.ImportSession, one.ID); kept {
			t.Error("a session that is over is remembered for ever")
		}
	})
}

// TestRehearse: a batch that is tried tells what would come of it, and nothing else happens.
func TestRehearse(t *testing.T) {
	m := peopled(t)
	s := importInto(m)
	cmd := s.command(people(theirs(3, "cat", "h"), theirs(4, "ann", "h"), with(theirs(2, "bob", "h"), func(u *iam.User) { u.Active = false })))
	cmd.After = "anywhere"
	before := m.meta()
	out, err := Rehearse(m.store, m.now, cmd)
	if err != nil || out.Created != 1 || out.Updated != 1 || out.Refused != 1 || len(out.Notes) == 0 {
		t.Errorf("got %+v, %v", out, err)
	}
	if diff := cmp.Diff(before, m.meta()); diff != "" {
		t.Error(diff)
	}
	cmd.OnConflict = iam.ConflictFail
	if _, err := Rehearse(m.store, m.now, cmd); iam.CodeOf(err) != iam.Conflict {
		t.Errorf("a conflict: %v", err)
	}
	cmd.Cursor = ""
	if _, err := Rehearse(m.store, m.now, cmd); iam.CodeOf(err) != iam.ValidationError {
		t.Errorf("no cursor: %v", err)
	}
}

// TestSift: bad rows are left out with the reason, and the good ones stay.
func TestSift(t *testing.T) {
	bad := func(change func(*ImportedUser)) ImportedUser {
		u := theirs(4, "bad", "h")
		change(&u)
		return u
	}
	session := iam.LegacySession{ID: id('l', 1), UserID: bob, TokenHash: "t", ExpiresAt: 1}
	unowned, endless := session, session
	unowned.UserID, endless.ExpiresAt = iam.ID{}, 0
	c := ImportBatch{
		Scopes: []iam.Scope{{ID: id('P', 1), Name: "with blank"}, {ID: id('P', 2), Name: "fine"}, {Name: "no:id"}},
		Roles:  []ImportedRole{{Role: iam.Role{ID: id('R', 1), Name: "x y"}}, {Role: iam.Role{ID: id('R', 2), Name: "x"}, Scopes: []string{strings.Repeat("x", 101)}}},
		Users: []ImportedUser{
			theirs(3, "cat", "h"), theirs(3, "twin", "h"),
			bad(func(u *ImportedUser) { u.User.Username = strings.Repeat("x", 51) }),
			bad(func(u *ImportedUser) { u.User.Email = "" }),
			bad(func(u *ImportedUser) { u.User.CreatedAt = -1 }),
			bad(func(u *ImportedUser) { u.User.PasswordHash = strings.Repeat("x", iam.MaxHashLength+1) }),
			bad(func(u *ImportedUser) { u.Hash = nil }),
			bad(func(u *ImportedUser) { u.User.FirstName = "a\x00b" }),
		},
		Clients:  []ImportedClient{tool(2, "", "h"), tool(3, "tool", ""), tool(4, "good", "h")},
		Sessions: []iam.LegacySession{session, unowned, endless},
		Deleted:  []ImportedKey{{iam.ImportUser, id('u', 3)}, {0, id('u', 8)}, {iam.ImportUser, iam.ID{}}, {iam.ImportUser, id('u', 8)}},
	}
	var got []string
	for _, n := range c.Sift() {
		got = append(got, n.Kind.String()+" "+n.Field)
	}
	want := strings.Split("scope name,scope id,role name,role scopes,user id,user username,user email,user created_at,user password_hash,user password_hash,user first_name,"+
		"client client_id,client client_secret_hash,session user_id,session expires_at,user id,0 kind,user id", ",")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c.Refused != len(want) || c.rows() != 5 {
		t.Errorf("%d rows are left and %d refused", c.rows(), c.Refused)
	}
	c.Source, c.Cursor, c.OnConflict = "s1", "c", iam.ConflictSkip
	if err := c.Validate(); err != nil {
		t.Errorf("what is left is refused: %v", err)
	}
}

func TestImportValidates(t *testing.T) {
	f := func(what string, change func(*ImportBatch)) {
		t.Helper()
		c := &ImportBatch{Source: "s", After: "a", Cursor: "b", OnConflict: iam.ConflictSkip, Users: []ImportedUser{theirs(3, "cat", "h")}}
		if change(c); c.Validate() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	f("no source", func(c *ImportBatch) { c.Source = "" })
	f("an odd source", func(c *ImportBatch) { c.Source = "a/b" })
	f("no cursor", func(c *ImportBatch) { c.Cursor = "" })
	f("a long cursor", func(c *ImportBatch) { c.Cursor = strings.Repeat("x", iam.MaxCursor+1) })
	f("no policy", func(c *ImportBatch) { c.OnConflict = "" })
	f("a negative count", func(c *ImportBatch) { c.Refused = -1 })
	f("too many rows", func(c *ImportBatch) { c.Refused = iam.MaxImportRows })
	f("a bad row", func(c *ImportBatch) { c.Users[0].User.Username = "" })
	if (&ForgetImport{}).Validate() == nil {
		t.Error("nothing to forget: accepted")
	}
}
