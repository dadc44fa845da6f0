package secret

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestSealer(t *testing.T) {
	s := NewSealer(NewClusterSecret())
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		aad := rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
		sealed := s.Seal(plaintext, aad)
		opened, err := s.Open(sealed, aad)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatalf("Open = %x, %v", opened, err)
		}
		if bytes.Equal(sealed, s.Seal(plaintext, aad)) {
			t.Fatal("sealed twice, the same bytes")
		}
		if _, err := s.Open(sealed, append(aad, 1)); !errors.Is(err, ErrBroken) {
			t.Fatalf("with another aad: %v", err)
		}
		changed := bytes.Clone(sealed)
		changed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := s.Open(changed, aad); !errors.Is(err, ErrBroken) && !errors.Is(err, ErrOtherSecret) {
			t.Fatalf("one bit changed: %v", err)
		}
		cut := sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")]
		if _, err := s.Open(cut, aad); !errors.Is(err, ErrBroken) {
			t.Fatalf("cut short: %v", err)
		}
	})
}

// The cluster secret changes while the cluster runs: old, then both, then new.
func TestSealerExchange(t *testing.T) {
	was, is := NewClusterSecret(), NewClusterSecret()
	before, during, after := NewSealer(was), NewSealer(is, was), NewSealer(is)
	aad := []byte("kid|ES256")
	sealed := before.Seal([]byte("key"), aad)
	if !before.Current(sealed) || during.Current(sealed) || during.Current(nil) {
		t.Error("Current does not tell which secret sealed")
	}
	opened, err := during.Open(sealed, aad)
	if err != nil || string(opened) != "key" {
		t.Fatalf("Open under the previous secret = %q, %v", opened, err)
	}
	if _, err := after.Open(sealed, aad); !errors.Is(err, ErrOtherSecret) {
		t.Errorf("Open without the previous secret: %v", err)
	}
	again := during.Seal(opened, aad)
	if !after.Current(again) {
		t.Error("sealed again, but not under the current secret")
	}
	if _, err := after.Open(again, aad); err != nil {
		t.Errorf("Open of what was sealed again: %v", err)
	}
	if _, err := before.Open(again, aad); !errors.Is(err, ErrOtherSecret) {
		t.Errorf("Open under the old secret alone: %v", err)
	}
}

// A parent of bytes must not be written to: headers and aad are shared between calls.
func TestSealerKeepsItsHandsOff(t *testing.T) {
	s := NewSealer(NewClusterSecret())
	aad := make([]byte, 3, 100)
	one := s.Seal([]byte("one"), aad)
	kept := bytes.Clone(one)
	two := s.Seal([]byte("two"), aad)
	if !bytes.Equal(one, kept) || !bytes.Equal(aad[:100], make([]byte, 100)) {
		t.Error("sealing wrote into bytes of others")
	}
	if got, err := s.Open(two, aad); err != nil || string(got) != "two" || !bytes.Equal(one, kept) {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestSealUnder(t *testing.T) {
	sealed := SealUnder("ksr_old", "replay", []byte("ksr_new"))
	opened, err := OpenUnder("ksr_old", "replay", sealed)
	if err != nil || string(opened) != "ksr_new" {
		t.Fatalf("OpenUnder = %q, %v", opened, err)
	}
	f := func(secret, label string, sealed []byte) {
		t.Helper()
		if _, err := OpenUnder(secret, label, sealed); !errors.Is(err, ErrBroken) {
			t.Errorf("OpenUnder(%q, %q) = %v", secret, label, err)
		}
	}
	f("ksr_oldest", "replay", sealed)
	f("ksr_old", "other", sealed)
	f("ksr_old", "replay", nil)
	f("ksr_old", "replay", sealed[:10])
	f("ksr_old", "replay", append([]byte{2}, sealed[1:]...))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x40
		f("ksr_old", "replay", changed)
	}
}
