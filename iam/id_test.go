package iam

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		text := id.String()
		if len(text) != 36 || text != strings.ToLower(text) {
			t.Fatalf("%q is not the canonical form", text)
		}
		for _, spelling := range []string{text, strings.ToUpper(text)} {
			back, err := ParseID(spelling)
			if err != nil || back != id {
				t.Fatalf("ParseID(%q) = %v, %v; want %v", spelling, back, err, id)
			}
		}
		var back ID
		data, err := json.Marshal(id)
		if err != nil || string(data) != `"`+text+`"` {
			t.Fatalf("JSON of %v: %s, %v", id, data, err)
		}
		if err := json.Unmarshal(data, &back); err != nil || back != id {
			t.Fatalf("JSON %s read back as %v, %v", data, back, err)
		}
	})
}

func TestParseIDRefuses(t *testing.T) {
	f := func(s string) {
		t.Helper()
		if id, err := ParseID(s); err == nil || !id.IsZero() {
			t.Errorf("ParseID(%q) = %v, %v; want the zero id and an error", s, id, err)
		} else if len(s) > 5 && strings.Contains(err.Error(), s) {
			t.Errorf("the error repeats the text: %v", err)
		}
		id := ID{1}
		if err := id.UnmarshalText([]byte(s)); err == nil || id != (ID{1}) {
			t.Errorf("UnmarshalText(%q) changed the id to %v, %v", s, id, err)
		}
	}
	const good = "11890a5d-ac96-774b-bcce-b302099a8058"
	f("")
	f(good[:35])
	f(good + "0")
	f(" " + good[:35])
	f(strings.ReplaceAll(good, "-", ""))
	f("{" + good + "}")
	f("urn:uuid:" + good)
	f("01890a5dXac96-774b-bcce-b302099a8057")
	f("01890a5d-ac96-774b-bcceXb302099a8057")
	f("g1890a5d-ac96-774b-bcce-b302099a8057")
	f("01890a5d-ac96-774b-bcce-b302099a805-")
	f("01890a5d-ac96-774b-bcce-b302099a80é") // 36 bytes, 35 characters
	f("0x890a5d-ac96-774b-bcce-b302099a8057")
}

func TestNewID(t *testing.T) {
	before := time.Now().UnixMilli()
	a := NewID()
	after := time.Now().UnixMilli()
	if a[6]>>4 != 7 || a[8]>>6 != 2 {
		t.Errorf("%v has version %d and variant bits %b; want 7 and 10", a, a[6]>>4, a[8]>>6)
	}
	var ms int64
	for _, b := range a[:6] {
		ms = ms<<8 | int64(b)
	}
	if ms < before || ms > after {
		t.Errorf("%v says it was made at %d ms; it was made between %d and %d", a, ms, before, after)
	}
	seen := map[ID]bool{}
	for range 1000 {
		id := NewID()
		if seen[id] || id.IsZero() {
			t.Fatalf("%v came twice, or is zero", id)
		}
		seen[id] = true
	}
}

func TestIDAppendText(t *testing.T) {
	id := ID{0xff, 1}
	if got := id.AppendText([]byte("id=")); !bytes.Equal(got, []byte("id="+id.String())) {
		t.Errorf("AppendText = %q", got)
	}
	if !(ID{}).IsZero() || id.IsZero() {
		t.Error("IsZero is wrong")
	}
}
