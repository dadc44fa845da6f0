package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// What is spoken on the cluster port. The protocol is agreed on inside the TLS handshake (ALPN, RFC
// 7301), so nothing is read from anybody who has not proven who he is.
const (
	protocolRaft   = "ks-raft/1"
	protocolRPC    = "ks-rpc/1"
	protocolGossip = "ks-gossip/1"
)

var protocols = []string{protocolRaft, protocolRPC, protocolGossip}

const (
	handshakeTimeout = 5 * time.Second
	mostHandshakes   = 128 // at a time, so that strangers cannot use up memory or descriptors
)

// dialFunc makes the connection under the TLS.
type dialFunc = func(ctx context.Context, address string) (net.Conn, error)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// mux is the cluster port: it accepts, proves and sorts connections, and makes outgoing ones.
type mux struct {
	identity   *identity
	listener   net.Listener
	dialRaw    dialFunc
	logger     *slog.Logger
	queues     map[string]*queue
	handshakes chan struct{}
	ctx        context.Context // ends with the mux
	cancel     context.CancelFunc
	running    sync.WaitGroup

	mu   sync.Mutex
	open map[*peerConn]struct{} // connections from and to other nodes
}

func newMux(l net.Listener, id *identity, dial dialFunc, logger *slog.Logger) *mux {
	m := newDialer(id, dial, logger)
	m.listener = l
	for _, protocol := range protocols {
		m.queues[protocol] = &queue{address: l.Addr(), conns: make(chan net.Conn), done: make(chan struct{})}
	}
	m.running.Go(m.accept)
	return m
}

// newDialer makes a mux that only makes connections.
func newDialer(id *identity, dial dialFunc, logger *slog.Logger) *mux {
	m := &mux{
		identity: id, dialRaw: dial, logger: logger, queues: map[string]*queue{},
		handshakes: make(chan struct{}, mostHandshakes), open: map[*peerConn]struct{}{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// accept runs until the listener is closed.
func (m *mux) accept() {
	for {
		conn, err := m.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, mostly: others need a moment to give theirs back.
			m.logger.Warn("a connection from another node could not be accepted", "error", err)
			if !waitFor(m.ctx, 100*time.Millisecond) {
				return
			}
			continue
		}
		select {
		case m.handshakes <- struct{}{}:
			m.running.Go(func() { m.receive(conn) })
		default:
			_ = conn.Close()
		}
	}
}

// receive proves who is there and hands the connection to whoever speaks its protocol.
func (m *mux) receive(raw net.Conn) {
	conn, err := m.handshake(raw)
	<-m.handshakes
	if err != nil {
		m.logger.Debug("a connection to the cluster port was refused", "from", raw.RemoteAddr(), "error", err)
		_ = raw.Close()
		return
	}
	q := m.queues[conn.ConnectionState().NegotiatedProtocol]
	patience := time.NewTimer(handshakeTimeout)
	defer patience.Stop()
	select {
	case q.conns <- conn:
	case <-patience.C: // nobody speaks this protocol yet: the other end will ask again
		_ = conn.Close()
	case <-q.done:
		_ = conn.Close()
	case <-m.ctx.Done():
		_ = conn.Close()
	}
}

func (m *mux) handshake(raw net.Conn) (*peerConn, error) {
	ctx, cancel := context.WithTimeout(m.ctx, handshakeTimeout)
	defer cancel()
	conn := &peerConn{mux: m}
	conn.Conn = tls.Server(raw, m.identity.config(protocols, func(state tls.ConnectionState) (err error) {
		if m.queues[state.NegotiatedProtocol] == nil {
			return errors.New("it speaks no protocol of the cluster port")
		}
		if conn.caller, err = m.identity.identify(state); err != nil {
			return err
		}
		return m.identity.check(conn.caller, state.NegotiatedProtocol)
	}))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn, m.remember(conn)
}

// remember keeps the connection in view, so that it ends with its node's membership and with the mux.
func (m *mux) remember(conn *peerConn) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return net.ErrClosed
	}
	m.open[conn] = struct{}{}
	return nil
}

// dial connects to the node at that address, or where the node with the wanted id was heard of since.
func (m *mux) dial(ctx context.Context, protocol, address, wanted string) (*peerConn, error) {
	where := m.identity.members.whereIs(wanted, address)
	conn, err := m.connect(ctx, protocol, where, wanted)
	if err != nil && where != address {
		m.identity.members.unnote(wanted, where)
	}
	return conn, err
}

// connect connects to the node at that address. The answer must come from the node with the wanted id,
// if there is one: addresses are used again, ids are not.
func (m *mux) connect(ctx context.Context, protocol, address, wanted string) (*peerConn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	raw, err := m.dialRaw(ctx, address)
	if err != nil {
		return nil, err
	}
	conn := &peerConn{mux: m}
	conn.Conn = tls.Client(raw, m.identity.config([]string{protocol}, func(state tls.ConnectionState) (err error) {
		if conn.caller, err = m.identity.identify(state); err != nil {
			return err
		}
		if err := m.identity.check(conn.caller, protocol); err != nil {
			return err
		}
		if wanted != "" && conn.caller.nodeID != wanted {
			return errOtherNode
		}
		return nil
	}))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("the node at %s is not usable: %w", address, err)
	}
	if err := m.remember(conn); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// expel ends the connections of nodes that are members no more.
func (m *mux) expel() {
	for _, conn := range m.connections() {
		if err := m.identity.check(conn.caller, conn.ConnectionState().NegotiatedProtocol); err != nil {
			_ = conn.Close()
		}
	}
}

func (m *mux) connections() []*peerConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*peerConn, 0, len(m.open))
	for conn := range m.open {
		all = append(all, conn)
	}
	return all
}

// close ends the port and every connection.
func (m *mux) close() {
	m.cancel()
	if m.listener != nil {
		_ = m.listener.Close()
	}
	for _, q := range m.queues {
		_ = q.Close()
	}
	for _, conn := range m.connections() {
		_ = conn.Close()
	}
	m.running.Wait()
}

// peerConn is a proven connection.
type peerConn struct {
	*tls.Conn
	caller caller
	mux    *mux
}

// Close also forgets the connection.
func (c *peerConn) Close() error {
	c.mux.mu.Lock()
	delete(c.mux.open, c)
	c.mux.mu.Unlock()
	return c.Conn.Close()
}

// queue hands over the connections of one protocol; it is the net.Listener of who speaks it.
type queue struct {
	address net.Addr
	conns   chan net.Conn
	once    sync.Once
	done    chan struct{} // closed by Close
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.address }
