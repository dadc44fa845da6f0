package main

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/keystone-auth/keystone/certs"
)

func tlsCert() setting {
	return setting{
		flag: "tls-cert", env: "KEYSTONE_TLS_CERT", doc: "file with the certificate of the API and those that lead to its authority, as PEM; it is read again when it changes (default: none)",
		set: text(func(c *Config) *string { return &c.Node.TLS.CertFile }, nil),
	}
}

func tlsKey() setting {
	return setting{
		flag: "tls-key", env: "KEYSTONE_TLS_KEY", doc: "file with its private key, as PEM",
		set: text(func(c *Config) *string { return &c.Node.TLS.KeyFile }, nil),
	}
}

func httpInsecure() setting {
	return setting{
		flag: "http-insecure", env: "KEYSTONE_HTTP_INSECURE", std: "false", doc: "let the API speak HTTP in the clear on an address that other machines reach, such as behind a proxy that terminates TLS",
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return &c.insecure }),
	}
}

func acmeDomains() setting {
	return setting{
		env: "KEYSTONE_ACME_DOMAINS", list: true, doc: "names for which a certificate is obtained by ACME, with commas between, the same on every node (default: none is obtained)",
		want: "at most 20 host names such as auth.example.com, in full and without *",
		set: func(c *Config, v string) error {
			c.Node.TLS.ACME.Domains = nil
			for item := range strings.SplitSeq(v, ",") {
				name := strings.ToLower(strings.TrimSpace(item))
				if len(name) > 253 || !domainForm.MatchString(name) || net.ParseIP(name) != nil || slices.Contains(c.Node.TLS.ACME.Domains, name) {
					return errForm
				}
				c.Node.TLS.ACME.Domains = append(c.Node.TLS.ACME.Domains, name)
			}
			return refuse(len(c.Node.TLS.ACME.Domains) > 20)
		},
	}
}

// domainForm is a host name. One of an asterisk would need a challenge by DNS.
var domainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func acmeAgree() setting {
	return setting{
		env: "KEYSTONE_ACME_AGREE", std: "false", doc: "accept the terms of service of the authority, without which it issues nothing",
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return &c.acmeAgreed }),
	}
}

func acmeEmail() setting {
	return setting{
		env: "KEYSTONE_ACME_EMAIL", doc: "address to which the authority writes when something is wrong with a certificate",
		want: "an address such as ops@example.com",
		set:  text(func(c *Config) *string { return &c.Node.TLS.ACME.Email }, regexp.MustCompile(`^[^\s@]+@[^\s@]+$`)),
	}
}

func acmeDirectory() setting {
	return setting{
		env: "KEYSTONE_ACME_DIRECTORY", std: "https://acme-v02.api.letsencrypt.org/directory", doc: "URL of the authority's directory",
		want: "a URL such as https://acme-v02.api.letsencrypt.org/directory",
		set:  text(func(c *Config) *string { return &c.Node.TLS.ACME.Directory }, regexp.MustCompile(`^https://[^/\s@]+(/\S*)?$`)),
	}
}

func acmeCA() setting {
	return setting{
		env: "KEYSTONE_ACME_CA", doc: "file with the certificate of whoever vouches for that URL, as PEM, of an authority of one's own (default: those that this machine trusts)",
		set: text(func(c *Config) *string { return &c.acmeCA }, nil),
	}
}

func acmeHTTP() setting {
	return setting{
		env: "KEYSTONE_ACME_HTTP", doc: "address at which the authority's challenges are answered over HTTP too, and nothing else (default: they are answered by the API alone, over TLS, for which the authority comes to port 443)",
		want: "an address such as :80",
		set:  address(func(c *Config) *string { return &c.Node.TLS.ACME.HTTP }),
	}
}

// tlsSettings are those that finishTLS looks at.
var tlsSettings = []string{
	"KEYSTONE_ACME_DOMAINS", "KEYSTONE_ACME_AGREE", "KEYSTONE_ACME_CA",
	"KEYSTONE_TLS_CERT", "KEYSTONE_TLS_KEY", "KEYSTONE_HTTP_INSECURE", "KEYSTONE_HTTP", "HOST", "PORT",
}

// finishTLS refuses passwords and tokens in the clear, unless somebody has said that this is meant.
func (c *Config) finishTLS() error {
	t := &c.Node.TLS
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		return errors.New("KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY name a certificate and its key: set both, or none")
	case t.ACME.Enabled() && t.CertFile != "":
		return errors.New("KEYSTONE_ACME_DOMAINS and KEYSTONE_TLS_CERT exclude each other: the certificate is obtained, or it lies in a file")
	case t.ACME.Enabled() && !c.acmeAgreed:
		return errors.New("KEYSTONE_ACME_AGREE=true is missing: an authority issues certificates to those who accept its terms of service")
	case t.ACME.Enabled() && c.acmeCA != "":
		roots, err := certs.ReadRoots("KEYSTONE_ACME_CA", c.acmeCA)
		t.ACME.Roots = roots
		return err
	case t.Enabled() || c.insecure || loopback(c.Node.HTTP):
		return nil
	}
	return fmt.Errorf("without TLS the API listens on this machine alone, and %s is for others too: set KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY, "+
		"or KEYSTONE_ACME_DOMAINS, "+
		"or KEYSTONE_HTTP_INSECURE=true where a proxy in front speaks TLS", c.Node.HTTP)
}

// loopback tells whether only this machine reaches an address. A name could lead anywhere.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err != nil || host == "localhost" || ip != nil && ip.IsLoopback()
}
