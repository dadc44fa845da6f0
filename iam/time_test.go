package iam

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := Time(rapid.Int64Range(-1<<55, 1<<55).Draw(t, "microseconds"))
		if got := TimeOf(at.Std()); got != at {
			t.Fatalf("%d came back as %d", at, got)
		}
		if at.Std().Location() != time.UTC {
			t.Fatal("Std is not in UTC")
		}
		seconds := at.Unix()
		if rest := int64(at) - seconds*1_000_000; rest < 0 || rest >= 1_000_000 {
			t.Fatalf("Unix of %d is %d, which is not rounded down", at, seconds)
		}
		d := time.Duration(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "d")) * time.Microsecond
		if got := at.Add(d).Sub(at); got != d {
			t.Fatalf("Add and Sub: %v, want %v", got, d)
		}
	})
}

func TestTimeUnset(t *testing.T) {
	if got := TimeOf(time.Time{}); got != 0 {
		t.Errorf("the zero time.Time became %d", got)
	}
	if got := Time(0).Std(); !got.IsZero() {
		t.Errorf("the unset Time became %v", got)
	}
	if got := Time(0).Unix(); got != 0 {
		t.Errorf("the unset Time in seconds is %d", got)
	}
}

func TestTimeIsMicroseconds(t *testing.T) {
	got := TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 678_901_999, time.FixedZone("", 3600)))
	if want := Time(1767319445678901); got != want {
		t.Errorf("TimeOf = %d, want %d", got, want)
	}
	if got.Unix() != 1767319445 {
		t.Errorf("Unix = %d", got.Unix())
	}
}

func TestNow(t *testing.T) {
	before := time.Now().UnixMicro()
	now := Now()
	if after := time.Now().UnixMicro(); int64(now) < before || int64(now) > after {
		t.Errorf("Now = %d, which is not between %d and %d", now, before, after)
	}
}
