package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
)

func TestEveryAlgorithm(t *testing.T) {
	for _, algorithm := range iam.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			s := newSet(t, newKey(t, algorithm, now))
			signed := mustSign(t, s, someClaims())
			got, err := s.Verify(signed, expected())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(someClaims(), got); diff != "" {
				t.Error(diff)
			}
			kid, alg, _ := s.Signer(now)
			typ := "at+jwt"
			if algorithm == hs256 {
				typ = "JWT"
			}
			want := fmt.Sprintf(`{"alg":"%s","typ":"%s","kid":"%s"}`, alg, typ, kid)
			if head := part(t, signed, 0); alg != algorithm || head != want {
				t.Errorf("header %s, want %s", head, want)
			}
			// A library that knows nothing of this package comes to the same answer.
			k := s.byID[kid]
			if _, err := jwt.Parse(signed, func(*jwt.Token) (any, error) { return k.public, nil },
				jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience(issuer),
				jwt.WithTimeFunc(now.Std)); err != nil {
				t.Errorf("golang-jwt: %v", err)
			}
			for _, other := range []string{"ES256", "RS256"} {
				wantInvalid(t, newSet(t, newKey(t, other, now)), signed, expected())
			}
		})
	}
}

// What services of other people read must not change by accident.
func TestClaimsJSON(t *testing.T) {
	modern, compatible := newSet(t, newKey(t, "EdDSA", now)), newSet(t, newKey(t, hs256, now))
	f := func(s *KeySet, c *Claims, want string) {
		t.Helper()
		if diff := cmp.Diff(want, part(t, mustSign(t, s, c), 1)); diff != "" {
			t.Error(diff)
		}
	}
	c := someClaims()
	c.Email, c.Superuser = "alice@example.com", true
	common := `{"iss":"keystone-auth","sub":"01890a5d-ac96-774b-bcce-b302099a8057","aud":"keystone-auth","exp":1795608900,` +
		`"iat":1795608000,"nbf":1795608000,"jti":"jti-1","client_id":"web","scope":"read:demo write:demo",` +
		`"sid":"01890a5d-ac96-774b-bcce-b302099a8058","auth_time":1795607940,"type":"access","roles":["user"],"username":"alice"`
	f(modern, c, common+`}`)
	f(compatible, c, common+`,"scopes":["read:demo","write:demo"],"email":"alice@example.com","is_superuser":true}`)

	service := &Claims{
		Issuer: issuer, Subject: "demo", ClientID: "demo", Audience: []string{"a", "b"}, Type: TypeService, ID: "j",
		ExpiresAt: now.Unix() + 60, IssuedAt: now.Unix(),
	}
	common = `{"iss":"keystone-auth","sub":"demo","aud":["a","b"],"exp":1795608060,"iat":1795608000,"jti":"j",` +
		`"client_id":"demo","scope":"","type":"service"`
	f(modern, service, common+`}`)
	f(compatible, service, common+`,"scopes":[]}`)

	bare := &Claims{Issuer: issuer, Subject: "u", Type: TypeAccess, ID: "j", ExpiresAt: now.Unix() + 60, IssuedAt: now.Unix()}
	f(modern, bare, `{"iss":"keystone-auth","sub":"u","exp":1795608060,"iat":1795608000,"jti":"j","scope":"","type":"access","roles":[]}`)
}

func TestSignRefuses(t *testing.T) {
	s := newSet(t, newKey(t, "EdDSA", now))
	f := func(change func(c *Claims)) {
		t.Helper()
		c := someClaims()
		change(c)
		if signed, err := s.Sign(c, now); err == nil {
			t.Errorf("signed %s", part(t, signed, 1))
		}
	}
	f(func(c *Claims) { c.Issuer = "" })
	f(func(c *Claims) { c.Subject = "" })
	f(func(c *Claims) { c.ID = "" })
	f(func(c *Claims) { c.Type = "refresh" })
	f(func(c *Claims) { c.ExpiresAt = 0 })
	f(func(c *Claims) { c.IssuedAt = 0 })
	f(func(c *Claims) { c.Username = "\xff" })
	f(func(c *Claims) { c.ExpiresAt = c.IssuedAt + longestSeconds + 1 })

	c := someClaims()
	c.ExpiresAt = c.IssuedAt + int64((24 * time.Hour).Seconds())
	if _, err := s.Verify(mustSign(t, s, c), expected()); err != nil {
		t.Errorf("a token of the longest life: %v", err)
	}
	c.Scope = strings.Fields(strings.Repeat("scope:of-some-length ", 400))
	if _, err := s.Sign(c, now); iam.CodeOf(err) != iam.InvalidScope {
		t.Errorf("a token too large to be verified: %v", err)
	}
	if _, err := newSet(t).Sign(someClaims(), now); iam.CodeOf(err) != iam.TemporarilyUnavailable {
		t.Errorf("without any key: %v", err)
	}
}
