package fsm

import (
	"flag"
	"os"
	"testing"
)

// TestMain draws the same logs in every ordinary run: some tests ask that the generators reach every command,
// and must not fail because of a roll of the dice. The long runs roll them.
func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); os.Getenv("KEYSTONE_TORTURE") == "" && seed.Value.String() == seed.DefValue {
		_ = seed.Value.Set("7")
	}
	os.Exit(m.Run())
}
