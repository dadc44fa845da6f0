package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// maxBcryptCost is about four seconds of a processor, as much as the most costly Argon2 hash that is
// taken. Each step more is twice the time: 31, which the form allows, would take days.
const maxBcryptCost = 16

// bcryptBytes is how much of a password bcrypt looks at. The systems that made a longer one's hash left
// the rest away without a word, so its owner logs in here as there.
const bcryptBytes = 72

const (
	formBcrypt       = "bcrypt"
	formDjangoBcrypt = "Django bcrypt"
	bcryptSalt       = 22 // characters
	bcryptSum        = 31
	bcryptLetters    = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// parseBcrypt reads $2b$12$, 22 characters of salt and 31 of sum. $2a and $2y are other names for the
// same; $2x, which marks hashes of a faulty implementation, is not.
func parseBcrypt(text string) (stored, error) {
	return bcryptOf(formBcrypt, text, func(password []byte) []byte { return password })
}

// parseDjangoBcrypt reads Django's bcrypt$ with a bcrypt hash behind it.
func parseDjangoBcrypt(text string) (stored, error) {
	return bcryptOf(formDjangoBcrypt, text[len("bcrypt$"):], func(password []byte) []byte { return password })
}

// parseDjangoBcryptSHA256 reads the same of the hexadecimal SHA-256 of the password.
func parseDjangoBcryptSHA256(text string) (stored, error) {
	return bcryptOf("Django bcrypt_sha256", text[len("bcrypt_sha256$"):], func(password []byte) []byte {
		sum := sha256.Sum256(password)
		return hex.AppendEncode(nil, sum[:])
	})
}

// parsePasslibBcryptSHA256 reads $bcrypt-sha256$v=2,t=2b,r=12$salt$sum, bcrypt of the password's HMAC under
// the salt, and the older $bcrypt-sha256$2b,12$salt$sum, of its SHA-256.
func parsePasslibBcryptSHA256(text string) (stored, error) {
	const form = "Passlib bcrypt-sha256"
	parts := strings.Split(text, "$") // "", bcrypt-sha256, parameters, salt, sum
	if len(parts) != 5 {
		return stored{}, malformed(form)
	}
	parameters, salt, sum := parts[2], parts[3], parts[4]
	newer := strings.HasPrefix(parameters, "v=2,t=")
	parameters = strings.Replace(strings.TrimPrefix(parameters, "v=2,t="), ",r=", ",", 1)
	variant, digits, _ := strings.Cut(parameters, ",")
	cost, ok := number(digits)
	if variant != "2a" && variant != "2b" || !ok {
		return stored{}, malformed(form)
	}
	if cost > maxBcryptCost {
		return stored{}, bcryptTooCostly(form, cost)
	}
	return bcryptOf(form, fmt.Sprintf("$%s$%02d$%s%s", variant, cost, salt, sum), func(password []byte) []byte {
		digest := sha256.New()
		if newer {
			digest = hmac.New(sha256.New, []byte(salt))
		}
		_, _ = digest.Write(password)
		return base64.StdEncoding.AppendEncode(nil, digest.Sum(nil))
	})
}

func bcryptOf(form, text string, prepare func(password []byte) []byte) (stored, error) {
	parts := strings.Split(text, "$") // "", 2b, cost, salt and sum
	if len(parts) != 4 || parts[0] != "" || len(parts[2]) != 2 || len(parts[3]) != bcryptSalt+bcryptSum ||
		strings.Trim(parts[3], bcryptLetters) != "" {
		return stored{}, malformed(form)
	}
	if v := parts[1]; v != "2a" && v != "2b" && v != "2y" {
		return stored{}, malformed(form)
	}
	cost, ok := number(strings.TrimPrefix(parts[2], "0"))
	if !ok || cost < uint64(bcrypt.MinCost) {
		return stored{}, malformed(form)
	}
	if cost > maxBcryptCost {
		return stored{}, bcryptTooCostly(form, cost)
	}
	sum := []byte(parts[3][bcryptSalt:])
	derive := func(password []byte) []byte {
		// The library tells whether the password fits, and not what its sum is: so one that does not fit
		// has the sum of none.
		if bcrypt.CompareHashAndPassword([]byte(text), prepare(password)) != nil {
			return make([]byte, len(sum))
		}
		return sum
	}
	return stored{form: form, memoryKiB: 4, sum: sum, derive: derive}, nil
}

func bcryptTooCostly(form string, cost uint64) error {
	return tooCostly(form, fmt.Sprintf("its cost is %d, and the most is %d", cost, maxBcryptCost))
}
