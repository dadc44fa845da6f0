package cluster

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/secret"
)

// FirstLogIndex tells tests how far the log was cut.
func (n *Node) FirstLogIndex(t *testing.T) uint64 {
	t.Helper()
	first, err := n.log.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// BootTime is the clock of leases.
func BootTime() time.Duration { return bootTime() }

// MostPending is how many callers may wait for a change on one node.
const MostPending = mostPending

// Receive gives the node an entry as another member would that takes it for the leader.
func (n *Node) Receive(ctx context.Context, entry []byte) error {
	_, err := n.proposer.receive(ctx, caller{nodeID: n.self.nodeID}, applyRequest{entry})
	return err
}

// ProposeEntry carries an entry that was put together by hand.
func (n *Node) ProposeEntry(ctx context.Context, data []byte, needs uint64) error {
	_, err := n.proposer.carry(ctx, entry{data, needs})
	return err
}

// Stranger is somebody who holds a secret and makes certificates of his own.
type Stranger struct {
	mux    *mux
	client *rpcClient
}

// NewStranger makes one who claims to be that node.
func NewStranger(t *testing.T, s secret.ClusterSecret, clusterID, nodeID string) *Stranger {
	t.Helper()
	id, err := newIdentity(nodeID, clusterID, "", s, nil, &members{})
	if err != nil {
		t.Fatal(err)
	}
	m := &mux{identity: id, dialRaw: dialTCP, ctx: t.Context(), open: map[*peerConn]struct{}{}}
	return &Stranger{m, newRPCClient(m)}
}

// Dial returns a connection on which the other end has accepted the handshake, as far as this end
// can know.
func (s *Stranger) Dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	return s.mux.dial(ctx, protocol, address, "")
}

// Call asks a node for something.
func (s *Stranger) Call(ctx context.Context, address, path string, request, reply any) error {
	return s.client.call(ctx, target{address: address}, path, request, reply)
}

// WriteBroken writes to a log whose file is gone from under it, in every way that raft does, and returns
// what each came to.
func WriteBroken(t *testing.T, fatal func(error)) map[string]error {
	t.Helper()
	dir := t.TempDir()
	log, err := openLog(filepath.Join(dir, "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	d := &disk{folder: dir, logger: slog.New(slog.DiscardHandler), closed: make(chan struct{}), stuck: func() bool { return false }}
	l := carefulLog{log, d, fatal}
	return map[string]error{
		"an entry": l.StoreLog(&raft.Log{Index: 1}), "a vote": l.Set([]byte("vote"), []byte("x")),
		"a term": l.SetUint64([]byte("term"), 1), "a deletion": l.DeleteRange(1, 1),
	}
}
