package iam

import (
	"net/mail"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	usernameForm  = regexp.MustCompile(`^[A-Za-z0-9._-]{3,50}$`)
	scopeNameForm = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,100}$`) // RFC 6749 §3.3 scope-token
	clientIDForm  = regexp.MustCompile(`^[A-Za-z0-9._:/@-]{1,255}$`)
	roleNameForm  = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,50}$`)
)

// Algorithms are the signing algorithms that Keystone knows (RFC 7518 §3.1, RFC 8037 §3.1).
var Algorithms = []string{"ES256", "EdDSA", "RS256", "PS256", "HS256"}

// Fold brings a username or e-mail into the form in which two spellings of one name are equal.
func Fold(s string) string { return strings.ToLower(s) }

// CheckUsername says what is wrong with a new username.
func CheckUsername(s string) error {
	if !usernameForm.MatchString(s) {
		return Invalid("username", "must be 3 to 50 letters, digits, dots, underscores or hyphens")
	}
	return nil
}

// CheckEmail says what is wrong with an e-mail address. Only the plain form is taken: a display name
// or a second address beside it would be a way to smuggle recipients (RFC 5321 §4.1.2).
func CheckEmail(s string) error {
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > 255 || strings.ContainsAny(s, "\r\n\"<> ") {
		return Invalid("email", "must be one plain e-mail address of at most 255 characters")
	}
	return nil
}

// CheckText bounds free text and refuses what is not UTF-8 or holds control characters.
func CheckText(field, s string, most int) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
		return Invalid(field, "must be at most %d characters", most)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		return Invalid(field, "must not hold control characters")
	}
	return nil
}

// CheckScopeName refuses what RFC 6749 §3.3 does not allow as a scope-token.
func CheckScopeName(s string) error {
	if !scopeNameForm.MatchString(s) {
		return Invalid("scope", "must be 1 to 100 visible ASCII characters without quotation mark or backslash")
	}
	return nil
}

// CheckRoleName says what is wrong with a role's name.
func CheckRoleName(s string) error {
	if !roleNameForm.MatchString(s) {
		return Invalid("role", "must be 1 to 50 letters, digits or . _ : -")
	}
	return nil
}

// CheckClientID says what is wrong with a client_id.
func CheckClientID(s string) error {
	if !clientIDForm.MatchString(s) {
		return Invalid("client_id", "must be 1 to 255 letters, digits or . _ : / @ -")
	}
	return nil
}

// CheckCIDRs says which of the address ranges cannot be read.
func CheckCIDRs(ranges []string) error {
	for _, r := range ranges {
		if _, err := netip.ParsePrefix(r); err != nil {
			return Invalid("allowed_ips", "must be CIDR ranges such as 10.0.0.0/8 or 2001:db8::/32")
		}
	}
	return nil
}

// Check says which of the settings no cluster could work with.
func (s Settings) Check() error {
	longest := int64(MaxTokenLifetime.Seconds())
	switch {
	case s.Issuer == "" || len(s.Issuer) > 255:
		return Invalid("issuer", "must be 1 to 255 characters")
	case !slices.Contains(Algorithms, s.Algorithm):
		return Invalid("algorithm", "must be one of %s", strings.Join(Algorithms, ", "))
	case s.AccessSeconds < 1 || s.AccessSeconds > longest || s.ServiceSeconds < 1 || s.ServiceSeconds > longest:
		return Invalid("lifetime", "of access and service tokens must be between 1 second and 24 hours")
	case s.RefreshSeconds < 1 || s.RefreshSeconds > 10*365*86400:
		return Invalid("lifetime", "of refresh tokens must be between 1 second and ten years")
	case s.AuditKeepDays < 0 || s.AuditKeepDays > MaxAuditDays || s.AuditKeepCount < 0 || s.AuditKeepCount > MaxAuditCount:
		return Invalid("audit", "is kept for at most %d days and %d entries", MaxAuditDays, MaxAuditCount)
	}
	return CheckRoleName(s.DefaultRole)
}
