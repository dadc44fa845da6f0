package oauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/steward"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
	"github.com/keystone-auth/keystone/token"
	"github.com/keystone-auth/keystone/view"
)

const password = "Correct-Horse-7-Battery"

// house is everything behind the HTTP API, on one state.
type house struct {
	*teststate.State
	oauth   *oauth.Service
	view    *view.View
	steward *steward.Steward
	user    iam.User
	client  iam.Client
	secret  string
}

var settings = iam.Settings{
	Issuer: "keystone-auth", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 86400,
	ServiceSeconds: 900, DefaultRole: iam.RoleUser,
}

func build(t *testing.T) *house {
	t.Helper()
	return buildWith(t, settings, nil)
}

func buildWith(t *testing.T, settings iam.Settings, shared []byte) *house {
	t.Helper()
	h := &house{State: teststate.New(t)}
	sealer := secret.NewSealer(secret.NewClusterSecret())
	var err error
	h.view, err = view.New(view.Config{Open: sealer.Open, Fatal: func(err error) { t.Error(err) }}, h.Store)
	if err != nil {
		t.Fatal(err)
	}
	h.OnCommit(h.view.Commit)
	h.steward = &steward.Steward{
		Store: h.Store, Proposer: h, Sealer: sealer, Settings: settings, SharedSecret: secret.NewText(string(shared)),
		PublishFor: time.Hour, Every: time.Hour, Now: h.Now,
	}
	h.duties(t)
	people := &login.Service{
		Store: h.Store, Proposer: h, CatchUp: h.CatchUp, Policy: login.DefaultPolicy, Now: h.Now,
		Lockout: login.Lockout{Attempts: 3, For: 15 * time.Minute}, Tally: tally.New(tally.Config{Now: h.Now}),
		Hasher: secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}}),
	}
	h.oauth = &oauth.Service{Store: h.Store, View: h.view, Proposer: h, Login: people, Now: h.Now, Confirm: h.Confirm}
	h.user, _, err = people.Register(t.Context(), fsm.Origin{}, login.NewUser{Username: "Alice", Email: "alice@example.org", Password: password}, iam.Permissions{})
	if err != nil {
		t.Fatal(err)
	}
	h.secret = secret.NewClientSecret()
	digest := secret.DigestOf(h.secret)
	scope := iam.Scope{ID: iam.NewID(), Name: "read:orders"}
	h.Must(t, &fsm.PutScope{Scope: scope})
	h.client = iam.Client{
		ID: iam.NewID(), ClientID: "shop", Name: "shop", Type: iam.Confidential, Active: true,
		SecretDigest: digest[:], Scopes: []iam.ID{scope.ID}, Audiences: []string{"orders", "stock"},
	}
	h.Must(t, &fsm.CreateClient{Client: h.client})
	return h
}

// duties runs one round of the leader's work.
func (h *house) duties(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.steward.Run(ctx)
}

func (h *house) login(t *testing.T) oauth.Answer {
	t.Helper()
	a, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: "ALICE", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *house) refresh(t *testing.T, refresh string) (oauth.Answer, error) {
	t.Helper()
	return h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantRefreshToken, RefreshToken: refresh})
}

func (h *house) active(raw string) bool {
	return string(h.view.Introspect(nil, []byte(raw), h.Now())) != `{"active":false}`
}

func (h *house) caller(t *testing.T, raw string) oauth.Caller {
	t.Helper()
	claims, err := h.view.Verify([]byte(raw), h.Now())
	if err != nil {
		t.Fatal(err)
	}
	return oauth.Caller{Claims: claims}
}

func wantCode(t *testing.T, err error, want iam.Code) {
	t.Helper()
	if got := iam.CodeOf(err); err == nil || got != want {
		t.Fatalf("got %v, want code %s", err, want)
	}
}

func TestPasswordGrant(t *testing.T) {
	h := build(t)
	a := h.login(t)
	c := h.caller(t, a.AccessToken).Claims
	want := token.Claims{
		Issuer: "keystone-auth", Subject: h.user.ID.String(), Audience: []string{"keystone-auth"},
		ID: a.TokenID, SessionID: a.SessionID, Type: token.TypeAccess, Username: "Alice",
		Scope: []string{"read:profile", "write:profile"}, Roles: []string{"user"},
		IssuedAt: h.Now().Unix(), NotBefore: h.Now().Unix(), AuthTime: h.Now().Unix(), ExpiresAt: h.Now().Unix() + 900,
	}
	if diff := cmp.Diff(want, *c); diff != "" {
		t.Error(diff)
	}
	if a.ExpiresIn != 900 || a.Scope != "read:profile write:profile" {
		t.Errorf("answer %+v", a)
	}
}

