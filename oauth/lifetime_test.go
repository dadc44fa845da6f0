package oauth_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/token"
)

// issued is a token that somebody holds, and what is known to have happened to it.
type issued struct {
	raw    string
	claims *token.Claims
	taken  string // by what it was taken back; "" = by nothing
}

// chain is a session as its owner sees it.
type chain struct {
	id      iam.ID
	client  string
	refresh string
	until   iam.Time
	over    bool
}

// world is a house with three nodes whose clocks differ, and the model of what must be alive in it.
type world struct {
	*house
	t      *testing.T
	random *rand.Rand
	nodes  []*oauth.Service
	tokens []*issued
	chains []*chain
	scopes []iam.ID
}

// TestWhatWasTakenBackStaysDead does whatever can be done to users, clients, sessions and tokens, in any
// order, on nodes whose clocks differ by seconds, while days go by and rows expire. What was taken back
// is never active again, and what was not is active until it expires.
func TestWhatWasTakenBackStaysDead(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 60 {
				what := w.step()
				w.check(what)
			}
		})
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	s := settings
	if seed%2 == 0 {
		s.RefreshSeconds = 60 // sessions that are shorter than access tokens would be
	}
	w := &world{house: buildWith(t, s, nil), t: t, random: rand.New(rand.NewPCG(seed, 1))}
	for _, by := range []time.Duration{-3 * time.Second, 0, 3 * time.Second} {
		w.nodes = append(w.nodes, &oauth.Service{
			Store: w.Store, View: w.view, Proposer: w, Login: w.oauth.Login, Confirm: w.Confirm,
			Now: func() iam.Time { return w.Now().Add(by) },
		})
	}
	w.scopes = w.client.Scopes
	return w
}

func (w *world) node() *oauth.Service { return w.nodes[w.random.IntN(len(w.nodes))] }

// step does one thing and says what.
func (w *world) step() string {
	steps := []struct {
		weight int
		what   string
		do     func()
	}{
		{6, "login", func() { w.logIn("") }},
		{6, "login through the client", func() { w.logIn("shop") }},
		{6, "service token", w.serviceToken},
		{8, "refresh", w.refreshOne},
		{3, "revocation of a token", w.revokeOne},
		{3, "logout", w.logOut},
		{2, "revocation of all that the user has", func() {
			w.takeUser()
			w.Must(w.t, &fsm.RevokeIssued{User: w.user.ID})
		}},
		{2, "revocation of all that the client has", func() {
			w.take(w.ofClient, "client revoked")
			w.endChains(func(c *chain) bool { return c.client == "shop" })
			w.Must(w.t, &fsm.RevokeIssued{Client: "shop"})
		}},
		{2, "user disabled and enabled", w.blinkUser},
		{2, "client disabled and enabled", w.blinkClient},
		{2, "client without a scope, and with it again", w.restrict},
		{1, "user deleted and made anew", w.replaceUser},
		{1, "client deleted and made anew", w.replaceClient},
		{5, "seconds", func() { w.Advance(iam.Time(w.random.IntN(5)) * 1_000_000) }},
		{3, "minutes", func() { w.Advance(iam.Time(w.random.IntN(20*60)) * 1_000_000) }},
		{1, "a day", func() { w.Advance(iam.Time(20+w.random.IntN(10)) * 3600 * 1_000_000) }},
		{4, "the leader's duties", func() { w.duties(w.t) }},
	}
	all := 0
	for _, s := range steps {
		all += s.weight
	}
	at := w.random.IntN(all)
	for _, s := range steps {
		if at -= s.weight; at < 0 {
			s.do()
			return s.what
		}
	}
	return ""
}

// check holds every token to what is known of it.
func (w *world) check(what string) {
	w.t.Helper()
	for _, i := range w.tokens {
		expired := w.Now().Unix() >= i.claims.ExpiresAt
		switch active := w.active(i.raw); {
		case active && i.taken != "":
			w.t.Fatalf("after %s: a %s token that was taken back (%s) is active", what, i.claims.Type, i.taken)
		case active == expired && i.taken == "":
			w.t.Fatalf("after %s: a %s token of client %q is active: %v, expired: %v", what, i.claims.Type, i.claims.ClientID, active, expired)
		}
	}
}

// take notes that every token of a kind is taken back by what follows.
func (w *world) take(which func(*token.Claims) bool, how string) {
	for _, i := range w.tokens {
		if which(i.claims) && i.taken == "" {
			i.taken = how
		}
	}
}

func (w *world) takeUser() {
	w.take(w.ofUser, "user revoked")
	w.endChains(func(*chain) bool { return true }) // there is one user
}

