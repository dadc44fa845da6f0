package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystone-auth/keystone/iam"
)

// PublishWait is how long a new key is published before it signs. It has to be longer than any
// service may keep its copy of the JWKS.
const PublishWait = 15 * time.Minute

const (
	rsaBits        = 2048 // RFC 7518 §3.3 asks for no less; more makes signing several times slower
	minSharedBytes = 32   // RFC 7518 §3.2: as long as the hash
)

// The algorithm of compatible mode: one secret, shared with every service that verifies.
const hs256 = "HS256"

var methods = map[string]jwt.SigningMethod{
	"ES256": jwt.SigningMethodES256,
	"EdDSA": jwt.SigningMethodEdDSA,
	"RS256": jwt.SigningMethodRS256,
	"PS256": jwt.SigningMethodPS256,
	hs256:   jwt.SigningMethodHS256,
}

// key is an opened iam.Key.
type key struct {
	id          string
	algorithm   string
	method      jwt.SigningMethod
	private     any // what the method signs with …
	public      any // … and verifies with
	signFrom    iam.Time
	verifyUntil iam.Time
}

func (k *key) compatible() bool { return k.algorithm == hs256 }

// typ is the media type of the tokens that the key signs (RFC 9068 §2.1). The old system's verifiers
// know only the general one.
func (k *key) typ() string {
	if k.compatible() {
		return "JWT"
	}
	return "at+jwt"
}

func (k *key) aliveAt(now iam.Time) bool { return k.verifyUntil == 0 || now < k.verifyUntil }

// NewKey makes the row of a fresh key pair, with the private key sealed by seal.
func NewKey(algorithm string, signFrom, now iam.Time, seal func(plaintext, aad []byte) []byte) (iam.Key, error) {
	private, err := generate(algorithm)
	if err != nil {
		return iam.Key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return iam.Key{}, fmt.Errorf("encoding a new signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return iam.Key{}, fmt.Errorf("encoding a new signing key: %w", err)
	}
	id := thumbprint(private.Public())
	return iam.Key{
		ID: id, Algorithm: algorithm, Public: public, Sealed: seal(der, sealedFor(id, algorithm)),
		CreatedAt: now, SignFrom: signFrom,
	}, nil
}

// ImportHS256 makes the row of a key from the secret that the old system signs with. The services
// that verify hold the same bytes, so such a key cannot be made here, only brought.
func ImportHS256(shared []byte, signFrom, now iam.Time, seal func(plaintext, aad []byte) []byte) (iam.Key, error) {
	if len(shared) < minSharedBytes {
		return iam.Key{}, iam.Invalid("secret", "for HS256 must have at least %d bytes", minSharedBytes)
	}
	id := sharedID(shared)
	return iam.Key{
		ID: id, Algorithm: hs256, Sealed: seal(shared, sealedFor(id, hs256)),
		CreatedAt: now, SignFrom: signFrom,
	}, nil
}

// Reseal returns the row with the private key sealed anew, for when the cluster secret changes.
func Reseal(k iam.Key, open func(sealed, aad []byte) ([]byte, error), seal func(plaintext, aad []byte) []byte) (iam.Key, error) {
	plaintext, err := open(k.Sealed, sealedFor(k.ID, k.Algorithm))
	if err != nil {
		return iam.Key{}, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	k.Sealed = seal(plaintext, sealedFor(k.ID, k.Algorithm))
	return k, nil
}

// PlanRotation says from when a key that is made now should sign: at once where it is the first, and
// otherwise when it was published for as long as wait. It is never before a key that is waiting
// already, or the new one would be overtaken.
func PlanRotation(current []iam.Key, now iam.Time, wait time.Duration) iam.Time {
	if len(current) == 0 {
		return now
	}
	signFrom := now.Add(wait)
	for _, k := range current {
		signFrom = max(signFrom, k.SignFrom+1)
	}
	return signFrom
}

// sealedFor binds a sealed key to its row, so that nobody who can write to the disk can make one key
// serve under the name or the algorithm of another.
func sealedFor(id, algorithm string) []byte { return []byte(id + "|" + algorithm) }

func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case "RS256", "PS256":
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case hs256:
		return nil, iam.Invalid("algorithm", "HS256 uses the secret that is shared with other services, so its key cannot be made here")
	}
	return nil, iam.Invalid("algorithm", "is not one that Keystone knows")
}

