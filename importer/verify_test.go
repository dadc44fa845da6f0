package importer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

func verify(t *testing.T, url string, s *Snapshot, o VerifyOptions) *Verification {
	t.Helper()
	source, err := Open(t.Context(), url, Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	o.Most = max(o.Most, 100)
	v, err := Verify(t.Context(), source, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// told is the differences in one line each.
func (v *Verification) told() (all []string) {
	for _, d := range v.Differences {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", d.Kind, strings.TrimPrefix(d.ID, "01900000-0000-0000-0000-"), d.What, strings.Join(d.Fields, ","), d.Reason)))
	}
	slices.Sort(all)
	return all
}

// An export is the same as the cluster in all that the documented schema can hold.
func TestVerifyExport(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	snapshot := s.snapshot()
	mustExport(t, url, snapshot, ExportOptions{})
	v := verify(t, url, snapshot, VerifyOptions{Strict: true})
	if !v.Same || len(v.Differences) > 0 {
		t.Errorf("%q", v.told())
	}
	for i, want := range []VerifiedKind{
		{Kind: "scope", Source: 2, Cluster: 2, Same: 2},
		{Kind: "role", Source: 2, Cluster: 2, Same: 2},
		{Kind: "user", Source: 20, Cluster: 20, Same: 20},
		{Kind: "client", Source: 3, Cluster: 3, Same: 3},
	} {
		if v.Kinds[i] != want {
			t.Errorf("%+v, want %+v", v.Kinds[i], want)
		}
	}
}

// Whatever is done to a row at the source is found, and told without any of its values.
func TestVerifyFinds(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	snapshot := s.snapshot()
	mustExport(t, url, snapshot, ExportOptions{})
	exec(t, url, `
		UPDATE users SET username = 'renamed' WHERE username = 'user1';
		UPDATE users SET email = 'other@example.org' WHERE username = 'user2';
		UPDATE users SET password_hash = '$argon2id$7' WHERE username = 'user3';
		UPDATE users SET first_name = 'F', last_name = 'L', display_name = 'D', bio = 'B' WHERE username = 'user4';
		UPDATE users SET is_active = NOT is_active, is_verified = NOT is_verified, is_superuser = NOT is_superuser WHERE username = 'user5';
		UPDATE users SET last_login = now(), locked_until = now(), created_at = now(), updated_at = '2090-01-01', password_changed_at = '2090-01-01' WHERE username = 'user6';
		DELETE FROM user_roles WHERE user_id = (SELECT id FROM users WHERE username = 'user7');
		DELETE FROM users WHERE username = 'user8';
		INSERT INTO users (id, username, email, password_hash, is_verified, is_superuser) VALUES ('01900000-0000-0000-0000-0000000000ff', 'fresh', 'f@example.org', 'x', true, false);
		UPDATE users SET username = 'USER9', email = 'uSER9@EXAMPLE.org' WHERE username = 'user9'; -- the same in another letter case
		UPDATE users SET bio = repeat('x', 10001) WHERE username = 'user10';
		UPDATE roles SET name = 'writer' WHERE name = 'editor';
		UPDATE scopes SET description = 'D', resource = 'r' WHERE name = 'plain';
		DELETE FROM role_scopes WHERE scope_id = (SELECT id FROM scopes WHERE name = 'plain');
		UPDATE service_clients SET client_secret_hash = '{keystone-sha256}' || repeat('00', 32), total_requests = 0, last_used = NULL WHERE client_id = 'reports';
		UPDATE service_clients SET allowed_ips = '10.0.0.0/8', access_token_lifetime = 1, rate_limit_per_hour = 5, client_type = 'confidential', name = 'N' WHERE client_id = 'page';
		DELETE FROM service_clients WHERE client_id = 'old'`)
	want := []string{
		"client 00000000012d different client_secret_hash,last_used,total_requests",
		"client 00000000012e only in the cluster",
		"client 00000000012f different name,client_type,access_token_lifetime,rate_limit_per_hour,allowed_ips",
		"role 00000000000b different scopes",
		"role 00000000000c only at the source",
		"role 00000000000c only in the cluster",
		"scope 000000000002 different description,resource",
		"user 000000000064 different roles",
		"user 000000000065 different username",
		"user 000000000066 different email",
		"user 000000000067 different password_hash",
		"user 000000000068 different first_name,last_name,display_name,bio",
		"user 000000000069 different is_active,is_verified,is_superuser",
		"user 00000000006a different password_changed_at,last_login,locked_until,created_at,updated_at",
		"user 00000000006b different roles",
		"user 00000000006c only in the cluster",
		"user 00000000006e cannot be imported bio is longer than 10000 characters",
		"user 0000000000ff only at the source",
	}
	v := verify(t, url, snapshot, VerifyOptions{Strict: true})
	if diff := cmp.Diff(want, v.told()); diff != "" || v.Same {
		t.Errorf("same %v (-want +got):\n%s", v.Same, diff)
	}
	few, err := Open(t.Context(), url, Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	short, err := Verify(t.Context(), few, snapshot, VerifyOptions{Strict: true, Most: 3})
	if err != nil || len(short.Differences) != 3 || short.More != int64(len(want)-3) {
		t.Errorf("%d listed and %d more: %v", len(short.Differences), short.More, err)
	}
}

// What a cluster does by itself once it is in use is no difference, unless it is looked for.
func TestVerifyInUse(t *testing.T) {
	const theirs = "$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaA"
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	s.update(func(tx *store.Tx) {
		for n := 1; n <= 5; n++ {
			u := someUser(n)
			u.PasswordHash = theirs
			tx.PutUser(u)
		}
	})
	mustExport(t, url, s.snapshot(), ExportOptions{})
	s.update(func(tx *store.Tx) {
		for n, change := range map[int]func(u *iam.User){
			1: func(u *iam.User) { u.LastLogin = instant * 2 },
			2: func(u *iam.User) { // hashed anew at a login
				u.PasswordHash, u.LastLogin = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA", instant*2
			},
			3: func(u *iam.User) {
				u.PasswordHash, u.PasswordChangedAt, u.UpdatedAt = "$argon2id$new", instant*2, instant*2
			},
			4: func(u *iam.User) { u.PasswordHash = iam.UnusableHash },
			5: func(u *iam.User) { // the hash of somebody else
				u.PasswordHash, u.LastLogin = "$argon2id$v=19$m=65536,t=3,p=1$b3RoZXI$aGFzaA", instant*2
			},
			6: func(u *iam.User) { // of other parameters, and nobody has logged in
				u.PasswordHash = "$argon2id$v=19$m=19456,t=2,p=1$b3RoZXI$aGFzaA"
			},
		} {
			u := someUser(n)
			if n <= 5 {
				u.PasswordHash = theirs
			}
			change(&u)
			tx.PutUser(u)
		}
		own := someUser(40) // made in the cluster
		tx.PutUser(own)
		gone := someUser(41) // brought by the import, and gone at the source since
		tx.PutUser(gone)
		tx.PutImported(iam.Imported{Kind: iam.ImportUser, ID: gone.ID, Source: "old", Marks: []byte{1}})
	})
	v := verify(t, url, s.snapshot(), VerifyOptions{})
	want := []string{
		"user 000000000069 different password_hash",
		"user 00000000006a different password_hash",
		"user 00000000008d only in the cluster",
	}
	if diff := cmp.Diff(want, v.told()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := v.Kinds[2], (VerifiedKind{Kind: "user", Source: 20, Cluster: 22, Same: 18, Different: 2, OnlyInCluster: 1, Own: 1, MovedOn: 3, MustReset: 1, HashedAnew: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if v := verify(t, url, s.snapshot(), VerifyOptions{Strict: true}); len(v.Differences) != 7 {
		t.Errorf("strictly: %q", v.told())
	}
}

// A source whose ids come in another order cannot be compared by walking, and is not called the same.
func TestVerifyOrder(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	s.update(func(tx *store.Tx) {
		u := someUser(30)
		u.ID = iam.ID{0xab, 0x01}
		tx.PutUser(u)
	})
	mustExport(t, url, s.snapshot(), ExportOptions{})
	exec(t, url, `ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT upper(id::text) COLLATE "C" AS id, username, email, password_hash FROM people;
		INSERT INTO people (id, username, email, password_hash, is_verified, is_superuser) VALUES ('f0000000-0000-0000-0000-000000000000', 'last', 'last@example.org', 'x', true, true)`)
	source, err := Open(t.Context(), url, Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Verify(t.Context(), source, s.snapshot(), VerifyOptions{Most: 1}); err != nil {
		t.Errorf("upper case in the order of C is the same order: %v", err)
	}
	exec(t, url, `CREATE OR REPLACE VIEW users AS SELECT (CASE WHEN username = 'user3' THEN 'AAAAAAAA-0000-0000-0000-000000000000' WHEN username = 'user4' THEN 'aaaaaaaa-0000-0000-0000-000000000000' ELSE upper(id::text) END) COLLATE "C" AS id, username, email, password_hash FROM people`)
	if source, err = Open(t.Context(), url, Mapping{}); err != nil {
		t.Fatal(err)
	}
	if _, err = Verify(t.Context(), source, s.snapshot(), VerifyOptions{Most: 1}); err == nil || !strings.Contains(err.Error(), "in the order of their ids") {
		t.Errorf("got %v", err)
	}
}
