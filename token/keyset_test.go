package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystone-auth/keystone/iam"
)

func unb64(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// RFC 7638 §3.1 and RFC 8037 appendix A.3.
func TestThumbprintVectors(t *testing.T) {
	modulus := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(unb64(t, modulus)), E: 65537}
	if got := thumbprint(public); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("RSA thumbprint %s", got)
	}
	edwards := ed25519.PublicKey(unb64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
	if got := thumbprint(edwards); got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("Ed25519 thumbprint %s", got)
	}
}

// RFC 7515 appendix A.1 and A.3: the signatures are good, and the claims are not ours.
func TestSignatureVectors(t *testing.T) {
	const payload = ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
	f := func(k *key, token string) {
		t.Helper()
		p, ok := split(token)
		if !ok || k.method.Verify(p.signed, p.signature, k.public) != nil || p.header.Algorithm != k.algorithm {
			t.Errorf("vector of %s does not verify", k.algorithm)
		}
		p.signature[5] ^= 1
		if k.method.Verify(p.signed, p.signature, k.public) == nil {
			t.Errorf("vector of %s verifies with another signature", k.algorithm)
		}
	}
	secret := unb64(t, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	f(&key{algorithm: hs256, method: jwt.SigningMethodHS256, public: secret},
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"+payload+"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
	point := append([]byte{4}, unb64(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")...)
	point = append(point, unb64(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	f(&key{algorithm: "ES256", method: jwt.SigningMethodES256, public: public},
		"eyJhbGciOiJFUzI1NiJ9"+payload+"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
}

func TestNewKeyRefuses(t *testing.T) {
	for _, algorithm := range []string{"", "none", "es256", "RS512", hs256} {
		if _, err := NewKey(algorithm, now, now, seal); iam.CodeOf(err) != iam.ValidationError {
			t.Errorf("NewKey(%q) = %v", algorithm, err)
		}
	}
	if _, err := ImportHS256(shared[:31], now, now, seal); iam.CodeOf(err) != iam.ValidationError {
		t.Errorf("a short shared secret: %v", err)
	}
	k := newKey(t, hs256, now)
	if len(k.ID) != 32 || strings.Contains(hex.EncodeToString(shared), k.ID) || len(k.Public) > 0 {
		t.Errorf("row of a shared secret: %+v", k)
	}
}

// Rows come from the disk; a row that was changed there must not become a key.
func TestNewKeySetRefuses(t *testing.T) {
	edwards, curve, rsaKey := newKey(t, "EdDSA", now), newKey(t, "ES256", now), newKey(t, "RS256", now)
	f := func(why string, keys ...iam.Key) {
		t.Helper()
		_, err := NewKeySet(keys, open)
		if err == nil {
			t.Errorf("taken: %s", why)
			return
		}
		if !strings.Contains(err.Error(), "signing key") {
			t.Errorf("the sentence does not say which key: %v", err)
		}
	}
	changed := func(k iam.Key, change func(k *iam.Key)) iam.Key {
		change(&k)
		return k
	}
	f("twice the same", edwards, edwards)
	f("sealed half of another key", changed(edwards, func(k *iam.Key) { k.Sealed = newKey(t, "EdDSA", now).Sealed }))
	f("unknown algorithm", changed(edwards, func(k *iam.Key) { k.Algorithm = "none" }))
	f("algorithm of another", changed(rsaKey, func(k *iam.Key) { k.Algorithm = "PS256" }))
	f("not sealed at all", changed(curve, func(k *iam.Key) { k.Sealed = nil }))
	// The same, where the aad is in order.
	resealed := func(k iam.Key, id, algorithm string, plaintext []byte) iam.Key {
		k.ID, k.Algorithm, k.Sealed = id, algorithm, seal(plaintext, sealedFor(id, algorithm))
		return k
	}
	der := func(k iam.Key) []byte {
		plaintext, err := open(k.Sealed, sealedFor(k.ID, k.Algorithm))
		if err != nil {
			t.Fatal(err)
		}
		return plaintext
	}
	f("under another name", resealed(edwards, "x", "EdDSA", der(edwards)))
	f("another curve's algorithm", resealed(edwards, edwards.ID, "ES256", der(edwards)))
	f("a private key as a shared secret", resealed(edwards, edwards.ID, hs256, der(edwards)))
	f("a shared secret that is too short", resealed(edwards, sharedID(shared[:8]), hs256, shared[:8]))
	f("garbage", resealed(edwards, edwards.ID, "EdDSA", []byte("garbage")))
}

func TestReseal(t *testing.T) {
	row := newKey(t, "ES256", now)
	otherSeal := func(plaintext, aad []byte) []byte { return append([]byte("other "), seal(plaintext, aad)...) }
	otherOpen := func(sealed, aad []byte) ([]byte, error) {
		return open(bytes.TrimPrefix(sealed, []byte("other ")), aad)
	}
	again, err := Reseal(row, open, otherSeal)
	if err != nil || bytes.Equal(again.Sealed, row.Sealed) {
		t.Fatalf("Reseal: %v", err)
	}
	s, err := NewKeySet([]iam.Key{again}, otherOpen)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(mustSign(t, newSet(t, row), someClaims()), expected()); err != nil {
		t.Errorf("a key that was sealed again does not verify: %v", err)
	}
	broken := errors.New("broken")
	if _, err := Reseal(row, func(_, _ []byte) ([]byte, error) { return nil, broken }, seal); !errors.Is(err, broken) {
		t.Errorf("Reseal of what cannot be opened: %v", err)
	}
}

// The whole life of a key: publish, wait, sign, retire.
func TestRotation(t *testing.T) {
	old := newKey(t, "EdDSA", PlanRotation(nil, now, PublishWait))
	if old.SignFrom != now {
		t.Errorf("the first key waits until %v", old.SignFrom.Std())
	}
	next := newKey(t, "ES256", PlanRotation([]iam.Key{old}, now, PublishWait))
	switched := now.Add(PublishWait)
	if next.SignFrom != switched {
		t.Errorf("the next key signs from %v", next.SignFrom.Std())
	}
	old.VerifyUntil = next.SignFrom.Add(iam.MaxTokenLifetime) // as the command does that adds a key
	s := newSet(t, next, old)

	f := func(at iam.Time, signer iam.Key, published ...iam.Key) {
		t.Helper()
		if kid, _, ok := s.Signer(at); !ok || kid != signer.ID {
			t.Errorf("at %v the signer is %s", at.Std(), kid)
		}
		ids := keyIDs(t, s.JWKS(at))
		if len(ids) != len(published) {
			t.Errorf("at %v are published: %v", at.Std(), ids)
		}
		for _, k := range published {
			if !ids[k.ID] {
				t.Errorf("at %v %s is not published", at.Std(), k.ID)
			}
		}
	}
	f(now-1, old, old, next)
	f(now, old, old, next)
	f(switched-1, old, old, next)
	f(switched, next, old, next)
	f(old.VerifyUntil-1, next, old, next)
	f(old.VerifyUntil, next, next)

	// The last token of the old key verifies for as long as it lives.
	c := someClaims()
	c.IssuedAt = (switched - 1).Unix()
	c.ExpiresAt = c.IssuedAt + longestSeconds
	c.NotBefore = 0
	signed, err := s.Sign(c, switched-1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(signed, Expect{Issuer: issuer, Now: iam.TimeOf(time.Unix(c.ExpiresAt-1, 0))}); err != nil {
		t.Errorf("the last token of the old key: %v", err)
	}
	c = someClaims()
	c.IssuedAt = old.VerifyUntil.Unix()
	c.ExpiresAt, c.NotBefore = c.IssuedAt+60, 0
	late, err := newSet(t, old).Sign(c, now)
	if err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, s, late, Expect{Issuer: issuer, Now: old.VerifyUntil})
}

func TestPlanRotationNeverOvertakes(t *testing.T) {
	waiting := iam.Key{SignFrom: now.Add(time.Hour)}
	if got := PlanRotation([]iam.Key{{SignFrom: now}, waiting}, now, time.Minute); got != waiting.SignFrom+1 {
		t.Errorf("signs from %v, before a key that waits until %v", got.Std(), waiting.SignFrom.Std())
	}
	if got := PlanRotation([]iam.Key{{SignFrom: now}}, now, 0); got <= now {
		t.Errorf("without a wait it signs from %v, at the same instant as the present key", got.Std())
	}
}

func TestSignerOfEqualKeys(t *testing.T) {
	a, b := newKey(t, "EdDSA", now), newKey(t, "EdDSA", now)
	one, _, _ := newSet(t, a, b).Signer(now)
	two, _, _ := newSet(t, b, a).Signer(now)
	if one != two {
		t.Error("two nodes sign with different keys")
	}
	if early, _, ok := newSet(t, a).Signer(now.Add(-time.Hour)); !ok || early != a.ID {
		t.Error("a clock that is behind leaves the node without a signer")
	}
	if _, _, ok := newSet(t).Signer(now); ok {
		t.Error("a signer without keys")
	}
}

// What the JWKS says is enough to verify, and holds nothing that signs.
func TestJWKS(t *testing.T) {
	var rows []iam.Key
	for _, algorithm := range iam.Algorithms {
		rows = append(rows, newKey(t, algorithm, now))
	}
	s := newSet(t, rows...)
	text := s.JWKS(now)
	ids := keyIDs(t, text)
	if len(ids) != 4 || ids[s.shared[0].id] {
		t.Errorf("published: %v", ids)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	for _, j := range set.Keys {
		if j["use"] != "sig" || j["alg"] != s.byID[j["kid"]].algorithm || j["d"]+j["k"]+j["p"] != "" {
			t.Errorf("entry %v", j)
		}
		if j["kty"] == "EC" && (len(j["x"]) != 43 || len(j["y"]) != 43) {
			t.Errorf("coordinates are not of full length: %v", j)
		}
	}
	if got := string(newSet(t, newKey(t, hs256, now)).JWKS(now)); got != `{"keys":[]}` {
		t.Errorf("the JWKS of compatible mode is %s", got)
	}
	for _, row := range rows[:4] {
		if public, err := x509.ParsePKIXPublicKey(row.Public); err != nil || thumbprint(public) != row.ID {
			t.Errorf("public half in the row of %s: %v", row.Algorithm, err)
		}
	}
}

func keyIDs(t *testing.T, jwks []byte) map[string]bool {
	t.Helper()
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, k := range set.Keys {
		ids[k.KID] = true
	}
	return ids
}
