package node

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// How a change may end for whoever asked for it.
const (
	proposalMade        = "made"
	proposalRefused     = "refused"     // by the state machine's rules
	proposalUnavailable = "unavailable" // no leader, too busy, or out of time
	proposalError       = "error"
)

// proposals is an fsm.Proposer that measures another one.
type proposals struct {
	to       fsm.Proposer
	seconds  *prometheus.HistogramVec
	outcomes map[string]prometheus.Observer
}

func measure(to fsm.Proposer) *proposals {
	p := &proposals{to: to, outcomes: map[string]prometheus.Observer{}, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "keystone_proposal_seconds", Help: "Time that changes took from this node through the log and back, by how they ended.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"outcome"})}
	for _, outcome := range []string{proposalMade, proposalRefused, proposalUnavailable, proposalError} {
		p.outcomes[outcome] = p.seconds.WithLabelValues(outcome)
	}
	return p
}

func newFenceHistogram() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "keystone_fence_seconds", Help: "On the leader: from the commit of what takes something away until no node answers by the state before it.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	})
}

// Propose implements fsm.Proposer.
func (p *proposals) Propose(ctx context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	start := time.Now()
	result, err := p.to.Propose(ctx, origin, cmd)
	p.outcomes[outcomeOf(err)].Observe(time.Since(start).Seconds())
	return result, err
}

func outcomeOf(err error) string {
	switch code := iam.CodeOf(err); {
	case err == nil:
		return proposalMade
	case code == iam.TemporarilyUnavailable, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return proposalUnavailable
	case code == iam.InternalError:
		return proposalError
	}
	return proposalRefused
}
