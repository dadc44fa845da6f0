package secret

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// Salt and hash of the right length, for strings of which only the rest matters.
const (
	someSalt = "1fofwxjjvLdWCuG8t7b2vg"
	someHash = "ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4"
)

// The vectors of the HTTP contract §8, from hashes of the old system.
func TestVerifyOldSystem(t *testing.T) {
	h := NewHasher(HasherConfig{})
	f := func(password, phc string) {
		t.Helper()
		if ok, err := h.Verify(t.Context(), phc, password); err != nil || !ok {
			t.Errorf("Verify of %s = %v, %v", phc, ok, err)
		}
		if h.Weak(phc) {
			t.Errorf("Weak(%s), though it is what the policy asks for", phc)
		}
	}
	f("Zx9!kestrel-Moor", "$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4")
	f("Pässwörd1!", "$argon2id$v=19$m=65536,t=3,p=1$BWAsRei9N2YMgfD+v3eOEQ$eC7b0hSBJF6fhScF6chXtSGrFU5BndZ6KZSCReOgang")
}

// The reference implementation's own test vectors (phc-winner-argon2, src/test.c), of both variants.
func TestVerifyReferenceVectors(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap})
	f := func(phc string) {
		t.Helper()
		if ok, err := h.Verify(t.Context(), phc, "password"); err != nil || !ok {
			t.Errorf("Verify of %s = %v, %v", phc, ok, err)
		}
		if ok, err := h.Verify(t.Context(), phc, "passwore"); err != nil || ok {
			t.Errorf("Verify of %s with another password = %v, %v", phc, ok, err)
		}
	}
	f("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8")
	f("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f("$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc")
}

