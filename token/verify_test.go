package token

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystone-auth/keystone/iam"
)

func TestVerifyHoldsTokensToExpectations(t *testing.T) {
	s := newSet(t, newKey(t, "EdDSA", now))
	at := func(seconds int64) Expect {
		return Expect{Issuer: issuer, Now: now.Add(time.Duration(seconds) * time.Second)}
	}
	signed := mustSign(t, s, someClaims())
	for _, good := range []Expect{at(0), at(-5), at(899), {Issuer: issuer, Audience: issuer, Now: now}} {
		if _, err := s.Verify(signed, good); err != nil {
			t.Errorf("Verify with %+v: %v", good, err)
		}
	}
	for _, bad := range []Expect{
		at(-6), at(900), at(901), at(1 << 30),
		{Issuer: "other", Now: now},
		{Issuer: "Keystone-Auth", Now: now},
		{Now: now},
		{Issuer: issuer, Audience: "other", Now: now},
		{Issuer: issuer},
	} {
		wantInvalid(t, s, signed, bad)
	}
	c := someClaims()
	c.NotBefore = now.Unix() + 60
	wantInvalid(t, s, mustSign(t, s, c), at(54))
	if _, err := s.Verify(mustSign(t, s, c), at(55)); err != nil {
		t.Errorf("five seconds before nbf: %v", err)
	}
}

// Each of these is signed with the right key, so only what it says can be wrong with it.
func TestVerifyRefusesHeaders(t *testing.T) {
	s := newSet(t, newKey(t, "EdDSA", now))
	k := s.bySign[0]
	claims := part(t, mustSign(t, s, someClaims()), 1)
	f := func(good bool, format string) {
		t.Helper()
		signed := forge(t, k, strings.ReplaceAll(format, "KID", k.id), claims)
		if !good {
			wantInvalid(t, s, signed, expected())
		} else if _, err := s.Verify(signed, expected()); err != nil {
			t.Errorf("header %s: %v", format, err)
		}
	}
	f(true, `{"alg":"EdDSA","typ":"at+jwt","kid":"KID"}`)
	f(true, `{"alg":"EdDSA","typ":"application/at+jwt","kid":"KID","jku":"https://attacker.example"}`)
	f(true, ` {"kid":"KID", "typ":"AT+JWT", "alg":"EdDSA"} `)
	f(false, `{"alg":"EdDSA","typ":"JWT","kid":"KID"}`)
	f(false, `{"alg":"EdDSA","typ":"","kid":"KID"}`)
	f(false, `{"alg":"EdDSA","kid":"KID"}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt"}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":null}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":""}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":"KIDx"}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":["KID"]}`)
	f(false, `{"alg":"eddsa","typ":"at+jwt","kid":"KID"}`)
	f(false, `{"alg":"none","typ":"at+jwt","kid":"KID"}`)
	f(false, `{"alg":"HS256","typ":"at+jwt","kid":"KID"}`)
	f(false, `{"alg":"ES256","typ":"at+jwt","kid":"KID"}`)
	f(false, `{"alg":null,"typ":"at+jwt","kid":"KID"}`)
	f(false, `{"typ":"at+jwt","kid":"KID"}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":"KID","crit":["exp"]}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":"KID","crit":[]}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":"KID","crit":null}`)
	f(false, `{"alg":"EdDSA","alg":"EdDSA","typ":"at+jwt","kid":"KID"}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":"KID","x":1,"x":1}`)
	f(false, `{"alg":"EdDSA","typ":"at+jwt","kid":"KID"}{}`)
	f(false, `{"Alg":"EdDSA","typ":"at+jwt","kid":"KID"}`)
	f(false, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"KID\",\"x\":\"\xff\"}")
	f(false, `["EdDSA"]`)
	f(false, `null`)
	f(false, ``)
}

