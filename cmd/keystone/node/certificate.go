package node

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/keystone-auth/keystone/certs"
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
	files, err := certs.OpenFiles(c.TLS.CertFile, c.TLS.KeyFile, c.Logger)
	if err != nil {
		return err
	}
	n.cert = files
	return nil
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
	n.endCert = func() {
		cancel()
		<-done
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
