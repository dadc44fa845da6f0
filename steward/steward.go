package steward

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// expireAtOnce bounds the rows of each kind that one command removes.
const expireAtOnce = 1000

// Steward does the leader's duties. Its fields are set once, before the first call.
type Steward struct {
	Store    *store.Store
	Proposer fsm.Proposer
	Sealer   *secret.Sealer
	Settings iam.Settings // what this node's configuration asks of the whole cluster
	// Notary signs the audit log. Nil: it is neither signed nor shortened.
	Notary *secret.Notary
	// SharedSecret signs in the compatible mode HS256. It is kept sealed in the state, so that only
	// the node that leads needs to be told.
	SharedSecret secret.Text
	RotateEvery  time.Duration // age at which a signing key is replaced; 0 = never by itself
	PublishFor   time.Duration // how long a new key is known before it signs
	Every        time.Duration // between two rounds
	Now          func() iam.Time
	Log          *slog.Logger
}

// Run does the duties until ctx ends, which is when this node no longer leads.
func (s *Steward) Run(ctx context.Context) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("a duty of the leader failed and will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Steward) round(ctx context.Context) error {
	if err := s.initialize(ctx); err != nil {
		return err // a cluster that has settings and no roles would count as filled
	}
	// One that fails keeps none of the others from its work.
	var failed []error
	for _, duty := range []func(context.Context) error{s.settle, s.keepKey, s.reseal, s.expire, s.keepAudit} {
		failed = append(failed, duty(ctx))
	}
	return errors.Join(failed...)
}

func (s *Steward) propose(ctx context.Context, cmd fsm.Command) error {
	_, err := s.Proposer.Propose(ctx, fsm.Origin{Actor: "system"}, cmd)
	return err
}

// initialize fills a new cluster.
func (s *Steward) initialize(ctx context.Context) error {
	_, done, err := s.current()
	if err != nil || done {
		return err
	}
	return s.propose(ctx, seed(s.Settings))
}

// settle brings the cluster's settings to what the leader was configured with.
func (s *Steward) settle(ctx context.Context) error {
	settings, _, err := s.current()
	if err != nil || settings == s.Settings {
		return err
	}
	s.Log.Info("the cluster takes over the settings of this node, which leads", "issuer", s.Settings.Issuer, "algorithm", s.Settings.Algorithm)
	return s.propose(ctx, &fsm.SetSettings{Settings: s.Settings})
}

func (s *Steward) current() (settings iam.Settings, done bool, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		settings, done = r.Settings()
		return nil
	})
	return settings, done, err
}

func (s *Steward) keys() (keys []iam.Key, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		keys = r.Keys()
		return nil
	})
	return keys, err
}

// keepKey makes the first signing key, one of another algorithm when the settings changed, and a new
// one when the newest has come to its age.
func (s *Steward) keepKey(ctx context.Context) error {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	if s.Settings.Algorithm == "HS256" {
		return s.keepShared(ctx, keys)
	}
	newest := newestOf(keys)
	fits := newest.Algorithm == s.Settings.Algorithm
	aged := s.RotateEvery > 0 && s.Now().Sub(newest.SignFrom) > s.RotateEvery
	if fits && !aged {
		return nil
	}
	return s.Rotate(ctx)
}

// keepShared brings in the shared secret when it is not the one that signs.
func (s *Steward) keepShared(ctx context.Context, keys []iam.Key) error {
	if s.SharedSecret.IsZero() {
		return errors.New("JWT_ALGORITHM is HS256 and JWT_SECRET_KEY is not set on the node that leads: set it there")
	}
	now := s.Now()
	key, err := token.ImportHS256([]byte(s.SharedSecret.Reveal()), now, now, s.Sealer.Seal)
	if err != nil {
		return err
	}
	if newestOf(keys).ID == key.ID {
		return nil
	}
	return s.propose(ctx, &fsm.AddKey{Key: key})
}

// Rotate publishes a fresh key, which signs when every verifier has had time to fetch it.
func (s *Steward) Rotate(ctx context.Context) error {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	now := s.Now()
	key, err := token.NewKey(s.Settings.Algorithm, token.PlanRotation(keys, now, s.PublishFor), now, s.Sealer.Seal)
	if err != nil {
		return err
	}
	return s.propose(ctx, &fsm.AddKey{Key: key})
}

func newestOf(keys []iam.Key) (newest iam.Key) {
	for _, k := range keys {
		if k.SignFrom >= newest.SignFrom {
			newest = k
		}
	}
	return newest
}

// reseal brings keys under the cluster secret that counts now.
func (s *Steward) reseal(ctx context.Context) error {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	var stale []fsm.SealedKey
	for _, k := range keys {
		if s.Sealer.Current(k.Sealed) {
			continue
		}
		k, err := token.Reseal(k, s.Sealer.Open, s.Sealer.Seal)
		if err != nil {
			return err
		}
		stale = append(stale, fsm.SealedKey{ID: k.ID, Sealed: k.Sealed})
	}
	if stale == nil {
		return nil
	}
	return s.propose(ctx, &fsm.ResealKeys{Keys: stale})
}

// SecretSettled tells whether nothing needs another cluster secret than the one that counts on this node: all
// keys are sealed under it, and all checkpoints of the audit log signed.
func (s *Steward) SecretSettled() bool {
	settled := true
	err := s.Store.View(func(r *store.Reader) error {
		for _, k := range r.Keys() {
			settled = settled && s.Sealer.Current(k.Sealed)
		}
		oldest := r.Checkpoints(0, 1)
		last, _ := r.LastCheckpoint()
		settled = settled && (len(oldest) == 0 || s.Notary.Current(oldest[0]) && s.Notary.Current(last))
		return nil
	})
	return err == nil && settled
}

// expire removes what is over, in short steps. An idle cluster writes nothing.
func (s *Steward) expire(ctx context.Context) error {
	for {
		due := false
		if err := s.Store.View(func(r *store.Reader) error {
			due = r.HasExpired(s.Now())
			return nil
		}); err != nil || !due {
			return err
		}
		if err := s.propose(ctx, &fsm.Expire{Most: expireAtOnce}); err != nil {
			return err
		}
	}
}