// TestManyFirstLoginsAtOnce: all of them find the hash too weak and want to replace it, which only
// the first one can.
func TestManyFirstLoginsAtOnce(t *testing.T) {
	h := build(t)
	h.oauth.Login.Hasher = secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 128, Passes: 1, Lanes: 1}})
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := h.oauth.Token(context.Background(), oauth.Request{Grant: oauth.GrantPassword, Username: "alice", Password: password})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestPasswordRefusals(t *testing.T) {
	h := build(t)
	ask := func(change func(*oauth.Request)) error {
		r := oauth.Request{Grant: oauth.GrantPassword, Username: "alice@EXAMPLE.org", Password: password}
		change(&r)
		_, err := h.oauth.Token(t.Context(), r)
		return err
	}
	if err := ask(func(*oauth.Request) {}); err != nil {
		t.Fatalf("login by e-mail: %v", err)
	}
	wantCode(t, ask(func(r *oauth.Request) { r.Password = "" }), iam.InvalidRequest)
	wantCode(t, ask(func(r *oauth.Request) { r.Scope = "admin:users" }), iam.InvalidScope)
	wantCode(t, ask(func(r *oauth.Request) { r.Scope = "bad\"scope" }), iam.InvalidScope)
	wantCode(t, ask(func(r *oauth.Request) { r.Grant = "implicit" }), iam.UnsupportedGrantType)
	wantCode(t, ask(func(r *oauth.Request) { r.Client.ID = "shop" }), iam.InvalidClient)
	wrong := ask(func(r *oauth.Request) { r.Password = "wrong" })
	unknown := ask(func(r *oauth.Request) { r.Username = "nobody" })
	wantCode(t, wrong, iam.InvalidGrant)
	if wrong.Error() != unknown.Error() {
		t.Errorf("a wrong password and an unknown user differ: %v, %v", wrong, unknown)
	}
}

