package certs

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync/atomic"
	"time"
)

// soon is how long before its end a certificate is worth a warning each day; one that lives shorter than four times
// that, when three quarters of its life are over.
const soon = 14 * 24 * time.Hour

// pair is a certificate with its key, which is replaced while it is used.
type pair struct {
	current atomic.Pointer[tls.Certificate]
	warned  time.Time // of whoever runs alone
}

func (p *pair) get() *tls.Certificate     { return p.current.Load() }
func (p *pair) set(next *tls.Certificate) { p.current.Store(next) }

func (p *pair) expires() time.Time {
	if c := p.get(); c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// warn says once a day that the certificate ends soon.
func (p *pair) warn(log *slog.Logger, now time.Time) {
	c := p.get()
	if c == nil || now.Sub(p.warned) < 24*time.Hour || !endsSoon(c.Leaf, now) {
		return
	}
	p.warned = now
	left := c.Leaf.NotAfter.Sub(now).Round(time.Minute)
	if left <= 0 {
		log.Error("the certificate of the API has expired, and clients refuse it: replace it", "expired", c.Leaf.NotAfter)
		return
	}
	log.Warn("the certificate of the API expires soon: replace it", "expires", c.Leaf.NotAfter, "left", left.String())
}

func endsSoon(leaf *x509.Certificate, now time.Time) bool {
	return leaf.NotAfter.Sub(now) < min(soon, leaf.NotAfter.Sub(leaf.NotBefore)/4)
}
