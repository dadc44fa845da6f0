package testcluster

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/certs"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/internal/testca"
)

// TestTLS: what a node says over TLS, and that a new certificate is served without a pause.
func TestTLS(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	first := ca.Issue(dir, time.Hour)
	c := StartWith(t, 1, func(config *node.Config) {
		config.TLS = certs.Config{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	})
	at := "https://" + c.Nodes[0].Running().HTTP()
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool}}}
	get := func(path string) *http.Response {
		t.Helper()
		resp, err := web.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	for _, path := range []string{"/health", "/nowhere", "/api/v1/users/profile", "/.well-known/oauth-authorization-server"} {
		if got := get(path).Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
			t.Errorf("%s has Strict-Transport-Security %q", path, got)
		}
	}
	if got := get("/health").TLS.PeerCertificates[0]; !got.Equal(first) {
		t.Error("another certificate is served than the one in the file")
	}
	status, err := c.Nodes[0].Operator().Cluster(t.Context())
	if err != nil || status.Nodes[0].HTTP != at {
		t.Errorf("the node announces %v, %v, want %s", status.Nodes, err, at)
	}
	resp, err := web.Get(at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(page), fmt.Sprintf("keystone_tls_certificate_expiry_seconds %g", float64(first.NotAfter.Unix()))) {
		t.Error("the metric is not when the certificate expires")
	}
	second := ca.Issue(dir, time.Hour)
	c.Nodes[0].Running().ReloadCertificate()
	if got := get("/health").TLS.PeerCertificates[0]; !got.Equal(second) {
		t.Error("the new certificate is not served")
	}
}
