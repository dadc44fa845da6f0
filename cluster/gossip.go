package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// Gossip finds out which nodes are alive and what they say about themselves. Nothing is decided by
// it: whoever holds the gossip key can say anything about anybody.

// hint is what a node says about itself.
type hint struct {
	Name     string `cbor:"1,keyasint"`
	HTTP     string `cbor:"2,keyasint,omitempty"`
	Version  string `cbor:"3,keyasint,omitempty"`
	NonVoter bool   `cbor:"4,keyasint,omitempty"`
	Address  string `cbor:"5,keyasint,omitempty"`
}

// gossip is this node's part in it.
type gossip struct {
	list      *memberlist.Memberlist
	directory *directory
	members   *members
	nodeID    string
}

type gossipConfig struct {
	mux       *mux
	packets   *net.UDPConn
	advertise string
	nodeID    string
	clusterID string
	self      hint
	secret    secret.ClusterSecret
	previous  []secret.ClusterSecret
	probe     time.Duration
	closed    <-chan struct{}
	logger    *slog.Logger
}

// startGossip begins to talk. The packets stay the node's to close: it tries again after an error.
func startGossip(c gossipConfig) (*gossip, error) {
	keys := [][]byte{c.secret.GossipKey()}
	for _, s := range c.previous {
		keys = append(keys, s.GossipKey())
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("the gossip keys are not usable: %w", err)
	}
	config := memberlist.DefaultLANConfig()
	config.Name = c.nodeID
	config.Label = c.clusterID
	transport := newGossipTransport(c.mux, c.packets, c.advertise)
	config.Transport = transport
	config.Keyring = ring
	config.Delegate = gossipDelegate{store.Encode(c.self)}
	heard := &directory{alive: map[string]hint{}}
	config.Events = heard
	config.Logger = gossipLogger(c.logger, c.closed)
	config.ProbeInterval = c.probe
	config.ProbeTimeout = c.probe / 2
	config.GossipInterval = c.probe / 5
	config.RequireNodeNames = true
	config.EnableCompression = false // of messages of some hundred bytes, with tables of 20 KB for each
	config.TCPTimeout = 2 * time.Second
	config.DeadNodeReclaimTime = 5 * c.probe // a node that crashed may come back under another address
	list, err := memberlist.Create(config)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gossip cannot start: %w", err), transport.Shutdown())
	}
	return &gossip{list: list, directory: heard, members: c.mux.identity.members, nodeID: c.nodeID}, nil
}

// meet introduces this node to the members that it does not hear of.
func (g *gossip) meet(ctx context.Context) {
	heard := g.heard()
	for _, s := range g.members.servers() {
		if _, ok := heard[string(s.ID)]; ok || string(s.ID) == g.nodeID {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if address, err := resolve(ctx, string(s.Address)); err == nil {
			_, _ = g.list.Join([]string{string(s.ID) + "/" + address}) // tried again soon
		}
	}
}

// heard returns what the nodes that are alive say of themselves, by node id.
func (g *gossip) heard() map[string]hint {
	g.directory.mu.Lock()
	defer g.directory.mu.Unlock()
	return maps.Clone(g.directory.alive)
}

// directory implements memberlist.EventDelegate. It keeps copies: memberlist's own list is written
// to while it is read.
type directory struct {
	mu    sync.Mutex
	alive map[string]hint
}

// NotifyJoin implements memberlist.EventDelegate.
func (d *directory) NotifyJoin(node *memberlist.Node) {
	var h hint
	if store.Decode(node.Meta, &h) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alive[node.Name] = h
}

// NotifyUpdate implements memberlist.EventDelegate.
func (d *directory) NotifyUpdate(node *memberlist.Node) { d.NotifyJoin(node) }

// NotifyLeave implements memberlist.EventDelegate.
func (d *directory) NotifyLeave(node *memberlist.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.alive, node.Name)
}

