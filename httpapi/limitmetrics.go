package httpapi

import "github.com/prometheus/client_golang/prometheus"

// registerLimits adds how this node counts requests together with the others.
func registerLimits(c Config) {
	if c.Limiter == nil {
		return
	}
	stats := c.Limiter.Stats
	c.Registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "keystone_limit_consultations_total", Help: "Questions to other nodes about rate limits and failed logins.",
		}, func() float64 { return float64(stats().Consultations) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "keystone_limit_fallbacks_total", Help: "Requests and failed logins that this node counted without a majority of the nodes.",
		}, func() float64 { return float64(stats().Fallbacks) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keystone_limit_nodes_away", Help: "Nodes that do not answer questions about rate limits.",
		}, func() float64 { return float64(stats().Away) }),
	)
}
