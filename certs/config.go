package certs

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

// Config says where the certificate of the API comes from. Of the zero value there is none.
type Config struct {
	CertFile, KeyFile string // PEM; both or none
	ACME              ACME   // in the place of files
}

// Enabled tells whether there is one.
func (c Config) Enabled() bool { return c.CertFile != "" || c.ACME.Enabled() }

// ACME says of whom a certificate is obtained, and what for.
type ACME struct {
	Domains   []string // in lower case
	Email     string   // to which the authority writes; none: it does not
	Directory string   // URL of the authority
	Roots     *x509.CertPool
	// HTTP is host:port at which HTTP-01 is answered, in the clear. None: the authority comes to the API itself, by
	// TLS-ALPN-01.
	HTTP string
	// CheckEvery is how often it is looked whether a certificate is due; 0 is the usual time.
	CheckEvery time.Duration
}

// Enabled tells whether one is obtained.
func (a ACME) Enabled() bool { return len(a.Domains) > 0 }

// ReadRoots reads the authorities in a file of PEM. The error names the setting that named the file.
func ReadRoots(setting, file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s names a file that cannot be read: %w", setting, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s names %s, which holds no certificate as PEM", setting, file)
	}
	return roots, nil
}
