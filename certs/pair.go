package certs

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync/atomic"
	"time"
)

// pair is a certificate with its key, which is replaced while it is used.
type pair struct {
	current atomic.Pointer[tls.Certificate]
}

func (p *pair) get() *tls.Certificate     { return p.current.Load() }
func (p *pair) set(next *tls.Certificate) { p.current.Store(next) }

// soon is how long before its end a certificate is worth a warning each day; one that lives shorter than four times
// that, when three quarters of its life are over.
const soon = 14 * 24 * time.Hour

// reminder says once a day that a certificate ends soon. It is for one goroutine.
type reminder struct{ last time.Time }

func (r *reminder) look(log *slog.Logger, leaf *x509.Certificate, now time.Time) {
	if leaf == nil || now.Sub(r.last) < 24*time.Hour || !endsSoon(leaf, now) {
		return
	}
	r.last = now
	left := leaf.NotAfter.Sub(now).Round(time.Minute)
	if left <= 0 {
		log.Error("the certificate of the API has expired, and clients refuse it: replace it", "expired", leaf.NotAfter)
		return
	}
	log.Warn("the certificate of the API expires soon: replace it", "expires", leaf.NotAfter, "left", left.String())
}

func endsSoon(leaf *x509.Certificate, now time.Time) bool {
	return leaf.NotAfter.Sub(now) < min(soon, leaf.NotAfter.Sub(leaf.NotBefore)/4)
}
