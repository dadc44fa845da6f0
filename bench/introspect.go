package bench

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	revokeEvery     = 100 * time.Millisecond // while an introspection load runs, another token is revoked
	tokenSeconds    = 24 * 60 * 60           // so that no token ends before the bench does
	shortestSeconds = 60                     // that Keystone gives to a token
	mostFirst       = 100                    // tokens revoked before the load begins, for the share of them
)

// asked is the tokens that are asked about.
type asked struct {
	by                      program // to which they were issued, and which asks
	valid, expired, garbage []request
	// doomed are revoked one after the other while the load runs; those before revoked are.
	doomed  []request
	tokens  []string // of doomed
	revoked atomic.Int64
}

// about is a request for introspection.
func (s *stage) about(authorization, token string) request {
	return request{method: "POST", path: s.paths.introspect, authorization: authorization, body: "token=" + url.QueryEscape(token)}
}

func (s *stage) aboutAll(authorization string, tokens []string) []request {
	all := make([]request, len(tokens))
	for i, token := range tokens {
		all[i] = s.about(authorization, token)
	}
	return all
}

// Answers about tokens, whatever spaces a server writes.
func isActive(body []byte) bool {
	return bytes.Contains(body, []byte(`"active":true`)) || bytes.Contains(body, []byte(`"active": true`))
}

// saysActive judges an answer about a token that is alive.
func saysActive(status int, body []byte) (outcome, string) {
	switch {
	case status != 200:
		return failed, refusal(status, body)
	case !isActive(body):
		return wrong, "inactive, and it is alive"
	}
	return answered, ""
}

// saysInactive judges an answer about a token that is dead, of which nothing but that may be said.
func saysInactive(status int, body []byte) (outcome, string) {
	switch {
	case status != 200:
		return failed, refusal(status, body)
	case isActive(body):
		return wrong, "active, and it is dead"
	}
	return answered, ""
}

// askAbout introspects a token of the mix.
func (a *asked) askAbout(w *worker, operation int, mix Mix, sum int) {
	from, judge := a.valid, saysActive
	switch mix.pick(w.random.IntN(sum)) {
	case MixRevoked:
		from, judge = a.doomed[:a.revoked.Load()], saysInactive
	case MixExpired:
		from, judge = a.expired, saysInactive
	case MixGarbage:
		from, judge = a.garbage, saysInactive
	}
	w.call(operation, &from[w.random.IntN(len(from))], judge)
}

func prepareIntrospect(ctx context.Context, s *stage) (*load, error) {
	if s.paths.introspect == "" {
		return nil, errors.New("introspection needs its endpoint: name it with --introspect-url")
	}
	a, err := s.asked(ctx)
	if err != nil {
		return nil, err
	}
	sum := s.plan.Mix.sum()
	return &load{
		operations: []string{"introspect"},
		step:       func(w *worker) { a.askAbout(w, 0, s.plan.Mix, sum) },
		beside:     func(ctx context.Context) { s.revokeSlowly(ctx, a) },
	}, nil
}

// asked makes a client and issues the tokens of the plan's mix to it.
func (s *stage) asked(ctx context.Context) (*asked, error) {
	p, err := s.program(ctx, tokenSeconds)
	if err != nil {
		return nil, err
	}
	if s.plan.Tokens == 0 {
		s.plan.Tokens = 1
	}
	ready, expired, err := s.shortLived(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := s.tokens(ctx, p, s.plan.Tokens)
	if err != nil {
		return nil, err
	}
	authorization := p.basic()
	if s.plan.Bearer {
		authorization = "Bearer " + tokens[0]
	}
	a := &asked{by: p, valid: s.aboutAll(authorization, tokens), garbage: s.aboutAll(authorization, garbage(tokens))}
	if s.paths.revoke != "" {
		later := (s.plan.Warmup + time.Duration(s.plan.Rounds)*s.plan.Duration) / revokeEvery
		if a.tokens, err = s.tokens(ctx, p, mostFirst+int(later)); err != nil {
			return nil, err
		}
		a.doomed = s.aboutAll(authorization, a.tokens)
	}
	if err := s.revokeFirst(ctx, a); err != nil {
		return nil, err
	}
	if wait := time.Until(ready); wait > 0 {
		s.options.Say("waiting for tokens to expire")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	a.expired = s.aboutAll(authorization, expired)
	return a, nil
}

// shortLived issues the tokens that are to be expired, and tells when they are.
func (s *stage) shortLived(ctx context.Context) (ready time.Time, tokens []string, err error) {
	if s.plan.Mix[MixExpired] == 0 {
		return time.Time{}, nil, nil
	}
	if s.foreign {
		return time.Time{}, nil, errors.New("how to get an expired token of a foreign server is not known: leave expired out of --mix")
	}
	short, err := s.program(ctx, shortestSeconds)
	if err != nil {
		return time.Time{}, nil, err
	}
	tokens, err = s.tokens(ctx, short, min(s.plan.Tokens, 1000))
	return time.Now().Add((shortestSeconds + 1) * time.Second), tokens, err
}

// garbage makes tokens that nobody issued: every other one is a real one with another signature, which
// costs a server the most, and the rest are noise.
func garbage(tokens []string) []string {
	made := make([]string, min(len(tokens), 1000))
	for i := range made {
		made[i] = rot(tokens[i])
		if i%2 == 0 {
			head, signature := tokens[i], ""
			if end := strings.LastIndexByte(tokens[i], '.'); end >= 0 {
				head, signature = tokens[i][:end+1], tokens[i][end+1:]
			}
			made[i] = head + rot(signature)
		}
	}
	return made
}

// rot replaces letters by others, which keeps the alphabet of base64.
func rot(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return 'a' + (c-'a'+13)%26
		case c >= 'A' && c <= 'Z':
			return 'A' + (c-'A'+13)%26
		}
		return c
	}, s)
}

// revokeFirst revokes the tokens that are dead from the beginning.
func (s *stage) revokeFirst(ctx context.Context, a *asked) error {
	if a.doomed == nil {
		if s.plan.Mix[MixRevoked] > 0 {
			return errors.New("revoked tokens need the endpoint for revocations: name it with --revoke-url, or leave revoked out of --mix")
		}
		return nil
	}
	s.options.Say("revoking tokens")
	if err := s.each(ctx, mostFirst, hands, func(ctx context.Context, i int, c *conn) error {
		return s.revoke(ctx, c, a.by, a.tokens[i])
	}); err != nil {
		return err
	}
	a.revoked.Store(mostFirst)
	return nil
}

// revokeSlowly revokes more tokens while the load runs. From the moment at which a revocation is confirmed
// the token is among those that must be inactive, on whichever node.
func (s *stage) revokeSlowly(ctx context.Context, a *asked) {
	if a.doomed == nil {
		return
	}
	tick := time.NewTicker(revokeEvery)
	defer tick.Stop()
	for n := 0; int(a.revoked.Load()) < len(a.doomed); n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c := newConn(s.nodes, n)
		if s.revoke(ctx, c, a.by, a.tokens[a.revoked.Load()]) == nil {
			a.revoked.Add(1)
		}
		c.close()
	}
}
