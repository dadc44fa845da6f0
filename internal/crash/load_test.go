package crash_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

const password = "Zx9!kestrel-Moor"

// worker is one client program: it registers a user, logs in, refreshes and revokes over and over,
// and remembers what was acknowledged.
type worker struct {
	name    string
	nodes   []*client.Client
	user    string // id of the user, as the registration answered
	refresh string // the refresh token that was acknowledged last
	rotated uint64 // acknowledged refreshes since the login
	revoked []string
	rounds  int
}

// try does one operation, on one node after another, under one idempotency key, until it is
// answered. A refusal is an answer.
func (w *worker) try(ctx context.Context, key string, operation func(context.Context, *client.Client) error) error {
	for attempt := 0; ; attempt++ {
		each, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := operation(each, w.nodes[attempt%len(w.nodes)].WithIdempotencyKey(w.name+key))
		cancel()
		var refused *client.Error
		answered := errors.As(err, &refused) && refused.Status < http.StatusInternalServerError
		if err == nil || answered || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// run works until stop is closed; what is under way then is finished under ctx.
func (w *worker) run(ctx context.Context, stop <-chan struct{}) error {
	if err := w.register(ctx); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	if err := w.login(ctx); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		w.rounds++
		if err := w.round(ctx); err != nil {
			return fmt.Errorf("round %d: %w", w.rounds, err)
		}
	}
}

// register makes the user. A retry must be answered with the user that the first try made: a
// conflict would mean that it was made twice.
func (w *worker) register(ctx context.Context) error {
	return w.try(ctx, "register", func(ctx context.Context, c *client.Client) error {
		u, err := c.Register(ctx, api.RegisterRequest{Username: w.name, Email: w.name + "@example.org", Password: password})
		w.user = u.ID
		return err
	})
}

func (w *worker) login(ctx context.Context) error {
	return w.try(ctx, "", func(ctx context.Context, c *client.Client) error {
		tokens, err := c.Login(ctx, api.TokenRequest{Username: w.name, Password: password})
		w.refresh, w.rotated = tokens.RefreshToken, 0
		return err
	})
}

// rotate exchanges the refresh token, and returns the access token that came with the next one.
func (w *worker) rotate(ctx context.Context, key string) (access string, err error) {
	presented := w.refresh
	err = w.try(ctx, key, func(ctx context.Context, c *client.Client) error {
		tokens, err := c.Refresh(ctx, api.RefreshRequest{RefreshToken: presented})
		if err == nil {
			w.refresh, access = tokens.RefreshToken, tokens.AccessToken
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("refresh: %w", err)
	}
	w.rotated++
	return access, nil
}

func (w *worker) round(ctx context.Context) error {
	access, err := w.rotate(ctx, fmt.Sprintf("refresh-%d", w.rounds))
	if err != nil {
		return err
	}
	switch w.rounds % 4 {
	case 1:
		err = w.try(ctx, fmt.Sprintf("revoke-%d", w.rounds), func(ctx context.Context, c *client.Client) error {
			return c.WithToken(access).Revoke(ctx, access)
		})
		if err != nil && client.CodeOf(err) != "invalid_token" { // an earlier try took effect: the bearer is dead
			return fmt.Errorf("revoke: %w", err)
		}
		w.revoked = append(w.revoked, access)
	case 3:
		if err := w.login(ctx); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	return nil
}

// verify holds the cluster to what it acknowledged. A node that is busy may be asked again.
func (w *worker) verify(t *testing.T, f *fleet) {
	t.Helper()
	for _, access := range w.revoked {
		for i := range f.Nodes {
			poll(t, w.name+": "+f.Nodes[i].Name+" does not introspect", func() error {
				answer, err := f.operator(i).Introspect(t.Context(), access)
				if answer.Active {
					t.Fatalf("%s: a revoked token is active on %s", w.name, f.Nodes[i].Name)
				}
				return err
			})
		}
	}
	if w.refresh == "" {
		t.Errorf("%s: never logged in", w.name)
		return
	}
	access, err := w.rotate(t.Context(), fmt.Sprintf("verify-%d", w.rotated))
	if err != nil {
		t.Errorf("%s: the refresh token that was acknowledged last is not good: %v", w.name, err)
		return
	}
	err = w.try(t.Context(), "", func(ctx context.Context, c *client.Client) error {
		profile, err := c.WithToken(access).Profile(ctx)
		if err == nil && profile.ID != w.user {
			t.Errorf("%s: is user %s, want %s", w.name, profile.ID, w.user)
		}
		return err
	})
	if err != nil {
		t.Errorf("%s: profile: %v", w.name, err)
	}
}

// once holds the state on disk to what was acknowledged: each refresh was made once, however often it
// was sent.
func (w *worker) once(t *testing.T, r *store.Reader) {
	t.Helper()
	refresh, err := token.ParseRefreshToken(w.refresh)
	if err != nil {
		t.Fatal(err)
	}
	session, ok := r.Session(refresh.Session())
	if !ok || session.Rotations != w.rotated {
		t.Errorf("%s: the session was refreshed %d times (there: %v), and %d refreshes were acknowledged", w.name, session.Rotations, ok, w.rotated)
	}
}

// load is all workers.
type load struct {
	t       *testing.T
	workers []*worker
	stop    chan struct{}
	all     sync.WaitGroup
}

func startLoad(t *testing.T, f *fleet, workers int) *load {
	l := &load{t: t, stop: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Hour)
	t.Cleanup(cancel)
	for i := range workers {
		w := &worker{name: fmt.Sprintf("worker-%d", i)}
		for j := range f.Nodes {
			w.nodes = append(w.nodes, f.client((i+j)%len(f.Nodes)))
		}
		l.workers = append(l.workers, w)
		l.all.Go(func() {
			if err := w.run(ctx, l.stop); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
		})
	}
	return l
}

// end stops the load and returns how many rounds were acknowledged.
func (l *load) end() (rounds int) {
	close(l.stop)
	l.all.Wait()
	for _, w := range l.workers {
		rounds += w.rounds
	}
	return rounds
}

// once looks at the state of every node. The nodes must be down.
func (l *load) once(f *fleet) {
	l.t.Helper()
	for i := range f.Nodes {
		s, err := store.Open(filepath.Join(f.folder(i), "state.db"))
		if err != nil {
			l.t.Fatal(err)
		}
		err = s.View(func(r *store.Reader) error {
			for _, w := range l.workers {
				w.once(l.t, r)
			}
			return nil
		})
		if err := errors.Join(err, s.Close()); err != nil {
			l.t.Error(err)
		}
	}
}

func (l *load) verify(f *fleet) {
	l.t.Helper()
	for _, w := range l.workers {
		w.verify(l.t, f)
	}
}