func TestLockout(t *testing.T) {
	h := build(t)
	try := func(pw string) error {
		_, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: "alice", Password: pw})
		return err
	}
	for range 3 {
		wantCode(t, try("wrong"), iam.InvalidGrant)
	}
	wantCode(t, try("wrong"), iam.InvalidGrant)
	wantCode(t, try(password), iam.AccountLocked)
	h.Advance(iam.Time(16 * time.Minute / time.Microsecond))
	if err := try(password); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestRefreshRotates(t *testing.T) {
	h := build(t)
	a := h.login(t)
	b, err := h.refresh(t, a.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if b.RefreshToken == a.RefreshToken || b.TokenID == a.TokenID || b.SessionID != a.SessionID {
		t.Error("the refresh did not issue new tokens for the same session")
	}
	again, err := h.refresh(t, a.RefreshToken)
	if err != nil || again.RefreshToken != b.RefreshToken || again.TokenID != b.TokenID {
		t.Errorf("a retry in the grace got another answer: %v", err)
	}
	if _, err := h.refresh(t, b.RefreshToken); err != nil {
		t.Fatal(err)
	}
	_, err = h.refresh(t, a.RefreshToken)
	wantCode(t, err, iam.InvalidGrant)
	if h.active(b.AccessToken) {
		t.Error("an old refresh token was presented and the session lives")
	}
}

func TestRefreshAfterGraceKills(t *testing.T) {
	h := build(t)
	a := h.login(t)
	b, err := h.refresh(t, a.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	h.Advance(iam.Time(11 * time.Second / time.Microsecond))
	_, err = h.refresh(t, a.RefreshToken)
	wantCode(t, err, iam.InvalidGrant)
	_, err = h.refresh(t, b.RefreshToken)
	wantCode(t, err, iam.InvalidGrant)
}

// Anybody can make up a token that looks like one. It must cost no change of the log, of which every node
// would have to keep something.
func TestMadeUpRefreshTokensChangeNothing(t *testing.T) {
	h := build(t)
	a := h.login(t)
	before := h.FSM.Applied()
	for _, session := range []iam.ID{iam.NewID(), a.SessionID} { // one that never was, and another's
		made := token.NewRefreshToken(session).Reveal()
		_, err := h.refresh(t, made)
		wantCode(t, err, iam.InvalidGrant)
		if _, err := h.oauth.Revoke(t.Context(), h.caller(t, a.AccessToken), made, fsm.Origin{}); err != nil {
			t.Error(err)
		}
	}
	if after := h.FSM.Applied(); after != before {
		t.Errorf("made-up tokens brought the log from %d to %d", before, after)
	}
	if _, err := h.refresh(t, a.RefreshToken); err != nil {
		t.Errorf("the session that was named suffered: %v", err)
	}
}

func TestRefreshSameRequestSameAnswer(t *testing.T) {
	h := build(t)
	a := h.login(t)
	r := oauth.Request{Grant: oauth.GrantRefreshToken, RefreshToken: a.RefreshToken, Origin: fsm.Origin{RequestID: iam.NewID()}}
	b, err := h.oauth.Token(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.Advance(iam.Time(30 * time.Second / time.Microsecond)) // after the grace the request id alone helps
	c, err := h.oauth.Token(t.Context(), r)
	if err != nil || c.RefreshToken != b.RefreshToken || c.TokenID != b.TokenID {
		t.Errorf("got %+v, %v, want the answer %+v again", c, err, b)
	}
}

func TestRefreshNarrows(t *testing.T) {
	h := build(t)
	a := h.login(t)
	r := oauth.Request{Grant: oauth.GrantRefreshToken, RefreshToken: a.RefreshToken, Scope: "admin:users"}
	_, err := h.oauth.Token(t.Context(), r)
	wantCode(t, err, iam.InvalidScope)
	r.Scope = "read:profile"
	b, err := h.oauth.Token(t.Context(), r)
	if err != nil || b.Scope != "read:profile" {
		t.Errorf("got %+v, %v", b, err)
	}
	c, err := h.refresh(t, b.RefreshToken)
	if err != nil || c.Scope != "read:profile write:profile" {
		t.Errorf("a narrower refresh narrowed the session for good: %+v, %v", c, err)
	}
}

func TestClientCredentials(t *testing.T) {
	h := build(t)
	ask := func(change func(*oauth.Request)) (oauth.Answer, error) {
		r := oauth.Request{Grant: oauth.GrantClientCredentials, Client: oauth.ClientAuth{ID: "shop", Secret: h.secret}}
		change(&r)
		return h.oauth.Token(t.Context(), r)
	}
	a, err := ask(func(*oauth.Request) {})
	if err != nil {
		t.Fatal(err)
	}
	c := h.caller(t, a.AccessToken).Claims
	if c.Subject != "shop" || c.ClientID != "shop" || a.RefreshToken != "" || a.Scope != "read:orders" {
		t.Errorf("got %+v for %+v", c, a)
	}
	if diff := cmp.Diff([]string{"orders", "stock"}, c.Audience); diff != "" {
		t.Error(diff)
	}
	_, err = ask(func(r *oauth.Request) { r.Audience = []string{"orders", "payroll"} })
	wantCode(t, err, iam.InvalidTarget)
	_, wrong := ask(func(r *oauth.Request) { r.Client.Secret = "wrong" })
	_, unknown := ask(func(r *oauth.Request) { r.Client.ID = "nobody" })
	wantCode(t, wrong, iam.InvalidClient)
	if wrong.Error() != unknown.Error() {
		t.Error("a wrong secret and an unknown client differ")
	}
}

func TestClientDisabledAndBack(t *testing.T) {
	h := build(t)
	ask := func() (oauth.Answer, error) {
		return h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantClientCredentials, Client: oauth.ClientAuth{ID: "shop", Secret: h.secret}})
	}
	a, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	off := h.client
	off.Active = false
	h.Must(t, &fsm.UpdateClient{Client: off})
	if h.active(a.AccessToken) {
		t.Error("the token of a disabled client is active")
	}
	_, err = ask()
	wantCode(t, err, iam.ClientDisabled)
	h.Must(t, &fsm.UpdateClient{Client: h.client})
	if h.active(a.AccessToken) {
		t.Error("an old token came back to life with its client")
	}
	b, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if !h.active(b.AccessToken) {
		t.Error("a token issued in the second of the revocation was born dead")
	}
}

func TestRevoke(t *testing.T) {
	h := build(t)
	mine, other := h.login(t), h.login(t)
	if _, _, err := h.oauth.Login.Register(t.Context(), fsm.Origin{}, login.NewUser{Username: "mallory", Email: "m@example.org", Password: password}, iam.Permissions{}); err != nil {
		t.Fatal(err)
	}
	m, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: "mallory", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(c oauth.Caller, raw string) {
		t.Helper()
		if _, err := h.oauth.Revoke(t.Context(), c, raw, fsm.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	mallory := h.caller(t, m.AccessToken)
	for _, raw := range []string{"garbage", "", mine.AccessToken, mine.RefreshToken, "ksr_garbage"} {
		revoke(mallory, raw)
		revoke(oauth.Caller{Client: &h.client}, raw)
	}
	if _, err := h.refresh(t, mine.RefreshToken); err != nil || !h.active(mine.AccessToken) {
		t.Fatalf("somebody else revoked a token: %v", err)
	}
	alice := h.caller(t, mine.AccessToken)
	revoke(alice, other.RefreshToken)
	if h.active(other.AccessToken) {
		t.Error("a revoked refresh token did not take its session along")
	}
	revoke(alice, mine.AccessToken)
	if h.active(mine.AccessToken) {
		t.Error("a revoked access token is active")
	}
	if !h.active(m.AccessToken) {
		t.Error("a stranger's token died")
	}
}

func TestLogout(t *testing.T) {
	h := build(t)
	a, b := h.login(t), h.login(t)
	n, _, err := h.oauth.Logout(t.Context(), h.caller(t, a.AccessToken), false, fsm.Origin{})
	if err != nil || n != 1 || h.active(a.AccessToken) || !h.active(b.AccessToken) {
		t.Fatalf("one session: ended %d, %v", n, err)
	}
	c := h.login(t)
	n, _, err = h.oauth.Logout(t.Context(), h.caller(t, c.AccessToken), true, fsm.Origin{})
	if err != nil || n != 2 || h.active(b.AccessToken) || h.active(c.AccessToken) {
		t.Fatalf("all sessions: ended %d, %v", n, err)
	}
	d := h.login(t)
	if !h.active(d.AccessToken) {
		t.Error("a login in the second of a logout was born dead")
	}
}

func TestWhoMayIntrospect(t *testing.T) {
	h := build(t)
	user := h.caller(t, h.login(t).AccessToken)
	wantCode(t, h.oauth.MayIntrospect(user), iam.Forbidden)
	wantCode(t, h.oauth.MayIntrospect(oauth.Caller{Client: &iam.Client{Type: iam.Public}}), iam.Forbidden)
	wantCode(t, h.oauth.MayIntrospect(oauth.Caller{}), iam.Forbidden)
	for _, ok := range []oauth.Caller{{Client: &h.client}, {Operator: true}, {Claims: &token.Claims{Type: token.TypeAccess, Scope: []string{iam.ScopeAdminTokens}}}} {
		if err := h.oauth.MayIntrospect(ok); err != nil {
			t.Errorf("%+v: %v", ok, err)
		}
	}
}

func TestCompatibleMode(t *testing.T) {
	shared := []byte("the secret that the old system signed its tokens with")
	compatible := settings
	compatible.Algorithm = "HS256"
	h := buildWith(t, compatible, shared)
	a := h.login(t)
	if !h.active(a.AccessToken) {
		t.Error("a token of the compatible mode is not active")
	}
	if string(h.view.JWKS(h.Now())) != `{"keys":[]}` {
		t.Errorf("the shared secret is published: %s", h.view.JWKS(h.Now()))
	}
}

func TestKeyRotation(t *testing.T) {
	h := build(t)
	a := h.login(t)
	first, _, _ := h.view.Keys().Signer(h.Now())
	if err := h.steward.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kid, _, _ := h.view.Keys().Signer(h.Now()); kid != first {
		t.Error("the new key signs before it was published for a while")
	}
	h.Advance(iam.Time(time.Hour / time.Microsecond))
	h.Advance(2)
	if kid, _, _ := h.view.Keys().Signer(h.Now()); kid == first {
		t.Error("the new key does not sign")
	}
	b := h.login(t)
	if !h.active(b.AccessToken) {
		t.Error("a token of the new key is not active")
	}
	_ = a
	h.Advance(iam.Time(26 * time.Hour / time.Microsecond))
	h.duties(t)
	var keys int
	if err := h.Store.View(func(r *store.Reader) error { keys = len(r.Keys()); return nil }); err != nil {
		t.Fatal(err)
	}
	if keys != 1 {
		t.Errorf("%d keys are left, want the retired one forgotten", keys)
	}
}
