package secret

import (
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// The most that scrypt may ask for. Memory is 128·N·r bytes and time grows with 128·N·r·p, of which a GiB takes
// some four seconds; libsodium calls that "sensitive". r and p alone are bounded because buffers beside the
// memory grow with them.
const (
	maxScryptWork = 1 << 30 // bytes
	maxScryptR    = 64
	maxScryptP    = 64
)

// parsePasslibScrypt reads $scrypt$ln=16,r=8,p=1$salt$sum, where N is two to the power of ln.
func parsePasslibScrypt(text string) (stored, error) {
	const form = "Passlib scrypt"
	parts := strings.Split(text, "$") // "", scrypt, parameters, salt, sum
	if len(parts) != 5 {
		return stored{}, malformed(form)
	}
	values, ok := named(parts[2], "ln=", "r=", "p=")
	if !ok || values[0] < 1 {
		return stored{}, malformed(form)
	}
	salt, saltOK := decode64(parts[3], 0, maxForeignSalt)
	sum, sumOK := decode64(parts[4], minHash, maxHash)
	if !saltOK || !sumOK {
		return stored{}, malformed(form)
	}
	return scryptOf(form, 1<<min(values[0], 62), values[1], values[2], salt, sum)
}

// parseDjangoScrypt reads scrypt$N$salt$r$p$sum; the salt is text.
func parseDjangoScrypt(text string) (stored, error) {
	const form = "Django scrypt"
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return stored{}, malformed(form)
	}
	var values [3]uint64
	for i, at := range [...]int{1, 3, 4} {
		var ok bool
		if values[i], ok = number(parts[at]); !ok {
			return stored{}, malformed(form)
		}
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(parts[5])
	if err != nil || values[0]&(values[0]-1) != 0 || values[0] < 2 || !sized([]byte(parts[2]), sum) {
		return stored{}, malformed(form)
	}
	return scryptOf(form, values[0], values[1], values[2], []byte(parts[2]), sum)
}

func scryptOf(form string, n, r, p uint64, salt, sum []byte) (stored, error) {
	if r < 1 || p < 1 {
		return stored{}, malformed(form)
	}
	if r > maxScryptR || p > maxScryptP || n > maxScryptWork/(128*r*p) {
		return stored{}, tooCostly(form, fmt.Sprintf("128·N·r·p may be %d, and r and p %d each", maxScryptWork, maxScryptR))
	}
	return stored{form: form, memoryKiB: uint32(128 * n * r >> 10), sum: sum, derive: func(password []byte) []byte {
		made, err := scrypt.Key(password, salt, int(n), int(r), int(p), len(sum))
		if err != nil {
			return make([]byte, len(sum)) // cannot be: what the library refuses is refused above
		}
		return made
	}}, nil
}

// named reads parameters such as ln=16,r=8,p=1, each in its place.
func named(text string, names ...string) ([]uint64, bool) {
	fields := strings.Split(text, ",")
	if len(fields) != len(names) {
		return nil, false
	}
	values := make([]uint64, len(names))
	for i, name := range names {
		digits, found := strings.CutPrefix(fields[i], name)
		n, ok := number(digits)
		if !found || !ok {
			return nil, false
		}
		values[i] = n
	}
	return values, true
}
