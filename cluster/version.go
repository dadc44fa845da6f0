package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// gate keeps out of the log what a member could not apply: it would stop there, at that entry, at each start. The
// word of the members themselves counts, by which they answer for their state, and never gossip.
type gate struct {
	members *members
	fsm     *fsm.FSM
	survey  func(ctx context.Context, s raft.Server) (report, error)
	program string      // the version of this node's program, for people
	joining *sync.Mutex // held while a node is taken in

	opened atomic.Pointer[opening]

	mu   sync.Mutex
	last map[raft.ServerID]uint64 // the version that a member has said last
}

// opening is the version that this node, leading in the term, found all members to know.
type opening struct{ version, term uint64 }

// inUse is the command version that the log may hold.
func (g *gate) inUse() uint64 {
	used := g.fsm.Needs()
	r, o := g.members.raft.Load(), g.opened.Load()
	if r != nil && o != nil && o.term == r.CurrentTerm() {
		used = max(used, o.version)
	}
	return used
}

// pass lets a command through if all members are known to be able to apply it. A member that does not answer counts
// with what it said last; one that nobody has heard of holds the gate shut. The error is an *iam.Error.
func (g *gate) pass(ctx context.Context, needs uint64) error {
	if needs <= 1 || needs <= g.inUse() {
		return nil
	}
	g.joining.Lock() // or a node that knows less might become a member meanwhile
	defer g.joining.Unlock()
	r := g.members.raft.Load()
	term := r.CurrentTerm()
	var all sync.WaitGroup
	for _, s := range g.members.servers() {
		all.Go(func() { _, _ = g.survey(ctx, s) }) // remembered by heard
	}
	all.Wait()
	var behind []string
	g.mu.Lock()
	for _, s := range g.members.servers() {
		switch known, asked := g.last[s.ID]; {
		case !asked:
			behind = append(behind, nameOf(string(s.ID))+" does not answer")
		case known < needs:
			behind = append(behind, fmt.Sprintf("%s knows version %d", nameOf(string(s.ID)), known))
		}
	}
	g.mu.Unlock()
	if len(behind) > 0 {
		slices.Sort(behind)
		return iam.Errorf(iam.Conflict, "This is not possible before all nodes run the newer Keystone: it needs version %d of the commands, and %s. Upgrade the others, or remove those that are gone.", needs, strings.Join(behind, ", "))
	}
	g.opened.Store(&opening{needs, term})
	return nil
}

// heard remembers what a member has said.
func (g *gate) heard(id raft.ServerID, version uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[id] = max(1, version)
}

// understands refuses a node that could not apply the log of this cluster, or not read its state. The error is an
// *iam.Error.
func (g *gate) understands(newcomer joinRequest) error {
	name := nameOf(newcomer.NodeID)
	if used, knows := g.inUse(), max(1, newcomer.Commands); knows < used {
		return iam.Errorf(iam.Conflict, "The cluster uses version %d of the commands, and node %s knows version %d: start it with the version of the other nodes, %s.", used, name, knows, g.program)
	}
	if reads := max(1, newcomer.Format); reads < store.Format {
		return iam.Errorf(iam.Conflict, "The cluster keeps its state in format %d, and node %s reads up to format %d: start it with the version of the other nodes, %s.", store.Format, name, reads, g.program)
	}
	return nil
}
