package certs

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

const (
	// lockFor is how long a lock is held that nobody renews. It is renewed after a third of that.
	lockFor = 60 * time.Second
	// lockAgain is how often who waits for a lock looks whether it is free.
	lockAgain = 500 * time.Millisecond
	// proposeWithin bounds one change, however long its caller would wait.
	proposeWithin = 10 * time.Second
	// readWithin is how long a reader waits for what other nodes have just written. After that it goes by what is
	// here: a node that is cut off must find its certificate.
	readWithin = 3 * time.Second
	// mostItems is over what the state keeps.
	mostItems = 10_000
)

var errNotReady = errors.New("this node has not caught up with the cluster yet")

// storage keeps what ACME needs in the replicated state, so that all nodes have one account and one certificate, and
// each of them can answer a challenge that another one has asked for. It is a certmagic.Storage.
type storage struct {
	state    *store.Store
	proposer fsm.Proposer
	sealer   *secret.Sealer
	catchUp  func(context.Context) error
	log      *slog.Logger

	// ready is set once this node has caught up with the cluster. Until then nobody waits for that.
	ready atomic.Bool

	mu   sync.Mutex
	held map[string]*hold

	// using is held by whoever uses the state, and closed says that nobody may any more: certmagic's work may
	// outlive the node by a little.
	using  sync.RWMutex
	closed bool
}

func (s *storage) view(fn func(*store.Reader)) error {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.closed {
		return fs.ErrClosed
	}
	return s.state.View(func(r *store.Reader) error {
		fn(r)
		return nil
	})
}

// close waits for those who use the state, and lets nobody use it any more.
func (s *storage) close() {
	s.using.Lock()
	defer s.using.Unlock()
	s.closed = true
}

// hold is a lock that this node holds.
type hold struct {
	id   iam.ID
	stop context.CancelFunc // of what renews it
}

// sealedFor binds sealed bytes to their key: those of one item cannot be put in the place of another.
func sealedFor(key string) []byte { return []byte("acme item " + key) }

func (s *storage) propose(ctx context.Context, cmd fsm.Command) error {
	ctx, cancel := context.WithTimeout(ctx, proposeWithin)
	defer cancel()
	s.using.RLock()
	defer s.using.RUnlock()
	if s.closed {
		return fs.ErrClosed
	}
	_, err := s.proposer.Propose(ctx, fsm.Origin{Actor: "system"}, cmd)
	return err
}

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	return s.propose(ctx, &fsm.PutACME{Key: key, Sealed: s.sealer.Seal(value, sealedFor(key))})
}

// Load implements certmagic.Storage. What was sealed under a secret that nobody has any more counts as missing, and
// is obtained anew.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	item, err := s.item(ctx, key)
	if err != nil {
		return nil, err
	}
	value, err := s.sealer.Open(item.Sealed, sealedFor(key))
	if err != nil {
		s.log.Warn("something of a certificate cannot be opened, and counts as missing", "key", key, "error", err)
		return nil, fs.ErrNotExist
	}
	return value, nil
}

// item returns a row after this node has caught up. One that is missing on a node which cannot catch up may well be
// there.
func (s *storage) item(ctx context.Context, key string) (item iam.ACMEItem, err error) {
	late := s.late(ctx)
	found := false
	err = s.view(func(r *store.Reader) { item, found = r.ACMEItem(key) })
	switch {
	case err != nil || found:
		return item, err
	case late != nil:
		return item, late
	}
	return item, fs.ErrNotExist
}

