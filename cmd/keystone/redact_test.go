package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/lmittmann/tint"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/token"
)

// TestScrub: each text holds hunter2 where a secret has it.
func TestScrub(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := scrub(text); got != want || strings.Contains(got, "hunter2") {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
	f("token ksr_hunter2_a-B was used", "token [secret] was used")
	f(`{"client_secret":"ksc_hunter2"}`, `{"client_secret":"[secret]"}`)
	f("kss_hunter2", "[secret]")
	f("a eyJhbGciOi.eyJodW50ZXIyhunter2.c2ln-_hunter2 b", "a [secret] b")
	f("hash $argon2id$v=19$m=65536,t=3,p=1$c2FsdA$hunter2 is odd", "hash [secret] is odd")
	f("Authorization: Bearer hunter2hunter2", "Authorization: Bearer [secret]")
	f("authorization: basic dXNlcjpodW50ZXIyhunter2==", "authorization: basic [secret]")
	f("dial postgresql://auth:hunter2@db:5432/auth: refused", "dial postgresql://auth:[secret]@db:5432/auth: refused")
	f("redis://:hunter2@cache:6379/0", "redis://:[secret]@cache:6379/0")
	f("smtp://u:hun/ter@hunter2@mail", "smtp://u:[secret]@mail")
	f("-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----", "[secret]")
	for _, plain := range []string{
		"", "request", "http://127.0.0.1:8000/api/v1/users", "listen tcp 127.0.0.1:8000: bind: address already in use",
		"01a21557-a349-7aa7-b6a4-35215b9cc473", "GET /health", "https://user@example.com",
		"https://auth.example.com:8443/reset?email=ada@example.org", "http://127.0.0.1:8000 and ada@example.org", "a bearer of news",
	} {
		f(plain, plain)
	}
}

// TestLoggerKeepsSecrets logs secrets in every way in which somebody might by mistake.
func TestLoggerKeepsSecrets(t *testing.T) {
	refresh, shared := token.NewRefreshToken(iam.NewID()), secret.NewText("hunter2 as a text")
	jwt := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.hunter2"
	for _, format := range []string{"json", "text", "colours"} {
		var out bytes.Buffer
		log := newLogger(&out, Config{LogFormat: format, LogLevel: slog.LevelDebug})
		if format == "colours" {
			log = slog.New(tint.NewTextHandler(&out, &tint.Options{ReplaceAttr: redact}))
		}
		log.With("authorization", "hunter2").WithGroup("g").Info("a message with "+jwt,
			"password", "hunter2", "Client-Secret", "hunter2", "new_password", []byte("hunter2"), "cookie", "hunter2", "token", 12345678,
			"url", "postgresql://u:hunter2@db", "text", shared, "refresh", refresh, "plain", "shown",
			"error", fmt.Errorf("wrapped: %w", errors.New("with "+refresh.Reveal())),
			slog.Group("inner", "client_secret", "hunter2", "value", jwt),
			"struct", struct{ Header string }{"Bearer hunter2hunter2"}, "pointer", &api.TokenResponse{AccessToken: jwt, RefreshToken: refresh.Reveal()})
		said := out.String()
		for _, secret := range []string{"hunter2", "12345678", refresh.Reveal(), refresh.Reveal()[4:30], jwt} {
			if strings.Contains(said, secret) {
				t.Errorf("the log in %s holds %s: %s", format, secret, said)
			}
		}
		for _, want := range []string{"shown", "wrapped: with [secret]", "a message with [secret]", "postgresql://u:[secret]@db"} {
			if !strings.Contains(said, want) {
				t.Errorf("the log in %s lacks %q: %s", format, want, said)
			}
		}
	}
}
