package oauth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/tally"
)

// TestRefreshUnderAKeyStaysWithItsClient: the remembered outcome of a refresh is for the client that
// asked for it, on whatever node and however late.
func TestRefreshUnderAKeyStaysWithItsClient(t *testing.T) {
	h := build(t)
	thief, err := h.oauth.CreateClient(t.Context(), fsm.Origin{}, iam.Client{
		ID: iam.NewID(), ClientID: "thief", Name: "thief", Type: iam.Confidential, Active: true,
	}, nil, iam.Permissions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	other := &oauth.Service{Store: h.Store, View: h.view, Proposer: h, Login: h.oauth.Login, Now: h.Now, Confirm: h.Confirm} // another node
	own := oauth.ClientAuth{ID: "shop", Secret: h.secret}
	a, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: "alice", Password: password, Client: own})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(s *oauth.Service, client oauth.ClientAuth) func() (oauth.Answer, error) {
		r := oauth.Request{Grant: oauth.GrantRefreshToken, RefreshToken: a.RefreshToken, Client: client}
		r.Origin.RequestID = iam.ID{1} // one key and one body, whoever asks
		return func() (oauth.Answer, error) { return s.Token(t.Context(), r) }
	}
	first, err := ask(h.oauth, own)()
	if err != nil || first.Index == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	for range 2 {
		for _, node := range []*oauth.Service{h.oauth, other} {
			if again, err := ask(node, own)(); err != nil || again.RefreshToken != first.RefreshToken || again.Index != first.Index {
				t.Errorf("its own client got %+v, %v; want the answer %+v again", again, err, first)
			}
			_, err := ask(node, oauth.ClientAuth{})()
			wantCode(t, err, iam.InvalidGrant)
			_, err = ask(node, oauth.ClientAuth{ID: "thief", Secret: thief.Secret})()
			wantCode(t, err, iam.InvalidGrant)
		}
		h.Advance(iam.Time(11 * time.Second / time.Microsecond)) // beyond the grace
	}
}

// TestGuessedSecretsAreCounted: an imported secret costs a hash to refuse, and whoever sends wrong
// ones has proved nothing.
func TestGuessedSecretsAreCounted(t *testing.T) {
	h := build(t)
	names := []string{"old-1", "old-2", "old-3", "old-4", "old-5"}
	for _, name := range names {
		hash, err := h.oauth.Login.Hasher.Hash(t.Context(), "imported")
		if err != nil {
			t.Fatal(err)
		}
		h.Must(t, &fsm.CreateClient{Client: iam.Client{
			ID: iam.NewID(), ClientID: name, Name: name, Type: iam.Confidential, Active: true, SecretHash: hash,
		}})
	}
	windows := limit.NewLimiter(100)
	t.Cleanup(windows.Close)
	h.oauth.Limiter = tally.New(tally.Config{Windows: windows, Now: h.Now})
	h.oauth.Guesses = limit.Limit{Name: "test", Count: 3, Per: time.Minute}
	home, away := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	ask := func(id, secret string, from netip.Addr) error {
		_, err := h.oauth.AuthenticateClient(t.Context(), oauth.ClientAuth{ID: id, Secret: secret, IP: from})
		return err
	}
	for _, name := range names[1:] { // what is right does not count
		if err := ask(name, "imported", home); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		wantCode(t, ask(names[i], "wrong", home), iam.InvalidClient)
	}
	wantCode(t, ask("old-2", "wrong", home), iam.RateLimitExceeded)
	wantCode(t, ask("old-1", "imported", home), iam.RateLimitExceeded)
	if err := ask("old-1", "imported", away); err != nil {
		t.Errorf("another address: %v", err)
	}
	if err := ask("old-2", "imported", home); err != nil {
		t.Errorf("a secret that was proven before: %v", err)
	}
	wantCode(t, ask("shop", "wrong", home), iam.InvalidClient) // costs no hash
	if err := ask("shop", h.secret, home); err != nil {
		t.Errorf("a secret that Keystone made: %v", err)
	}
	h.Advance(iam.Time(time.Minute / time.Microsecond))
	wantCode(t, ask("old-1", "wrong", home), iam.InvalidClient)
}

// TestClientsGetNoMoreThanTheirMakerHolds: whoever may make clients could else make one with every
// scope and use its secret.
func TestClientsGetNoMoreThanTheirMakerHolds(t *testing.T) {
	h := build(t)
	f := func(by iam.Permissions, want iam.Code, scopes ...string) {
		t.Helper()
		c := iam.Client{ID: iam.NewID(), ClientID: iam.NewID().String(), Name: "x", Type: iam.Confidential, Active: true}
		made, err := h.oauth.CreateClient(t.Context(), fsm.Origin{}, c, scopes, by)
		if got := iam.CodeOf(err); err != nil && got != want || err == nil && (want != "" || made.Index == 0 || made.Secret == "") {
			t.Errorf("%q by %+v: %v, want %q", scopes, by, err, want)
		}
	}
	clerk := oauth.Caller{Claims: h.caller(t, h.login(t).AccessToken).Claims}.Permissions()
	f(clerk, "", "read:profile", "write:profile")
	f(clerk, iam.Forbidden, "read:profile", "read:orders")
	f(clerk, iam.Forbidden, iam.ScopeAdminKeys)
	f(clerk, iam.ValidationError, "no:such")
	f(oauth.Caller{Client: &h.client}.Permissions(), iam.Forbidden, "read:orders")
	f(oauth.Caller{Operator: true}.Permissions(), "", "read:orders", iam.ScopeAdminKeys)
}

// TestForeignTokensPermitNothing: whoever was sent the token of an administrator must not be able to
// revoke everybody's tokens with it.
func TestForeignTokensPermitNothing(t *testing.T) {
	h := build(t)
	alice := h.login(t)
	mallory, _, err := h.oauth.Login.Register(t.Context(), fsm.Origin{}, login.NewUser{
		Username: "mallory", Email: "m@example.org", Password: password, Roles: []string{iam.RoleAdmin},
	}, iam.Permissions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: mallory.Username, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	caller := h.caller(t, m.AccessToken)
	caller.Foreign = true
	wantCode(t, h.oauth.MayIntrospect(caller), iam.Forbidden)
	if _, err := h.oauth.Revoke(t.Context(), caller, alice.AccessToken, fsm.Origin{}); err != nil || !h.active(alice.AccessToken) {
		t.Errorf("it revoked somebody else's: %v", err)
	}
	if index, err := h.oauth.Revoke(t.Context(), caller, m.AccessToken, fsm.Origin{}); err != nil || index == 0 || h.active(m.AccessToken) {
		t.Errorf("it did not end itself: %v", err)
	}
}
