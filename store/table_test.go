package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
)

func TestUserIndexes(t *testing.T) {
	s := open(t)
	ann := user(1, "Ann", id(8), id(9))
	update(t, s, func(tx *Tx) { tx.PutUser(ann) })
	check(t, s)
	find := func(want iam.User, found bool, name, email string, role iam.ID) {
		t.Helper()
		view(t, s, func(r *Reader) {
			got, ok := r.UserByUsername(name)
			if ok != found || found && !cmp.Equal(got, want) {
				t.Errorf("by username %q: %+v, %v", name, got, ok)
			}
			if got, ok = r.UserByEmail(email); ok != found || found && !cmp.Equal(got, want) {
				t.Errorf("by e-mail %q: %+v, %v", email, got, ok)
			}
			if holders := r.UsersWithRole(role, 10); (len(holders) == 1) != found {
				t.Errorf("with role %v: %+v", role, holders)
			}
		})
	}
	find(ann, true, "aNN", "ANN@EXAMPLE.ORG", id(8))
	find(ann, true, "Ann", "Ann@example.org", id(9))

	changed := user(1, "Bob", id(9), id(10))
	update(t, s, func(tx *Tx) { tx.PutUser(changed) })
	check(t, s)
	find(iam.User{}, false, "ann", "ann@example.org", id(8))
	find(changed, true, "bob", "bob@example.org", id(10))

	changes := update(t, s, func(tx *Tx) { tx.DeleteUser(id(1)); tx.DeleteUser(id(1)) })
	check(t, s)
	find(iam.User{}, false, "bob", "bob@example.org", id(10))
	if want := []Change{{Row: changed, Deleted: true}}; !cmp.Equal(changes, want) {
		t.Errorf("changes: %s", cmp.Diff(want, changes))
	}
	for _, bucket := range users.buckets() {
		if n := entries(t, s, bucket); n != 0 {
			t.Errorf("%s has %d entries left", bucket, n)
		}
	}
}

// life puts, replaces and deletes a row and looks for what stays behind.
func life(t *testing.T, name string, put, change, remove func(*Tx), found func(*Reader) bool) {
	t.Run(name, func(t *testing.T) {
		s := open(t)
		empty := hashOf(t, s)
		update(t, s, put)
		check(t, s)
		first := hashOf(t, s)
		view(t, s, func(r *Reader) {
			if !found(r) {
				t.Error("the row is not found after put")
			}
		})
		update(t, s, change)
		check(t, s)
		if hashOf(t, s) == first {
			t.Error("the state hash did not change with the row")
		}
		update(t, s, put)
		if hashOf(t, s) != first {
			t.Error("the state hash does not come back with the row")
		}
		if remove == nil {
			return
		}
		update(t, s, remove)
		check(t, s)
		view(t, s, func(r *Reader) {
			if found(r) {
				t.Error("the row is found after it was removed")
			}
		})
		if hashOf(t, s) != empty {
			t.Error("the hash of the empty state does not come back")
		}
	})
}

func TestRowsWithNames(t *testing.T) {
	role := func(scopes ...iam.ID) func(*Tx) {
		return func(tx *Tx) { tx.PutRole(iam.Role{ID: id(1), Name: "r", Scopes: scopes}) }
	}
	life(t, "role", role(id(3), id(4)), role(id(4)), func(tx *Tx) { tx.DeleteRole(id(1)) }, func(r *Reader) bool {
		row, ok := r.Role(id(1))
		_, named := r.RoleByName("r")
		return ok && named && len(row.Scopes) == 2 && len(r.RolesWithScope(id(3), 5)) == 1 && len(r.Roles(iam.ID{}, 5)) == 1
	})
	scope := func(text string) func(*Tx) {
		return func(tx *Tx) { tx.PutScope(iam.Scope{ID: id(1), Name: "s", Description: text}) }
	}
	life(t, "scope", scope("a"), scope("b"), func(tx *Tx) { tx.DeleteScope(id(1)) }, func(r *Reader) bool {
		row, ok := r.Scope(id(1))
		_, named := r.ScopeByName("s")
		return ok && named && row.Description == "a" && len(r.Scopes(iam.ID{}, 5)) == 1
	})
	client := func(scopes ...iam.ID) func(*Tx) {
		return func(tx *Tx) { tx.PutClient(iam.Client{ID: id(1), ClientID: "c", Scopes: scopes}) }
	}
	life(t, "client", client(id(3)), client(), func(tx *Tx) { tx.DeleteClient(id(1)) }, func(r *Reader) bool {
		_, ok := r.Client(id(1))
		_, named := r.ClientByClientID("c")
		return ok && named && len(r.ClientsWithScope(id(3), 5)) == 1 && len(r.Clients(iam.ID{}, 5)) == 1
	})
	session := func(client string, end iam.Time) func(*Tx) {
		return func(tx *Tx) {
			tx.PutSession(iam.Session{ID: id(1), UserID: id(2), ClientID: client, ExpiresAt: end})
		}
	}
	life(t, "session", session("c", 5), session("", 6), func(tx *Tx) { tx.DeleteSession(id(1)) }, func(r *Reader) bool {
		_, ok := r.Session(id(1))
		return ok && len(r.SessionsOf(id(2), 5)) == 1 && len(r.SessionsOfClient("c", 5)) == 1 && len(r.Sessions(iam.ID{}, 5)) == 1
	})
}

