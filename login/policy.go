package login

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go/matching"

	"github.com/keystone-auth/keystone/iam"
)

// Policy is what a new password must be like. Existing passwords are not measured against it.
type Policy struct {
	MinLength, MaxLength                                     int // characters
	RequireUpper, RequireLower, RequireDigit, RequireSpecial bool
	PreventReuse                                             int // the last passwords that may not be chosen again; 0 = any may
	// MaxAge is how old a password may become: an older one logs nobody in. 0 = any age.
	MaxAge time.Duration
}

// DefaultPolicy is the documented one.
var DefaultPolicy = Policy{
	MinLength: 8, MaxLength: 128,
	RequireUpper: true, RequireLower: true, RequireDigit: true, RequireSpecial: true,
	PreventReuse: 5,
}

// measured bounds the characters that are searched for common words, for the search is quadratic.
const measured = 64

// Check returns a ValidationError that names every rule which the password breaks; names are what
// its owner is called.
func (p Policy) Check(field, password string, names ...string) error {
	var broken []iam.FieldError
	rule := func(ok bool, message string) {
		if !ok {
			broken = append(broken, iam.FieldError{Field: field, Message: message})
		}
	}
	length := utf8.RuneCountInString(password)
	if !utf8.ValidString(password) || length > p.MaxLength {
		return iam.Invalid(field, "must be at most %d characters", p.MaxLength)
	}
	has := func(is func(rune) bool) bool { return strings.ContainsFunc(password, is) }
	special := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) }
	if length < p.MinLength {
		broken = append(broken, iam.Invalid(field, "must be at least %d characters", p.MinLength).Fields...)
	}
	rule(!p.RequireUpper || has(unicode.IsUpper), "must hold an upper-case letter")
	rule(!p.RequireLower || has(unicode.IsLower), "must hold a lower-case letter")
	rule(!p.RequireDigit || has(unicode.IsDigit), "must hold a digit")
	rule(!p.RequireSpecial || has(special), "must hold a special character such as ! or -")
	rule(!holdsName(password, names), "must not hold the user's name")
	common, run := guessable(password)
	rule(!common, "must not be a common password")
	rule(!run, "must not be a run of keys on the keyboard")
	if broken == nil {
		return nil
	}
	refusal := iam.Invalid(field, "")
	refusal.Fields = broken
	return refusal
}

// holdsName looks for names of at least three letters; a shorter one is in every second password.
func holdsName(password string, names []string) bool {
	folded := iam.Fold(password)
	for _, name := range names {
		name, _, _ = strings.Cut(iam.Fold(name), "@")
		if utf8.RuneCountInString(name) >= 3 && strings.Contains(folded, name) {
			return true
		}
	}
	return false
}

// guessable tells whether most of the password is one common password, or one run of neighbouring
// keys.
func guessable(password string) (common, run bool) {
	letters := []rune(password)
	if len(letters) > measured {
		letters = letters[:measured]
	}
	text := string(letters)
	for _, m := range matching.Omnimatch(text, nil) {
		most := 10*(m.J-m.I+1) >= 7*len(text)
		common = common || most && m.Pattern == "dictionary"
		run = run || most && m.Pattern == "spatial"
	}
	return common, run
}

// outdated tells whether the user's password is too old to log in with.
func (p Policy) outdated(u iam.User, now iam.Time) bool {
	return p.MaxAge > 0 && now.Sub(max(u.PasswordChangedAt, u.CreatedAt)) > p.MaxAge
}

// remember is how many hashes of passwords before the present one have to be kept.
func (p Policy) remember() int { return max(0, p.PreventReuse-1) }
