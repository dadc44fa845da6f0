package secret

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what other systems stored; HMAC does not need what SHA-1 has lost
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
)

// maxPBKDF2Work bounds the HMACs that one hash takes: iterations for each block of the sum. As many take some four
// seconds of SHA-512; Keycloak asks for 5.2 million of SHA-1, and Django, which asks for more each year, for a million.
const maxPBKDF2Work = 6_000_000

// digestOf is the hash function of a PBKDF2, by the name that all systems give it.
func digestOf(name string) (func() hash.Hash, bool) {
	switch name {
	case "sha1":
		return sha1.New, true
	case "sha256":
		return sha256.New, true
	case "sha512":
		return sha512.New, true
	}
	return nil, false
}

// parsePasslibPBKDF2 reads $pbkdf2-sha256$iterations$salt$sum; no name of a hash function means SHA-1. Its Base64 has
// a dot in the place of the plus sign.
func parsePasslibPBKDF2(text string) (stored, error) {
	parts := strings.Split(text, "$") // "", pbkdf2-sha256, iterations, salt, sum
	name, hasName := strings.CutPrefix(parts[1], "pbkdf2-")
	if parts[1] == "pbkdf2" {
		name, hasName = "sha1", true
	}
	digest, known := digestOf(name)
	if !hasName || !known {
		return stored{}, unknownForm()
	}
	form := "Passlib pbkdf2-" + name
	if len(parts) != 5 {
		return stored{}, malformed(form)
	}
	salt, saltOK := decode64(strings.ReplaceAll(parts[3], ".", "+"), 0, maxForeignSalt)
	sum, sumOK := decode64(strings.ReplaceAll(parts[4], ".", "+"), minHash, maxHash)
	iterations, ok := number(parts[2])
	if !ok || !saltOK || !sumOK {
		return stored{}, malformed(form)
	}
	return pbkdf2Of(form, digest, iterations, salt, sum)
}

// parseDjangoPBKDF2 reads pbkdf2_sha256$iterations$salt$sum; the salt is text.
func parseDjangoPBKDF2(text string) (stored, error) {
	parts := strings.Split(text, "$")
	name := strings.TrimPrefix(parts[0], "pbkdf2_")
	digest, known := digestOf(name)
	if !known {
		return stored{}, unknownForm()
	}
	form := "Django " + parts[0]
	if len(parts) != 4 {
		return stored{}, malformed(form)
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(parts[3])
	iterations, ok := number(parts[1])
	if !ok || err != nil || !sized([]byte(parts[2]), sum) {
		return stored{}, malformed(form)
	}
	return pbkdf2Of(form, digest, iterations, []byte(parts[2]), sum)
}

func pbkdf2Of(form string, digest func() hash.Hash, iterations uint64, salt, sum []byte) (stored, error) {
	if iterations < 1 {
		return stored{}, malformed(form)
	}
	size := digest().Size()
	blocks := uint64((len(sum) + size - 1) / size)
	if iterations > maxPBKDF2Work/blocks {
		return stored{}, tooCostly(form, fmt.Sprintf("it may take %d iterations", maxPBKDF2Work/blocks))
	}
	return stored{form: form, memoryKiB: 1, sum: sum, derive: func(password []byte) []byte {
		made, err := pbkdf2.Key(digest, string(password), salt, int(iterations), len(sum))
		if err != nil { // in FIPS mode, which does not allow SHA-1 or a short salt
			return make([]byte, len(sum))
		}
		return made
	}}, nil
}