func TestRowsWithTimes(t *testing.T) {
	revocation := func(before iam.Time) func(*Tx) {
		return func(tx *Tx) {
			tx.PutRevocation(iam.Revocation{Kind: iam.RevokedToken, Subject: "j", Before: before, ExpiresAt: before + 1})
		}
	}
	expire := func(tx *Tx) { tx.Expire(1<<60, 10) }
	life(t, "revocation", revocation(1), revocation(2), expire, func(r *Reader) bool {
		_, ok := r.Revocation(iam.RevokedToken, "j")
		_, other := r.Revocation(iam.RevokedUser, "j")
		return ok && !other
	})
	key := func(until iam.Time) func(*Tx) {
		return func(tx *Tx) { tx.PutKey(iam.Key{ID: "k", Sealed: []byte{1}, VerifyUntil: until}) }
	}
	life(t, "key", key(5), key(0), expire, func(r *Reader) bool {
		_, ok := r.Key("k")
		return ok && len(r.Keys()) == 1
	})
	outcome := func(index uint64) func(*Tx) {
		return func(tx *Tx) {
			tx.PutOutcome(Outcome{RequestID: id(1), Index: index, Refusal: iam.Errorf(iam.Conflict, "x"), ExpiresAt: 5})
		}
	}
	life(t, "outcome", outcome(1), outcome(2), expire, func(r *Reader) bool {
		row, ok := r.Outcome(id(1))
		return ok && row.Refusal.Code == iam.Conflict
	})
	settings := func(issuer string) func(*Tx) { return func(tx *Tx) { tx.PutSettings(iam.Settings{Issuer: issuer}) } }
	life(t, "settings", settings("a"), settings("b"), nil, func(r *Reader) bool {
		row, ok := r.Settings()
		return ok && row.Issuer == "a"
	})
}

func TestUniqueConflictIsAnError(t *testing.T) {
	f := func(name string, put func(*Tx)) {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			update(t, s, func(tx *Tx) {
				tx.PutUser(user(1, "ann"))
				tx.PutRole(iam.Role{ID: id(1), Name: "r"})
				tx.PutScope(iam.Scope{ID: id(1), Name: "s"})
				tx.PutClient(iam.Client{ID: id(1), ClientID: "c"})
			})
			before := hashOf(t, s)
			changes, err := s.Update(func(tx *Tx) error {
				put(tx)
				if tx.Err() == nil {
					t.Error("Err does not tell of the conflict")
				}
				return nil
			})
			if err == nil || !strings.HasPrefix(err.Error(), "BUG:") || changes != nil {
				t.Errorf("changes %v, error %v", changes, err)
			}
			check(t, s)
			if hashOf(t, s) != before {
				t.Error("the state was changed")
			}
		})
	}
	f("username", func(tx *Tx) { u := user(2, "ANN"); u.Email = "x@y"; tx.PutUser(u) })
	f("e-mail", func(tx *Tx) { u := user(2, "bob"); u.Email = "ANN@example.org"; tx.PutUser(u) })
	f("role", func(tx *Tx) { tx.PutRole(iam.Role{ID: id(2), Name: "r"}) })
	f("scope", func(tx *Tx) { tx.PutScope(iam.Scope{ID: id(2), Name: "s"}) })
	f("client", func(tx *Tx) { tx.PutClient(iam.Client{ID: id(2), ClientID: "c"}) })
}

