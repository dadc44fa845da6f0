package limits

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
	"github.com/keystone-auth/keystone/view"
)

// memoryOfNode is the memory of each node that lies in RAM, after the start.
func memoryOfNode(ctx context.Context, l *lab) (all []float64, detail string, err error) {
	select {
	case <-time.After(quiet):
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	for _, n := range l.nodes {
		bytes, err := residentBytes(n.PID)
		if err != nil {
			return nil, "", err
		}
		all = append(all, float64(bytes)/1e6)
	}
	return all, fmt.Sprintf("%d nodes, after %v", len(all), quiet), nil
}

// residentBytes is the part of a process that lies in RAM.
func residentBytes(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("the memory of a process is only known on Linux: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the process has ended")
}

// state is a view over a state of its own, as in a node, with one signing key.
type state struct {
	store *store.Store
	fsm   *fsm.FSM
	view  *view.View
	index uint64
}

func openState(folder string) (*state, error) {
	s, err := store.Open(filepath.Join(folder, "view.db"))
	if err != nil {
		return nil, err
	}
	st := &state{store: s}
	var fatal error
	st.fsm, err = fsm.New(fsm.Config{
		Store: s, Committed: func(c []store.Change) {
			if st.view != nil {
				st.view.Commit(c)
			}
		}, Restored: func() {}, Fatal: func(err error) { fatal = err },
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	sealer, now := secret.NewSealer(secret.NewClusterSecret()), iam.Now()
	key, err := token.NewKey("ES256", now, now, sealer.Seal)
	if err == nil {
		err = st.apply(&fsm.Initialize{Settings: iam.Settings{
			Issuer: "iss", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 900, ServiceSeconds: 900, DefaultRole: "user",
		}}, now)
	}
	if err == nil {
		err = st.apply(&fsm.AddKey{Key: key}, now)
	}
	if err == nil {
		st.view, err = view.New(view.Config{Open: sealer.Open, Fatal: func(err error) { fatal = err }}, s)
	}
	return st, errors.Join(err, fatal)
}

func (s *state) apply(cmd fsm.Command, now iam.Time) error {
	entry, err := fsm.Encode(fsm.Origin{}, now, cmd)
	if err != nil {
		return err
	}
	s.index++
	if r, ok := s.fsm.Apply(&raft.Log{Index: s.index, Term: 1, Type: raft.LogCommand, Data: entry}).(fsm.Response); ok && r.Refusal != nil {
		return r.Refusal
	}
	return nil
}

// tokens signs tokens as a login would.
func (s *state) tokens(count int) ([][]byte, error) {
	all, now := make([][]byte, count), iam.Now()
	for i := range all {
		raw, err := s.view.Keys().Sign(&token.Claims{
			Issuer: "iss", Subject: iam.NewID().String(), Audience: []string{"iss"}, ID: iam.NewID().String(), ClientID: "shop",
			SessionID: iam.NewID(), Type: token.TypeAccess, Scope: []string{"read:profile", "write:profile"}, Roles: []string{"user"},
			IssuedAt: now.Unix(), ExpiresAt: now.Unix() + 900,
		}, now)
		if err != nil {
			return nil, err
		}
		all[i] = []byte(raw)
	}
	return all, nil
}

// inside does a measurement on a view of its own, as often as there are rounds.
func inside(l *lab, measure func(s *state) (float64, error)) (figures []float64, err error) {
	s, err := openState(l.folder)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, s.store.Close(), os.Remove(s.store.Path()))
	}()
	for range l.options.Rounds {
		figure, err := measure(s)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

const seen = 10_000 // tokens that a hit is one of

// times is how often a hit is repeated in a round.
const times = 1_000_000

// introspectSeen introspects tokens that were seen before, and tells what one costs: the time and the
// allocations. Nothing else allocates in this process meanwhile, but for what the runtime does by itself.
func introspectSeen(s *state) (took time.Duration, allocations float64, err error) {
	tokens, err := s.tokens(seen)
	if err != nil {
		return 0, 0, err
	}
	dst, now := make([]byte, 0, 4096), iam.Now()
	for _, raw := range tokens {
		dst = s.view.Introspect(dst[:0], raw, now)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for i := range times {
		if dst = s.view.Introspect(dst[:0], tokens[i%seen], now); len(dst) <= len(`{"active":false}`) {
			return 0, 0, errors.New("a token that is alive was called inactive")
		}
	}
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	return took / times, float64(after.Mallocs-before.Mallocs) / times, nil
}

func hit(_ context.Context, l *lab) ([]float64, string, error) {
	figures, err := inside(l, func(s *state) (float64, error) {
		took, _, err := introspectSeen(s)
		return float64(took.Nanoseconds()), err
	})
	return figures, fmt.Sprintf("one of %d tokens", seen), err
}

// hitAllocations rounds, for the runtime allocates a little now and then.
func hitAllocations(_ context.Context, l *lab) ([]float64, string, error) {
	figures, err := inside(l, func(s *state) (float64, error) {
		_, allocations, err := introspectSeen(s)
		return math.Round(100*allocations) / 100, err
	})
	return figures, "", err
}

// news is how many tokens are seen for the first time in a round, in portions that alternate with
// verifications.
const (
	news    = 2000
	portion = 100
)

// firstSight compares what a token costs that is seen for the first time with one verification. Both are
// done on one goroutine in turn, so time is processor time.
func firstSight(_ context.Context, l *lab) ([]float64, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	digest := sha256.Sum256([]byte("Keystone"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, "", err
	}
	var per []float64
	figures, err := inside(l, func(s *state) (float64, error) {
		tokens, err := s.tokens(news)
		if err != nil {
			return 0, err
		}
		var learned, verified time.Duration
		dst, now := make([]byte, 0, 4096), iam.Now()
		for i := 0; i < news; i += portion {
			start := time.Now()
			for _, raw := range tokens[i : i+portion] {
				dst = s.view.Introspect(dst[:0], raw, now)
			}
			learned += time.Since(start)
			start = time.Now()
			for range portion {
				if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
					return 0, errors.New("BUG: a good signature does not fit")
				}
			}
			verified += time.Since(start)
		}
		per = append(per, float64(verified.Microseconds())/news)
		return float64(learned) / float64(verified), nil
	})
	return figures, fmt.Sprintf("one verification: %.0f µs", bench.SpreadOf(per).Median), err
}
