package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// answerWithin is how long a request may take before it counts as an error.
const answerWithin = 10 * time.Second

// request is one HTTP request, whichever node it goes to.
type request struct {
	method, path  string
	authorization string // the header's value; none if empty
	body          string // a form; none if empty
}

// appendTo writes the request as it goes over the wire. It is done by hand because the bench shares its
// machine with what it measures, mostly: every microsecond here would be missing there.
func (r *request) appendTo(b []byte, host string) []byte {
	b = append(append(append(b, r.method...), ' '), r.path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	if r.authorization != "" {
		b = append(append(b, "\r\nAuthorization: "...), r.authorization...)
	}
	if r.body != "" {
		b = append(b, "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.body)), 10)
	}
	return append(append(b, "\r\n\r\n"...), r.body...)
}

// node is where requests go.
type node struct {
	url     string
	address string // host:port
	host    string // as in the Host header
	secure  *tls.Config
}

func parseNode(text string) (node, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return node{}, fmt.Errorf("%q is no address of a node: it must look like http://127.0.0.1:8000", text)
	}
	n := node{url: u.Scheme + "://" + u.Host, host: u.Host, address: u.Host}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		n.secure = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	if u.Port() == "" {
		n.address = net.JoinHostPort(u.Hostname(), port)
	}
	return n, nil
}

// conn is one connection to a node. After an error it goes to the next node, as a client behind a load
// balancer would.
type conn struct {
	nodes    []node
	at       int // in nodes
	net      net.Conn
	read     *bufio.Reader
	write    []byte
	response fasthttp.Response
}

func newConn(nodes []node, at int) *conn {
	return &conn{nodes: nodes, at: at % len(nodes)}
}

// do sends a request and returns the answer, whose body is good until the next one.
func (c *conn) do(ctx context.Context, r *request) (status int, body []byte, err error) {
	if c.net == nil {
		if err := c.dial(ctx); err != nil {
			c.leave()
			return 0, nil, err
		}
	}
	c.write = r.appendTo(c.write[:0], c.nodes[c.at].host)
	if err = c.net.SetDeadline(time.Now().Add(answerWithin)); err == nil {
		_, err = c.net.Write(c.write)
	}
	if err == nil {
		err = c.response.ReadLimitBody(c.read, 1<<20)
	}
	if err != nil {
		c.leave()
		return 0, nil, err
	}
	if c.response.ConnectionClose() {
		c.close()
	}
	return c.response.StatusCode(), c.response.Body(), nil
}

func (c *conn) dial(ctx context.Context) (err error) {
	n := &c.nodes[c.at]
	d := net.Dialer{Timeout: answerWithin}
	if n.secure != nil {
		c.net, err = (&tls.Dialer{NetDialer: &d, Config: n.secure}).DialContext(ctx, "tcp", n.address)
	} else {
		c.net, err = d.DialContext(ctx, "tcp", n.address)
	}
	if err != nil {
		c.net = nil
		return err
	}
	c.read = bufio.NewReaderSize(c.net, 8<<10)
	return nil
}

// leave gives this node up for the next one.
func (c *conn) leave() {
	c.close()
	c.at = (c.at + 1) % len(c.nodes)
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
		c.net = nil
	}
}

// kindOf names an error of the network in a few words, without addresses, so that alike errors count as one.
func kindOf(err error) string {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.As(err, &op) && op.Op == "dial":
		return "connection refused"
	}
	return "connection broken"
}
