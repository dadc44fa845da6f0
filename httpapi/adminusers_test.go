package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

func TestAdminUsers(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	alice := "/admin/users/" + s.user1("alice").ID.String()
	root := "/admin/users/" + s.user1("root").ID.String()
	tag := s.do(s.public, fetch(alice).as(admin)).header.Get("ETag")
	matching := func(c call, tag string) call { c = c.sending("If-Match", tag); c.bearer = admin; return c }
	s.run([]scenario{
		{"one", fetch(alice).as(admin), 200, []string{`"username":"Alice"`, `"roles":["user"]`}, []string{"hash"}},
		{"by name", fetch("/admin/users/ALICE").as(admin), 200, []string{`"username":"Alice"`}, nil},
		{"nobody", fetch("/admin/users/" + iam.NewID().String()).as(admin), 404, []string{`"not_found"`}, nil},
		{"changed", matching(patch(alice, `{"first_name":"Al","is_verified":true}`), tag), 200, []string{`"first_name":"Al"`, `"is_verified":true`}, nil},
		{"with the version before", matching(put(alice, `{"first_name":"Bo"}`), tag), 412, []string{`"precondition_failed"`}, nil},
		{"deleted with the version before", matching(remove(alice), tag), 412, nil, nil},
		{"another address is not verified", patch(alice, `{"email":"al@example.com"}`).as(admin), 200, []string{`"is_verified":false`}, nil},
		{"unless it is said to be", patch(alice, `{"email":"alice@example.com","is_verified":true}`).as(admin), 200, []string{`"is_verified":true`}, nil},
		{"a taken name", patch(alice, `{"username":"BOB"}`).as(admin), 409, nil, []string{"BOB"}},
		{"a bad name", patch(alice, `{"username":"a b"}`).as(admin), 422, []string{`"field":"username"`}, nil},
		{"a password is no member of it", patch(alice, `{"password":"x"}`).as(admin), 422, []string{`"field":"password"`}, nil},
		{"an unknown role", put(alice+"/roles", `{"roles":["user","nope"]}`).as(admin), 422, []string{`"field":"roles"`}, []string{"nope"}},
		{"nothing was written", fetch(alice).as(admin), 200, []string{`"roles":["user"]`}, nil},
		{"no roles said", put(alice+"/roles", `{}`).as(admin), 422, []string{`"field":"roles"`}, nil},
		{"roles", put(alice+"/roles", `{"roles":["user","service"]}`).as(admin), 200, []string{`"roles":["service","user"]`}, nil},
		{"a superuser by an administrator", patch(alice, `{"is_superuser":true}`).as(admin), 403, []string{`"forbidden"`}, nil},
		{"the last administrator", remove(root).as(admin), 409, []string{`"conflict"`}, nil},
		{"disabled", patch(root, `{"is_active":false}`).as(admin), 409, nil, nil},
		{"demoted", put(root+"/roles", `{"roles":["user"]}`).as(admin), 409, nil, nil},
		{"sessions", fetch(alice + "/sessions").as(admin), 200, []string{`"sessions":[`, `"current":false`}, []string{"refresh"}},
		{"ended", remove(alice + "/sessions").as(admin), 200, []string{`"sessions_terminated":`}, nil},
		{"her token is dead", fetch("/users/me").as(s.user.AccessToken), 401, nil, nil},
		{"disabled", patch(alice, `{"is_active":false}`).as(admin), 200, []string{`"is_active":false`}, nil},
		{"she cannot log in", post("/auth/token", loginBody("alice", password)), 403, []string{`"account_disabled"`}, nil},
		{"deleted", remove(alice).as(admin), 200, []string{`"message":"`}, nil},
		{"gone", fetch(alice).as(admin), 404, nil, nil},
		{"again", remove(alice).as(admin), 404, nil, nil},
	})
}

func TestUnlock(t *testing.T) {
	s := newStack(t)
	for range 5 {
		s.do(s.public, post("/auth/token", loginBody("alice", "Wrong-1-horse")))
	}
	s.run([]scenario{
		{"locked", post("/auth/token", loginBody("alice", password)), 423, nil, nil},
		{"it shows", fetch("/admin/users?is_locked=true").as(s.admin.AccessToken), 200, []string{`"total":1`, `"username":"Alice"`, `"locked_until":"`}, nil},
		{"unlocked", post("/admin/users/alice/unlock", "").as(s.admin.AccessToken), 200, []string{`"username":"Alice"`}, []string{"locked_until"}},
		{"in again", post("/auth/token", loginBody("alice", password)), 200, nil, nil},
		{"nobody", post("/admin/users/nobody/unlock", "").as(s.admin.AccessToken), 404, nil, nil},
	})
}

