// Package testacme runs a real certificate authority that speaks ACME, Pebble of Let's Encrypt, for tests.
package testacme

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/keystone-auth/keystone/internal/testca"
)

// Server is an authority that comes to look for names on this machine alone: at a port of its own, from where its
// connections are handed on to the nodes, to each in turn.
type Server struct {
	Directory string // its URL
	RootsFile string // who vouches for that URL, as PEM
	Roots     *x509.CertPool
	Issuer    *x509.CertPool // who vouches for what it issues

	orders atomic.Int64
	turn   atomic.Int64
	mu     sync.Mutex
	nodes  []string
}

// Start starts an authority whose certificates live that long.
func Start(t testing.TB, lives time.Duration) *Server {
	t.Helper()
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		t.Setenv(name, value)
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	quiet, memory := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(quiet, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(lives / time.Second)}})
	port := front.Addr().(*net.TCPAddr).Port
	pebble := wfe.New(quiet, memory, va.New(quiet, port, port, true, "", memory), issuer, []string{"ca.example"}, true, false, 1, 1)
	handler := pebble.Handler()

	s := &Server{Issuer: x509.NewCertPool()}
	if root := issuer.GetRootCert(0); !s.Issuer.AppendCertsFromPEM(root.PEM()) {
		t.Fatal("the authority has no root")
	}
	own, dir := testca.New(t), t.TempDir()
	own.Issue(dir, time.Hour)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			s.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	web.StartTLS()
	t.Cleanup(web.Close)
	s.Directory, s.RootsFile, s.Roots = web.URL+wfe.DirectoryPath, own.File, own.Pool
	go s.forward(front)
	return s
}

// Orders is how many certificates were ordered so far.
func (s *Server) Orders() int { return int(s.orders.Load()) }

// Nodes says where names are looked for.
func (s *Server) Nodes(addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = addresses
}

// next is the node whose turn it is.
func (s *Server) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nodes) == 0 {
		return ""
	}
	return s.nodes[int(s.turn.Add(1))%len(s.nodes)]
}

func (s *Server) forward(front net.Listener) {
	for {
		in, err := front.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", s.next())
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, in) }()
			_, _ = io.Copy(in, out)
		}()
	}
}

// Served is the certificate that a node serves for a name, of which it returns the serial number once the authority
// vouches for it. That it may have expired meanwhile does not count.
func (s *Server) Served(address, name string) (*x509.Certificate, error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: name}) //nolint:gosec // it is verified below
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	chain := c.ConnectionState().PeerCertificates
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	leaf := chain[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: s.Issuer, Intermediates: between, DNSName: name, CurrentTime: leaf.NotBefore.Add(time.Second)}); err != nil {
		return nil, fmt.Errorf("%s serves a certificate that the authority does not vouch for: %w", address, err)
	}
	return leaf, nil
}
