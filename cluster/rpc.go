package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// Nodes ask each other over HTTP/1.1 on pooled connections of the cluster port, with CBOR bodies.
// The client never retries by itself: what may be sent twice is decided by who asks.

const (
	mostRPCBody    = 1 << 20
	mostRPCTime    = 30 * time.Second
	mostRPCConns   = 512 // from one node to another
	rpcIdle        = 10 * time.Second
	rpcServerIdle  = time.Minute // longer than the client's, so that none is closed under a request
	rpcReadTimeout = 10 * time.Second
)

// errNotLeader is the answer of a node that cannot do what only the leader does. Nothing happened.
var errNotLeader = errors.New("this node does not lead the cluster")

// errUnsent is what every unsentError is.
var errUnsent = errors.New("the request was not sent")

// unsentError wraps what kept a request from leaving this node. Nothing happened.
type unsentError struct{ error }

// Unwrap lets both be asked for: that nothing was sent, and why.
func (e unsentError) Unwrap() []error { return []error{errUnsent, e.error} }

// question and answer wrap the bodies of a call.
type question struct {
	Within time.Duration `cbor:"1,keyasint"` // how long the caller waits
	Body   []byte        `cbor:"2,keyasint"`
}

type answer struct {
	Body      []byte     `cbor:"1,keyasint,omitempty"`
	Refusal   *iam.Error `cbor:"2,keyasint,omitempty"`
	NotLeader bool       `cbor:"3,keyasint,omitempty"`
	Fault     string     `cbor:"4,keyasint,omitempty"` // anything else, for the log
}

// route is one thing that other nodes may ask for.
type route struct {
	open   bool // also to nodes that are not members
	handle func(ctx context.Context, from caller, body []byte) (any, error)
}

// handle makes a route from a function of typed requests and replies.
func handle[Request, Reply any](fn func(context.Context, caller, Request) (Reply, error)) route {
	return route{handle: func(ctx context.Context, from caller, body []byte) (any, error) {
		var request Request
		if err := store.Decode(body, &request); err != nil {
			return nil, fmt.Errorf("a request of another node cannot be read: %w", err)
		}
		return fn(ctx, from, request)
	}}
}

// rpcServer answers the other nodes.
type rpcServer struct {
	identity *identity
	ctx      context.Context
	logger   *slog.Logger

	mu     sync.RWMutex
	routes map[string]route
}

// offer adds a route to those that the server began with.
func (s *rpcServer) offer(path string, r route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[path] = r
}

func (s *rpcServer) route(path string) (route, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, known := s.routes[path]
	return r, known
}

// serve runs until the queue is closed.
func (s *rpcServer) serve(q *queue) error {
	server := &fasthttp.Server{
		Handler:               s.answer,
		Name:                  "keystone",
		MaxRequestBodySize:    mostRPCBody,
		ReadTimeout:           rpcReadTimeout,
		WriteTimeout:          rpcReadTimeout,
		IdleTimeout:           rpcServerIdle,
		NoDefaultServerHeader: true,
		NoDefaultDate:         true,
		CloseOnShutdown:       true,
		Logger:                quietHTTP{s.logger},
	}
	return server.Serve(q)
}

// quietHTTP keeps the noise of broken connections out of the log.
type quietHTTP struct{ to *slog.Logger }

// Printf implements fasthttp.Logger.
func (q quietHTTP) Printf(format string, args ...any) {
	q.to.Debug(fmt.Sprintf(format, args...), "part", "rpc")
}

func (s *rpcServer) answer(request *fasthttp.RequestCtx) {
	conn, ok := request.Conn().(*peerConn)
	if !ok {
		request.SetStatusCode(fasthttp.StatusInternalServerError)
		return
	}
	request.SetBody(store.Encode(s.reply(conn.caller, string(request.Path()), request.PostBody())))
}

