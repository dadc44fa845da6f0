package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/iam"
)

type echo struct {
	Text string `cbor:"1,keyasint"`
}

// TestAsk: rooms above have their nodes ask each other, and get errors where that cannot be.
func TestAsk(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	a, b := nodes[0], nodes[1]
	cluster.Offer(b.Node, "/echo", func(_ context.Context, e echo) (echo, error) {
		switch e.Text {
		case "refuse":
			return e, iam.Errorf(iam.Conflict, "No.")
		case "fail":
			return e, errors.New("broken")
		}
		return echo{e.Text + " " + e.Text}, nil
	})
	f := func(node, path, text, want, complaint string) {
		t.Helper()
		var reply echo
		err := a.Ask(t.Context(), node, path, echo{text}, &reply)
		if reply.Text != want || (err == nil) != (complaint == "") || err != nil && !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s %s: %q, %v; want %q, %q", path, text, reply.Text, err, want, complaint)
		}
	}
	f(b.ID(), "/echo", "hello", "hello hello", "")
	f(b.ID(), "/echo", "refuse", "", "No.")
	f(b.ID(), "/echo", "fail", "", "broken")
	f(b.ID(), "/nothing", "hello", "", "another version")
	f(nodes[2].ID(), "/echo", "hello", "", "another version")
	f("nobody", "/echo", "hello", "", "not a member")
	for _, n := range nodes {
		ids := n.Members()
		if len(ids) != 3 || !slices.Contains(ids, n.ID()) || !slices.Contains(ids, b.ID()) {
			t.Errorf("%s knows the members %q", n.ID(), ids)
		}
	}
}
