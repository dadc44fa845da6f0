package bench_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/bench"
)

// server is a foreign OAuth 2 server with one client.
type server struct {
	url     string
	asked   atomic.Int64
	says    atomic.Bool // active about whatever it is asked, else about tokens that it issued alone
	stalled sync.RWMutex
}

func serve(t *testing.T) *server {
	s := new(server)
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "shop" || secret != "open%3Asesame" || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"issued.by.me"}`)
	})
	mux.HandleFunc("/introspect", func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.stalled.RLock()
		defer s.stalled.RUnlock()
		if s.says.Load() || r.FormValue("token") == "issued.by.me" {
			_, _ = io.WriteString(w, `{ "active": true }`)
			return
		}
		_, _ = io.WriteString(w, `{"active":false}`)
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *server) site() bench.Site {
	return bench.Site{ClientID: "shop", ClientSecret: "open:sesame", TokenURL: s.url + "/token", IntrospectURL: s.url + "/introspect"}
}

func plan(mix bench.Mix) bench.Plan {
	return bench.Plan{Connections: 4, Duration: 300 * time.Millisecond, Rounds: 2, Tokens: 10, Mix: mix, Seed: 1}
}

func TestForeignServer(t *testing.T) {
	s := serve(t)
	r, err := bench.Run(t.Context(), s.site(), "introspect", plan(bench.Mix{bench.MixValid: 1, bench.MixGarbage: 1}), bench.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answered := uint64(0)
	for _, round := range r.Rounds {
		o := round.Operations[0]
		if o.Errors+o.Wrong+o.Unsent > 0 || o.Latency.P50 < 1 || o.Latency.Max < o.Latency.P99 || o.PerSecond == 0 {
			t.Errorf("a round went %+v", o)
		}
		answered += o.Requests
	}
	if len(r.Rounds) != 2 || answered != uint64(s.asked.Load()) {
		t.Errorf("%d rounds with %d answers, and the server was asked %d times", len(r.Rounds), answered, s.asked.Load())
	}
	if !r.Machine.Local {
		t.Error("a server on this machine is taken for one elsewhere")
	}
	folder := filepath.Join(t.TempDir(), "report")
	if err := r.Save(folder); err != nil {
		t.Fatal(err)
	}
	again, err := bench.Load(folder)
	if err != nil || again.Scenario != "introspect" || len(again.Rounds) != 2 {
		t.Errorf("the report was read again as %+v, %v", again, err)
	}
}

// TestWrongAnswers: a server that calls garbage active is not merely slow.
func TestWrongAnswers(t *testing.T) {
	s := serve(t)
	s.says.Store(true)
	r, err := bench.Run(t.Context(), s.site(), "introspect", plan(bench.Mix{bench.MixGarbage: 1}), bench.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := r.Rounds[0].Operations[0]
	if r.Wrong() == 0 || o.Requests > 0 || o.Kinds["active, and it is dead"] != o.Wrong {
		t.Errorf("a server that calls everything active is reported as %+v", o)
	}
}

// TestStallIsCounted: in an open loop a server that stands still for a while is late for every request that
// was due meanwhile, and not only for the few that were on their way.
func TestStallIsCounted(t *testing.T) {
	const rate, stall = 200, 500 * time.Millisecond
	s := serve(t)
	p := plan(bench.Mix{bench.MixValid: 1})
	p.Rounds, p.Rate, p.Duration = 1, rate, 2*time.Second
	begun := sync.OnceFunc(func() {
		s.stalled.Lock()
		time.AfterFunc(stall, s.stalled.Unlock)
	})
	r, err := bench.Run(t.Context(), s.site(), "introspect", p, bench.Options{Progress: func(bench.Moment) { begun() }})
	if err != nil {
		t.Fatal(err)
	}
	o := r.Rounds[0].Operations[0]
	if sum := o.Requests + o.Unsent + o.Errors; sum != rate*2 {
		t.Errorf("%d requests were due and %d are accounted for", rate*2, sum)
	}
	// 100 requests were due in that half second, of 400: a quarter of all was late, and 40 of them by more
	// than three fifths of it.
	if late := stall.Microseconds() * 3 / 5; o.Latency.P90 < late/2 || o.Latency.Max < late {
		t.Errorf("a stall of %v leaves p90 at %d µs and the worst at %d µs", stall, o.Latency.P90, o.Latency.Max)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t)
	good := plan(bench.Mix{bench.MixValid: 1})
	f := func(site bench.Site, scenario string, p bench.Plan, want string) {
		t.Helper()
		_, err := bench.Run(t.Context(), site, scenario, p, bench.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s says %v, want something about %q", scenario, err, want)
		}
	}
	f(s.site(), "dance", good, "choose one of introspect, verify")
	f(bench.Site{}, "introspect", good, "--url")
	f(bench.Site{Nodes: []string{"127.0.0.1"}}, "introspect", good, "http://127.0.0.1:8000")
	f(bench.Site{Nodes: []string{s.url}}, "login", good, "--data")
	f(s.site(), "introspect", plan(bench.Mix{bench.MixRevoked: 1}), "--revoke-url")
	f(s.site(), "introspect", plan(bench.Mix{bench.MixExpired: 1}), "expired")
	stranger := s.site()
	stranger.ClientSecret = "wrong"
	f(stranger, "introspect", good, "401 invalid_client")
	two := s.site()
	two.TokenURL = "http://127.0.0.1:1/token"
	f(two, "introspect", good, "one host")
	none := good
	none.Connections = 0
	f(s.site(), "introspect", none, "--connections")
}

// TestInterruption ends a run early and is told so.
func TestInterruption(t *testing.T) {
	s := serve(t)
	p := plan(bench.Mix{bench.MixValid: 1})
	p.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	_, err := bench.Run(ctx, s.site(), "introspect", p, bench.Options{Progress: func(bench.Moment) { cancel() }})
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("an interrupted run says %v", err)
	}
}

func TestMix(t *testing.T) {
	m, err := bench.ParseMix("garbage=5, valid=95")
	if err != nil || m.String() != "valid=95,garbage=5" {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{"", "valid", "valid=x", "valid=-1", "forged=1", "valid=1,valid=2", "valid=0"} {
		if m, err := bench.ParseMix(bad); err == nil {
			t.Errorf("%q is taken for the mix %v", bad, m)
		}
	}
}
