package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
)

func TestTextNeverPrints(t *testing.T) {
	const text = "correct horse battery staple"
	s := NewText(text)
	nested := struct {
		Shown  Text
		hidden Text
		Ptr    *Text
	}{s, s, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", nested)
		fmt.Fprintf(&out, verb+"\n", []Text{s})
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("start", "key", s, "pointer", &s, "nested", nested)
	}
	marshalled, err := json.Marshal(nested)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(marshalled)
	leaks(t, out.String(), text, []byte(text))
	if s.String() != redacted || s.GoString() != redacted {
		t.Error("String or GoString")
	}
}

func TestTextEqual(t *testing.T) {
	f := func(s Text, presented string, want bool) {
		t.Helper()
		if got := s.Equal(presented); got != want {
			t.Errorf("%q compared with %q: %v", s.Reveal(), presented, got)
		}
	}
	f(NewText("a key"), "a key", true)
	f(NewText("a key"), "a kez", false)
	f(NewText("a key"), "a key ", false)
	f(NewText("a key"), "", false)
	f(NewText(""), "", false) // nothing was set, so nobody may come in
	f(Text{}, "", false)
	if !NewText("").IsZero() || NewText("x").IsZero() || (Text{}).Reveal() != "" {
		t.Error("the empty text")
	}
}
