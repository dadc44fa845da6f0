package store

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

func TestEncodeIsDeterministic(t *testing.T) {
	m := map[string]int{"b": 1, "a": 2, "cc": 3, "d": 4, "e": 5}
	want := Encode(m)
	for range 50 {
		if got := Encode(m); !bytes.Equal(got, want) {
			t.Fatalf("%x and %x", got, want)
		}
	}
}

func TestEncodeForm(t *testing.T) {
	// The form on disk and in the log is a promise: a node of another release reads it.
	f := func(v any, want string) {
		t.Helper()
		if got := hex.EncodeToString(Encode(v)); got != want {
			t.Errorf("Encode(%+v) = %s, want %s", v, got, want)
		}
	}
	f(iam.ID{1, 15: 2}, "5001000000000000000000000000000002")
	f(iam.Time(-1), "20")
	f(iam.Scope{ID: iam.ID{}, Name: "s"}, "a5015000000000000000000000000000000000026173"+"0600"+"0700"+"0800")
	f(Meta{Format: 1}, "a401010200030008"+"5820"+strings.Repeat("00", 32))
}

func TestDecodeRefuses(t *testing.T) {
	f := func(what, data string, v any) {
		t.Helper()
		raw, err := hex.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := Decode(raw, v); err == nil {
			t.Errorf("%s is accepted: %s became %+v", what, data, v)
		}
	}
	var scope iam.Scope
	f("nothing", "", &scope)
	f("a duplicate key", "a2"+"026161"+"026162", &scope)
	f("a duplicate key that no field has", "a2"+"186300"+"186300", &scope)
	f("a duplicate map key", "a2"+"616100"+"616101", &map[string]int{})
	f("trailing bytes", "a1026161"+"00", &scope)
	f("a tag", "c1"+"a1026161", &scope)
	f("a tag inside", "a1"+"02"+"c0"+"6161", &scope)
	f("an indefinite length", "bf026161ff", &scope)
	f("an indefinite text", "a1027f6161ff", &scope)
	f("text that is not UTF-8", "a10261ff", &scope)
	f("a text where a number belongs", "a1066161", &scope)
	f("a truncated map", "a2026161", &scope)
	f("a number that is too large", "a1061bffffffffffffffff", &scope)
	f("an array that says it is huge", "a10c9b00000fffffffffff", new(iam.User))
	f("an array over the bound", "9a00020001"+strings.Repeat("00", 1<<17+1), new([]int))
	f("a map over the bound", "b91001"+strings.Repeat("00", 2*4097), new(map[int]int))
	f("arrays 17 deep", strings.Repeat("81", 17)+"00", new(any))
	f("bytes that say they are huge", "5b7fffffffffffffff", new([]byte))
}

func FuzzDecodeRow(f *testing.F) {
	f.Add(Encode(iam.User{ID: iam.ID{1}, Username: "ann"}))
	f.Add(Encode(iam.Session{ID: iam.ID{1}, Scope: []string{"a"}}))
	f.Add([]byte{0xa1, 0x02, 0x61, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRow[iam.User](t, data)
		fuzzRow[iam.Session](t, data)
		fuzzRow[iam.Client](t, data)
		fuzzRow[Outcome](t, data)
		fuzzRow[Meta](t, data)
	})
}

// fuzzRow proves that what was read once is a fixed point: reading and writing again gives the same
// bytes.
func fuzzRow[V any](t *testing.T, data []byte) {
	var v, again V
	if Decode(data, &v) != nil {
		return
	}
	first := Encode(v)
	if err := Decode(first, &again); err != nil {
		t.Fatalf("%x became %x, which cannot be read: %v", data, first, err)
	}
	if second := Encode(again); !bytes.Equal(first, second) {
		t.Fatalf("%x became %x and then %x", data, first, second)
	}
}