func TestParsePHCAccepts(t *testing.T) {
	f := func(phc string) {
		t.Helper()
		h, err := parsePHC(phc)
		if err != nil {
			t.Errorf("parsePHC(%q): %v", phc, err)
		}
		if h.String() != phc {
			t.Errorf("parsePHC(%q) prints as %q", phc, h)
		}
	}
	f("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "$" + someHash)
	f("$argon2i$v=19$m=8,t=1,p=1$" + someSalt + "$" + someHash)
	f("$argon2id$v=19$m=1048576,t=4,p=16$" + someSalt + "$" + someHash) // libsodium's most costly
	f("$argon2id$v=19$m=65536,t=64,p=1$" + someSalt + "$" + someHash)
}

func TestParsePHCRefuses(t *testing.T) {
	tail := "$" + someSalt + "$" + someHash
	f := func(phc string) {
		t.Helper()
		if _, err := parsePHC(phc); !errors.Is(err, ErrUnusableHash) {
			t.Errorf("parsePHC(%q) = %v", phc, err)
		}
	}
	f("")
	f("plain")
	f("$2b$12$abcdefghijklmnopqrstuuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234")
	f("$argon2d$v=19$m=65536,t=3,p=1" + tail)
	f("$ARGON2ID$v=19$m=65536,t=3,p=1" + tail)
	f("$argon2id$v=16$m=65536,t=3,p=1" + tail)
	f("$argon2id$m=65536,t=3,p=1" + tail)
	f("x$argon2id$v=19$m=65536,t=3,p=1" + tail)
	f("$argon2id$v=19$m=65536,t=3,p=1" + tail + "$")
	f("$argon2id$v=19$t=3,m=65536,p=1" + tail)
	f("$argon2id$v=19$m=65536,t=3" + tail)
	f("$argon2id$v=19$m=65536,t=3,p=1,keyid=x" + tail)
	f("$argon2id$v=19$m=065536,t=3,p=1" + tail)
	f("$argon2id$v=19$m=+65536,t=3,p=1" + tail)
	f("$argon2id$v=19$m=-1,t=3,p=1" + tail)
	f("$argon2id$v=19$m=4294967296,t=3,p=1" + tail)
	// Over the bounds, each and together.
	f("$argon2id$v=19$m=1048577,t=1,p=1" + tail)
	f("$argon2id$v=19$m=65536,t=65,p=1" + tail)
	f("$argon2id$v=19$m=65536,t=3,p=17" + tail)
	f("$argon2id$v=19$m=65536,t=3,p=257" + tail)
	f("$argon2id$v=19$m=1048576,t=64,p=1" + tail)
	f("$argon2id$v=19$m=7,t=3,p=1" + tail)
	f("$argon2id$v=19$m=65536,t=0,p=1" + tail)
	f("$argon2id$v=19$m=65536,t=3,p=0" + tail)
	f("$argon2id$v=19$m=65536,t=3,p=1$AAAA$" + someHash)
	f("$argon2id$v=19$m=65536,t=3,p=1$" + strings.Repeat("AAAA", 22) + "$" + someHash)
	f("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "$AAAAAAAA")
	f("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "$" + strings.Repeat("AAAA", 43))
	// Other spellings of the same bytes.
	f("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "==$" + someHash)
	f("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "\n$" + someHash)
	f("$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vh$" + someHash)
	f("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "$" + strings.ReplaceAll(someHash, "k", "-"))
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=3,p=1$" + someSalt + "$" + someHash)
	f.Add("$argon2i$v=19$m=8,t=1,p=1$" + someSalt + "$" + someHash)
	f.Add("$argon2id$v=19$m=1048576,t=64,p=16$AAAA$AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if h.String() != s {
			t.Errorf("%q has a second spelling %q", s, h)
		}
		if h.params.Check() != nil || len(h.salt) > maxSalt || len(h.sum) > maxHash {
			t.Errorf("%q is over the bounds", s)
		}
	})
}

func TestParamsCheck(t *testing.T) {
	if err := DefaultParams().Check(); err != nil {
		t.Errorf("the default parameters: %v", err)
	}
	for _, p := range []Params{
		{},
		{MemoryKiB: 64, Passes: 1},
		{MemoryKiB: 64, Lanes: 1},
		{MemoryKiB: 15, Passes: 1, Lanes: 2},
		{MemoryKiB: 2 << 20, Passes: 1, Lanes: 1},
		{MemoryKiB: 64, Passes: 65, Lanes: 1},
		{MemoryKiB: 64 << 10, Passes: 1, Lanes: 17},
		{MemoryKiB: 1 << 20, Passes: 5, Lanes: 1},
	} {
		if p.Check() == nil {
			t.Errorf("%+v passes", p)
		}
	}
}

func TestWeak(t *testing.T) {
	h := NewHasher(HasherConfig{Params: Params{MemoryKiB: 1024, Passes: 3, Lanes: 1}})
	f := func(want bool, phc string) {
		t.Helper()
		if h.Weak(phc) != want {
			t.Errorf("Weak(%s) = %v", phc, !want)
		}
	}
	f(false, "$argon2id$v=19$m=1024,t=3,p=1$"+someSalt+"$"+someHash)
	f(false, "$argon2id$v=19$m=4096,t=4,p=4$"+someSalt+"$"+someHash)
	f(true, "$argon2id$v=19$m=1023,t=3,p=1$"+someSalt+"$"+someHash)
	f(true, "$argon2id$v=19$m=1024,t=2,p=1$"+someSalt+"$"+someHash)
	f(true, "$argon2i$v=19$m=1024,t=3,p=1$"+someSalt+"$"+someHash)
	f(true, "$argon2id$v=19$m=1024,t=3,p=1$c29tZXNhbHQ$"+someHash)
	f(true, "$argon2id$v=19$m=1024,t=3,p=1$"+someSalt+"$AAAAAAAAAAAAAAAAAAAAAA")
	f(true, "unknown")
}

func TestUnusableHashCostsAsMuchAsAnyOther(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap, Workers: 1, Queue: 1})
	ok, err := h.Verify(t.Context(), "$argon2id$v=19$m=1048576,t=64,p=1$"+someSalt+"$"+someHash, "password")
	if ok || !errors.Is(err, ErrUnusableHash) {
		t.Errorf("Verify = %v, %v", ok, err)
	}
	// That the work is done shows in that it waits for a worker like any other.
	h.workers <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Verify(ctx, "garbage", "password"); errors.Is(err, ErrUnusableHash) {
		t.Error("a hash that cannot be used is refused without the work")
	}
}