// openKey turns a row into a key that can be used. The public half comes from the private one: the
// copy in the row is not authenticated and is there for people.
func openKey(row iam.Key, open func(sealed, aad []byte) ([]byte, error)) (*key, error) {
	method, known := methods[row.Algorithm]
	if !known {
		return nil, fmt.Errorf("signing key %s has an algorithm that this version does not know", row.ID)
	}
	plaintext, err := open(row.Sealed, sealedFor(row.ID, row.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
	}
	k := &key{id: row.ID, algorithm: row.Algorithm, method: method, signFrom: row.SignFrom, verifyUntil: row.VerifyUntil}
	if k.compatible() {
		k.private, k.public = plaintext, plaintext
		if len(plaintext) < minSharedBytes || sharedID(plaintext) != row.ID {
			return nil, fmt.Errorf("signing key %s does not belong to its name", row.ID)
		}
		return k, nil
	}
	private, err := x509.ParsePKCS8PrivateKey(plaintext)
	if err != nil {
		return nil, fmt.Errorf("signing key %s cannot be read", row.ID) // the cause might quote the key
	}
	signer, ok := private.(crypto.Signer)
	if !ok || !fits(row.Algorithm, signer.Public()) || thumbprint(signer.Public()) != row.ID {
		return nil, fmt.Errorf("signing key %s does not belong to its name or algorithm", row.ID)
	}
	k.private, k.public = private, signer.Public()
	return k, nil
}

func fits(algorithm string, public crypto.PublicKey) bool {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		return algorithm == "ES256" && p.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	case *rsa.PublicKey:
		return slices.Contains([]string{"RS256", "PS256"}, algorithm) && p.N.BitLen() >= rsaBits
	}
	return false
}

// sharedID names a shared secret without helping to guess it: the label keeps the name from being a
// plain SHA-256, for which tables exist.
func sharedID(shared []byte) string {
	sum := sha256.Sum256(append([]byte("keystone HS256 key id v1\x00"), shared...))
	return hex.EncodeToString(sum[:16])
}

// jwk is a public key in JSON (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). The order of the fields that a
// thumbprint covers is that of RFC 7638 §3.2.
type jwk struct {
	Curve     string `json:"crv,omitzero"`
	Exponent  string `json:"e,omitzero"`
	KeyType   string `json:"kty"`
	Modulus   string `json:"n,omitzero"`
	X         string `json:"x,omitzero"`
	Y         string `json:"y,omitzero"`
	ID        string `json:"kid,omitzero"`
	Use       string `json:"use,omitzero"`
	Algorithm string `json:"alg,omitzero"`
}

func publicJWK(public crypto.PublicKey) jwk {
	b64 := base64.RawURLEncoding.EncodeToString
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 0x04, then x and y in full length
		if err != nil {
			panic("BUG: public key that is not on its curve: " + err.Error())
		}
		half := len(point) / 2
		return jwk{KeyType: "EC", Curve: p.Curve.Params().Name, X: b64(point[1 : 1+half]), Y: b64(point[1+half:])}
	case ed25519.PublicKey:
		return jwk{KeyType: "OKP", Curve: "Ed25519", X: b64(p)}
	case *rsa.PublicKey:
		return jwk{KeyType: "RSA", Modulus: b64(p.N.Bytes()), Exponent: b64(big.NewInt(int64(p.E)).Bytes())}
	}
	panic(fmt.Sprintf("BUG: public key of type %T", public))
}

// thumbprint is the name of a public key (RFC 7638).
func thumbprint(public crypto.PublicKey) string {
	sum := sha256.Sum256(render(publicJWK(public)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