func TestVerifyRefusesClaims(t *testing.T) {
	s := newSet(t, newKey(t, "EdDSA", now))
	k := s.bySign[0]
	f := func(good bool, claims string) {
		t.Helper()
		signed := forge(t, k, fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":"%s"}`, k.id), claims)
		if !good {
			wantInvalid(t, s, signed, expected())
		} else if _, err := s.Verify(signed, expected()); err != nil {
			t.Errorf("claims %s: %v", claims, err)
		}
	}
	const base = `"iss":"keystone-auth","sub":"u","exp":1795608060,"iat":1795608000,"jti":"j","type":"access"`
	f(true, `{`+base+`}`)
	f(true, `{`+base+`,"aud":"x","unknown":{"a":[1]},"nbf":null}`)
	f(true, `{`+base+`,"aud":["x","y"],"scope":"a b"}`)
	for _, member := range strings.Split(base, ",") { // each of them is needed
		name, _, _ := strings.Cut(member, ":")
		f(false, `{`+strings.ReplaceAll(strings.ReplaceAll(base, member+",", ""), ","+member, "")+`}`)
		f(false, `{`+strings.ReplaceAll(base, member, name+":null")+`}`)
		f(false, `{`+base+`,`+member+`}`)
		f(false, `{`+strings.ReplaceAll(base, name, strings.ToUpper(name))+`}`)
	}
	f(false, `{`+base+`,"x":1,"x":2}`)
	f(false, `{`+base+`,"x":{"y":1,"y":2}}`)
	f(false, `{`+base+`,"aud":7}`)
	f(false, `{`+base+`,"aud":[7]}`)
	f(false, `{`+base+`,"aud":{"a":"b"}}`)
	f(false, `{`+base+`,"nbf":"1795608000"}`)
	f(false, `{`+base+`,"nbf":1795608100}`)
	f(false, `{`+base+`,"nbf":9223372036854775808}`)
	f(false, `{`+base+`,"sid":"nobody"}`)
	f(false, `{`+base+`,"scope":["a"]}`)
	f(false, `{`+base+`,"scope":"a\"b"}`)
	f(false, `{`+base+`,"roles":"admin"}`)
	f(false, "{"+base+",\"username\":\"\xff\"}")
	f(false, `{`+base+`} {}`)
	f(false, `{`+strings.ReplaceAll(base, "access", "refresh")+`}`)
	f(false, `{`+strings.ReplaceAll(base, `"j"`, `""`)+`}`)
	f(false, `{`+strings.ReplaceAll(base, "1795608060", "-1")+`}`)
	f(false, `{`+strings.ReplaceAll(base, "1795608060", "1e10")+`}`)
	f(false, `{`+strings.ReplaceAll(base, "1795608000", "1795608006")+`}`)
}

// The three classic ways to have the token choose how it is verified.
func TestAlgorithmConfusion(t *testing.T) {
	rsaRow := newKey(t, "RS256", now)
	s := newSet(t, rsaRow, newKey(t, hs256, now), newKey(t, "EdDSA", now))
	k := s.byID[rsaRow.ID]
	claims := part(t, mustSign(t, s, someClaims()), 1)

	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		t.Fatal(err)
	}
	armoured := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for _, secret := range [][]byte{der, rsaRow.Public, armoured, bytes.TrimSpace(armoured), {}} {
		forger := &key{method: jwt.SigningMethodHS256, private: secret}
		for _, typ := range []string{"JWT", "at+jwt"} {
			wantInvalid(t, s, forge(t, forger, fmt.Sprintf(`{"alg":"HS256","typ":"%s","kid":"%s"}`, typ, k.id), claims), expected())
			wantInvalid(t, s, forge(t, forger, fmt.Sprintf(`{"alg":"HS256","typ":"%s"}`, typ), claims), expected())
		}
	}
	none := &key{method: jwt.SigningMethodNone, private: jwt.UnsafeAllowNoneSignatureType}
	for _, alg := range []string{"none", "None", "NONE", "RS256", ""} {
		wantInvalid(t, s, forge(t, none, fmt.Sprintf(`{"alg":"%s","typ":"at+jwt","kid":"%s"}`, alg, k.id), claims), expected())
	}
	// The same RSA key under the other algorithm, and each key under the name of each other one.
	pss := *k
	pss.method = jwt.SigningMethodPS256
	for _, alg := range []string{"PS256", "RS256"} {
		wantInvalid(t, s, forge(t, &pss, fmt.Sprintf(`{"alg":"%s","typ":"at+jwt","kid":"%s"}`, alg, k.id), claims), expected())
	}
	for _, signer := range s.bySign {
		for _, named := range s.bySign {
			for _, alg := range []string{signer.algorithm, named.algorithm} {
				if signer == named {
					continue
				}
				head := fmt.Sprintf(`{"alg":"%s","typ":"%s","kid":"%s"}`, alg, named.typ(), named.id)
				wantInvalid(t, s, forge(t, signer, head, claims), expected())
			}
		}
	}
}

