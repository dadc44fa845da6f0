package certs

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/internal/testca"
)

// serve serves HTTP over TLS with at most so many handshakes at a time, as the API does.
func serve(t *testing.T, most int) (address string, ca *testca.CA) {
	t.Helper()
	ca = testca.New(t)
	dir := t.TempDir()
	ca.Issue(dir, time.Hour)
	f, _ := open(t, dir)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner, config: ServerConfig(f.GetCertificate), most: most}
	server := &fasthttp.Server{
		Handler:     func(ctx *fasthttp.RequestCtx) { ctx.WriteString("here") },
		ReadTimeout: 10 * time.Second, CloseOnShutdown: true,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return inner.Addr().String(), ca
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a request over a connection and reads the answer.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var answer fasthttp.Response
	if err := answer.Read(bufio.NewReader(c)); err != nil || string(answer.Body()) != "here" {
		t.Fatalf("the answer is %q, %v", answer.Body(), err)
	}
}

// TestHandshakes: those who say nothing keep nobody out, and more than a few of them make room.
func TestHandshakes(t *testing.T) {
	const most = 8
	address, ca := serve(t, most)
	var silent []net.Conn
	for range most {
		silent = append(silent, dial(t, address))
	}
	c := tls.Client(dial(t, address), &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
	ask(t, c)
	if _, err := silent[0].Read(make([]byte, 1)); err == nil {
		t.Error("the connection that has said nothing for the longest was not closed")
	}
	ask(t, c) // which is none of those that wait any more
}

// TestVersions: nothing older than TLS 1.2, and of that no suite without forward secrecy.
func TestVersions(t *testing.T) {
	address, ca := serve(t, mostHandshakes)
	for _, c := range []struct {
		config *tls.Config
		good   bool
	}{
		{&tls.Config{}, true},
		{&tls.Config{MinVersion: tls.VersionTLS13}, true},
		{&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		{&tls.Config{NextProtos: []string{"h2", "http/1.1"}}, true},
	} {
		c.config.RootCAs, c.config.ServerName = ca.Pool, "localhost"
		conn := tls.Client(dial(t, address), c.config)
		err := conn.Handshake()
		if (err == nil) != c.good {
			t.Errorf("versions %x to %x, suites %x: %v", c.config.MinVersion, c.config.MaxVersion, c.config.CipherSuites, err)
		}
		if c.good && err == nil {
			ask(t, conn)
		}
	}
}

// TestPlainHTTP: who forgot the s in https is told so.
func TestPlainHTTP(t *testing.T) {
	address, _ := serve(t, mostHandshakes)
	c := dial(t, address)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if want := "This port speaks HTTPS.\n"; len(answer) < len(want) || string(answer[len(answer)-len(want):]) != want {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

// TestChallengeConnection: what is negotiated for a challenge carries no requests.
func TestChallengeConnection(t *testing.T) {
	address, ca := serve(t, mostHandshakes)
	c := tls.Client(dial(t, address), &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", NextProtos: []string{protocolACME}})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if answer, err := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("it was answered: %q, %v", answer, err)
	}
}