func TestNamesMoveWithinOneTransaction(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) {
		tx.PutUser(user(1, "ann"))
		tx.PutUser(user(1, "eve"))
		tx.PutUser(user(2, "ann"))
		if u, ok := tx.UserByUsername("Ann"); !ok || u.ID != id(2) {
			t.Errorf("the transaction does not see its own writes: %+v", u)
		}
	})
	check(t, s)
}

func TestExpire(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) {
		for n := range byte(10) {
			end := iam.Time(100 + int64(n))
			tx.PutSession(iam.Session{ID: id(n), UserID: id(50), ExpiresAt: end})
			tx.PutRevocation(iam.Revocation{Kind: iam.RevokedToken, Subject: string(rune('a' + n)), ExpiresAt: end})
			tx.PutOutcome(Outcome{RequestID: id(n), ExpiresAt: end})
			tx.PutKey(iam.Key{ID: string(rune('a' + n)), VerifyUntil: end})
		}
		tx.PutKey(iam.Key{ID: "forever"})
		tx.PutUser(user(1, "ann"))
		tx.AppendAudit(iam.AuditEntry{At: 1, Type: "x"})
	})
	f := func(before iam.Time, most, want, left int) {
		t.Helper()
		update(t, s, func(tx *Tx) {
			if n := tx.Expire(before, most); n != want {
				t.Errorf("Expire(%d, %d) removed %d rows, want %d", before, most, n, want)
			}
		})
		check(t, s)
		for _, bucket := range []string{"sessions", "revocations", "outcomes", "sessions_by_user", "sessions_by_expiry", "revocations_by_expiry", "outcomes_by_expiry", "keys_by_expiry"} {
			if n := entries(t, s, bucket); n != left {
				t.Errorf("%s has %d entries, want %d", bucket, n, left)
			}
		}
	}
	f(100, 10, 0, 10) // what ends now has not ended
	f(101, 10, 4, 9)
	f(106, 3, 12, 6) // no more than asked for, the oldest first
	view(t, s, func(r *Reader) {
		if _, ok := r.Session(id(3)); ok {
			t.Error("the oldest sessions were not the first to go")
		}
	})
	f(1<<60, 100, 24, 0)
	view(t, s, func(r *Reader) {
		if _, ok := r.Key("forever"); !ok || len(r.Audit(0, 10)) != 1 {
			t.Error("what has no end was removed")
		}
		if _, ok := r.User(id(1)); !ok {
			t.Error("a user was removed")
		}
	})
}

func TestAuditIsNumbered(t *testing.T) {
	s := open(t)
	for range 2 {
		update(t, s, func(tx *Tx) {
			for range 5 {
				tx.AppendAudit(iam.AuditEntry{Type: "x", Sequence: 77})
			}
		})
	}
	view(t, s, func(r *Reader) {
		var got []uint64
		for _, e := range r.Audit(3, 4) {
			got = append(got, e.Sequence)
		}
		if want := []uint64{4, 5, 6, 7}; !cmp.Equal(got, want) {
			t.Errorf("audit entries after 3: %v, want %v", got, want)
		}
	})
	if meta, err := s.Meta(); err != nil || meta.AuditSequence != 10 {
		t.Errorf("the sequence stands at %d, %v", meta.AuditSequence, err)
	}
}

func TestPages(t *testing.T) {
	for _, most := range []int{1, 2, 3, 7, 100} {
		s := open(t)
		update(t, s, func(tx *Tx) {
			for n := byte(1); n <= 9; n++ {
				tx.PutUser(user(10*n, "user"+string(rune('a'+n))))
			}
		})
		var seen []byte
		var after iam.ID
		for step := 0; ; step++ {
			var page []iam.User
			view(t, s, func(r *Reader) { page = r.Users(after, most) })
			if len(page) == 0 {
				break
			}
			if len(page) > most {
				t.Fatalf("a page of %d rows, at most %d were asked for", len(page), most)
			}
			for _, u := range page {
				seen = append(seen, u.ID[15])
			}
			after = page[len(page)-1].ID
			if step == 0 {
				// The row that the cursor names goes, one that was seen too, and one ahead comes.
				update(t, s, func(tx *Tx) { tx.DeleteUser(after); tx.PutUser(user(85, "late")) })
			}
		}
		want := []byte{10, 20, 30, 40, 50, 60, 70, 80, 85, 90}
		if most == 100 {
			want = []byte{10, 20, 30, 40, 50, 60, 70, 80, 90} // all were seen before the change
		}
		if !cmp.Equal(seen, want) {
			t.Errorf("in pages of %d: %v, want %v", most, seen, want)
		}
	}
}

