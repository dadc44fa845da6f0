package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/keystone-auth/keystone/iam"
)

// ErrUnusableHash says that a stored hash has a form that is not known here, or asks for more work
// than is allowed. Nobody can log in with it: whoever gets this error must refuse.
var ErrUnusableHash = errors.New("the stored password hash has an unknown form or asks for more work than is allowed")

// The bounds of what every form has; those of its cost stand beside the form.
const (
	maxForeignSalt = 128
	minHash        = 16
	maxHash        = 128
)

// stored is a stored hash that can be computed: its form is known, and its cost is within the bounds.
type stored struct {
	form      string // for people: which algorithm, and in whose spelling
	text      string // as it is stored; a process that computes hashes is asked with it
	memoryKiB uint32 // that computing it takes
	sum       []byte
	derive    func(password []byte) []byte
}

// fits tells whether sum, which was computed of a password, is what is stored.
func (s stored) fits(sum []byte) bool { return subtle.ConstantTimeCompare(sum, s.sum) == 1 }

// unusable is an ErrUnusableHash with the reason. It never holds the hash: what would be logged could be
// cracked.
type unusable struct{ reason string }

func (e unusable) Error() string      { return e.reason }
func (unusable) Is(target error) bool { return target == ErrUnusableHash }

func unknownForm() error {
	return unusable{"the hash has a form that is not known, or is not a hash"}
}

// malformed is for a hash that begins like one of a form and does not go on so.
func malformed(form string) error {
	return unusable{"the hash begins like one of " + form + " and is not spelled like one"}
}

func tooCostly(form, what string) error {
	return unusable{fmt.Sprintf("the hash of %s asks for more work than is allowed: %s", form, what)}
}

// spellings are the forms by what they begin with.
var spellings = []struct {
	prefix string
	parse  func(text string) (stored, error)
}{
	{"$argon2", parseArgon2},
	{"argon2$", parseDjangoArgon2},
	{"$2a$", parseBcrypt},
	{"$2b$", parseBcrypt},
	{"$2y$", parseBcrypt},
	{"bcrypt$", parseDjangoBcrypt},
	{"bcrypt_sha256$", parseDjangoBcryptSHA256},
	{"$bcrypt-sha256$", parsePasslibBcryptSHA256},
	{"$scrypt$", parsePasslibScrypt},
	{"scrypt$", parseDjangoScrypt},
	{"$pbkdf2", parsePasslibPBKDF2},
	{"pbkdf2_", parseDjangoPBKDF2},
	{"$5$", parseSHACrypt},
	{"$6$", parseSHACrypt},
	{"{", parseKeycloak},
}

// parseStored recognizes a hash by its form. It computes nothing, and what it allocates is bounded by
// the length of the text: the costs that a hash asks for are numbers here.
func parseStored(text string) (stored, error) {
	if len(text) > iam.MaxHashLength {
		return stored{}, unusable{fmt.Sprintf("the hash has more than %d bytes", iam.MaxHashLength)}
	}
	for _, s := range spellings {
		if strings.HasPrefix(text, s.prefix) {
			hash, err := s.parse(text)
			if err != nil {
				return stored{}, err
			}
			hash.text = text
			return hash, nil
		}
	}
	return stored{}, unknownForm()
}

// Recognize tells the form of a hash, in words such as "bcrypt" or "Django pbkdf2_sha256", without
// computing it. The error is an [ErrUnusableHash] that says why nobody will log in with it; it never
// repeats the hash.
func Recognize(hash string) (form string, err error) {
	s, err := parseStored(hash)
	return s.form, err
}

// Whole tells whether a hash speaks for all of a password that fits it. Bcrypt looks at the first 72
// bytes alone: what comes after them nobody has proven, so a new hash must not be made of it.
func Whole(hash, password string) bool {
	s, err := parseStored(hash)
	return err != nil || s.form != formBcrypt && s.form != formDjangoBcrypt || len(password) <= bcryptBytes
}

// number reads a decimal number in its one spelling. It is below 2^62, so that sums of two do not overflow.
func number(digits string) (uint64, bool) {
	n, err := strconv.ParseUint(digits, 10, 62)
	return n, err == nil && strconv.FormatUint(n, 10) == digits
}

// sized tells whether the salt and the sum of a foreign hash have lengths that somebody would give them.
func sized(salt, sum []byte) bool {
	return len(salt) <= maxForeignSalt && len(sum) >= minHash && len(sum) <= maxHash
}