// late brings this node up to what was confirmed on others, or says that it cannot be.
func (s *storage) late(ctx context.Context) error {
	if !s.ready.Load() {
		return errNotReady
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	return s.catchUp(ctx)
}

// Delete implements certmagic.Storage.
func (s *storage) Delete(ctx context.Context, key string) error {
	return s.propose(ctx, &fsm.DeleteACME{Key: key})
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	items, err := s.below(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, item := range items {
		key := item.Key
		if rest := strings.TrimPrefix(key, folder(prefix)); !recursive {
			name, _, _ := strings.Cut(rest, "/")
			key = path.Join(prefix, name)
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if keys == nil {
		return nil, fs.ErrNotExist
	}
	return keys, nil
}

// folder is the prefix of all keys below a key; of the empty one it is that of all.
func folder(key string) string {
	if key == "" {
		return ""
	}
	return strings.TrimSuffix(key, "/") + "/"
}

func (s *storage) below(ctx context.Context, key string) (items []iam.ACMEItem, err error) {
	late := s.late(ctx)
	err = s.view(func(r *store.Reader) { items = r.ACMEItems(folder(key), mostItems) })
	if err == nil && len(items) == 0 {
		err = late
	}
	return items, err
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	item, err := s.item(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: item.ModifiedAt.Std(), Size: int64(len(item.Sealed)), IsTerminal: true}, nil
	}
	if items, _ := s.below(ctx, key); len(items) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// Lock implements certmagic.Locker. It looks at the state of this node before it proposes anything, so that whoever
// waits fills no log.
func (s *storage) Lock(ctx context.Context, name string) error {
	h := &hold{id: iam.NewID()}
	for {
		var free bool
		if err := s.view(func(r *store.Reader) {
			l, taken := r.Lock(name)
			free = !taken || l.ExpiresAt <= iam.Now()
		}); err != nil {
			return err
		}
		if free {
			err := s.take(ctx, name, h.id)
			if err == nil {
				break
			}
			if refusal := (*iam.Error)(nil); !errors.As(err, &refusal) || refusal.Code == iam.InternalError {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockAgain):
		}
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	s.mu.Lock()
	s.held[name] = h
	s.mu.Unlock()
	go s.renew(renewing, name, h.id)
	return nil
}

func (s *storage) take(ctx context.Context, name string, by iam.ID) error {
	return s.propose(ctx, &fsm.TakeLock{Name: name, Holder: by, Seconds: int64(lockFor / time.Second)})
}

// renew keeps a lock until ctx ends, or somebody else has it: who holds it cannot be told, and has to bear that
// another one does the same once more.
func (s *storage) renew(ctx context.Context, name string, by iam.ID) {
	tick := time.NewTicker(lockFor / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.take(ctx, name, by); err != nil && ctx.Err() == nil {
			s.log.Warn("the lock of a certificate could not be kept", "lock", name, "error", err)
		}
	}
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	h := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if h == nil {
		return nil
	}
	h.stop()
	return s.propose(context.WithoutCancel(ctx), &fsm.ReleaseLock{Name: name, Holder: h.id})
}

// release gives back what is held when the node stops, so that no other one has to wait.
func (s *storage) release(ctx context.Context) {
	s.mu.Lock()
	names := make([]string, 0, len(s.held))
	for name := range s.held {
		names = append(names, name)
	}
	s.mu.Unlock()
	for _, name := range names {
		_ = s.Unlock(ctx, name) // its time will be over soon, else
	}
}

// reseal seals anew what an earlier cluster secret has sealed, so that this can be dropped.
func (s *storage) reseal(ctx context.Context) error {
	items, err := s.below(ctx, "")
	if err != nil {
		return err
	}
	for _, item := range items {
		if s.sealer.Current(item.Sealed) {
			continue
		}
		value, err := s.sealer.Open(item.Sealed, sealedFor(item.Key))
		if err != nil {
			continue // Load tells of it
		}
		was := sha256.Sum256(item.Sealed)
		// Another node may have done it meanwhile, or written something newer.
		err = s.propose(ctx, &fsm.PutACME{Key: item.Key, Sealed: s.sealer.Seal(value, sealedFor(item.Key)), Was: was[:]})
		if refusal := (*iam.Error)(nil); err != nil && !(errors.As(err, &refusal) && refusal.Code == iam.PreconditionFailed) {
			return err
		}
	}
	return nil
}
