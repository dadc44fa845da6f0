package certs

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Config says where the certificate of the API comes from. Of the zero value there is none.
type Config struct {
	CertFile, KeyFile string // PEM; both or none
}

// Enabled tells whether there is one.
func (c Config) Enabled() bool { return c.CertFile != "" }

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
