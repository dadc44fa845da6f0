package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

// Target is a node that clients talk to.
type Target struct {
	Name   string
	Client *client.Client
}

// Traffic is what clients do: they log in, refresh, ask about tokens, revoke them and log out, each on
// whichever node.
type Traffic struct {
	Targets  []Target
	Recorder *Recorder
	Users    []string
	Password string
	// ClientID and Secret are those of a client that introspects.
	ClientID, Secret string

	mu     sync.Mutex
	tokens []session
}

// session is the tokens of one login, as far as the traffic goes on using them.
type session struct {
	access  []string // all of the session
	refresh string
}

const (
	patience   = 3 * time.Second // of one client with one request
	mostTokens = 60              // in use; the oldest make place
)

// Run has so many clients at work until ctx ends.
func (t *Traffic) Run(ctx context.Context, seed uint64, clients int) {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			w := &worker{Traffic: t, number: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))} //nolint:gosec // a test's
			for ctx.Err() == nil {
				w.step(ctx)
			}
		})
	}
	all.Wait()
}

// worker is one client.
type worker struct {
	*Traffic
	number int
	rng    *rand.Rand
	count  int
}

func (w *worker) step(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	target := w.Targets[w.rng.IntN(len(w.Targets))]
	s, ok := w.pick()
	switch n := w.rng.IntN(100); {
	case !ok || n < 6:
		w.login(ctx, target)
	case n < 9:
		w.refresh(ctx, target)
	case n < 14:
		w.revoke(ctx, target, s)
	case n < 16:
		w.logout(ctx, target, s)
	default:
		w.introspect(ctx, target, s.access[w.rng.IntN(len(s.access))])
	}
}

func (w *worker) pick() (session, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tokens) == 0 {
		return session{}, false
	}
	return w.tokens[w.rng.IntN(len(w.tokens))], true
}

func (w *worker) keep(s session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens = append(w.tokens, s)
	if len(w.tokens) > mostTokens {
		w.tokens = w.tokens[1:]
	}
}

func (w *worker) login(ctx context.Context, target Target) {
	got, err := target.Client.Login(ctx, api.TokenRequest{Username: w.Users[w.rng.IntN(len(w.Users))], Password: w.Password})
	if err == nil {
		w.keep(session{access: []string{got.AccessToken}, refresh: got.RefreshToken})
	}
}

// refresh takes a session out of the pool, so that nobody else refreshes it, and asks the same thing on
// all nodes until one answers.
func (w *worker) refresh(ctx context.Context, target Target) {
	w.mu.Lock()
	if len(w.tokens) == 0 {
		w.mu.Unlock()
		return
	}
	i := w.rng.IntN(len(w.tokens))
	s := w.tokens[i]
	w.tokens = append(w.tokens[:i:i], w.tokens[i+1:]...)
	w.mu.Unlock()
	w.count++
	key := fmt.Sprintf("refresh-%d-%d", w.number, w.count)
	for range 3 {
		got, err := target.Client.WithIdempotencyKey(key).Refresh(ctx, api.RefreshRequest{RefreshToken: s.refresh})
		if err == nil {
			w.Recorder.Refreshed(s.refresh, key)
			w.keep(session{access: append(s.access, got.AccessToken), refresh: got.RefreshToken})
			return
		}
		if code := client.CodeOf(err); code != "" && code != "temporarily_unavailable" {
			return // its session has ended
		}
		target = w.Targets[w.rng.IntN(len(w.Targets))]
	}
}

func (w *worker) revoke(ctx context.Context, target Target, s session) {
	token := s.access[w.rng.IntN(len(s.access))]
	call := w.Recorder.Now()
	err := target.Client.WithCredentials(w.ClientID, w.Secret).WithToken(token).Revoke(ctx, token)
	if client.CodeOf(err) == "invalid_token" {
		return // somebody else was faster, and recorded it
	}
	w.Recorder.Killed(w.number, token, target.Name, call, err == nil)
}

// logout ends a session: every token of it is dead. It is taken out of the pool first, or a token that is
// added meanwhile would die without a record.
func (w *worker) logout(ctx context.Context, target Target, s session) {
	w.mu.Lock()
	found := false
	for i := range w.tokens {
		if w.tokens[i].refresh == s.refresh {
			s, found = w.tokens[i], true
			w.tokens = append(w.tokens[:i:i], w.tokens[i+1:]...)
			break
		}
	}
	w.mu.Unlock()
	if !found {
		return
	}
	call := w.Recorder.Now()
	token := s.access[len(s.access)-1]
	_, err := target.Client.WithToken(token).Logout(ctx, false)
	if client.CodeOf(err) == "invalid_token" {
		return // it was revoked, and is no proof any more
	}
	for _, token := range s.access {
		w.Recorder.Killed(w.number, token, target.Name, call, err == nil)
	}
	for range 4 { // what matters most: is it dead everywhere?
		other := w.Targets[w.rng.IntN(len(w.Targets))]
		w.introspect(ctx, other, s.access[w.rng.IntN(len(s.access))])
	}
}

func (w *worker) introspect(ctx context.Context, target Target, token string) {
	call := w.Recorder.Now()
	answer, err := target.Client.WithCredentials(w.ClientID, w.Secret).Introspect(ctx, token)
	if err == nil {
		w.Recorder.Asked(w.number, token, target.Name, call, answer.Active)
	}
}
