package steward_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/teststate"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/steward"
	"github.com/keystone-auth/keystone/store"
)

func build(t *testing.T, state *teststate.State, sealer *secret.Sealer) *steward.Steward {
	t.Helper()
	return &steward.Steward{
		Store: state.Store, Proposer: state, Sealer: sealer, Now: state.Now, Log: slog.New(slog.DiscardHandler),
		PublishFor: time.Hour, Every: time.Hour,
		Settings: iam.Settings{
			Issuer: "iss", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 900, ServiceSeconds: 900, DefaultRole: "user",
		},
	}
}

// round does every duty once.
func round(s *steward.Steward) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Run(ctx)
}

// look reads what the duties left behind.
func look(t *testing.T, state *teststate.State) (settings iam.Settings, keys []iam.Key, admin iam.Role) {
	t.Helper()
	if err := state.Store.View(func(r *store.Reader) error {
		settings, _ = r.Settings()
		keys = r.Keys()
		admin, _ = r.RoleByName(iam.RoleAdmin)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return settings, keys, admin
}

func TestFillsANewClusterOnce(t *testing.T) {
	state := teststate.New(t)
	s := build(t, state, secret.NewSealer(secret.NewClusterSecret()))
	round(s)
	settings, keys, admin := look(t, state)
	if settings != s.Settings || len(keys) != 1 || len(admin.Scopes) == 0 {
		t.Fatalf("got %+v, %d keys, %+v", settings, len(keys), admin)
	}
	was := state.FSM.Applied()
	round(s)
	round(build(t, state, s.Sealer)) // the next leader
	if now := state.FSM.Applied(); now != was {
		t.Errorf("%d more commands where nothing was to be done", now-was)
	}
}

func TestLeadersSettingsWin(t *testing.T) {
	state := teststate.New(t)
	s := build(t, state, secret.NewSealer(secret.NewClusterSecret()))
	round(s)
	s.Settings.AccessSeconds = 60
	round(s)
	if settings, _, _ := look(t, state); settings.AccessSeconds != 60 {
		t.Errorf("got %+v", settings)
	}
}

func TestKeysAreReplacedByAge(t *testing.T) {
	state := teststate.New(t)
	s := build(t, state, secret.NewSealer(secret.NewClusterSecret()))
	s.RotateEvery = 24 * time.Hour
	round(s)
	state.Advance(iam.Time(25 * time.Hour / time.Microsecond))
	round(s)
	_, keys, _ := look(t, state)
	if len(keys) != 2 {
		t.Fatalf("%d keys, want the old one and the new one", len(keys))
	}
	for _, k := range keys {
		if k.VerifyUntil == 0 && k.SignFrom < state.Now().Add(time.Hour) {
			t.Error("the new key signs before everybody could fetch it")
		}
	}
}

func TestKeysFollowTheClusterSecret(t *testing.T) {
	state := teststate.New(t)
	old, fresh := secret.NewClusterSecret(), secret.NewClusterSecret()
	round(build(t, state, secret.NewSealer(old)))
	round(build(t, state, secret.NewSealer(fresh, old)))
	_, keys, _ := look(t, state)
	alone := secret.NewSealer(fresh)
	for _, k := range keys {
		if !alone.Current(k.Sealed) {
			t.Errorf("key %s needs the old secret still", k.ID)
		}
	}
}

func TestExpires(t *testing.T) {
	state := teststate.New(t)
	s := build(t, state, secret.NewSealer(secret.NewClusterSecret()))
	round(s)
	state.Must(t, &fsm.RevokeToken{Jti: "j"})
	state.Advance(iam.Time(26 * time.Hour / time.Microsecond))
	round(s)
	if err := state.Store.View(func(r *store.Reader) error {
		if _, there := r.Revocation(iam.RevokedToken, "j"); there {
			t.Error("a revocation outlives every token that it could concern")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
