package view_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/token"
	"github.com/keystone-auth/keystone/view"
)

// TestMoreTokensThanRoom asks about more tokens than a view remembers: each is answered all the same.
func TestMoreTokensThanRoom(t *testing.T) {
	f := build(t)
	v, err := view.New(view.Config{Open: f.sealer.Open, Remembered: 1, Fatal: func(err error) { t.Error(err) }}, f.Store)
	if err != nil {
		t.Fatal(err)
	}
	f.view = v
	f.OnCommit(v.Commit)
	var tokens []string
	for range 30 {
		tokens = append(tokens, f.issue(t, func(*token.Claims) {}))
	}
	for range 2 {
		for i, raw := range tokens {
			if !f.active(raw) {
				t.Errorf("token %d is not active", i)
			}
		}
	}
	if n := v.Stats().Remembered; n < 1 || n > 16 {
		t.Errorf("a view with room for one set remembers %d tokens", n)
	}
	f.Must(t, &fsm.RevokeToken{Jti: "of nobody"})
	if !f.active(tokens[0]) {
		t.Error("a token died with another")
	}
}

// TestRevokedUnderLoad asks about tokens without a pause while they are revoked: none is active in a
// question that began after its revocation was committed.
func TestRevokedUnderLoad(t *testing.T) {
	f := build(t)
	type canary struct {
		raw, jti string
		dead     atomic.Bool
	}
	canaries := make([]*canary, 200)
	for i := range canaries {
		c := new(canary)
		c.raw = f.issue(t, func(claims *token.Claims) { c.jti = claims.ID })
		canaries[i] = c
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				for i, c := range canaries {
					dead := c.dead.Load() // before the question
					if _, err := f.view.Verify([]byte(c.raw), f.Now()); err == nil && dead {
						t.Errorf("token %d is active after it was revoked", i)
					}
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for _, c := range canaries {
		f.Must(t, &fsm.RevokeToken{Jti: c.jti})
		c.dead.Store(true)
	}
	close(done)
	all.Wait()
}
