// Package testca is a certificate authority for tests.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority.
type CA struct {
	File string // its certificate, as PEM
	Pool *x509.CertPool

	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority.
func New(t testing.TB) *CA {
	t.Helper()
	ca := &CA{t: t, Pool: x509.NewCertPool(), key: newKey(t), File: filepath.Join(t.TempDir(), "ca.pem")}
	ca.cert = ca.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Keystone test CA"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, ca.key)
	ca.Pool.AddCert(ca.cert)
	ca.write(ca.File, "CERTIFICATE", ca.cert.Raw)
	return ca
}

// Issue writes a certificate for localhost, 127.0.0.1 and the given names, and its key, into tls.crt and tls.key in
// the folder. It returns the certificate.
func (ca *CA) Issue(folder string, lives time.Duration, names ...string) *x509.Certificate {
	ca.t.Helper()
	key := newKey(ca.t)
	cert := ca.sign(&x509.Certificate{
		DNSNames: append([]string{"localhost"}, names...), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(lives), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.cert, key)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	ca.write(filepath.Join(folder, "tls.key"), "PRIVATE KEY", encoded)
	ca.write(filepath.Join(folder, "tls.crt"), "CERTIFICATE", cert.Raw)
	return cert
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign signs a certificate by the authority, or by itself where there is none yet.
func (ca *CA) sign(about, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		ca.t.Fatal(err)
	}
	about.SerialNumber, about.NotBefore = serial, time.Now().Add(-time.Hour)
	if parent == nil {
		parent = about
	}
	raw, err := x509.CreateCertificate(rand.Reader, about, parent, &key.PublicKey, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert
}

func (ca *CA) write(path, kind string, data []byte) {
	ca.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
		ca.t.Fatal(err)
	}
}