func TestUnderStopsAtItsValue(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) {
		for n := range byte(6) {
			tx.PutSession(iam.Session{ID: id(n), UserID: id(n % 2), ClientID: []string{"a", "ab"}[n%2], ExpiresAt: 1})
		}
	})
	view(t, s, func(r *Reader) {
		var got []byte
		for _, row := range r.SessionsOf(id(0), 10) {
			got = append(got, row.ID[15])
		}
		if want := []byte{0, 2, 4}; !cmp.Equal(got, want) {
			t.Errorf("sessions of one user: %v, want %v", got, want)
		}
		if n := len(r.SessionsOf(id(1), 2)); n != 2 {
			t.Errorf("at most 2 were asked for, %d came", n)
		}
		if n := len(r.SessionsOfClient("a", 10)); n != 3 {
			t.Errorf("%d sessions of client a, want 3", n)
		}
		if n := len(r.SessionsOfClient("", 10)); n != 0 {
			t.Errorf("%d sessions of no client", n)
		}
	})
}

func TestAnswersAreCopies(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) { tx.PutClient(iam.Client{ID: id(1), ClientID: "c", SecretDigest: []byte("digest")}) })
	var first iam.Client
	view(t, s, func(r *Reader) { first, _ = r.Client(id(1)); first.SecretDigest[0] = 'X' })
	view(t, s, func(r *Reader) {
		if again, _ := r.Client(id(1)); string(again.SecretDigest) != "digest" {
			t.Errorf("a reader changed the state: %q", again.SecretDigest)
		}
	})
}

func TestEachHot(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) {
		tx.PutSettings(iam.Settings{Issuer: "i"})
		tx.PutClient(iam.Client{ID: id(1), ClientID: "c"})
		tx.PutKey(iam.Key{ID: "k"})
		tx.PutRevocation(iam.Revocation{Kind: iam.RevokedUser, Subject: "u", ExpiresAt: 1})
		tx.PutUser(user(1, "ann"))
	})
	var got []any
	view(t, s, func(r *Reader) { r.EachHot(func(row any) { got = append(got, row) }) })
	want := []any{
		iam.Revocation{Kind: iam.RevokedUser, Subject: "u", ExpiresAt: 1},
		iam.Key{ID: "k", Sealed: []byte{}},
		iam.Client{ID: id(1), ClientID: "c"},
		iam.Settings{Issuer: "i"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); diff != "" {
		t.Error(diff)
	}
}

func TestRowsOfImports(t *testing.T) {
	session := func(user byte, end iam.Time) func(*Tx) {
		return func(tx *Tx) {
			tx.PutLegacySession(iam.LegacySession{ID: id(1), UserID: id(user), TokenHash: "h", ExpiresAt: end})
		}
	}
	life(t, "legacy session", session(2, 5), session(3, 6), func(tx *Tx) { tx.DeleteLegacySession(id(1)) }, func(r *Reader) bool {
		_, ok := r.LegacySession(id(1))
		return ok && len(r.LegacySessionsOf(id(2), 5)) == 1 && len(r.LegacySessions(iam.ID{}, 5)) == 1
	})
	life(t, "legacy sessions", session(2, 5), session(2, 6), func(tx *Tx) { tx.DropLegacySessions() }, func(r *Reader) bool {
		return len(r.LegacySessions(iam.ID{}, 5)) == 1
	})
	life(t, "expiring legacy session", session(2, 5), session(2, 0), func(tx *Tx) { tx.Expire(1<<60, 10) }, func(r *Reader) bool {
		_, ok := r.LegacySession(id(1))
		return ok
	})
	state := func(cursor string) func(*Tx) {
		return func(tx *Tx) { tx.PutImport(iam.Import{Source: "s", Cursor: cursor}) }
	}
	life(t, "import", state("a"), state("b"), func(tx *Tx) { tx.DeleteImport("s") }, func(r *Reader) bool {
		row, ok := r.Import("s")
		return ok && row.Cursor == "a"
	})
	row := func(mark byte) func(*Tx) {
		return func(tx *Tx) {
			tx.PutImported(iam.Imported{Kind: iam.ImportUser, ID: id(1), Source: "s", Marks: []byte{mark}, Expires: 5})
		}
	}
	found := func(r *Reader) bool {
		row, ok := r.Imported(iam.ImportUser, id(1))
		_, other := r.Imported(iam.ImportRole, id(1))
		return ok && !other && row.Marks[0] == 1 && row.Local() == id(1)
	}
	life(t, "imported row", row(1), row(2), func(tx *Tx) { tx.DeleteImported(iam.ImportUser, id(1)) }, found)
	life(t, "imported session", row(1), row(2), func(tx *Tx) { tx.Expire(1<<60, 10) }, found)
}