// TestKeyOfOnePathIsNotThatOfAnother: what is in the path is a part of the request that a key stands for.
func TestKeyOfOnePathIsNotThatOfAnother(t *testing.T) {
	s := newStack(t)
	for _, name := range []string{"alice", "bob"} {
		c := post("/admin/users/"+name+"/unlock", "").sending("Idempotency-Key", "k")
		c.bearer = s.admin.AccessToken
		if a := s.do(s.public, c); a.status != 200 || !strings.Contains(strings.ToLower(a.body), `"username":"`+name) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestAdminSetsPassword(t *testing.T) {
	s := newStack(t)
	set := func(json string) call {
		return post("/admin/users/alice/reset-password", json).as(s.admin.AccessToken)
	}
	made := get[api.PasswordSet](s, set("")).TemporaryPassword
	if len(made) < 20 {
		t.Fatalf("the password that was made has %d characters", len(made))
	}
	s.run([]scenario{
		{"the session is over", fetch("/users/me").as(s.user.AccessToken), 401, nil, nil},
		{"with the one that was made", post("/auth/token", loginBody("alice", made)), 200, nil, []string{made}},
		{"a given one", set(`{"new_password":"` + newPassword + `"}`), 200, []string{`"sessions_terminated":1`}, []string{newPassword, "temporary"}},
		{"with that", post("/auth/token", loginBody("alice", newPassword)), 200, nil, nil},
		{"a weak one", set(`{"new_password":"weak"}`), 422, []string{`"field":"new_password"`}, nil},
	})
}

// TestNobodyManagesWhoHoldsMore: whoever may manage users could else become an administrator by way of
// one's password.
func TestNobodyManagesWhoHoldsMore(t *testing.T) {
	s := newStack(t)
	clerk := get[api.TokenResponse](s, post("/auth/token", `{"username":"root","password":"`+password+`","scope":"admin:users"}`)).AccessToken
	create := func(name, roles string) call {
		return post("/admin/users", `{"username":"`+name+`","email":"`+name+`@example.com","password":"`+password+`","roles":[`+roles+`]}`)
	}
	s.do(s.operator, create("dave", `"admin","user"`))
	s.do(s.operator, create("super", `"user"`))
	promote := s.do(s.operator, patch("/admin/users/super", `{"is_superuser":true}`))
	if promote.status != 200 || !strings.Contains(promote.body, `"is_superuser":true`) {
		t.Fatalf("the operator makes a superuser: %d %s", promote.status, promote.body)
	}
	super := get[api.TokenResponse](s, post("/auth/token", loginBody("super", password))).AccessToken
	narrow := get[api.TokenResponse](s, post("/auth/token", `{"username":"super","password":"`+password+`","scope":"admin:users"}`)).AccessToken
	var rows []scenario
	for _, c := range []call{
		patch("/admin/users/dave", `{"email":"mine@example.com"}`), put("/admin/users/dave/roles", `{"roles":["user"]}`),
		post("/admin/users/dave/reset-password", ""), remove("/admin/users/dave/sessions"), post("/admin/users/dave/unlock", ""),
		remove("/admin/users/dave"), put("/admin/users/alice/roles", `{"roles":["admin"]}`), patch("/admin/users/alice", `{"is_superuser":true}`),
	} {
		rows = append(rows, scenario{"by a clerk", c.as(clerk), 403, []string{`"forbidden"`}, nil})
		superuserAlone := strings.Contains(c.json, "is_superuser")
		if superuserAlone {
			rows = append(rows, scenario{"by an administrator", c.as(s.admin.AccessToken), 403, nil, nil},
				scenario{"by a superuser with a token for less", c.as(narrow), 403, nil, nil})
		}
	}
	rows = append(rows,
		scenario{"a superuser by an administrator", post("/admin/users/super/reset-password", "").as(s.admin.AccessToken), 403, nil, nil},
		scenario{"a clerk's own work", patch("/admin/users/alice", `{"bio":"x"}`).as(clerk), 200, nil, nil},
		scenario{"an administrator by another", patch("/admin/users/dave", `{"bio":"x"}`).as(s.admin.AccessToken), 200, nil, nil},
		scenario{"a superuser by a superuser", patch("/admin/users/alice", `{"is_superuser":true}`).as(super), 200, []string{`"is_superuser":true`}, nil},
	)
	s.run(rows)
}

func TestListOfUsers(t *testing.T) {
	s := newStack(t)
	admin := s.admin.AccessToken
	for n := range 7 {
		name := fmt.Sprintf("user_%d", n)
		if a := s.do(s.operator, post("/admin/users", `{"username":"`+name+`","email":"`+name+`@example.com","password":"`+password+`","first_name":"Pct%"}`)); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	s.run([]scenario{
		{"the first page", fetch("/admin/users?per_page=3").as(admin), 200, []string{`"total":10`, `"page":1`, `"pages":4`, `"next_cursor":"`}, []string{"hash"}},
		{"the last", fetch("/admin/users?per_page=3&page=4").as(admin), 200, []string{`"username":"root"`, `"next_cursor":null`}, nil},
		{"beyond the end", fetch("/admin/users?page=9").as(admin), 200, []string{`"users":[]`, `"total":10`}, nil},
		{"an underscore is a letter", fetch("/admin/users?search=r_3").as(admin), 200, []string{`"total":1`, `"user_3"`}, nil},
		{"so is a percent sign", fetch("/admin/users?search=pct%25").as(admin), 200, []string{`"total":7`}, nil},
		{"which matches nothing else", fetch("/admin/users?search=%25x").as(admin), 200, []string{`"total":0`}, nil},
		{"by role", fetch("/admin/users?role=admin").as(admin), 200, []string{`"total":1`, `"username":"root"`}, nil},
		{"by a role that is none", fetch("/admin/users?role=nope").as(admin), 200, []string{`"users":[]`, `"total":0`}, nil},
		{"by two filters", fetch("/admin/users?role=user&is_active=true&is_verified=false&per_page=2").as(admin), 200, []string{`"total":10`}, nil},
		{"the inactive", fetch("/admin/users?is_active=false").as(admin), 200, []string{`"total":0`}, nil},
		{"a flag that is none", fetch("/admin/users?is_active=perhaps").as(admin), 422, []string{`"field":"is_active"`}, []string{"perhaps"}},
		{"an order that is none", fetch("/admin/users?sort=password,asc").as(admin), 422, []string{`"field":"sort"`}, nil},
		{"a cursor that is none", fetch("/admin/users?cursor=eHh4").as(admin), 422, []string{`"field":"cursor"`}, nil},
		{"by a user", fetch("/admin/users").as(s.user.AccessToken), 403, nil, nil},
	})
}

// TestWalkOfUsers goes through the list in each order while people come and go.
func TestWalkOfUsers(t *testing.T) {
	s := newStack(t)
	create := func(name string) {
		t.Helper()
		if a := s.do(s.operator, post("/admin/users", `{"username":"`+name+`","email":"`+name+`@example.com","password":"`+password+`"}`)); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for n := range 9 {
		create(fmt.Sprintf("m%d-walker", n))
	}
	for i, query := range []string{
		"sort=username,asc", "sort=username,desc", "sort=email,asc", "sort=email,desc", "sort=created_at,asc", "sort=created_at,desc",
		"sort=username,asc&search=walker", "sort=created_at,desc&search=walker",
	} {
		var seen []string
		path := "/admin/users?per_page=2&" + query
		next, page := path, 1
		for next != "" {
			list := get[api.Users](s, fetch(next).as(s.admin.AccessToken))
			if list.Number != page {
				t.Errorf("%s: page %d says that it is %d", query, page, list.Number)
			}
			for _, u := range list.Users {
				seen = append(seen, u.Username)
			}
			if page == 2 { // one at each end, and the one at the cursor goes
				create(fmt.Sprintf("a%d-walker", i))
				create(fmt.Sprintf("z%d-walker", i))
				gone := list.Users[1].Username
				if !strings.HasPrefix(gone, "m") {
					s.do(s.operator, remove("/admin/users/"+gone))
				}
			}
			next, page = "", page+1
			if list.NextCursor != nil {
				next = path + "&cursor=" + *list.NextCursor
			}
		}
		for n := range 9 {
			if name := fmt.Sprintf("m%d-walker", n); !slices.Contains(seen, name) {
				t.Errorf("%s: %s was skipped: %v", query, name, seen)
			}
		}
		slices.Sort(seen)
		if len(slices.Compact(slices.Clone(seen))) != len(seen) {
			t.Errorf("%s: somebody came twice: %v", query, seen)
		}
	}
}
