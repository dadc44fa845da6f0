package limit

import (
	"strings"
	"testing"
	"time"
)

func TestParseLimit(t *testing.T) {
	f := func(s string, count int, per time.Duration, canonical string) {
		t.Helper()
		l, err := ParseLimit(s)
		if err != nil {
			t.Errorf("ParseLimit(%q): %v", s, err)
			return
		}
		if l.Count != count || l.Per != per || l.String() != canonical {
			t.Errorf("ParseLimit(%q) = %d in %v, written %q; want %d in %v, written %q", s, l.Count, l.Per, l, count, per, canonical)
		}
	}
	f("5/minute", 5, time.Minute, "5/minute")
	f("5/minutes", 5, time.Minute, "5/minute")
	f(" 100 / hour ", 100, time.Hour, "100/hour")
	f("1/day", 1, 24*time.Hour, "1/day")
	f("3/second", 3, time.Second, "3/second")
	f("10/30s", 10, 30*time.Second, "10/30s")
	f("10/60s", 10, time.Minute, "10/minute")
	f("10/90m", 10, 90*time.Minute, "10/1h30m")
	f("10/250ms", 10, 250*time.Millisecond, "10/250ms")
	f("1000000/48h", 1_000_000, 48*time.Hour, "1000000/48h")
	f("off", 0, 0, "off")
}

func TestParseLimitRefuses(t *testing.T) {
	for _, s := range []string{
		"", "5", "/", "5/", "/minute", "five/minute", "0/minute", "-1/minute", "1000001/day", "5/fortnight",
		"5/0s", "5/-30s", "5/1ns", "5 per minute", "5/minute/hour", "1e3/minute", "99999999999999999999/day",
	} {
		if l, err := ParseLimit(s); err == nil {
			t.Errorf("ParseLimit(%q) = %v, want an error", s, l)
		} else if !strings.Contains(err.Error(), "5/minute") {
			t.Errorf("ParseLimit(%q): %v, want a sentence that shows an example", s, err)
		}
	}
}

func FuzzParseLimit(f *testing.F) {
	f.Add("5/minute")
	f.Add("10/1h30m")
	f.Add("off")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLimit(s)
		if err != nil {
			return
		}
		if again, err := ParseLimit(l.String()); err != nil || again != l {
			t.Fatalf("ParseLimit(%q) = %v, read again: %v, %v", s, l, again, err)
		}
	})
}

// TestDefaults holds the numbers of the public contract.
func TestDefaults(t *testing.T) {
	d := Defaults()
	for want, l := range map[string]Limit{
		"login 5/minute": d.Login, "refresh 10/minute": d.Refresh, "service_token 20/minute": d.ServiceToken,
		"register 3/hour": d.Register, "api 100/minute": d.API,
	} {
		if got := l.Name + " " + l.String(); got != want {
			t.Errorf("the default is %s, want %s", got, want)
		}
	}
}

func TestNoLimit(t *testing.T) {
	w := NewWindow(Limit{})
	for range 1000 {
		if !w.Admit(start).Allowed {
			t.Fatal("the zero limit refused a request")
		}
	}
}
