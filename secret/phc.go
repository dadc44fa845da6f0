package secret

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The most that a hash may ask for. Imported hashes bring their own cost, so without these bounds one
// row of a foreign database could take all memory or all processor time of every node on each login
// attempt. maxWork bounds the product, for 1 GiB in 64 passes would be within the other two and take
// most of a minute; it admits what libsodium calls "sensitive".
const (
	maxMemoryKiB = 1 << 20 // 1 GiB
	maxPasses    = 64
	maxLanes     = 16
	maxWork      = 4 << 20 // KiB times passes
	minSalt      = 8
	maxSalt      = 64
	maxPHC       = 512 // characters; the longest hash within the other bounds has under 330
)

const (
	saltBytes = 16 // of the hashes made here
	hashBytes = 32

	argon2id = "argon2id"
	argon2i  = "argon2i"
)

// Params is how much work one Argon2 hash is.
type Params struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// DefaultParams is the policy unless the operator sets another: 64 MiB, 3 passes, 1 lane, which is
// also what the old system's hashes have.
func DefaultParams() Params { return Params{MemoryKiB: 64 << 10, Passes: 3, Lanes: 1} }

// Check says which parameter Argon2 could not work with (RFC 9106 §3.1), or is over the bounds that
// hold for every hash.
func (p Params) Check() error {
	switch {
	case p.Lanes < 1 || p.Lanes > maxLanes:
		return fmt.Errorf("password hashing: lanes must be between 1 and %d", maxLanes)
	case p.Passes < 1 || p.Passes > maxPasses:
		return fmt.Errorf("password hashing: passes must be between 1 and %d", maxPasses)
	case p.MemoryKiB < 8*uint32(p.Lanes) || p.MemoryKiB > maxMemoryKiB:
		return fmt.Errorf("password hashing: memory must be between 8 KiB a lane and %d KiB", maxMemoryKiB)
	case p.work() > maxWork:
		return fmt.Errorf("password hashing: memory in KiB times passes must not be over %d", maxWork)
	}
	return nil
}

func (p Params) work() uint64 { return uint64(p.MemoryKiB) * uint64(p.Passes) }

// phcHash is a parsed PHC string.
type phcHash struct {
	variant string
	params  Params
	salt    []byte
	sum     []byte
}

// parsePHC reads $argon2id$v=19$m=..,t=..,p=..$salt$hash, and the same of argon2i. It takes only the
// one spelling that the format defines, and nothing that costs more than the bounds allow.
func parsePHC(s string) (phcHash, error) {
	parts := strings.Split(s, "$")
	if len(s) > maxPHC || len(parts) != 6 || parts[0] != "" || parts[2] != "v=19" {
		return phcHash{}, malformed("Argon2")
	}
	h := phcHash{variant: parts[1]}
	if h.variant != argon2id && h.variant != argon2i {
		return phcHash{}, unknownForm()
	}
	var ok bool
	if h.params, ok = parseParams(parts[3]); !ok {
		return phcHash{}, malformed(h.variant)
	}
	if err := h.params.Check(); err != nil {
		return phcHash{}, tooCostly(h.variant, strings.TrimPrefix(err.Error(), "password hashing: "))
	}
	if h.salt, ok = decode64(parts[4], minSalt, maxSalt); !ok {
		return phcHash{}, malformed(h.variant)
	}
	if h.sum, ok = decode64(parts[5], minHash, maxHash); !ok {
		return phcHash{}, malformed(h.variant)
	}
	return h, nil
}

// parseArgon2 reads what parsePHC does.
func parseArgon2(text string) (stored, error) {
	h, err := parsePHC(text)
	return h.stored(), err
}

// parseDjangoArgon2 reads the same behind Django's argon2, which stands in front of the first $.
func parseDjangoArgon2(text string) (stored, error) {
	h, err := parsePHC(text[len("argon2"):])
	s := h.stored()
	s.form = "Django " + s.form
	return s, err
}

func (h phcHash) stored() stored {
	return stored{form: h.variant, text: h.String(), memoryKiB: h.params.MemoryKiB, sum: h.sum, derive: h.derive}
}

// parseParams reads the numbers, and leaves it to Params.Check what they may be.
func parseParams(s string) (Params, bool) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return Params{}, false
	}
	var numbers [3]uint32
	for i, name := range [...]string{"m=", "t=", "p="} {
		digits, found := strings.CutPrefix(fields[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !found || err != nil || strconv.FormatUint(n, 10) != digits {
			return Params{}, false
		}
		numbers[i] = uint32(n)
	}
	lanes := uint8(min(numbers[2], maxLanes+1)) // a conversion alone would cut 257 down to 1
	return Params{MemoryKiB: numbers[0], Passes: numbers[1], Lanes: lanes}, true
}

// decode64 takes only the canonical spelling: the decoder alone would pass over line breaks.
func decode64(s string, least, most int) ([]byte, bool) {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) < least || len(raw) > most || base64.RawStdEncoding.EncodeToString(raw) != s {
		return nil, false
	}
	return raw, true
}

func (h phcHash) String() string {
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", h.variant, argon2.Version,
		h.params.MemoryKiB, h.params.Passes, h.params.Lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}

// derive runs Argon2 over the password with the parameters and the salt of h.
func (h phcHash) derive(password []byte) []byte {
	p := h.params
	if h.variant == argon2i {
		return argon2.Key(password, h.salt, p.Passes, p.MemoryKiB, p.Lanes, uint32(len(h.sum)))
	}
	return argon2.IDKey(password, h.salt, p.Passes, p.MemoryKiB, p.Lanes, uint32(len(h.sum)))
}
