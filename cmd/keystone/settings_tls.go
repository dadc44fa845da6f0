package main

import (
	"errors"
	"fmt"
	"net"
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

// tlsSettings are those that finishTLS looks at.
var tlsSettings = []string{"KEYSTONE_TLS_CERT", "KEYSTONE_TLS_KEY", "KEYSTONE_HTTP_INSECURE", "KEYSTONE_HTTP", "HOST", "PORT"}

// finishTLS refuses passwords and tokens in the clear, unless somebody has said that this is meant.
func (c *Config) finishTLS() error {
	t := &c.Node.TLS
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		return errors.New("KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY name a certificate and its key: set both, or none")
	case t.Enabled() || c.insecure || loopback(c.Node.HTTP):
		return nil
	}
	return fmt.Errorf("without TLS the API listens on this machine alone, and %s is for others too: set KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY, "+
		"or KEYSTONE_HTTP_INSECURE=true where a proxy in front speaks TLS", c.Node.HTTP)
}

// loopback tells whether only this machine reaches an address. A name could lead anywhere.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err != nil || host == "localhost" || ip != nil && ip.IsLoopback()
}
