package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/keystone-auth/keystone/certs"
	"github.com/keystone-auth/keystone/secret"
)

// certificate is where the certificate of the API comes from.
type certificate interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Expires() time.Time
	Reload()
	Run(ctx context.Context)
}

// openCertificate reads the certificate, before anything of the node runs that would have to be ended again.
func (n *Node) openCertificate() error {
	c := n.config
	if !c.TLS.Enabled() {
		if at, ok := n.http.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
			c.Logger.Warn("the API speaks HTTP in the clear on an address that others may reach: whoever is on the way reads passwords and tokens", "http", at.String())
		}
		return nil
	}
	if c.TLS.ACME.Enabled() { // the certificate comes from the state, which is opened later
		if c.TLS.ACME.HTTP == "" {
			return nil
		}
		l, err := net.Listen("tcp", c.TLS.ACME.HTTP)
		if err != nil {
			return fmt.Errorf("challenges cannot be answered on %s: %w: choose another address with KEYSTONE_ACME_HTTP, or another way with none", c.TLS.ACME.HTTP, err)
		}
		n.challenges = l
		return nil
	}
	files, err := certs.OpenFiles(c.TLS.CertFile, c.TLS.KeyFile, c.Logger)
	if err != nil {
		return err
	}
	n.cert = files
	return nil
}

// manageCertificate obtains the certificate by ACME, where that is wanted.
func (n *Node) manageCertificate(sealer *secret.Sealer) {
	if !n.config.TLS.ACME.Enabled() {
		return
	}
	m := certs.NewManager(n.config.TLS.ACME, certs.Parts{
		Store: n.store, Proposer: n.proposals, Sealer: sealer, CatchUp: n.cluster.CatchUp, Ready: n.cluster.WaitReady,
		API: n.http.Addr(), HTTP: n.challenges, Logger: n.config.Logger,
	})
	n.cert, n.endCert = m, m.Close
}

// secure speaks TLS on what the listener accepts, where there is a certificate, and begins to keep that current.
func (n *Node) secure(l net.Listener) net.Listener {
	if n.cert == nil {
		return l
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}) // closed here alone
	go func() {
		defer close(done)
		n.cert.Run(ctx)
	}()
	end := n.endCert
	n.endCert = func() {
		cancel()
		<-done
		if end != nil {
			end()
		}
	}
	return certs.NewListener(l, certs.ServerConfig(n.cert.GetCertificate))
}

// ReloadCertificate looks at once whether there is a new certificate.
func (n *Node) ReloadCertificate() {
	if n.cert != nil {
		n.cert.Reload()
	}
}

// certificateExpires is when the certificate ends, in seconds since 1970; 0: there is none.
func (n *Node) certificateExpires() int64 {
	if n.cert == nil || n.cert.Expires().IsZero() {
		return 0
	}
	return n.cert.Expires().Unix()
}
