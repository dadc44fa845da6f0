package token

import (
	"bytes"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystone-auth/keystone/iam"
)

func TestVerifyLegacyRefresh(t *testing.T) {
	user := iam.NewID()
	old := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": user.String(), "exp": now.Unix() + 30*86400, "iat": now.Unix() - 10, "iss": issuer, "jti": "x", "type": "refresh", "username": "bob"}
	}
	sign := func(secret []byte, method jwt.SigningMethod, claims jwt.MapClaims) string {
		t.Helper()
		signed, err := jwt.NewWithClaims(method, claims).SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	s := newSet(t, newKey(t, hs256, now), newKey(t, "ES256", now))
	good := sign(shared, jwt.SigningMethodHS256, old())
	got, err := s.VerifyLegacyRefresh(good, expected())
	if want := (LegacyRefresh{User: user, IssuedAt: now.Add(-10 * time.Second), ExpiresAt: now.Add(30 * 24 * time.Hour)}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := s.Verify(good, expected()); err == nil {
		t.Error("a refresh token is a bearer")
	}
	without := old()
	delete(without, "iss")
	if _, err := s.VerifyLegacyRefresh(sign(shared, jwt.SigningMethodHS256, without), expected()); err != nil {
		t.Errorf("a token that names no issuer: %v", err)
	}

	refused := func(s *KeySet, token string, at Expect) {
		t.Helper()
		if got, err := s.VerifyLegacyRefresh(token, at); iam.CodeOf(err) != iam.InvalidGrant || got != (LegacyRefresh{}) {
			t.Errorf("VerifyLegacyRefresh(%.60q…) = %+v, %v", token, got, err)
		}
	}
	f := func(name string, value any) {
		t.Helper()
		claims := old()
		claims[name] = value
		refused(s, sign(shared, jwt.SigningMethodHS256, claims), expected())
	}
	f("type", "access")
	f("type", "Refresh")
	f("iss", "other")
	f("sub", "bob")
	f("sub", iam.ID{}.String())
	f("exp", now.Unix())
	f("exp", int64(1)<<60)
	f("exp", "tomorrow")
	f("iat", now.Unix()+60)
	f("iat", -1)
	f("nbf", now.Unix()+60)
	refused(s, sign(bytes.ToUpper(shared), jwt.SigningMethodHS256, old()), expected())
	refused(s, sign(shared, jwt.SigningMethodHS512, old()), expected())
	refused(s, good+"x", expected())
	refused(s, "a.b.c", expected())
	refused(s, NewRefreshToken(user).Reveal(), expected())
	refused(newSet(t, newKey(t, "ES256", now)), good, expected())
	refused(s, good, Expect{Issuer: issuer, Now: now.Add(30 * 24 * time.Hour)})
	// Signed by a key that is not shared: nobody but this cluster could make it, and it does not.
	one := newSet(t, newKey(t, "ES256", now))
	claims := `{"sub":"` + user.String() + `","exp":1900000000,"iat":1,"type":"refresh"}`
	refused(one, forge(t, one.bySign[0], `{"alg":"ES256","typ":"at+jwt","kid":"`+one.bySign[0].id+`"}`, claims), expected())
	retired := newKey(t, hs256, now)
	retired.VerifyUntil = now.Add(time.Hour)
	refused(newSet(t, retired), good, Expect{Issuer: issuer, Now: now.Add(time.Hour)})
}
