package secret

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"

	"github.com/go-crypt/x/crypt"
)

// The rounds of SHA-crypt. glibc makes no hash with fewer than the least, and Passlib by default one with
// 656,000; the most takes about two seconds for the longest password, and the form would allow 999,999,999.
const (
	minSHACryptRounds     = 1000
	maxSHACryptRounds     = 1_000_000
	defaultSHACryptRounds = 5000 // where none are named
	maxSHACryptSalt       = 16
)

// maxSHACryptPassword bounds the password, in bytes: each round hashes all of it up to three times, and the
// beginning takes it as often as it has bytes. It is more than glibc itself is ever given by login(1).
const maxSHACryptPassword = 512

// parseSHACrypt reads $6$rounds=656000$salt$sum of SHA-512-crypt, and $5$ of SHA-256-crypt.
func parseSHACrypt(text string) (stored, error) {
	form, digest, length := "sha512-crypt", sha512.New, 86
	if text[1] == '5' {
		form, digest, length = "sha256-crypt", sha256.New, 43
	}
	parts := strings.Split(text[len("$6$"):], "$") // perhaps rounds=, salt, sum
	rounds := uint64(defaultSHACryptRounds)
	if digits, named := strings.CutPrefix(parts[0], "rounds="); named {
		var ok bool
		if rounds, ok = number(digits); !ok || rounds < minSHACryptRounds {
			return stored{}, malformed(form)
		}
		parts = parts[1:]
	}
	if len(parts) != 2 || len(parts[0]) > maxSHACryptSalt || len(parts[1]) != length || strings.Trim(parts[1], bcryptLetters) != "" {
		return stored{}, malformed(form)
	}
	if rounds > maxSHACryptRounds {
		return stored{}, tooCostly(form, fmt.Sprintf("it may take %d rounds", maxSHACryptRounds))
	}
	salt, sum := []byte(parts[0]), []byte(parts[1])
	return stored{form: form, memoryKiB: 1, sum: sum, derive: func(password []byte) []byte {
		if len(password) > maxSHACryptPassword {
			return make([]byte, len(sum)) // fits nothing
		}
		return crypt.KeySHACrypt(digest, password, salt, int(rounds))
	}}, nil
}
