package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/api"
)

// maxAnswer bounds what is read of one answer, so that a wrong address cannot fill the memory.
const maxAnswer = 32 << 20

// Client asks one node. It is safe for concurrent use; the With methods return changed copies that
// share its connections.
type Client struct {
	base   string
	http   *http.Client
	header http.Header
	roots  *x509.CertPool // who may vouch for a node; nil: whom this machine trusts

	receipt *api.Effective // nil: nobody wants it
}

// New returns a client of the node at http://host:port, https://host:port or unix:/path/of/socket.
func New(address string) (*Client, error) { return NewTrusting(address, nil) }

// NewTrusting is New for nodes for which one of the given authorities vouches; nil: one that this machine trusts.
func NewTrusting(address string, roots *x509.CertPool) (*Client, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: 1024, // the default of 2 makes every busy caller dial anew
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	c := &Client{base: strings.TrimRight(address, "/"), http: &http.Client{Transport: transport}, header: http.Header{}, roots: roots}
	if path, isSocket := strings.CutPrefix(address, "unix:"); isSocket {
		c.base = "http://operator"
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, path) }
		return c, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the address of a node must look like http://127.0.0.1:8000 or unix:/path/to/keystone.sock")
	}
	return c, nil
}

// dialSocket opens a Unix socket. The system bounds the length of its name, not that of the way to
// the folder that it lies in.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	if len(path) <= 100 {
		return d.DialContext(ctx, "unix", path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// WithToken returns a client that presents an access or service token.
func (c *Client) WithToken(token string) *Client {
	return c.with("Authorization", "Bearer "+token)
}

// At returns a client of another node that says of itself what this one does.
func (c *Client) At(address string) (*Client, error) {
	other, err := NewTrusting(address, c.roots)
	if err != nil {
		return nil, err
	}
	other.header = c.header.Clone()
	return other, nil
}

// WithCredentials returns a client that presents client credentials as HTTP Basic. Both are
// form-encoded first (RFC 6749 §2.3.1), for a client_id may hold a colon.
func (c *Client) WithCredentials(clientID, secret string) *Client {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secret))
	return c.with("Authorization", r.Header.Get("Authorization"))
}

// WithIdempotencyKey returns a client whose changes take effect once, however often they are asked
// for under the key. Each change needs a key of its own.
func (c *Client) WithIdempotencyKey(key string) *Client { return c.with("Idempotency-Key", key) }

// WithReceipt returns a client that notes where what it takes away holds, after each successful call
// that does. Calls at the same time need a receipt each.
func (c *Client) WithReceipt(into *api.Effective) *Client {
	changed := *c
	changed.receipt = into
	return &changed
}

// WithConsistency returns a client that says how true answers have to be: strict, local, or bounded; ms=500.
func (c *Client) WithConsistency(level string) *Client { return c.with("Keystone-Consistency", level) }

func (c *Client) with(name, value string) *Client {
	changed := *c
	changed.header = c.header.Clone()
	changed.header.Set(name, value)
	return &changed
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call sends in as JSON, unless it is nil, and reads a successful answer into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	_, err := c.tagged(ctx, method, path, in, out)
	return err
}

// tagged is call for whoever wants to know which version of a resource the answer holds.
func (c *Client) tagged(ctx context.Context, method, path string, in, out any) (tag string, err error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return "", err
	}
	req.Header = c.header.Clone()
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", unreached(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("the answer of %s %s broke off: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return "", errorOf(resp, text)
	}
	if c.receipt != nil {
		var done struct {
			Effective api.Effective `json:"effective"`
		}
		if json.Unmarshal(text, &done) == nil && done.Effective.Index > 0 {
			*c.receipt = done.Effective
		}
	}
	if out == nil {
		return resp.Header.Get("ETag"), nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return "", fmt.Errorf("the answer of %s %s cannot be read: %w", method, path, err)
	}
	return resp.Header.Get("ETag"), nil
}

// stream asks for an answer that may be larger than memory. Whoever reads it closes it.
func (c *Client) stream(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header = c.header.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreached(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer of GET %s broke off: %w", path, err)
	}
	return nil, errorOf(resp, text)
}

// unreached drops the URL that net/http wraps around errors: with a socket it is made up.
func unreached(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("the node was not reached: %w", err)
}
