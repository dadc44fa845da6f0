package certs

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	// handshakeWithin is how long a client may take until it is known to speak TLS.
	handshakeWithin = 5 * time.Second
	// mostHandshakes bounds the connections in that state. Each costs some ten KiB, and nobody has shown yet
	// who is at its other end.
	mostHandshakes = 4096
)

// protocolACME is what a certificate authority speaks that looks whether a name is ours (RFC 8737).
const protocolACME = "acme-tls/1"

// ServerConfig is how the API speaks TLS: 1.3, or 1.2 with forward secrecy and authenticated encryption. Tickets for
// resumption are on, under keys that crypto/tls makes and replaces by itself.
func ServerConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		GetCertificate: get,
		MinVersion:     tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{"http/1.1", protocolACME},
	}
}

// NewListener speaks TLS on what inner accepts. A handshake is done by whoever uses the connection, so that one
// slow client keeps nobody from being accepted.
func NewListener(inner net.Listener, config *tls.Config) net.Listener {
	return &listener{Listener: inner, config: config, most: mostHandshakes}
}

type listener struct {
	net.Listener
	config *tls.Config
	most   int

	mu      sync.Mutex
	waiting list.List // of *conn that have not finished their handshake, the oldest first
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: tls.Server(raw, l.config), raw: raw, of: l}
	l.enter(c)
	return c, nil
}

// enter counts a connection as one whose handshake is under way. If there are too many, the one that has waited
// the longest makes room: an honest client is done within a few round trips, so who opens connections and says
// nothing drives out mostly itself.
func (l *listener) enter(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.Len() >= l.most {
		oldest := l.waiting.Remove(l.waiting.Front()).(*conn)
		oldest.place = nil
		_ = oldest.raw.Close()
	}
	c.place = l.waiting.PushBack(c)
}

func (l *listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place != nil {
		l.waiting.Remove(c.place)
		c.place = nil
	}
}

// conn is a connection of a listener. fasthttp calls Handshake before it reads, on a goroutine of the connection,
// and goes on to read whatever came of it.
type conn struct {
	*tls.Conn
	raw    net.Conn
	of     *listener
	place  *list.Element // among those that wait; of.mu
	failed bool          // there is nothing to be read; of the goroutine that uses the connection
}

// Handshake hides that of tls.Conn.
func (c *conn) Handshake() error {
	defer c.of.leave(c)
	err := c.raw.SetDeadline(time.Now().Add(handshakeWithin))
	if err == nil {
		err = c.Conn.Handshake()
	}
	if err == nil && c.ConnectionState().NegotiatedProtocol == protocolACME {
		err = errors.New("the certificate authority has seen what it asked for")
	}
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
		_, _ = io.WriteString(plain.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS.\n")
	}
	if c.failed = err != nil; c.failed {
		_ = c.raw.Close()
		return err
	}
	return c.raw.SetDeadline(time.Time{}) // those of requests follow
}

// Read hides that of tls.Conn. What could not be opened has simply ended: no answer can be sent, and none is counted.
func (c *conn) Read(p []byte) (int, error) {
	if c.failed {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// Close hides that of tls.Conn.
func (c *conn) Close() error {
	c.of.leave(c)
	if c.failed {
		return nil
	}
	return c.Conn.Close()
}

func looksLikeHTTP(header [5]byte) bool {
	switch method, _, _ := strings.Cut(string(header[:]), " "); method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELET", "OPTIO":
		return true
	}
	return false
}
