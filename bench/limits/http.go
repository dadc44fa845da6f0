package limits

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/crypto/argon2"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/secret"
)

// introspection compares one node with the bare server.
func introspection(bearer bool) func(context.Context, *lab) ([]float64, string, error) {
	return func(ctx context.Context, l *lab) ([]float64, string, error) {
		answer, token, err := l.sizes(ctx)
		if err != nil {
			return nil, "", err
		}
		p := l.plan()
		p.Bearer = bearer
		asked := p // with dead tokens among them: that none comes back to life is seen under this load
		asked.Mix = bench.Mix{bench.MixValid: 99, bench.MixRevoked: 1}
		bare := bench.Site{
			ClientID: "bench-client-00000000000", ClientSecret: strings.Repeat("s", 53),
			TokenURL: l.bareURL(bareToken, token), IntrospectURL: l.bareURL(bareIntrospect, answer),
		}
		ratios, a, b, err := l.pairs(ctx,
			func(ctx context.Context) (float64, error) {
				return throughput(ctx, l.cluster(1), "introspect", "introspect", asked)
			},
			func(ctx context.Context) (float64, error) {
				return throughput(ctx, bare, "introspect", "introspect", p)
			})
		return ratios, fmt.Sprintf("%.0f of %.0f a second, %d bytes each", a.Median, b.Median, answer), err
	}
}

// sizes asks a node once, to learn how long its answers are on the wire.
func (l *lab) sizes(ctx context.Context) (answer, token int, err error) {
	made, err := l.admin.CreateClient(ctx, api.CreateClientRequest{ClientID: "bench-sizes", Name: "Load test"})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = l.admin.DeleteClient(ctx, made.ClientID) }()
	issued, err := l.admin.ServiceToken(ctx, api.ServiceTokenRequest{ClientID: made.ClientID, ClientSecret: made.ClientSecret})
	if err != nil {
		return 0, 0, err
	}
	form := url.Values{"client_id": {made.ClientID}, "client_secret": {made.ClientSecret}}
	if token, err = size(l.nodes[0].HTTP+"/api/v1/auth/service-token", form); err != nil {
		return 0, 0, err
	}
	form.Set("token", issued.AccessToken)
	answer, err = size(l.nodes[0].HTTP+"/api/v1/auth/introspect", form)
	return answer, token, err
}

// size is how many bytes the answer to a form has.
func size(address string, form url.Values) (int, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(address)
	req.Header.SetContentType("application/x-www-form-urlencoded")
	req.SetBodyString(form.Encode())
	if err := fasthttp.DoTimeout(req, resp, 5*time.Second); err != nil {
		return 0, err
	}
	if resp.StatusCode() != fasthttp.StatusOK {
		return 0, fmt.Errorf("%s answered %d", address, resp.StatusCode())
	}
	return len(resp.Header.Header()) + len(resp.Body()), nil
}

func serviceToken(ctx context.Context, l *lab) ([]float64, string, error) {
	_, token, err := l.sizes(ctx)
	if err != nil {
		return nil, "", err
	}
	bare := bench.Site{ClientID: "bench-client-00000000000", ClientSecret: strings.Repeat("s", 53), TokenURL: l.bareURL(bareSign, token)}
	ratios, a, b, err := l.pairs(ctx,
		func(ctx context.Context) (float64, error) {
			return throughput(ctx, l.cluster(1), "service-token", "service-token", l.plan())
		},
		func(ctx context.Context) (float64, error) {
			return throughput(ctx, bare, "service-token", "service-token", l.plan())
		})
	return ratios, fmt.Sprintf("%.0f of %.0f a second", a.Median, b.Median), err
}

// loginConnections keep every worker of the hash pool busy and wait for no more than a second.
const loginConnections = 16

// longer is for what happens a few times a second only.
func (l *lab) longer() bench.Plan {
	p := l.plan()
	p.Connections, p.Duration = loginConnections, 3*p.Duration
	return p
}

// login compares one node with as many hashes as its machine could compute.
func login(ctx context.Context, l *lab) ([]float64, string, error) {
	ratios, a, b, err := l.pairs(ctx,
		func(ctx context.Context) (float64, error) {
			return throughput(ctx, l.cluster(1), "login", "login", l.longer())
		},
		func(context.Context) (float64, error) { return rawArgon2(l.longer().Duration), nil })
	return ratios, fmt.Sprintf("%.1f of %.1f a second", a.Median, b.Median), err
}

// rawArgon2 is how many hashes of the policy all processors make in a second.
func rawArgon2(duration time.Duration) float64 {
	p := secret.DefaultParams()
	start := time.Now()
	counts := make([]int, processors())
	var all sync.WaitGroup
	for i := range counts {
		all.Go(func() {
			for time.Since(start) < duration {
				argon2.IDKey([]byte("Zx9!kestrel-Moor"), make([]byte, 16), p.Passes, p.MemoryKiB, p.Lanes, 32)
				counts[i]++
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / time.Since(start).Seconds()
}

// storm is introspection on one node while logins fill the hash pool of the same node, and without them.
type storm struct {
	latency, throughput []float64 // of the storm against the calm, by round
	detail              string
}

// blow measures a storm. Two rows tell of the same one.
func (l *lab) blow(ctx context.Context) (*storm, error) {
	if l.storm != nil {
		return l.storm, nil
	}
	s := new(storm)
	var calms, storms []float64
	for range l.options.Rounds {
		stormy, err := l.askInStorm(ctx)
		if err != nil {
			return nil, err
		}
		calm, err := operation(ctx, l.cluster(1), "introspect", "introspect", l.plan())
		if err != nil {
			return nil, err
		}
		s.latency = append(s.latency, float64(stormy.Latency.P99)/float64(calm.Latency.P99))
		s.throughput = append(s.throughput, stormy.PerSecond/calm.PerSecond)
		storms, calms = append(storms, float64(stormy.Latency.P99)/1000), append(calms, float64(calm.Latency.P99)/1000)
	}
	s.detail = fmt.Sprintf("p99 %.1f ms, without %.1f ms", bench.SpreadOf(storms).Median, bench.SpreadOf(calms).Median)
	l.storm = s
	return s, nil
}

// askInStorm introspects while logins are refused for want of a place in the queue, which is no error of
// theirs here.
func (l *lab) askInStorm(ctx context.Context) (bench.Operation, error) {
	p := l.plan()
	p.Duration, p.Users = time.Hour, 4
	begun := make(chan struct{})
	storming, end := context.WithCancel(ctx)
	var blowing sync.WaitGroup
	blowing.Go(func() {
		begin := sync.OnceFunc(func() { close(begun) })
		defer begin()
		// It never ends by itself, so its error is that it was ended.
		_, _ = bench.Run(storming, l.cluster(1), "login", p, bench.Options{Progress: func(bench.Moment) { begin() }})
	})
	defer blowing.Wait()
	defer end()
	<-begun
	return operation(ctx, l.cluster(1), "introspect", "introspect", l.plan())
}

func stormLatency(ctx context.Context, l *lab) ([]float64, string, error) {
	s, err := l.blow(ctx)
	if err != nil {
		return nil, "", err
	}
	return s.latency, s.detail, nil
}

func stormThroughput(ctx context.Context, l *lab) ([]float64, string, error) {
	s, err := l.blow(ctx)
	if err != nil {
		return nil, "", err
	}
	return s.throughput, s.detail, nil
}
