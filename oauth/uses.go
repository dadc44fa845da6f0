package oauth

import (
	"context"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/token"
)

// RecordUsesEvery is how often a node tells the cluster which clients called it.
const RecordUsesEvery = 30 * time.Second

// uses counts the requests of clients in memory. Every introspection comes by here, so counting takes no
// lock and makes nothing: the maps are replaced when a client calls for the first time, and there are many
// of them, so that each is small. The zero value is ready.
type uses struct {
	shards [256]atomic.Pointer[map[iam.ID]*use]
	grow   sync.Mutex // held by whoever replaces a map

	record  sync.Mutex // held by whoever records
	pending *fsm.RecordUse
	request iam.ID // of pending
}

// use is the counter of one client.
type use struct {
	requests atomic.Int64 // negative once nobody will read it any more
	last     atomic.Int64
}

// retired is far enough below zero that no number of requests leads out of it.
const retired = -1 << 62

func (u *uses) add(client iam.ID, now iam.Time) {
	for {
		counter := u.counter(client)
		counter.last.Store(int64(now))
		if counter.requests.Add(1) > 0 {
			return
		}
		runtime.Gosched() // it was given up, and is about to leave the map
	}
}

// counter returns the counter of a client, and makes it for the first request.
func (u *uses) counter(client iam.ID) *use {
	shard := &u.shards[client[15]]
	if counters := shard.Load(); counters != nil {
		if counter := (*counters)[client]; counter != nil {
			return counter
		}
	}
	u.grow.Lock()
	defer u.grow.Unlock()
	grown := map[iam.ID]*use{}
	if counters := shard.Load(); counters != nil {
		if counter := (*counters)[client]; counter != nil {
			return counter // another request made it meanwhile
		}
		grown = maps.Clone(*counters)
	}
	grown[client] = new(use)
	shard.Store(&grown)
	return grown[client]
}

// collect takes up to most counts out.
func (u *uses) collect(most int) (counts []fsm.Use) {
	u.grow.Lock()
	defer u.grow.Unlock()
	for i := range u.shards {
		if counters := u.shards[i].Load(); counters != nil {
			left := maps.Clone(*counters)
			counts = drain(counts, left, most)
			u.shards[i].Store(&left)
		}
	}
	return counts
}

// drain appends the counts of these counters, up to most in all. Those that counted nothing since the last
// time are given up, or they would outlive their clients.
func drain(counts []fsm.Use, counters map[iam.ID]*use, most int) []fsm.Use {
	for client, counter := range counters {
		if len(counts) == most {
			break
		}
		if n := counter.requests.Swap(0); n > 0 {
			counts = append(counts, fsm.Use{ID: client, Requests: n, Last: iam.Time(counter.last.Load())})
		} else if counter.requests.CompareAndSwap(0, retired) {
			delete(counters, client)
		}
	}
	return counts
}

// KeepUses records the uses of clients until ctx ends. The last ones are left to RecordUses.
func (s *Service) KeepUses(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.RecordUses(ctx) // what was not recorded is tried again
		}
	}
}

// RecordUses tells the cluster what this node has counted, in one command for many clients. When nobody
// knows whether that was taken in, the same command is sent again the next time, under the same request id,
// so that nothing counts twice.
func (s *Service) RecordUses(ctx context.Context) error {
	u := &s.uses
	u.record.Lock()
	defer u.record.Unlock()
	for {
		if u.pending == nil {
			counts := u.collect(fsm.MaxUses)
			if counts == nil {
				return nil
			}
			u.pending, u.request = &fsm.RecordUse{Uses: counts}, iam.NewID()
		}
		if _, err := s.Proposer.Propose(ctx, fsm.Origin{RequestID: u.request, Actor: "system"}, u.pending); err != nil {
			return err
		}
		u.pending = nil
	}
}

// Used counts a request that came with a service token: it is as good as its client's secret.
func (s *Service) Used(claims *token.Claims, at iam.Time) {
	if claims.Type != token.TypeService {
		return
	}
	if client, known := s.View.Client(claims.ClientID); known {
		s.uses.add(client.ID, at)
	}
}
