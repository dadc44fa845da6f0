package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// day is how often things happen, of a thousand. It is what a service with some ten API calls for each
// login and token asks for: nearly everything is a question about a token.
var day = []struct {
	operation string
	share     int
}{
	{"introspect", 850}, {"verify", 80}, {"service-token", 40}, {"refresh", 20}, {"login", 5}, {"revoke", 5},
}

// The operations of a day, as they are counted. A revocation takes a token through its life.
const (
	dayIntrospect = iota
	dayVerify
	dayServiceToken
	dayRefresh
	dayLogin
	dayRevoke
	dayRevoked
)

var dayOperations = []string{"introspect", "verify", "service-token", "refresh", "login", "revoke", "introspect revoked"}

func prepareMixed(ctx context.Context, s *stage) (*load, error) {
	a, err := s.asked(ctx)
	if err != nil {
		return nil, err
	}
	people, err := s.people(ctx, s.users())
	if err != nil {
		return nil, err
	}
	open, err := s.sessions(ctx, people, s.plan.Connections)
	if err != nil {
		return nil, err
	}
	logins, sum, service := s.logins(people), s.plan.Mix.sum(), s.grant(a.by)
	profiles, chains := make([]request, len(open)), make([]chain, len(open))
	for i, t := range open {
		profiles[i], chains[i].refresh = s.profile(t.AccessToken), t.RefreshToken
	}
	step := func(w *worker) {
		n := w.random.IntN(1000)
		what := 0
		for ; n >= day[what].share; what++ {
			n -= day[what].share
		}
		switch what {
		case dayVerify:
			w.call(dayVerify, &profiles[w.number], ok)
		case dayServiceToken:
			w.call(dayServiceToken, service, ok)
		case dayRefresh:
			chains[w.number].next(s, w, dayRefresh)
		case dayLogin:
			w.call(dayLogin, &logins[w.random.IntN(len(logins))], ok)
		case dayRevoke:
			s.issueAndRevoke(w, a.by, dayServiceToken, dayRevoke, dayRevoked)
		default:
			a.askAbout(w, dayIntrospect, s.plan.Mix, sum)
		}
	}
	return &load{
		operations: dayOperations, step: step,
		beside: func(ctx context.Context) { s.revokeSlowly(ctx, a) },
	}, nil
}

// refreshShare is how many of a hundred requests are writes while a node dies.
const refreshShare = 10

func prepareFailover(ctx context.Context, s *stage) (*load, error) {
	if len(s.nodes) < 2 {
		return nil, errors.New("while a node dies the load goes to the others, so name at least two nodes with --url")
	}
	a, err := s.asked(ctx)
	if err != nil {
		return nil, err
	}
	chains, err := s.chains(ctx)
	if err != nil {
		return nil, err
	}
	sum := s.plan.Mix.sum()
	return &load{
		operations: []string{"introspect", "refresh"},
		step: func(w *worker) {
			if w.random.IntN(100) < refreshShare {
				chains[w.number].next(s, w, 1)
			} else {
				a.askAbout(w, 0, s.plan.Mix, sum)
			}
		},
		beside: func(ctx context.Context) {
			var killing sync.WaitGroup
			defer killing.Wait()
			killing.Go(func() { s.killOnce(ctx) })
			s.revokeSlowly(ctx, a)
		},
	}, nil
}

// killOnce ends a node, or has it ended, after a third of the first round.
func (s *stage) killOnce(ctx context.Context) {
	if s.options.Kill == nil {
		return
	}
	select {
	case <-time.After(s.plan.Warmup + s.plan.Duration/3):
	case <-ctx.Done():
		return
	}
	if err := s.options.Kill(); err != nil {
		s.options.Say(err.Error())
	}
}
