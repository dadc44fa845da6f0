package secret

import (
	"regexp"
	"strings"
	"testing"
)

func TestDigest(t *testing.T) {
	d := DigestOf("abc") // FIPS 180-2, appendix B.1
	want := Digest{
		0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
		0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
	}
	if d != want {
		t.Errorf("digest of abc is %x", d)
	}
	if !d.Equal(want[:]) {
		t.Error("a digest does not equal itself")
	}
	other := DigestOf("abd")
	for _, stored := range [][]byte{nil, {}, want[:31], other[:], make([]byte, 32)} {
		if d.Equal(stored) {
			t.Errorf("equals %x", stored)
		}
	}
}

func TestNewClientSecret(t *testing.T) {
	form := regexp.MustCompile(`^ksc_[A-Za-z0-9_-]{49}$`)
	seen := map[string]bool{}
	for range 100 {
		s := NewClientSecret()
		if !form.MatchString(s) || seen[s] {
			t.Fatalf("client secret %q", s)
		}
		if withChecksum(s[:len(s)-6]) != s {
			t.Fatalf("checksum of %q", s)
		}
		seen[s] = true
	}
}

func TestGeneratePassword(t *testing.T) {
	form := regexp.MustCompile(`^\w{5}-\w{5}-\w{5}-\w{5}$`)
	seen := map[string]bool{}
	used := map[rune]bool{}
	for range 2000 {
		p := GeneratePassword()
		if !form.MatchString(p) || seen[p] || !strings.ContainsAny(p, upperLetters) ||
			!strings.ContainsAny(p, lowerLetters) || !strings.ContainsAny(p, digits) {
			t.Fatalf("password %q", p)
		}
		seen[p] = true
		for _, r := range p {
			used[r] = true
		}
	}
	if want := len(upperLetters+lowerLetters+digits) + 1; len(used) != want {
		t.Errorf("%d characters occur, want %d", len(used), want)
	}
}
