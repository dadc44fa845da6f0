package oauth_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
)

const sharedSecret = "the secret that the old system signed its tokens with"

// compatible is a house whose services share a secret with the old system.
func compatible(t *testing.T) *house {
	t.Helper()
	s := settings
	s.Algorithm = "HS256"
	return buildWith(t, s, []byte(sharedSecret))
}

// oldRefresh makes a refresh token as the old system did, an hour ago, and what it kept of it.
func (h *house) oldRefresh(t *testing.T, user iam.ID, changes ...func(jwt.MapClaims)) (string, iam.LegacySession) {
	t.Helper()
	issued := h.Now().Add(-time.Hour)
	claims := jwt.MapClaims{
		"sub": user.String(), "username": "alice", "type": "refresh", "jti": iam.NewID().String(), "iss": settings.Issuer,
		"iat": issued.Unix(), "exp": issued.Unix() + 30*86400,
	}
	for _, change := range changes {
		change(claims)
	}
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(sharedSecret))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := h.oauth.Login.Hasher.Hash(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	// The row was written a moment after the token was signed.
	written := issued.Add(700 * time.Millisecond)
	return raw, iam.LegacySession{ID: iam.NewID(), UserID: user, TokenHash: hash, IssuedAt: written, ExpiresAt: written.Add(30 * 24 * time.Hour)}
}

