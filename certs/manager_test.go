package certs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testacme"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

const patience = time.Minute

// clocked lets the clock of a state go on: without a log it stands still.
type clocked struct{ *teststate.State }

func (c clocked) Propose(ctx context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	if behind := iam.Now() - c.Now(); behind > 0 {
		c.Advance(behind)
	}
	return c.State.Propose(ctx, origin, cmd)
}

func none(context.Context) error { return nil }

func poll(t *testing.T, what string, done func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// manage runs a Manager behind a listener until the test ends.
func manage(t *testing.T, state *teststate.State, sealer *secret.Sealer, acme ACME, http net.Listener) (m *Manager, address string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m = NewManager(acme, Parts{
		Store: state.Store, Proposer: clocked{state}, Sealer: sealer, CatchUp: none, Ready: none,
		API: inner.Addr(), HTTP: http, Logger: slog.New(slog.DiscardHandler),
	})
	l := NewListener(inner, ServerConfig(m.GetCertificate))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = c.(*conn).Handshake()
				_ = c.Close()
			}()
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		m.Close()
		_ = l.Close()
	})
	return m, inner.Addr().String()
}

// TestRenewal: a certificate is obtained from a real authority, renewed when it is due, and what is kept of it in the
// state is sealed. The challenge is answered over TLS, or over HTTP where there is a port for that.
func TestRenewal(t *testing.T) {
	for _, way := range []string{"tls-alpn-01", "http-01"} {
		t.Run(way, func(t *testing.T) {
			authority := testacme.Start(t, 4*time.Second)
			state, sealer := teststate.New(t), secret.NewSealer(secret.NewClusterSecret())
			var http net.Listener
			if way == "http-01" {
				var err error
				if http, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
					t.Fatal(err)
				}
				authority.Nodes(http.Addr().String())
			}
			m, at := manage(t, state, sealer, ACME{
				Domains: []string{"localhost"}, Directory: authority.Directory, Roots: authority.Roots, CheckEvery: 50 * time.Millisecond,
			}, http)
			if http == nil {
				authority.Nodes(at)
			}
			var first string
			poll(t, "no certificate was obtained", func() error {
				leaf, err := authority.Served(at, "localhost")
				if err == nil {
					first = leaf.SerialNumber.String()
				}
				return err
			})
			if m.Expires().IsZero() {
				t.Error("when the certificate ends is not known")
			}
			if way == "http-01" {
				return
			}
			poll(t, "the certificate was not renewed", func() error {
				leaf, err := authority.Served(at, "localhost")
				if err == nil && leaf.SerialNumber.String() == first {
					err = errors.New("it is still the first one")
				}
				return err
			})
			if err := state.Store.View(func(r *store.Reader) error {
				items := r.ACMEItems("", 100)
				if len(items) < 4 { // an account, and a certificate with its key and what was said of it
					t.Errorf("%d items are kept", len(items))
				}
				for _, item := range items {
					if bytes.Contains(item.Sealed, []byte("PRIVATE KEY")) || bytes.Contains(item.Sealed, []byte("{")) && bytes.Contains(item.Sealed, []byte("localhost")) {
						t.Errorf("%s is kept in the clear", item.Key)
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// keep is a storage over a state.
func keep(state *teststate.State, sealer *secret.Sealer) *storage {
	s := &storage{state: state.Store, proposer: clocked{state}, sealer: sealer, catchUp: none, log: slog.New(slog.DiscardHandler), held: map[string]*hold{}}
	s.ready.Store(true)
	return s
}

// TestStorage holds the storage against what certmagic expects of one.
func TestStorage(t *testing.T) {
	ctx, s := t.Context(), keep(teststate.New(t), secret.NewSealer(secret.NewClusterSecret()))
	for _, key := range []string{"a/b/c", "a/b/d", "a/e", "ab", "z"} {
		if err := s.Store(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if value, err := s.Load(ctx, "a/b/c"); err != nil || string(value) != "a/b/c" {
		t.Errorf("a/b/c is %q, %v", value, err)
	}
	for _, missing := range []string{"a", "a/b", "none"} {
		if _, err := s.Load(ctx, missing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", missing, err)
		}
	}
	for prefix, want := range map[string][2][]string{
		"a":  {{"a/b", "a/e"}, {"a/b/c", "a/b/d", "a/e"}},
		"":   {{"a", "ab", "z"}, {"a/b/c", "a/b/d", "a/e", "ab", "z"}},
		"a/": {{"a/b", "a/e"}, {"a/b/c", "a/b/d", "a/e"}},
	} {
		for i, recursive := range []bool{false, true} {
			if got, err := s.List(ctx, prefix, recursive); err != nil || !slices.Equal(got, want[i]) {
				t.Errorf("below %q, recursive %v, there are %v, %v", prefix, recursive, got, err)
			}
		}
	}
	file, err := s.Stat(ctx, "a/e")
	if dir, dirErr := s.Stat(ctx, "a/b"); err != nil || dirErr != nil || !file.IsTerminal || file.Modified.IsZero() || dir.IsTerminal {
		t.Errorf("a/e is %+v, %v, a/b is %+v, %v", file, err, dir, dirErr)
	}
	if err := s.Delete(ctx, "a/b"); err != nil || s.Exists(ctx, "a/b/c") || s.Exists(ctx, "a/b") || !s.Exists(ctx, "a") {
		t.Errorf("after a/b is deleted: %v", err)
	}
	if err := s.Delete(ctx, "a/b"); err != nil {
		t.Error(err)
	}
	s.catchUp = func(context.Context) error { return errors.New("cut off") }
	if _, err := s.Load(ctx, "none"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a node that is cut off says of what it does not have: %v", err)
	}
	if _, err := s.Load(ctx, "a/e"); err != nil {
		t.Errorf("a node that is cut off does not find what it has: %v", err)
	}
	s.close()
	if _, err := s.Load(ctx, "a/e"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
}

// TestLocksOfNodes: two nodes never hold a lock together, and who waits gets it.
func TestLocksOfNodes(t *testing.T) {
	ctx, state, sealer := t.Context(), teststate.New(t), secret.NewSealer(secret.NewClusterSecret())
	one, two := keep(state, sealer), keep(state, sealer)
	if err := one.Lock(ctx, "issue"); err != nil {
		t.Fatal(err)
	}
	brief, cancel := context.WithTimeout(ctx, 2*lockAgain)
	defer cancel()
	if err := two.Lock(brief, "issue"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a lock that another node holds: %v", err)
	}
	got := make(chan error, 1)
	go func() { got <- two.Lock(ctx, "issue") }()
	one.release(ctx)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(two.Unlock(ctx, "issue"), two.Unlock(ctx, "issue"), one.Lock(ctx, "issue"), one.Unlock(ctx, "issue")); err != nil {
		t.Error(err)
	}
}

// TestSecretExchange: after a node has started with the next secret, the one before is needed no more; and what nobody
// can open counts as missing.
func TestSecretExchange(t *testing.T) {
	ctx, state := t.Context(), teststate.New(t)
	old, next := secret.NewClusterSecret(), secret.NewClusterSecret()
	key := path.Join("certificates", "key")
	if err := keep(state, secret.NewSealer(old)).Store(ctx, key, []byte("value")); err != nil {
		t.Fatal(err)
	}
	if _, err := keep(state, secret.NewSealer(next)).Load(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("under another secret: %v", err)
	}
	for range 2 {
		if err := keep(state, secret.NewSealer(next, old)).reseal(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if value, err := keep(state, secret.NewSealer(next)).Load(ctx, key); err != nil || string(value) != "value" {
		t.Errorf("after the exchange: %q, %v", value, err)
	}
}
