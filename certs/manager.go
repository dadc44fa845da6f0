package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// releaseWithin bounds what a node that stops does for the others.
const releaseWithin = time.Second

// Manager obtains certificates by ACME, renews them, and keeps everything in the replicated state: one node obtains,
// all serve, and each answers the authority's challenges.
type Manager struct {
	domains []string
	magic   *certmagic.Config
	cache   *certmagic.Cache
	issuer  *certmagic.ACMEIssuer
	storage *storage
	ready   func(context.Context) error
	http    net.Listener // of HTTP-01; nil: none
	log     *slog.Logger
}

// Parts are what a Manager needs of a node.
type Parts struct {
	Store    *store.Store
	Proposer fsm.Proposer
	Sealer   *secret.Sealer
	CatchUp  func(context.Context) error // brings the node up to what was confirmed on others
	Ready    func(context.Context) error // returns when it has caught up since its start
	API      net.Addr                    // where TLS-ALPN-01 is answered
	HTTP     net.Listener                // where HTTP-01 is answered; nil: nowhere
	Logger   *slog.Logger
}

// NewManager makes a Manager, which obtains nothing before it runs. Close ends it.
func NewManager(c ACME, p Parts) *Manager {
	m := &Manager{
		domains: c.Domains, ready: p.Ready, http: p.HTTP, log: p.Logger,
		storage: &storage{state: p.Store, proposer: p.Proposer, sealer: p.Sealer, catchUp: p.CatchUp, log: p.Logger, held: map[string]*hold{}},
	}
	log := zapLogger(p.Logger)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.magic, nil },
		RenewCheckInterval: c.CheckEvery,
		Logger:             log,
	})
	m.magic = certmagic.New(m.cache, certmagic.Config{
		Storage: m.storage, Logger: log, KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		DefaultServerName: c.Domains[0], FallbackServerName: c.Domains[0], // for those who come by an address
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // nobody is asked but the authority
	})
	host, port, _ := net.SplitHostPort(p.API.String())
	template := certmagic.ACMEIssuer{
		CA: c.Directory, Email: c.Email, Agreed: true, TrustedRoots: c.Roots, Logger: log,
		ListenHost: host, AltTLSALPNPort: number(port), DisableHTTPChallenge: p.HTTP == nil,
	}
	if p.HTTP != nil {
		_, port, _ := net.SplitHostPort(p.HTTP.Addr().String())
		template.AltHTTPPort = number(port)
	}
	m.issuer = certmagic.NewACMEIssuer(m.magic, template)
	m.magic.Issuers = []certmagic.Issuer{m.issuer}
	return m
}

func number(port string) int {
	n, _ := strconv.Atoi(port) // of a listener's own address
	return n
}

var errNotOurs = errors.New("a challenge for a name that is none of this cluster's")

// GetCertificate is what a tls.Config asks. A challenge is looked up in the state, for which other nodes are asked: so
// nobody gets that far who does not name a name of ours.
func (m *Manager) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Contains(hello.SupportedProtos, protocolACME) && !slices.Contains(m.domains, strings.ToLower(hello.ServerName)) {
		return nil, errNotOurs
	}
	return m.magic.GetCertificate(hello)
}

// first is the certificate that ends first; nil: there is none yet.
func (m *Manager) first() (leaf *x509.Certificate) {
	for _, name := range m.domains {
		var newest *x509.Certificate
		for _, c := range m.cache.AllMatchingCertificates(name) {
			if c.Leaf != nil && (newest == nil || c.Leaf.NotAfter.After(newest.NotAfter)) {
				newest = c.Leaf
			}
		}
		if newest != nil && (leaf == nil || newest.NotAfter.Before(leaf.NotAfter)) {
			leaf = newest
		}
	}
	return leaf
}

// Expires returns when the first of the certificates ends; the zero time: there is none yet.
func (m *Manager) Expires() time.Time {
	if leaf := m.first(); leaf != nil {
		return leaf.NotAfter
	}
	return time.Time{}
}

// Reload looks at once whether a certificate is due.
func (m *Manager) Reload() {
	if err := m.cache.RenewManagedCertificates(context.Background()); err != nil {
		m.log.Error("the certificates of the API could not be looked through", "error", err)
	}
}

// Run obtains the certificates and keeps them current until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	if m.http != nil {
		go m.answer()
	}
	// What the state has is served at once, by a node that reaches no other too.
	for _, name := range m.domains {
		_, _ = m.magic.CacheManagedCertificate(ctx, name)
	}
	if m.ready(ctx) != nil {
		return // the node stops
	}
	m.storage.ready.Store(true)
	if err := m.storage.reseal(ctx); err != nil && ctx.Err() == nil {
		m.log.Warn("what belongs to certificates was not all sealed anew: keep the cluster secret of before until a node has started without this line", "error", err)
	}
	if err := m.magic.ManageAsync(ctx, m.domains); err != nil && ctx.Err() == nil {
		m.log.Error("no certificate can be obtained", "error", err)
	}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var remind reminder
	for {
		remind.look(m.log, m.first(), time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// answer answers challenges in the clear, and nothing else: who sends a password here is not led on to TLS, but told
// that it was a mistake.
func (m *Manager) answer() {
	server := &http.Server{
		Handler: m.issuer.HTTPChallengeHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "Nothing is served here without TLS.", http.StatusForbidden)
		})),
		ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	if err := server.Serve(m.http); err != nil && !errors.Is(err, net.ErrClosed) {
		m.log.Error("challenges cannot be answered over HTTP any more", "error", err)
	}
}

// Close ends what Run began, and gives back the locks of this node. Whoever calls it has ended Run before.
func (m *Manager) Close() {
	if m.http != nil {
		_ = m.http.Close()
	}
	m.cache.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), releaseWithin)
	defer cancel()
	m.storage.release(ctx)
	m.storage.close()
}
