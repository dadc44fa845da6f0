package main

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// masked stands for what must not be shown.
const masked = "[secret]"

// What follows is a net below the rule that no secret is logged: types such as secret.Text keep it, and
// this catches the mistake of somebody who took a string instead.

// secretKeys are the ends of names under which nothing is logged that may be read.
var secretKeys = []string{"authorization", "password", "passwd", "passphrase", "secret", "token", "cookie", "api_key", "private_key", "shared_key", "credentials"}

// hints are in every text that secretForms match. Most lines have none of them.
var hints = []string{"ksr_", "ksc_", "kss_", "eyJ", "$argon2", "://", "earer ", "asic ", "PRIVATE KEY"}

// secretForms are refresh tokens, client and cluster secrets, JWTs, password hashes, credentials of HTTP, and
// keys in PEM, in this order. The group stays.
var secretForms = []*regexp.Regexp{
	regexp.MustCompile(`()(?:ksr|ksc|kss)_[A-Za-z0-9_-]+`),
	regexp.MustCompile(`()eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)*`),
	regexp.MustCompile(`()\$argon2[a-z]*\$[^\s"]+`),
	regexp.MustCompile(`((?:[Bb]earer|[Bb]asic) )[A-Za-z0-9+/=._~-]{8,}`),
	regexp.MustCompile(`(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*`),
}

// passwordInURL is what may be one: the port of a host looks alike when an @ comes later in the URL.
var passwordInURL, portInURL = regexp.MustCompile(`(://[^/\s:@]*:)(\S*)@`), regexp.MustCompile(`^[0-9]+(?:[/?#]|$)`)

func scrubURL(found string) string {
	parts := passwordInURL.FindStringSubmatch(found)
	if portInURL.MatchString(parts[2]) {
		return found
	}
	return parts[1] + masked + "@"
}

// redact is the slog handlers' ReplaceAttr.
func redact(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindGroup {
		return a // its attributes come one by one
	}
	if isSecretKey(a.Key) {
		return slog.String(a.Key, masked)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); scrub(text) != text {
			return slog.String(a.Key, scrub(text))
		}
	case slog.KindAny:
		if _, ok := a.Value.Any().(slog.Level); ok {
			return a // every line has one, and to print it for a look costs as much as three other attributes
		}
		if text := fmt.Sprintf("%+v", a.Value.Any()); scrub(text) != text {
			return slog.String(a.Key, scrub(text))
		}
	}
	return a
}

// knownKeys is what was found out about keys. They are in the program's text, so there are not many; and each line has
// half a dozen.
var knownKeys sync.Map

func isSecretKey(key string) bool {
	if known, ok := knownKeys.Load(key); ok {
		return known == true
	}
	plain := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	secret := slices.ContainsFunc(secretKeys, func(end string) bool { return strings.HasSuffix(plain, end) })
	knownKeys.Store(key, secret)
	return secret
}

// scrub masks what looks like a secret in a text.
func scrub(text string) string {
	for _, hint := range hints {
		if !strings.Contains(text, hint) {
			continue
		}
		for _, form := range secretForms {
			text = form.ReplaceAllString(text, "${1}"+masked)
		}
		return passwordInURL.ReplaceAllStringFunc(text, scrubURL)
	}
	return text
}
