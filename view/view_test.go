package view_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
	"github.com/keystone-auth/keystone/view"
)

type fixture struct {
	*teststate.State
	view   *view.View
	sealer *secret.Sealer
}

func build(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{State: teststate.New(t), sealer: secret.NewSealer(secret.NewClusterSecret())}
	f.Must(t, &fsm.Initialize{Settings: iam.Settings{
		Issuer: "iss", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 900, ServiceSeconds: 900, DefaultRole: "user",
	}})
	f.addKey(t, f.Now())
	v, err := view.New(view.Config{Open: f.sealer.Open, Fatal: func(err error) { t.Error(err) }}, f.Store)
	if err != nil {
		t.Fatal(err)
	}
	f.view = v
	f.OnCommit(v.Commit)
	return f
}

func (f *fixture) addKey(t testing.TB, from iam.Time) {
	t.Helper()
	key, err := token.NewKey("ES256", from, f.Now(), f.sealer.Seal)
	if err != nil {
		t.Fatal(err)
	}
	f.Must(t, &fsm.AddKey{Key: key})
}

func (f *fixture) issue(t testing.TB, change func(*token.Claims)) string {
	t.Helper()
	c := &token.Claims{
		Issuer: "iss", Subject: iam.NewID().String(), Audience: []string{"iss"}, ID: iam.NewID().String(),
		SessionID: iam.NewID(), Type: token.TypeAccess, Scope: []string{"a:b"}, Roles: []string{"user"},
		IssuedAt: f.Now().Unix(), ExpiresAt: f.Now().Unix() + 900,
	}
	change(c)
	raw, err := f.view.Keys().Sign(c, f.Now())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (f *fixture) active(raw string) bool {
	_, err := f.view.Verify([]byte(raw), f.Now())
	body := string(f.view.Introspect(nil, []byte(raw), f.Now()))
	if (err == nil) != (body != `{"active":false}`) {
		panic("Verify and Introspect disagree: " + body)
	}
	return err == nil
}

func TestEachRevocationKills(t *testing.T) {
	f := build(t)
	session, user := iam.NewID(), iam.NewID()
	person := iam.User{ID: iam.NewID(), Username: "ann", Email: "ann@example.org", PasswordHash: "hash", Active: true}
	f.Must(t, &fsm.CreateUser{User: person})
	digest := make([]byte, 32)
	open := iam.Session{ID: iam.NewID(), UserID: person.ID, Family: digest, Refresh: digest, TokenID: "x", ExpiresAt: f.Now().Add(time.Hour)}
	f.Must(t, &fsm.StartSession{Session: open, Proven: "hash"})
	off := iam.Client{ID: iam.NewID(), ClientID: "off", Name: "off", Type: iam.Public, Active: true}
	gone := iam.Client{ID: iam.NewID(), ClientID: "gone", Name: "gone", Type: iam.Public, Active: true}
	f.Must(t, &fsm.CreateClient{Client: off})
	f.Must(t, &fsm.CreateClient{Client: gone})
	made := f.FSM.Applied()
	off.Active = false
	kinds := map[string]struct {
		token func(*token.Claims)
		cmd   fsm.Command
	}{
		"token":           {func(c *token.Claims) { c.ID = "j" }, &fsm.RevokeToken{Jti: "j"}},
		"client":          {func(c *token.Claims) { c.ClientID = "shop" }, &fsm.RevokeIssued{Client: "shop"}},
		"service":         {func(c *token.Claims) { c.ClientID, c.Type = "cron", token.TypeService }, &fsm.RevokeIssued{Client: "cron"}},
		"user":            {func(c *token.Claims) { c.Subject, c.SessionID = user.String(), iam.ID{} }, &fsm.RevokeIssued{User: user}},
		"session":         {func(c *token.Claims) { c.SessionID = open.ID }, &fsm.EndSessions{User: person.ID, Session: open.ID}},
		"disabled client": {func(c *token.Claims) { c.ClientID, c.ClientGeneration = off.ClientID, 1<<40 }, &fsm.UpdateClient{Client: off}},
		"deleted client":  {func(c *token.Claims) { c.ClientID, c.ClientGeneration = gone.ClientID, made }, &fsm.DeleteClient{ID: gone.ID}},
	}
	bystander := f.issue(t, func(c *token.Claims) { c.SessionID = session })
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			fresh, known := f.issue(t, k.token), f.issue(t, k.token)
			if !f.active(known) {
				t.Fatal("a good token is not active")
			}
			f.Must(t, k.cmd)
			if f.active(known) || f.active(fresh) {
				t.Error("a revoked token is active")
			}
			if !f.active(bystander) {
				t.Error("another token died")
			}
		})
	}
}

