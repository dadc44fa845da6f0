package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
)

// A command carries the time of the node that was asked for it, and the state's clock never runs
// backwards. So one command from a clock that is days ahead would do harm for good: sessions and locks
// would be over at once, and what was revoked would be forgotten while its tokens live. Therefore the
// leader takes no command from its future, and a node leads only where its own clock is not ahead of
// most others'. A node whose clock is behind that of the state does not become ready: it would call
// tokens good that have expired.
const (
	mostAhead  = 2 * time.Second
	clockPause = 2 * time.Second // between two comparisons
)

// clockCheck compares the clocks of the members.
type clockCheck struct {
	nodeID  string
	members *members
	survey  func(ctx context.Context, s raft.Server) (report, error)
	now     func() iam.Time
	state   func() iam.Time // the state's clock
	yield   func(ctx context.Context)
	logger  *slog.Logger
}

// run is a duty of the leader: a clock can be set wrong at any time.
func (c *clockCheck) run(ctx context.Context) {
	for waitFor(ctx, clockPause) {
		if err := c.check(ctx); err != nil {
			c.logger.Error("this node must not lead", "error", err)
			c.yield(ctx)
		}
	}
}

// check returns an error when this node's clock is ahead of most of the others that answer. Of two
// nodes that disagree the one that is behind may lead: waiting for the right time does no harm.
func (c *clockCheck) check(ctx context.Context) error {
	var mu sync.Mutex
	var all sync.WaitGroup
	answered, ahead, most := 0, 0, time.Duration(0)
	for _, s := range c.members.servers() {
		if string(s.ID) == c.nodeID {
			continue
		}
		all.Go(func() {
			asked := c.now() // before the question: the time that it takes must not count against this clock
			r, err := c.survey(ctx, s)
			if err != nil || r.Now == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answered++
			if by := asked.Sub(r.Now); by > mostAhead {
				ahead++
				most = max(most, by)
			}
		})
	}
	all.Wait()
	if answered > 0 && 2*ahead > answered {
		return fmt.Errorf("the clock of this machine is %s ahead of most other nodes': set the clocks right, best by NTP", most.Round(time.Second))
	}
	return nil
}

// behind returns an error when the state has seen a later time than this node's clock shows.
func (c *clockCheck) behind() error {
	if by := c.state().Sub(c.now()); by > mostAhead {
		return fmt.Errorf("the clock of this machine is %s behind the last change of the cluster: set it right, best by NTP", by.Round(time.Second))
	}
	return nil
}