// plant writes rows as an import does.
func (h *house) plant(t *testing.T, rows ...iam.LegacySession) {
	t.Helper()
	if _, err := h.Store.Update(func(tx *store.Tx) error {
		for _, row := range rows {
			tx.PutLegacySession(row)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestOldRefreshToken(t *testing.T) {
	h := compatible(t)
	raw, row := h.oldRefresh(t, h.user.ID)
	other, otherRow := h.oldRefresh(t, h.user.ID, func(c jwt.MapClaims) { c["exp"] = h.Now().Unix() + 60 })
	otherRow.ExpiresAt = h.Now().Add(time.Minute)
	h.plant(t, row, otherRow)
	a, err := h.refresh(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	c := h.caller(t, a.AccessToken).Claims
	if c.Subject != h.user.ID.String() || c.SessionID != a.SessionID || c.SessionID.IsZero() || c.AuthTime != row.IssuedAt.Unix() ||
		a.Scope != "read:profile write:profile" || a.ExpiresIn != 900 || !strings.HasPrefix(a.RefreshToken, "ksr_") || a.Index == 0 {
		t.Errorf("got %+v with %+v", a, c)
	}
	if _, err := h.refresh(t, a.RefreshToken); err != nil {
		t.Errorf("the session does not go on: %v", err)
	}
	_, err = h.refresh(t, raw)
	wantCode(t, err, iam.InvalidGrant) // used up
	if !h.active(a.AccessToken) {
		t.Error("a second use has ended the session, though nobody can tell whose it was")
	}
	if _, err := h.refresh(t, other); err != nil {
		t.Errorf("the other token of the same user: %v", err)
	}
}

// TestOldRefreshTokenIsFound among the thousands that the old system kept of one person, for few hashes.
func TestOldRefreshTokenIsFound(t *testing.T) {
	h := compatible(t)
	raw, row := h.oldRefresh(t, h.user.ID)
	rows := []iam.LegacySession{row}
	for n := range 3000 {
		later := row
		later.ID = iam.NewID()
		later.TokenHash = "$2b$31$" + strings.Repeat("a", 53)
		later.IssuedAt = row.IssuedAt.Add(time.Duration(n+5) * time.Second)
		later.ExpiresAt = later.IssuedAt.Add(30 * 24 * time.Hour)
		rows = append(rows, later)
	}
	h.plant(t, rows...)
	if _, err := h.refresh(t, raw); err != nil {
		t.Fatal(err)
	}
}

func TestOldRefreshTokenRefused(t *testing.T) {
	h := compatible(t)
	refused := func(why, raw string) {
		t.Helper()
		if _, err := h.refresh(t, raw); iam.CodeOf(err) != iam.InvalidGrant || strings.Contains(err.Error(), raw) {
			t.Errorf("%s: %v", why, err)
		}
	}
	unknown, _ := h.oldRefresh(t, h.user.ID) // genuine, and the old system has forgotten it
	refused("a token without a row", unknown)
	raw, row := h.oldRefresh(t, h.user.ID)
	h.plant(t, row)
	refused("another token of the same user", unknown)
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": h.user.ID.String(), "type": "refresh", "iss": settings.Issuer, "exp": h.Now().Unix() + 60,
	}).SignedString([]byte(strings.ToUpper(sharedSecret)))
	if err != nil {
		t.Fatal(err)
	}
	refused("a token under another secret", forged)
	refused("a token that is cut", raw[:len(raw)-1])
	past, pastRow := h.oldRefresh(t, h.user.ID, func(c jwt.MapClaims) { c["exp"] = h.Now().Unix() })
	h.plant(t, pastRow)
	refused("an expired token", past)
	ended, endedRow := h.oldRefresh(t, h.user.ID)
	endedRow.ExpiresAt = h.Now()
	h.plant(t, endedRow)
	refused("a token whose row has expired", ended)
	nobody, nobodyRow := h.oldRefresh(t, iam.NewID())
	h.plant(t, nobodyRow)
	refused("a token of nobody", nobody)
	foreign, foreignRow := h.oldRefresh(t, h.user.ID)
	foreignRow.UserID = iam.NewID()
	h.plant(t, foreignRow)
	refused("a token whose row is another user's", foreign)
	if _, err := h.refresh(t, raw); err != nil {
		t.Errorf("after all that the right one: %v", err)
	}

	h = build(t) // not compatible
	raw, row = h.oldRefresh(t, h.user.ID)
	h.plant(t, row)
	refused("not in compatible mode", raw)
}

// TestOldRefreshTokenTakenBack: what takes everything from a user takes the old system's tokens too.
func TestOldRefreshTokenTakenBack(t *testing.T) {
	f := func(name string, take func(*testing.T, *house)) {
		t.Run(name, func(t *testing.T) {
			h := compatible(t)
			raw, row := h.oldRefresh(t, h.user.ID)
			h.plant(t, row)
			take(t, h)
			if _, err := h.refresh(t, raw); iam.CodeOf(err) != iam.InvalidGrant {
				t.Errorf("got %v", err)
			}
		})
	}
	f("logout of all sessions", func(t *testing.T, h *house) {
		if _, _, err := h.oauth.Logout(t.Context(), h.caller(t, h.login(t).AccessToken), true, fsm.Origin{}); err != nil {
			t.Fatal(err)
		}
	})
	f("logout with a token of the old system", func(t *testing.T, h *house) {
		raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": h.user.ID.String(), "type": "access", "jti": "old", "iss": settings.Issuer, "iat": h.Now().Unix(), "exp": h.Now().Unix() + 60,
		}).SignedString([]byte(sharedSecret))
		if err != nil {
			t.Fatal(err)
		}
		native := h.login(t)
		if _, _, err := h.oauth.Logout(t.Context(), h.caller(t, raw), false, fsm.Origin{}); err != nil {
			t.Fatal(err)
		}
		if h.active(raw) || !h.active(native.AccessToken) {
			t.Error("the token itself goes on, or a session of ours does not")
		}
	})
	f("password changed", func(t *testing.T, h *house) {
		if _, _, err := h.oauth.Login.ChangePassword(t.Context(), login.PasswordChange{User: h.user.ID, Current: password, New: "Another-9-Kestrel"}); err != nil {
			t.Fatal(err)
		}
	})
	f("disabled", func(t *testing.T, h *house) {
		h.user.Active = false
		h.Must(t, &fsm.UpdateUser{User: h.user})
	})
	f("epoch", func(t *testing.T, h *house) { h.Must(t, &fsm.RaiseEpoch{Reason: "a drill"}) })
}

func TestOldRefreshTokenRevoked(t *testing.T) {
	h := compatible(t)
	raw, row := h.oldRefresh(t, h.user.ID)
	other, otherRow := h.oldRefresh(t, h.user.ID)
	h.plant(t, row, otherRow)
	mallory, _, err := h.oauth.Login.Register(t.Context(), fsm.Origin{}, login.NewUser{Username: "mallory", Email: "m@example.org", Password: password}, iam.Permissions{})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantPassword, Username: mallory.Username, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []oauth.Caller{h.caller(t, stranger.AccessToken), {Client: &h.client}} {
		if _, err := h.oauth.Revoke(t.Context(), c, raw, fsm.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	own := h.caller(t, h.login(t).AccessToken)
	for range 2 {
		if _, err := h.oauth.Revoke(t.Context(), own, other, fsm.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = h.refresh(t, other)
	wantCode(t, err, iam.InvalidGrant)
	if _, err := h.refresh(t, raw); err != nil {
		t.Errorf("a token that only others wanted back: %v", err)
	}
}

// TestOldRefreshTokenForAClient: scope and client are those of the request, as of any other refresh.
func TestOldRefreshTokenForAClient(t *testing.T) {
	h := compatible(t)
	raw, row := h.oldRefresh(t, h.user.ID)
	h.plant(t, row)
	ask := func(token, scope, clientSecret string) (oauth.Answer, error) {
		return h.oauth.Token(t.Context(), oauth.Request{
			Grant: oauth.GrantRefreshToken, RefreshToken: token, Scope: scope, Client: oauth.ClientAuth{ID: "shop", Secret: clientSecret},
		})
	}
	_, err := ask(raw, "", "wrong")
	wantCode(t, err, iam.InvalidClient)
	_, err = ask(raw, "admin:users", h.secret)
	wantCode(t, err, iam.InvalidScope)
	a, err := ask(raw, "read:profile", h.secret)
	if err != nil || a.Scope != "read:profile" || h.caller(t, a.AccessToken).Claims.ClientID != "shop" {
		t.Fatalf("got %+v, %v", a, err)
	}
	_, err = h.refresh(t, a.RefreshToken) // without the client
	wantCode(t, err, iam.InvalidGrant)
	if a, err = ask(a.RefreshToken, "", h.secret); err != nil || a.Scope != "read:profile write:profile" {
		t.Errorf("got %+v, %v", a, err)
	}
}

// TestOldRefreshTokenOnce: of two that come at a time one gets a session.
func TestOldRefreshTokenOnce(t *testing.T) {
	h := compatible(t)
	raw, row := h.oldRefresh(t, h.user.ID)
	h.plant(t, row)
	var all sync.WaitGroup
	codes := make(chan iam.Code, 8)
	for range cap(codes) {
		all.Go(func() {
			code := iam.Code("")
			if _, err := h.refresh(t, raw); err != nil {
				code = iam.CodeOf(err)
			}
			codes <- code
		})
	}
	all.Wait()
	close(codes)
	got := map[iam.Code]int{}
	for code := range codes {
		got[code]++
	}
	if got[""] != 1 || got[iam.InvalidGrant] != cap(codes)-1 {
		t.Errorf("got %v", got)
	}
}

// TestOldRefreshTokensAreCounted: whoever knows the shared secret could have hashes computed without end.
func TestOldRefreshTokensAreCounted(t *testing.T) {
	h := compatible(t)
	windows := limit.NewLimiter(100)
	t.Cleanup(windows.Close)
	h.oauth.Limiter = tally.New(tally.Config{Windows: windows, Now: h.Now})
	h.oauth.Guesses = limit.Limit{Name: "test", Count: 2, Per: time.Minute}
	ask := func(raw, from string) error {
		_, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantRefreshToken, RefreshToken: raw, Client: oauth.ClientAuth{IP: netip.MustParseAddr(from)}})
		return err
	}
	var good []string
	for range 5 {
		raw, row := h.oldRefresh(t, h.user.ID)
		h.plant(t, row)
		good = append(good, raw)
	}
	for _, raw := range good[:3] { // what is right does not count
		if err := ask(raw, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	made, _ := h.oldRefresh(t, h.user.ID)
	wantCode(t, ask(made, "192.0.2.1"), iam.InvalidGrant)
	wantCode(t, ask(made, "192.0.2.1"), iam.InvalidGrant)
	wantCode(t, ask(made, "192.0.2.1"), iam.RateLimitExceeded)
	wantCode(t, ask(good[3], "192.0.2.1"), iam.RateLimitExceeded)
	if err := ask(good[3], "192.0.2.2"); err != nil {
		t.Errorf("from another address: %v", err)
	}
}
