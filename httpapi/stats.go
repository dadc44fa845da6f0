package httpapi

import (
	"context"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/store"
)

// stats says how much there is.
func (s *Server) stats(context.Context, *exchange, nothing) (api.Stats, error) {
	n, at, err := s.counted.counts(s.Store)
	return api.Stats{
		Users: n.Users, ActiveUsers: n.ActiveUsers, Clients: n.Clients, Roles: n.Roles, Scopes: n.Scopes,
		Sessions: n.Sessions, Revocations: n.Revocations, Keys: n.Keys, CountedAt: at.UTC(),
		RememberedTokens: s.View.Stats().Remembered, StoreBytes: n.Bytes, LogIndex: s.Cluster.Applied(),
		UptimeSeconds: int64(time.Since(s.started).Seconds()), Node: s.Node, Version: s.Version,
	}, err
}

// counted is what was counted last. The zero value is ready.
type counted struct {
	mu   sync.Mutex
	last store.Counts
	at   time.Time
	took time.Duration
}

// countedShare bounds what counting may cost a node, however often it is asked: one part in that many of
// its time.
const countedShare = 20

// counts returns numbers that are at most a second old, or in a large cluster as many times as old as
// counting takes.
func (c *counted) counts(s *store.Store) (store.Counts, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	if !c.at.IsZero() && began.Sub(c.at) < max(time.Second, countedShare*c.took) {
		return c.last, c.at, nil
	}
	var counts store.Counts
	if err := s.View(func(r *store.Reader) error {
		counts = r.Counts()
		return nil
	}); err != nil {
		return store.Counts{}, began, err
	}
	c.last, c.at, c.took = counts, began, time.Since(began)
	return c.last, c.at, nil
}