func TestReloadKeepsWhatWasRevoked(t *testing.T) {
	f := build(t)
	raw := f.issue(t, func(c *token.Claims) { c.ID = "gone" })
	f.Must(t, &fsm.RevokeToken{Jti: "gone"})
	f.view.Reload(f.Store)
	if f.active(raw) {
		t.Error("a revoked token is active after the view was made anew")
	}
	again, err := view.New(view.Config{Open: f.sealer.Open}, f.Store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Verify([]byte(raw), f.Now()); err == nil {
		t.Error("a revoked token is active after a restart")
	}
}

func TestExpires(t *testing.T) {
	f := build(t)
	raw := f.issue(t, func(*token.Claims) {})
	if !f.active(raw) {
		t.Fatal("a good token is not active")
	}
	f.Advance(iam.Time(900 * time.Second / time.Microsecond))
	if f.active(raw) {
		t.Error("a remembered token outlives its exp")
	}
}

func TestKeyThatIsGoneTakesItsTokens(t *testing.T) {
	f := build(t)
	raw := f.issue(t, func(c *token.Claims) { c.ExpiresAt = c.IssuedAt + 86400 })
	if !f.active(raw) {
		t.Fatal("a good token is not active")
	}
	var keys []iam.Key
	if err := f.Store.View(func(r *store.Reader) error { keys = r.Keys(); return nil }); err != nil {
		t.Fatal(err)
	}
	f.addKey(t, f.Now()+1)
	if !f.active(raw) {
		t.Error("a token died when another key was added")
	}
	f.view.Commit([]store.Change{{Row: keys[0], Deleted: true}})
	if f.active(raw) {
		t.Error("a remembered token outlives the key that signed it")
	}
}

func TestOtherSecretIsRefused(t *testing.T) {
	f := build(t)
	other := secret.NewSealer(secret.NewClusterSecret())
	if _, err := view.New(view.Config{Open: other.Open}, f.Store); err == nil {
		t.Error("keys were opened under another cluster secret")
	}
}

func TestIntrospectHitAllocatesNothing(t *testing.T) {
	f := build(t)
	raw := []byte(f.issue(t, func(c *token.Claims) { c.ClientID = "shop" }))
	dst := f.view.Introspect(make([]byte, 0, 4096), raw, f.Now())
	now := f.Now()
	if n := testing.AllocsPerRun(1000, func() { dst = f.view.Introspect(dst[:0], raw, now) }); n != 0 {
		t.Errorf("%v allocations on a hit", n)
	}
}

func TestIntrospectionBody(t *testing.T) {
	f := build(t)
	id, sid := iam.NewID(), iam.NewID()
	raw := f.issue(t, func(c *token.Claims) {
		c.Subject, c.ID, c.SessionID, c.ClientID, c.Username, c.NotBefore = id.String(), "j", sid, "shop", `A"b`, c.IssuedAt
		c.Audience = []string{"x", "y"}
	})
	now := f.Now().Unix()
	want := fmt.Sprintf(`{"active":true,"scope":"a:b","client_id":"shop","username":"A\"b","token_type":"Bearer","exp":%d,"iat":%d,"nbf":%d,"sub":"%s","aud":["x","y"],"iss":"iss","jti":"j","roles":["user"],"sid":"%s"}`,
		now+900, now, now, id, sid)
	if got := string(f.view.Introspect(nil, []byte(raw), f.Now())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func BenchmarkIntrospectHit(b *testing.B) {
	f := build(b)
	raw := []byte(f.issue(b, func(*token.Claims) {}))
	now, dst := f.Now(), make([]byte, 0, 4096)
	for b.Loop() {
		dst = f.view.Introspect(dst[:0], raw, now)
	}
}
