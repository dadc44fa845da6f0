package token

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

func TestRefreshToken(t *testing.T) {
	session := iam.NewID()
	first := NewRefreshToken(session)
	text := first.Reveal()
	if !regexp.MustCompile(`^ksr_[A-Za-z0-9_-]{92}$`).MatchString(text) {
		t.Errorf("text form of %d characters", len(text))
	}
	parsed, err := ParseRefreshToken(text)
	if err != nil || parsed.Reveal() != text || parsed.Session() != session {
		t.Fatalf("ParseRefreshToken of its own form: %v", err)
	}
	second := parsed.Next()
	if second.Session() != session || !bytes.Equal(second.Family(), first.Family()) {
		t.Error("the next token is not of the same session and family")
	}
	if bytes.Equal(second.Digest(), first.Digest()) || !bytes.Equal(parsed.Digest(), first.Digest()) {
		t.Error("digests do not tell the tokens apart")
	}
	if bytes.Equal(first.Family(), first.Digest()) || len(first.Family()) != 32 || len(first.Digest()) != 32 {
		t.Error("digests of family and token")
	}
	if first.Reveal() != text {
		t.Error("making the next token changed this one")
	}
	if !(RefreshToken{}).IsZero() || first.IsZero() {
		t.Error("IsZero")
	}
}

// Whoever knows only the session's id cannot make a token of its family.
func TestRefreshFamilyCannotBeGuessed(t *testing.T) {
	session := iam.NewID()
	genuine := NewRefreshToken(session)
	if bytes.Equal(NewRefreshToken(session).Family(), genuine.Family()) {
		t.Error("the family follows from the session's id")
	}
	raw := [refreshBytes]byte(genuine.raw())
	copy(raw[:], iam.NewID().String())
	if bytes.Equal(refreshTokenOf(raw).Family(), genuine.Family()) {
		t.Error("the family does not depend on the session")
	}
}

func TestParseRefreshTokenRefuses(t *testing.T) {
	text := NewRefreshToken(iam.NewID()).Reveal()
	f := func(given string) {
		t.Helper()
		if given == text {
			return
		}
		parsed, err := ParseRefreshToken(given)
		if iam.CodeOf(err) != iam.InvalidGrant || !parsed.IsZero() {
			t.Errorf("ParseRefreshToken(%q) = %v", given, err)
		}
	}
	f("")
	f("ksr_")
	f(strings.ToUpper(text[:4]) + text[4:])
	f(text + "=")
	f(text + "\n")
	f(" " + text)
	f(strings.Repeat("A", len(text)))
	for i := range len(text) {
		for _, c := range "AB_-=\n.é" {
			f(text[:i] + string(c) + text[i+1:])
			f(text[:i] + string(c) + text[i:])
		}
		f(text[:i])
		f(text[:i] + text[i+1:])
	}
}

func FuzzParseRefreshToken(f *testing.F) {
	f.Add(NewRefreshToken(iam.NewID()).Reveal())
	f.Add(refreshTokenOf([refreshBytes]byte{}).Reveal())
	f.Add("ksr_" + strings.Repeat("A", 92))
	f.Add("ksr_" + strings.Repeat("\n", 92))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseRefreshToken(text)
		if err == nil && parsed.Reveal() != text {
			t.Errorf("%q has a second spelling %q", text, parsed.Reveal())
		}
		if err != nil && iam.CodeOf(err) != iam.InvalidGrant {
			t.Errorf("refused with %v", err)
		}
	})
}

func TestRefreshTokenNeverPrints(t *testing.T) {
	token := NewRefreshToken(iam.NewID())
	nested := struct {
		Shown  RefreshToken
		hidden RefreshToken
		Ptr    *RefreshToken
	}{token, token, &token}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		for _, value := range []any{token, &token, nested, &nested, []RefreshToken{token}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("refresh", "token", token, "pointer", &token, "nested", nested)
	}
	text, err := json.Marshal(nested)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	raw := token.raw()
	for _, form := range []string{
		token.Reveal()[4:20], token.Reveal()[60:76], hex.EncodeToString(raw[20:26]),
		strings.ToUpper(hex.EncodeToString(raw[20:26])), strings.Trim(fmt.Sprint(raw[20:26]), "[]"),
		strings.TrimSuffix(fmt.Sprintf("%#v", raw[20:24])[7:], "}"),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the token shows as %s", form)
		}
	}
	if !strings.Contains(out.String(), redacted) || token.String() != redacted || token.GoString() != redacted {
		t.Error("the token does not show as what it is")
	}
}