func (s *rpcServer) reply(from caller, path string, body []byte) answer {
	r, known := s.route(path)
	if !known {
		return answer{Fault: "this node does not know the request: it runs another version of Keystone"}
	}
	if !r.open && s.identity.members.starting() {
		return answer{NotLeader: true} // who asks may still take this node for the leader that it was
	}
	// Asked again at each request, for a connection outlives a removal.
	if !r.open && !s.identity.isMember(from) {
		return answer{Refusal: iam.Errorf(iam.Forbidden, "This node is not a member of the cluster.")}
	}
	var q question
	if err := store.Decode(body, &q); err != nil {
		return answer{Fault: "the request cannot be read"}
	}
	ctx, cancel := context.WithTimeout(s.ctx, min(max(q.Within, time.Millisecond), mostRPCTime))
	defer cancel()
	value, err := r.handle(ctx, from, q.Body)
	var refusal *iam.Error
	switch {
	case err == nil:
		return answer{Body: store.Encode(value)}
	case errors.As(err, &refusal):
		return answer{Refusal: refusal}
	case errors.Is(err, errNotLeader):
		return answer{NotLeader: true}
	}
	return answer{Fault: err.Error()}
}

// target is the node that is asked. Without an id whoever answers at the address is right.
type target struct{ address, nodeID string }

// rpcClient asks other nodes.
type rpcClient struct {
	mux *mux

	mu    sync.Mutex
	hosts map[target]*fasthttp.HostClient
}

func newRPCClient(m *mux) *rpcClient {
	return &rpcClient{mux: m, hosts: map[target]*fasthttp.HostClient{}}
}

// call asks t and reads the reply. Its errors are an *iam.Error, errNotLeader, one that wraps
// errUnsent, or something after which nobody knows whether the request was carried out.
func (c *rpcClient) call(ctx context.Context, t target, path string, request, reply any) error {
	deadline, limited := ctx.Deadline()
	if !limited {
		deadline = time.Now().Add(mostRPCTime)
	}
	body := store.Encode(question{Within: time.Until(deadline), Body: store.Encode(request)})
	type outcome struct {
		answer answer
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		a, err := c.exchange(t, path, body, deadline)
		done <- outcome{a, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return o.err
		}
		return o.answer.read(reply)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a answer) read(reply any) error {
	switch {
	case a.Refusal != nil:
		return a.Refusal
	case a.NotLeader:
		return errNotLeader
	case a.Fault != "":
		return fmt.Errorf("the other node could not do it: %s", a.Fault)
	}
	return store.Decode(a.Body, reply)
}

func (c *rpcClient) exchange(t target, path string, body []byte, deadline time.Time) (answer, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.SetRequestURI("http://node" + path)
	request.SetBody(body)
	var a answer
	err := c.host(t).DoDeadline(request, response, deadline)
	if errors.Is(err, fasthttp.ErrNoFreeConns) {
		return a, unsentError{err}
	}
	if err != nil {
		return a, err
	}
	if response.StatusCode() != fasthttp.StatusOK {
		return a, fmt.Errorf("the other node answered with status %d", response.StatusCode())
	}
	return a, store.Decode(response.Body(), &a)
}

func (c *rpcClient) host(t target) *fasthttp.HostClient {
	c.mu.Lock()
	defer c.mu.Unlock()
	if host, ok := c.hosts[t]; ok {
		return host
	}
	host := &fasthttp.HostClient{
		Addr: t.address,
		DialTimeout: func(_ string, timeout time.Duration) (net.Conn, error) {
			return c.dial(t, timeout)
		},
		MaxConns:                  mostRPCConns,
		MaxIdleConnDuration:       rpcIdle,
		MaxIdemponentCallAttempts: 1,
		RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		MaxResponseBodySize:       mostRPCBody,
		NoDefaultUserAgentHeader:  true,
	}
	c.hosts[t] = host
	return host
}

func (c *rpcClient) dial(t target, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 {
		timeout = handshakeTimeout
	}
	ctx, cancel := context.WithTimeout(c.mux.ctx, timeout)
	defer cancel()
	conn, err := c.mux.dial(ctx, protocolRPC, t.address, t.nodeID)
	if err != nil {
		return nil, unsentError{err}
	}
	return conn, nil
}

// forget drops the connections to nodes that are not in the list, so that the map does not grow
// with every node that ever was.
func (c *rpcClient) forget(keep []target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t, host := range c.hosts {
		if !slices.Contains(keep, t) {
			host.CloseIdleConnections()
			delete(c.hosts, t)
		}
	}
}