func TestRowsOfCertificates(t *testing.T) {
	item := func(value byte) func(*Tx) {
		return func(tx *Tx) { tx.PutACMEItem(iam.ACMEItem{Key: "a/k", Sealed: []byte{value}}) }
	}
	life(t, "acme item", item(1), item(2), func(tx *Tx) { tx.DeleteACMEItem("a/k") }, func(r *Reader) bool {
		row, ok := r.ACMEItem("a/k")
		return ok && row.Sealed[0] == 1 && len(r.ACMEItems("a/", 5)) == 1 && len(r.ACMEItems("b", 5)) == 0
	})
	lock := func(holder byte) func(*Tx) {
		return func(tx *Tx) { tx.PutLock(iam.Lock{Name: "l", Holder: id(holder), ExpiresAt: 5}) }
	}
	held := func(r *Reader) bool {
		row, ok := r.Lock("l")
		return ok && row.Holder == id(1) && len(r.Locks(5)) == 1
	}
	life(t, "lock", lock(1), lock(2), func(tx *Tx) { tx.DeleteLock("l") }, held)
	life(t, "expiring lock", lock(1), lock(2), func(tx *Tx) { tx.Expire(1<<60, 10) }, held)
}

// TestAttempt: what an attempt that fails has written is gone, and nothing else.
func TestAttempt(t *testing.T) {
	s := open(t)
	refused := errors.New("no")
	changes := update(t, s, func(tx *Tx) {
		tx.PutUser(user(1, "ann"))
		before, hash := tx.Meta, tx.StateHash()
		err := tx.Attempt(func() error {
			tx.DeleteUser(id(1))
			tx.PutUser(user(2, "bob"))
			tx.PutUser(user(3, "eve"))
			tx.AppendAudit(iam.AuditEntry{Type: "x"})
			return refused
		})
		if !errors.Is(err, refused) || !cmp.Equal(before, tx.Meta) || hash != tx.StateHash() {
			t.Errorf("after a failed attempt: %v, %+v", err, tx.Meta)
		}
		if _, there := tx.User(id(1)); !there {
			t.Error("what was deleted is not back")
		}
		if err := tx.Attempt(func() error { tx.PutUser(user(4, "zoe")); return nil }); err != nil {
			t.Error(err)
		}
	})
	check(t, s)
	if len(changes) != 2 {
		t.Errorf("%d changes are told of, want those of ann and zoe", len(changes))
	}
	view(t, s, func(r *Reader) {
		if len(r.Users(iam.ID{}, 10)) != 2 {
			t.Error("other users than ann and zoe are there")
		}
	})
}

// TestRehearse: what is only tried changes nothing, and sees what is there.
func TestRehearse(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *Tx) { tx.PutUser(user(1, "ann")) })
	before := hashOf(t, s)
	err := s.Rehearse(func(tx *Tx) error {
		if _, there := tx.User(id(1)); !there {
			t.Error("ann is not there")
		}
		tx.PutUser(user(2, "bob"))
		if _, there := tx.UserByUsername("bob"); !there {
			t.Error("a rehearsal does not read its own writes")
		}
		tx.DeleteUser(id(1))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, s)
	if hashOf(t, s) != before {
		t.Error("a rehearsal changed the state")
	}
}
