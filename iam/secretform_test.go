package iam

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestSecretForm(t *testing.T) {
	digest := sha256.Sum256([]byte("secret"))
	for _, c := range []struct {
		hash   string
		digest []byte
	}{{"$argon2id$v=19$…", nil}, {"", digest[:]}, {"", nil}} {
		hash, sum := ParseSecretForm(SecretForm(c.hash, c.digest))
		if hash != c.hash || !bytes.Equal(sum, c.digest) {
			t.Errorf("%q and %x became %q and %x", c.hash, c.digest, hash, sum)
		}
	}
	// A digest of another length fits no secret, or in the worst case many: it is no digest.
	for _, text := range []string{secretSHA256, secretSHA256 + "00", secretSHA256 + "zz", `{"algorithm":"pbkdf2"}`} {
		if hash, sum := ParseSecretForm(text); hash != text || sum != nil {
			t.Errorf("%s became %q and %x", text, hash, sum)
		}
	}
}