// A token has one spelling, and no bit of it can be changed.
func TestVerifyRefusesOtherBytes(t *testing.T) {
	for _, algorithm := range []string{"EdDSA", hs256} {
		s := newSet(t, newKey(t, algorithm, now))
		signed := mustSign(t, s, someClaims())
		for i := range len(signed) {
			for _, c := range "AB._-=\n+/ é" {
				if changed := signed[:i] + string(c) + signed[i+1:]; changed != signed {
					wantInvalid(t, s, changed, expected())
				}
				wantInvalid(t, s, signed[:i]+string(c)+signed[i:], expected())
			}
			wantInvalid(t, s, signed[:i], expected())
		}
		parts := strings.Split(signed, ".")
		for _, other := range []string{
			"", ".", "..", "...", "a.b.c", parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".",
			"." + parts[1] + "." + parts[2], parts[1] + "." + parts[0] + "." + parts[2], signed + ".", "." + signed,
			signed + "." + parts[2], signed + "=", "Bearer " + signed, signed + " ", strings.Repeat("A", MaxBytes+1),
			`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		} {
			wantInvalid(t, s, other, expected())
		}
	}
}

// Tokens of the old system: made with another library, without kid, nbf and scope.
func TestVerifyOldSystem(t *testing.T) {
	s := newSet(t, newKey(t, hs256, now))
	sign := func(secret []byte, claims jwt.MapClaims) string {
		t.Helper()
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	old := func() jwt.MapClaims {
		return jwt.MapClaims{
			"sub": "42", "exp": now.Unix() + 1800, "iat": now.Unix() - 10, "iss": issuer, "jti": "old", "type": "access",
			"username": "bob", "email": "bob@example.com", "scopes": []string{"write:demo", "read:demo"}, "is_superuser": true,
		}
	}
	c, err := s.Verify(sign(shared, old()), expected())
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != "42" || c.Username != "bob" || c.Email != "bob@example.com" || !c.Superuser ||
		strings.Join(c.Scope, " ") != "read:demo write:demo" || c.ExpiresAt != now.Unix()+1800 {
		t.Errorf("claims: %+v", c)
	}
	f := func(secret []byte, name string, value any) {
		t.Helper()
		claims := old()
		claims[name] = value
		wantInvalid(t, s, sign(secret, claims), expected())
	}
	f(shared, "type", "refresh") // its refresh tokens are JWTs under the same secret
	f(shared, "iss", "other")
	f(shared, "exp", now.Unix())
	f(shared, "scopes", []string{"read:demo admin:users"})
	f(bytes.ToUpper(shared), "x", 1)
	wantInvalid(t, newSet(t, newKey(t, "ES256", now)), sign(shared, old()), expected())

	// One that lives for a month is believed for as long as revocations are remembered.
	claims := old()
	claims["exp"] = now.Unix() + 30*86400
	long := sign(shared, claims)
	if c, err := s.Verify(long, expected()); err != nil || c.ExpiresAt != now.Unix()-10+86400 {
		t.Errorf("a token of a month: %+v, %v", c, err)
	}
	wantInvalid(t, s, long, Expect{Issuer: issuer, Now: now.Add(24 * time.Hour)})
}

// Claims of compatible mode say nothing in a token that is not of it.
func TestCompatibleClaimsOnlyCompatible(t *testing.T) {
	s := newSet(t, newKey(t, "EdDSA", now))
	k := s.bySign[0]
	signed := forge(t, k, fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":"%s"}`, k.id),
		`{"iss":"keystone-auth","sub":"u","exp":1795608060,"iat":1795608000,"jti":"j","type":"access","is_superuser":true,"scopes":["admin:users"]}`)
	if c, err := s.Verify(signed, expected()); err != nil || c.Superuser || len(c.Scope) > 0 {
		t.Errorf("Verify = %+v, %v", c, err)
	}
}

func FuzzVerify(f *testing.F) {
	s := newSet(f, newKey(f, "EdDSA", now), newKey(f, hs256, now-1))
	issued := map[string]bool{}
	for _, at := range []iam.Time{now, now - 1} {
		signed, err := s.Sign(someClaims(), at)
		if err != nil {
			f.Fatal(err)
		}
		issued[signed] = true
		f.Add(signed)
		f.Add(signed[:len(signed)-2])
		f.Add(strings.Join(strings.Split(signed, ".")[1:], "."))
	}
	f.Add("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.e30." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := s.Verify(token, expected())
		if (c == nil) == (err == nil) {
			t.Fatalf("claims %v and error %v", c, err)
		}
		if err == nil && !issued[token] {
			t.Errorf("accepted what nobody signed: %q", token)
		}
		if err != nil && iam.CodeOf(err) != iam.InvalidToken {
			t.Errorf("refused with %v", err)
		}
	})
}

// FuzzDecodeClaims goes past the signature, to what a holder of a key could send.
func FuzzDecodeClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"keystone-auth","sub":"u","aud":["a","b"],"exp":1795608060,"iat":1795608000,"jti":"j","type":"access"}`), true)
	f.Add([]byte(`{"scopes":["a b"],"sid":"01890a5d-ac96-774b-bcce-b302099a8058"}`), true)
	f.Fuzz(func(t *testing.T, text []byte, compatible bool) {
		c, ok := decodeClaims(text, compatible)
		if !ok || !c.complete() {
			return
		}
		encoded, err := c.encode(compatible)
		if err != nil {
			t.Fatalf("claims that were read cannot be written: %v", err)
		}
		again, ok := decodeClaims(encoded, compatible)
		if !ok || again.Subject != c.Subject || again.ExpiresAt != c.ExpiresAt || len(again.Scope) != len(c.Scope) {
			t.Errorf("%s became %s", text, encoded)
		}
	})
}