// close says good-bye, which is no leave from the cluster, and stops.
func (g *gossip) close() {
	_ = g.list.Leave(time.Second)
	_ = g.list.Shutdown()
}

// gossipDelegate implements memberlist.Delegate: it has something to say and nothing to send.
type gossipDelegate struct{ meta []byte }

// NodeMeta implements memberlist.Delegate.
func (d gossipDelegate) NodeMeta(limit int) []byte {
	if len(d.meta) > limit {
		return nil
	}
	return d.meta
}

// NotifyMsg implements memberlist.Delegate.
func (gossipDelegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (gossipDelegate) GetBroadcasts(_, _ int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (gossipDelegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (gossipDelegate) MergeRemoteState([]byte, bool) {}

// gossipTransport implements memberlist.NodeAwareTransport: packets over UDP on the number of the
// cluster port, streams over the cluster port itself.
type gossipTransport struct {
	mux       *mux
	conn      *net.UDPConn
	advertise string
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	once      sync.Once
	done      chan struct{}
	running   sync.WaitGroup
}

func newGossipTransport(m *mux, conn *net.UDPConn, advertise string) *gossipTransport {
	t := &gossipTransport{
		mux: m, conn: conn, advertise: advertise,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), done: make(chan struct{}),
	}
	t.running.Go(t.readPackets)
	t.running.Go(t.readStreams)
	return t
}

func (t *gossipTransport) readPackets() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := t.conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) || isClosed(t.done) {
			return
		}
		if err != nil {
			// On some systems an earlier packet that nobody took comes back as an error here.
			if !waitFor(t.mux.ctx, 10*time.Millisecond) {
				return
			}
			continue
		}
		packet := &memberlist.Packet{Buf: append([]byte(nil), buffer[:n]...), From: from, Timestamp: time.Now()}
		select {
		case t.packets <- packet:
		case <-t.done:
			return
		}
	}
}

func (t *gossipTransport) readStreams() {
	q := t.mux.queues[protocolGossip]
	for {
		var conn net.Conn
		select {
		case conn = <-q.conns:
		case <-q.done:
			return
		case <-t.done:
			return
		}
		select {
		case t.streams <- conn:
		case <-t.done:
			_ = conn.Close()
			return
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport. memberlist wants numbers; it asks again
// whenever it speaks of this node, so that a name may move.
func (t *gossipTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	ctx, cancel := context.WithTimeout(t.mux.ctx, 2*time.Second)
	defer cancel()
	address, err := resolve(ctx, t.advertise)
	if err != nil {
		return nil, 0, err
	}
	udp, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, 0, err
	}
	return udp.IP, udp.Port, nil
}

// WriteTo implements memberlist.Transport.
func (t *gossipTransport) WriteTo(packet []byte, address string) (time.Time, error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.conn.WriteTo(packet, to)
	return time.Now(), err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *gossipTransport) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	return t.WriteTo(packet, to.Addr)
}

// PacketCh implements memberlist.Transport.
func (t *gossipTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// DialTimeout implements memberlist.Transport.
func (t *gossipTransport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *gossipTransport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.mux.ctx, timeout)
	defer cancel()
	conn, err := t.mux.dial(ctx, protocolGossip, to.Addr, to.Name)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// StreamCh implements memberlist.Transport.
func (t *gossipTransport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport. It ends what reads, and leaves the port open for another
// beginning.
func (t *gossipTransport) Shutdown() error {
	t.once.Do(func() {
		close(t.done)
		_ = t.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	})
	t.running.Wait()
	return t.conn.SetReadDeadline(time.Time{})
}

// resolve turns a host:port into the numbers that it has at this moment.
func resolve(ctx context.Context, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if net.ParseIP(host) != nil {
		return address, nil
	}
	if _, err := strconv.Atoi(port); err != nil {
		return "", fmt.Errorf("the port of %s is not a number", address)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(found[0].Unmap().String(), port), nil
}
