package api

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

func TestStringList(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var got StringList
		if err := json.Unmarshal([]byte(text), &got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s = %q, %v; want %q", text, got, err, want)
		}
	}
	f(`"a"`, "a")
	f(`["a","b"]`, "a", "b")
	f(`[]`)
	for _, text := range []string{`1`, `{"a":1}`, `[1]`} {
		if err := json.Unmarshal([]byte(text), new(StringList)); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// TestProblemShape holds the error body of the public contract.
func TestProblemShape(t *testing.T) {
	p := Problem{Code: "not_found", Description: "There is nothing.", Timestamp: time.Unix(0, 0).UTC(), Path: "/x", RequestID: "r"}
	got, err := json.Marshal(p)
	want := `{"error":"not_found","error_description":"There is nothing.","timestamp":"1970-01-01T00:00:00Z","path":"/x","request_id":"r"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}
