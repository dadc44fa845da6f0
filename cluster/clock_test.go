package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// wrongBy is a clock that is set wrong by that much.
func wrongBy(d time.Duration) func() iam.Time {
	return func() iam.Time { return iam.Now().Add(d) }
}

// One clock that is far ahead must neither reach the state nor lead.
func TestClockAhead(t *testing.T) {
	initial := peers(t, 3)
	var nodes []*node
	for i, p := range initial {
		c := member(p, initial)
		if i == 0 {
			c.Now = wrongBy(time.Hour)
		}
		nodes = append(nodes, start(t, c))
	}
	for _, n := range nodes[1:] {
		n.ready()
		n.put("by." + n.conf.Name)
	}
	ahead := nodes[0]
	eventually(t, "another node leads and says what is wrong", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := ahead.Propose(ctx, fsm.Origin{}, &fsm.PutScope{Scope: iam.Scope{ID: iam.NewID(), Name: "from.the.future"}})
		return err != nil && strings.Contains(err.Error(), "The clock of node a is 1h0m0s ahead")
	})
	for _, n := range nodes[1:] {
		n.put("after." + n.conf.Name)
		meta, err := n.store.Meta()
		if err != nil {
			t.Fatal(err)
		}
		if meta.Time > iam.Now().Add(time.Minute) {
			t.Errorf("the state's clock on %s is at %v", n.conf.Name, meta.Time.Std())
		}
	}
}

// A node that is behind would call tokens good that have expired.
func TestClockBehind(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	nodes[1].put("now")
	late := nodes[2]
	late.stop()
	late.conf.Now = wrongBy(-time.Hour)
	late = start(t, late.conf)
	eventually(t, "it follows the log", func() bool { return allAgree(t, nodes[0], 3) })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := late.WaitReady(ctx); err == nil {
		t.Error("a node whose clock is an hour behind is ready")
	}
	late.conf.Now = nil
	late = late.restart()
	late.ready()
}
