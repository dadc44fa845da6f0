package httpapi

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
)

// metrics are the numbers that the API gives about itself.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	attempts *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	inFlight atomic.Int64
}

func newMetrics(c Config) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests answered.",
		}, []string{"method", "endpoint", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time from the first look at a request to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"method", "endpoint"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "auth_attempts_total", Help: "Token requests by how they ended.",
		}, []string{"result"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokens_generated_total", Help: "Tokens issued.",
		}, []string{"type"}),
	}
	for _, result := range attemptResults {
		m.attempts.WithLabelValues(result)
	}
	for _, kind := range []string{"access", "refresh", "service"} {
		m.tokens.WithLabelValues(kind)
	}
	c.Registry.MustRegister(m.requests, m.duration, m.attempts, m.tokens)
	registerGauges(c)
	c.Registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "keystone_http_requests_in_flight", Help: "Requests being answered."}, func() float64 { return float64(m.inFlight.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "keystone_hash_refused_total", Help: "Callers who found the queue for password hashes full."}, func() float64 { return float64(c.Hasher.Refused()) }),
	)
	registerLimits(c)
	return m
}

// registerGauges adds what is read at the moment of asking.
func registerGauges(c Config) {
	gauges := []struct {
		name, help string
		value      func() float64
	}{
		{"keystone_raft_applied_index", "Log index that this node's state reflects.", func() float64 { return float64(c.Cluster.Applied()) }},
		{"keystone_raft_leader_known", "1 when this node knows a leader.", func() float64 { return oneIf(c.Cluster.Leader() != "") }},
		{"keystone_raft_is_leader", "1 when this node leads.", func() float64 { return oneIf(c.Cluster.Role() == "leader") }},
		{"keystone_hash_running", "Password hashes being computed.", func() float64 { return float64(c.Hasher.Stats().Running) }},
		{"keystone_hash_waiting", "Callers waiting for a password hash.", func() float64 { return float64(c.Hasher.Stats().Waiting) }},
		{"keystone_view_remembered_tokens", "Verified tokens in memory.", func() float64 { return float64(c.View.Stats().Remembered) }},
		{"keystone_view_revocations", "Revocations in memory.", func() float64 { return float64(c.View.Stats().Revocations) }},
		{"keystone_view_clients", "Clients in memory.", func() float64 { return float64(c.View.Stats().Clients) }},
	}
	for _, g := range gauges {
		c.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, g.value))
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// endpointMetrics are the children of one route, looked up once and not at every request.
type endpointMetrics struct {
	method, path string
	requests     *prometheus.CounterVec
	duration     prometheus.Observer
	byStatus     func() *[600]atomic.Pointer[prometheus.Counter] // made at the first request, for most routes see none
}

func (m *metrics) endpoint(rt *route) *endpointMetrics {
	method := rt.method
	if method == "" {
		method = "other" // what a client makes up must not become a label
	}
	return &endpointMetrics{
		method: method, path: rt.path, requests: m.requests,
		duration: m.duration.WithLabelValues(method, rt.path),
		byStatus: sync.OnceValue(func() *[600]atomic.Pointer[prometheus.Counter] { return new([600]atomic.Pointer[prometheus.Counter]) }),
	}
}

func (e *endpointMetrics) observe(status int, took time.Duration) {
	e.duration.Observe(took.Seconds())
	place := &e.byStatus()[status]
	counter := place.Load()
	if counter == nil {
		made := e.requests.WithLabelValues(e.method, e.path, strconv.Itoa(status))
		counter = &made
		place.Store(counter)
	}
	(*counter).Inc()
}

// How a token request may end.
const (
	attemptSuccess = "success"
	attemptFailure = "failure" // wrong credentials, or a request that could not be good
	attemptRefused = "refused" // right credentials, but disabled or locked
	attemptLimited = "limited" // too many
	attemptError   = "error"   // the server could not tell
)

var attemptResults = []string{attemptSuccess, attemptFailure, attemptRefused, attemptLimited, attemptError}

// attempted counts a token request.
func (m *metrics) attempted(err error) {
	m.attempts.WithLabelValues(attemptResult(err)).Inc()
}

func attemptResult(err error) string {
	if err == nil {
		return attemptSuccess
	}
	switch iam.CodeOf(err) {
	case iam.AccountDisabled, iam.AccountLocked, iam.ClientDisabled, iam.Forbidden:
		return attemptRefused
	case iam.RateLimitExceeded:
		return attemptLimited
	case iam.InternalError, iam.TemporarilyUnavailable:
		return attemptError
	}
	return attemptFailure
}

// scrape answers Prometheus in its text format.
func (s *Server) scrape(x *exchange) error {
	if !s.MetricsToken.IsZero() && !x.operator && !s.MetricsToken.Equal(x.metricsToken()) {
		return iam.Errorf(iam.Unauthorized, "The metrics ask for the bearer token that KEYSTONE_METRICS_TOKEN sets.")
	}
	families, err := s.Registry.Gather()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			return err
		}
	}
	x.http.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	x.http.SetBody(text.Bytes())
	return nil
}

// metricsToken is what the caller presents for the metrics. It is no token of Keystone's.
func (x *exchange) metricsToken() string {
	scheme, presented, _ := strings.Cut(string(x.http.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return presented
}

// issued counts the tokens of an answer.
func (m *metrics) issued(a oauth.Answer) {
	if a.SessionID.IsZero() {
		m.tokens.WithLabelValues("service").Inc()
		return
	}
	m.tokens.WithLabelValues("access").Inc()
	m.tokens.WithLabelValues("refresh").Inc()
}
