package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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

func parseNode(text string, roots *x509.CertPool) (node, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return node{}, fmt.Errorf("%q is no address of a node: it must look like http://127.0.0.1:8000", text)
	}
	n := node{url: u.Scheme + "://" + u.Host, host: u.Host, address: u.Host}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		n.secure = &tls.Config{ServerName: u.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
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
		status, body, err = c.receive()
	}
	if err != nil {
		c.leave()
		return 0, nil, err
	}
	return status, body, nil
}

// readBuffer holds the answers that are usual here, heads included.
const readBuffer = 8 << 10

// mostBody bounds an answer.
const mostBody = 1 << 20

// receive reads an answer. Of the head it looks for what it needs and passes over the rest: the library makes a
// list of all headers, which took a fifth of this program's time. An answer in another form than the
// usual one it leaves to the library.
func (c *conn) receive() (status int, body []byte, err error) {
	head, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	status, length, plain := readHead(head)
	if !plain || len(head)+length > readBuffer {
		if err := c.response.ReadLimitBody(c.read, mostBody); err != nil {
			return 0, nil, err
		}
		if c.response.ConnectionClose() {
			c.close()
		}
		return c.response.StatusCode(), c.response.Body(), nil
	}
	all, err := c.read.Peek(len(head) + length)
	if err != nil {
		return 0, nil, err
	}
	_, err = c.read.Discard(len(all)) // which leaves the bytes where they are until the next answer
	return status, all[len(head):], err
}

// head returns everything up to the empty line, which stays in the reader.
func (c *conn) head() ([]byte, error) {
	for n := 1; ; n = c.read.Buffered() + 1 {
		if _, err := c.read.Peek(n); err != nil {
			return nil, err
		}
		have, _ := c.read.Peek(c.read.Buffered())
		if end := bytes.Index(have, []byte("\r\n\r\n")); end >= 0 {
			return have[:end+4], nil
		}
	}
}

// readHead finds the status and the length of the body of HTTP/1.1. It is not plain when the length is not
// given, or the connection ends with the answer.
func readHead(head []byte) (status, length int, plain bool) {
	if len(head) < len("HTTP/1.1 200") || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return 0, 0, false
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil || status < 200 || status == 204 || status == 304 {
		return 0, 0, false
	}
	length = -1
	for rest := head; len(rest) > 2; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 || line[0]|0x20 != 'c' && line[0]|0x20 != 't' {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 {
				return 0, 0, false
			}
		case bytes.EqualFold(name, []byte("Connection")), bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return 0, 0, false
		}
	}
	return status, length, length >= 0
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
	c.read = bufio.NewReaderSize(c.net, readBuffer)
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
