package secret

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestClusterSecretText(t *testing.T) {
	s := NewClusterSecret()
	text := s.Reveal()
	if len(text) != clusterSecretLength || !strings.HasPrefix(text, "kss_") {
		t.Errorf("text form has %d characters", len(text))
	}
	for _, given := range []string{text, text + "\n", " \t" + text + "\r\n"} {
		parsed, err := ParseClusterSecret(given)
		if err != nil || parsed.Reveal() != text {
			t.Errorf("ParseClusterSecret of its own form: %v", err)
		}
	}
	if NewClusterSecret().Reveal() == text {
		t.Error("two secrets are equal")
	}
	if s.IsZero() || !(ClusterSecret{}).IsZero() {
		t.Error("IsZero")
	}
}

func TestParseClusterSecretRefuses(t *testing.T) {
	text := NewClusterSecret().Reveal()
	f := func(given, reason string) {
		t.Helper()
		s, err := ParseClusterSecret(given)
		if err == nil || !s.IsZero() {
			t.Fatalf("%q was taken", given)
		}
		if !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q in the sentence: %v", reason, err)
		}
		if len(given) > 12 && strings.Contains(err.Error(), given[4:12]) {
			t.Errorf("the sentence repeats the secret: %v", err)
		}
	}
	f("", "is empty")
	f(" \n", "is empty")
	f("changeme", "does not begin with kss_")
	f(strings.TrimPrefix(text, "kss_"), "does not begin with kss_")
	f("kss_", "too short")
	f(text[:len(text)-1], "too short: it has 52 characters and must have 53")
	f(text+"A", "too long")
	f(swap(text, 10), "mistyped")
	f(swap(text, len(text)-1), "mistyped")
	f(text[:20]+"\n"+text[21:], "mistyped")
	f(text[:20]+"é"+text[22:], "mistyped")
	f(withChecksum("kss_"+strings.Repeat("A", 42)+"B"), "mistyped") // a second spelling of 32 zero bytes
}

// Data that clusters have sealed depends on these values: they must never change. They were computed
// by another implementation of RFC 5869.
func TestDerivationIsFixed(t *testing.T) {
	var key [32]byte
	for i := range key {
		key[i] = byte(i)
	}
	s := clusterSecretOf(key)
	f := func(name string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s = %x", name, got)
		}
	}
	f("CA seed", s.CAKey().Seed(), "69655de04067cfdf54dbf710be2a56606039e9bb15ae413f3b9da52e6f7bc9b6")
	f("gossip", s.GossipKey(), "adda0bad022b6e5610fc3c6cddd178b1d34463b38db17b3fd0d600909e190ae3")
	f("sealing", expand(key[:], labelSealing, 32), "2845f1d6db8c71a9879b95b9da3390c170a15f7c64c0214e4adc85506806bb78")
	f("fingerprint", expand(key[:], labelFingerprint, 8), "4843ddcac3f9f554")
}

func TestClusterSecretNeverPrints(t *testing.T) {
	s := NewClusterSecret()
	nested := struct {
		Shown  ClusterSecret
		hidden ClusterSecret
		Ptr    *ClusterSecret
	}{s, s, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", nested)
		fmt.Fprintf(&out, verb+"\n", []ClusterSecret{s})
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("start", "secret", s, "pointer", &s, "nested", nested)
	}
	text, err := json.Marshal(nested)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	leaks(t, out.String(), s.Reveal(), s.key())
	if s.String() != redacted || s.GoString() != redacted {
		t.Error("String or GoString")
	}
}

// leaks looks for the text and for every way in which fmt prints bytes.
func leaks(t *testing.T, out, text string, raw []byte) {
	t.Helper()
	if !strings.Contains(out, redacted) {
		t.Errorf("nothing was printed at all: %s", out)
	}
	for _, form := range []string{
		text[4:16], hex.EncodeToString(raw[:6]), strings.ToUpper(hex.EncodeToString(raw[:6])),
		strings.Trim(fmt.Sprint(raw[:6]), "[]"), strings.TrimSuffix(fmt.Sprintf("%#v", raw[:3])[7:], "}"),
	} {
		if strings.Contains(out, form) {
			t.Errorf("the secret shows as %s", form)
		}
	}
}

// swap replaces one character by another one of the alphabet.
func swap(s string, at int) string {
	other := byte('A')
	if s[at] == other {
		other = 'B'
	}
	return s[:at] + string(other) + s[at+1:]
}

func FuzzParseClusterSecret(f *testing.F) {
	f.Add(NewClusterSecret().Reveal())
	f.Add("kss_" + strings.Repeat("A", 49))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseClusterSecret(text)
		if err == nil && s.Reveal() != strings.TrimSpace(text) {
			t.Errorf("%q has a second spelling", text)
		}
	})
}
