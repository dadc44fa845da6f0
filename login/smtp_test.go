package login_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/secret"
)

// mailServer is a mail server that speaks as much of RFC 5321 as one delivery needs.
type mailServer struct {
	t        *testing.T
	listener net.Listener
	tls      *tls.Config
	implicit bool
	refuse   bool
	got      chan delivery
}

// delivery is what one client said.
type delivery struct {
	from, to, auth, data string
	encrypted            bool
}

func startMailServer(t *testing.T, change func(*mailServer)) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{t: t, listener: l, tls: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}, got: make(chan delivery, 10)}
	change(s)
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(conn)
		}
	}()
	return s
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (s *mailServer) trusted() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.tls.Certificates[0].Leaf)
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func (s *mailServer) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// talk serves one connection; it ends with that.
func (s *mailServer) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var d delivery
	if s.implicit {
		conn, d.encrypted = tls.Server(conn, s.tls), true
	}
	lines := bufio.NewScanner(conn)
	say := func(text string) { _, _ = conn.Write([]byte(text + "\r\n")) }
	say("220 localhost ready")
	for lines.Scan() {
		line := lines.Text()
		switch verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0]); {
		case verb == "EHLO" && d.encrypted:
			say("250-localhost\r\n250 AUTH PLAIN")
		case verb == "EHLO":
			say("250-localhost\r\n250 STARTTLS")
		case verb == "STARTTLS":
			say("220 go on")
			conn, d.encrypted = tls.Server(conn, s.tls), true
			lines = bufio.NewScanner(conn)
		case verb == "AUTH":
			raw, _ := base64.StdEncoding.DecodeString(line[len("AUTH PLAIN "):])
			d.auth = string(raw)
			say("235 welcome")
		case strings.HasPrefix(line, "MAIL FROM:"):
			d.from = line
			say("250 ok")
		case strings.HasPrefix(line, "RCPT TO:") && s.refuse:
			say("550 no such mailbox")
		case strings.HasPrefix(line, "RCPT TO:"):
			d.to = line
			say("250 ok")
		case verb == "DATA":
			say("354 go on")
			for lines.Scan() && lines.Text() != "." {
				d.data += lines.Text() + "\n"
			}
			say("250 taken")
			s.got <- d
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func TestSMTP(t *testing.T) {
	message := login.Message{To: "ann@example.org", Subject: "Reset your pässword", Text: "Hello,\n\nkst_token\n"}
	f := func(mode string, implicit, user bool) {
		t.Helper()
		s := startMailServer(t, func(s *mailServer) { s.implicit = implicit })
		sender := login.SMTP{Host: "localhost", Port: s.port(), TLS: mode, From: "Keystone <no-reply@example.org>", Config: s.trusted()}
		if user {
			sender.Username, sender.Password = "relay", secret.NewText("hunter2-relay")
		}
		if err := sender.Send(t.Context(), message); err != nil {
			t.Errorf("%s: %v", mode, err)
			return
		}
		d := <-s.got
		if !strings.Contains(d.to, "<ann@example.org>") || !strings.Contains(d.from, "<no-reply@example.org>") || d.encrypted != (mode != login.TLSNone) {
			t.Errorf("%s: %+v", mode, d)
		}
		for _, want := range []string{"kst_token", "To: <ann@example.org>", "Auto-Submitted: auto-generated", "Message-ID: ", "Date: "} {
			if !strings.Contains(d.data, want) {
				t.Errorf("%s: the message lacks %q: %s", mode, want, d.data)
			}
		}
		if user != (d.auth == "\x00relay\x00hunter2-relay") {
			t.Errorf("%s: authenticated by %q", mode, d.auth)
		}
	}
	f(login.TLSStart, false, true)
	f(login.TLSImplicit, true, true)
	f(login.TLSNone, false, false)
}

// TestSMTPRefuses: nothing is sent to a server that cannot show who it is, and no error holds the password.
func TestSMTPRefuses(t *testing.T) {
	f := func(what string, change func(*login.SMTP), server func(*mailServer)) {
		t.Helper()
		s := startMailServer(t, server)
		sender := login.SMTP{
			Host: "localhost", Port: s.port(), TLS: login.TLSStart, From: "no-reply@example.org", Config: s.trusted(),
			Username: "relay", Password: secret.NewText("hunter2-relay"),
		}
		change(&sender)
		err := sender.Send(context.Background(), login.Message{To: "ann@example.org", Subject: "s", Text: "kst_token"})
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "kst_") {
			t.Errorf("%s: %v", what, err)
		}
		if len(s.got) > 0 {
			t.Errorf("%s: it was sent all the same", what)
		}
	}
	f("a certificate of nobody", func(s *login.SMTP) { s.Config = nil }, func(*mailServer) {})
	f("a mailbox that is none", func(*login.SMTP) {}, func(s *mailServer) { s.refuse = true })
	f("nobody there", func(s *login.SMTP) { s.Port = 1 }, func(*mailServer) {})
}
