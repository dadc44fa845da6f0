package history_test

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/history"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// trials revokes tokens on one node and asks another at once, while the leadership goes round.
type trials struct {
	*stage
	left    atomic.Int64
	active  atomic.Int64 // answers after a success that should not be
	unknown atomic.Int64 // revocations of which nobody was told

	mu     sync.Mutex
	waited []float64 // milliseconds, as the receipts say
	whole  []time.Duration
}

func (s *trials) run(ctx context.Context, rng *rand.Rand) {
	for s.left.Add(-1) >= 0 && ctx.Err() == nil {
		here, there := s.traffic.Targets[rng.IntN(3)], s.traffic.Targets[rng.IntN(3)]
		token, err := s.login(ctx, here, rng)
		if err == nil {
			err = s.try(ctx, here, there, token)
		}
		if err != nil {
			s.left.Add(1) // it was no trial
		}
	}
}

func (s *trials) login(ctx context.Context, at history.Target, rng *rand.Rand) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	got, err := at.Client.Login(ctx, api.TokenRequest{Username: s.traffic.Users[rng.IntN(len(s.traffic.Users))], Password: testcluster.Password})
	return got.AccessToken, err
}

func (s *trials) try(ctx context.Context, here, there history.Target, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	var receipt api.Effective
	start := time.Now()
	err := here.Client.WithToken(token).WithReceipt(&receipt).Revoke(ctx, token)
	took := time.Since(start)
	if err != nil {
		if client.CodeOf(err) == "temporarily_unavailable" {
			s.unknown.Add(1)
		}
		return err
	}
	answer, err := there.Client.WithCredentials(s.traffic.ClientID, s.traffic.Secret).Introspect(ctx, token)
	if err != nil {
		return err
	}
	if answer.Active {
		s.active.Add(1)
		s.t.Errorf("revoked on %s, and %s says that it is active; the receipt was %+v", here.Name, there.Name, receipt)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited, s.whole = append(s.waited, receipt.WaitedMs), append(s.whole, took)
	return nil
}

// TestRevokeThenIntrospect: after a success no node says active, whoever leads meanwhile.
func TestRevokeThenIntrospect(t *testing.T) {
	count := 300
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		count = 10_000
	}
	s := &trials{stage: newStage(t, 5, func(*node.Config) {})}
	s.left.Store(int64(count))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	var workers, changes sync.WaitGroup
	for i := range 6 {
		workers.Go(func() { s.run(ctx, rand.New(rand.NewPCG(6, uint64(i)))) })
	}
	over := make(chan struct{})
	leaders := 0
	changes.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(700 * time.Millisecond):
				leaders++
				if leaders%8 == 0 {
					s.Restart(s.cluster.Leader().Name)
					continue
				}
				s.Transfer(ctx)
			}
		}
	})
	workers.Wait()
	close(over)
	changes.Wait()
	s.cluster.WaitReady()
	slices.Sort(s.waited)
	slices.Sort(s.whole)
	at := func(p float64) int { return min(int(p*float64(len(s.whole))), len(s.whole)-1) }
	t.Logf("%d trials, %d changes of the leader, %d times active after a success, %d revocations unconfirmed; waited for the fence: p50 %.1f ms, p99 %.1f ms, most %.1f ms; revocation as a whole: p50 %s, p99 %s",
		len(s.whole), leaders, s.active.Load(), s.unknown.Load(), s.waited[at(0.5)], s.waited[at(0.99)], s.waited[len(s.waited)-1],
		s.whole[at(0.5)].Round(100*time.Microsecond), s.whole[at(0.99)].Round(100*time.Microsecond))
	if len(s.whole) < count {
		t.Errorf("only %d trials", len(s.whole))
	}
}