func (w *world) ofUser(c *token.Claims) bool   { return c.Subject == w.user.ID.String() }
func (w *world) ofClient(c *token.Claims) bool { return c.ClientID == "shop" }

func (w *world) endChains(which func(*chain) bool) {
	for _, c := range w.chains {
		c.over = c.over || which(c)
	}
}

// keep remembers a token that was issued.
func (w *world) keep(raw string) *token.Claims {
	w.t.Helper()
	claims, err := w.view.Verify([]byte(raw), w.Now())
	if err != nil {
		w.t.Fatalf("a token that was just issued: %v", err)
	}
	w.tokens = append(w.tokens, &issued{raw: raw, claims: claims})
	return claims
}

func (w *world) credentials(client string) oauth.ClientAuth {
	if client == "" {
		return oauth.ClientAuth{}
	}
	return oauth.ClientAuth{ID: client, Secret: w.secret}
}

func (w *world) logIn(client string) {
	n := w.node()
	a, err := n.Token(w.t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: "alice", Password: password, Client: w.credentials(client)})
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.keep(a.AccessToken)
	w.chains = append(w.chains, &chain{id: c.SessionID, client: client, refresh: a.RefreshToken, until: w.sessionEnd()})
}

// sessionEnd is when a session that is used now is over, on the safe side of clocks that differ.
func (w *world) sessionEnd() iam.Time {
	return w.Now().Add(time.Duration(w.view.Settings().RefreshSeconds)*time.Second - 5*time.Second)
}

func (w *world) serviceToken() {
	a, err := w.node().Token(w.t.Context(), oauth.Request{Grant: oauth.GrantClientCredentials, Client: w.credentials("shop")})
	if err != nil {
		w.t.Fatal(err)
	}
	w.keep(a.AccessToken)
}

func (w *world) refreshOne() {
	if len(w.chains) == 0 {
		return
	}
	c := w.chains[w.random.IntN(len(w.chains))]
	a, err := w.node().Token(w.t.Context(), oauth.Request{Grant: oauth.GrantRefreshToken, RefreshToken: c.refresh, Client: w.credentials(c.client)})
	switch {
	case err == nil && c.over:
		w.t.Fatal("a session that is over was continued")
	case err != nil && !c.over && w.Now() < c.until:
		w.t.Fatalf("a session that goes on was refused: %v", err)
	case err == nil:
		w.keep(a.AccessToken)
		c.refresh, c.until = a.RefreshToken, w.sessionEnd()
	}
}

func (w *world) revokeOne() {
	if len(w.tokens) == 0 {
		return
	}
	i := w.tokens[w.random.IntN(len(w.tokens))]
	if !w.active(i.raw) {
		return
	}
	i.taken = "token revoked"
	w.Must(w.t, &fsm.RevokeToken{Jti: i.claims.ID})
}

func (w *world) logOut() {
	if len(w.chains) == 0 {
		return
	}
	c := w.chains[w.random.IntN(len(w.chains))]
	c.over = true
	w.take(func(t *token.Claims) bool { return t.SessionID == c.id }, "logout")
	w.Must(w.t, &fsm.EndSessions{User: w.user.ID, Session: c.id})
}

func (w *world) blinkUser() {
	w.takeUser()
	off := w.user
	off.Active = false
	w.Must(w.t, &fsm.UpdateUser{User: off})
	w.Must(w.t, &fsm.UpdateUser{User: w.user})
}

func (w *world) blinkClient() {
	w.take(w.ofClient, "client disabled")
	off := w.client
	off.Active = false
	w.Must(w.t, &fsm.UpdateClient{Client: off})
	w.Must(w.t, &fsm.UpdateClient{Client: w.client})
}

func (w *world) restrict() {
	w.take(w.ofClient, "client restricted")
	less := w.client
	less.Scopes = nil
	w.Must(w.t, &fsm.UpdateClient{Client: less})
	w.Must(w.t, &fsm.UpdateClient{Client: w.client})
}

func (w *world) replaceUser() {
	w.takeUser()
	w.Must(w.t, &fsm.DeleteUser{ID: w.user.ID})
	w.user.ID = iam.NewID()
	hash, err := w.oauth.Login.Hasher.Hash(w.t.Context(), password)
	if err != nil {
		w.t.Fatal(err)
	}
	w.user.PasswordHash = hash
	w.Must(w.t, &fsm.CreateUser{User: w.user})
}

func (w *world) replaceClient() {
	w.take(w.ofClient, "client deleted")
	w.endChains(func(c *chain) bool { return c.client == "shop" })
	w.Must(w.t, &fsm.DeleteClient{ID: w.client.ID})
	w.client.ID = iam.NewID()
	w.Must(w.t, &fsm.CreateClient{Client: w.client})
}
