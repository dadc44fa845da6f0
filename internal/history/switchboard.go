package history

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// Switchboard connects nodes and cuts them off from each other, underneath their TLS. What is cut does not
// fail: as in a real network, data that was sent is just never heard of, until the way is mended or
// whoever waits gives up. It stands where connections are dialled, which is enough: both directions of each
// pass through it.
type Switchboard struct {
	mu      sync.Mutex
	names   map[string]string // of the node at each address
	ways    map[way]time.Duration
	changed chan struct{} // closed and replaced at each change
}

// way is one direction between two nodes.
type way struct{ from, to string }

// forever is the delay of a way that is cut.
const forever = time.Duration(1<<63 - 1)

// NewSwitchboard returns one on which every way is open.
func NewSwitchboard() *Switchboard {
	return &Switchboard{names: map[string]string{}, ways: map[way]time.Duration{}, changed: make(chan struct{})}
}

// Dialer is the cluster.Config.Dial of the node of that name, whose cluster port is at address.
func (s *Switchboard) Dialer(name, address string) func(context.Context, string) (net.Conn, error) {
	s.mu.Lock()
	s.names[address] = name
	s.mu.Unlock()
	return func(ctx context.Context, address string) (net.Conn, error) {
		s.mu.Lock()
		to := s.names[address]
		s.mu.Unlock()
		out, back := way{name, to}, way{to, name}
		for _, w := range []way{out, back} { // a connection is made by both ends
			if err := s.pass(ctx, w, time.Time{}, nil); err != nil {
				return nil, err
			}
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return &line{Conn: conn, board: s, out: out, back: back, closed: make(chan struct{})}, nil
	}
}

// Cut lets nothing through from one node to the other.
func (s *Switchboard) Cut(from, to string) { s.Delay(from, to, forever) }

// Isolate cuts a node off from all others, in both directions.
func (s *Switchboard) Isolate(name string, others []string) {
	for _, other := range others {
		if other != name {
			s.Cut(name, other)
			s.Cut(other, name)
		}
	}
}

// Delay lets everything through so much later.
func (s *Switchboard) Delay(from, to string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ways[way{from, to}] = by
	s.tell()
}

// Heal opens all ways.
func (s *Switchboard) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.ways)
	s.tell()
}

func (s *Switchboard) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Switchboard) look(w way) (delay time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ways[w], s.changed
}

// pass returns when the way has let something through that is sent now.
func (s *Switchboard) pass(ctx context.Context, w way, deadline time.Time, closed <-chan struct{}) error {
	start := time.Now()
	for {
		delay, changed := s.look(w)
		left := delay - time.Since(start)
		if delay == 0 || left <= 0 {
			return nil
		}
		if !deadline.IsZero() {
			left = min(left, time.Until(deadline))
		}
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-closed:
			timer.Stop()
			return net.ErrClosed
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// line is a connection through the switchboard.
type line struct {
	net.Conn
	board     *Switchboard
	out, back way
	once      sync.Once
	closed    chan struct{}

	mu          sync.Mutex
	read, write time.Time // deadlines
}

// Read implements net.Conn. What arrives on a way that is cut is kept back.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if err != nil {
		return n, err
	}
	l.mu.Lock()
	deadline := l.read
	l.mu.Unlock()
	if err := l.board.pass(context.Background(), l.back, deadline, l.closed); err != nil {
		_ = l.Close() // a piece of the stream is lost, so nothing after it makes sense
		return 0, err
	}
	return n, nil
}

// Write implements net.Conn.
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	deadline := l.write
	l.mu.Unlock()
	if err := l.board.pass(context.Background(), l.out, deadline, l.closed); err != nil {
		return 0, err
	}
	return l.Conn.Write(b)
}

// Close implements net.Conn.
func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	l.mu.Lock()
	l.read, l.write = t, t
	l.mu.Unlock()
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (l *line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	l.read = t
	l.mu.Unlock()
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (l *line) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	l.write = t
	l.mu.Unlock()
	return l.Conn.SetWriteDeadline(t)
}
