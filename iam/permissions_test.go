package iam

import "testing"

func TestMayManage(t *testing.T) {
	f := func(p Permissions, allowed bool, held ...string) {
		t.Helper()
		if err := p.MayAlter(held); (err == nil) != allowed || err != nil && CodeOf(err) != Forbidden {
			t.Errorf("%+v manages %q: %v", p, held, err)
		}
	}
	clerk := Permissions{Scopes: []string{"admin:users"}}
	f(clerk, true)
	f(clerk, true, "read:profile", "orders", "admin:users", "read:users")
	f(clerk, false, "admin:keys")
	f(clerk, false, "read:profile", "read:audit")
	f(clerk, false, "admin:stock") // of an application, but an administrator all the same
	f(Permissions{All: true}, true, "admin:keys")
	if clerk.Everything() || !(Permissions{Scopes: administered}).Everything() || !(Permissions{All: true}).Everything() {
		t.Error("Everything is wrong")
	}
}

func TestMayGive(t *testing.T) {
	f := func(p Permissions, want Code, scopes ...string) {
		t.Helper()
		err := p.MayGive(scopes)
		if got := CodeOf(err); (err != nil || want != "") && got != want {
			t.Errorf("%+v gives %q: %v, want %q", p, scopes, err, want)
		}
	}
	clerk := Permissions{Scopes: []string{"admin:users", "read:profile"}}
	f(clerk, "")
	f(clerk, "", "read:profile", "admin:users")
	f(clerk, "", "read:users", "write:users") // what admin:users implies
	f(clerk, Forbidden, "read:profile", "admin:keys")
	f(clerk, Forbidden, "write:profile")
	f(Permissions{}, Forbidden, "read:profile")
	f(Permissions{All: true}, "", "admin:keys")
	maker := Permissions{Scopes: []string{"admin:scopes", "admin:clients"}}
	f(maker, "", "read:orders", "orders", "read:clients")
	f(maker, Forbidden, "read:orders", "read:users")
	f(maker, Forbidden, "write:audit")
	f(maker, Forbidden, "admin:keys")
	f(maker, Forbidden, "admin:orders")
}
