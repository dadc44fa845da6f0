package cluster_test

import (
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/cluster"
)

// TestBrokenDisk: an error that is not about room ends the node with one sentence, and what could not be
// written is not acknowledged.
func TestBrokenDisk(t *testing.T) {
	var said []string
	for name, err := range cluster.WriteBroken(t, func(err error) { said = append(said, err.Error()) }) {
		if err == nil {
			t.Errorf("%s on a broken disk is acknowledged", name)
		}
	}
	if len(said) != 4 {
		t.Fatalf("the operator is told %d times: %q", len(said), said)
	}
	for _, sentence := range said {
		if !strings.Contains(sentence, "cannot be written") || strings.Contains(sentence, "\n") {
			t.Errorf("the operator is told %q", sentence)
		}
	}
}
