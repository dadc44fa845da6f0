package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// refresh compares refreshes over all nodes with what raft alone can take, three nodes in one process, with
// the same log on disk, the same settings and entries of the same size.
func refresh(ctx context.Context, l *lab) ([]float64, string, error) {
	size, err := rotationSize()
	if err != nil {
		return nil, "", err
	}
	ratios, a, b, err := l.pairs(ctx,
		func(ctx context.Context) (float64, error) {
			return throughput(ctx, l.cluster(len(l.nodes)), "refresh", "refresh", l.plan())
		},
		func(ctx context.Context) (float64, error) { return l.rawRaft(ctx, size) })
	return ratios, fmt.Sprintf("%.0f of %.0f a second, entries of %d bytes", a.Median, b.Median, size), err
}

// rotationSize is the length of the log entry of a refresh.
func rotationSize() (int, error) {
	digest, next := make([]byte, 32), []byte("another digest of 32 bytes, as is")
	entry, err := fsm.Encode(fsm.Origin{RequestID: iam.NewID(), IP: "127.0.0.1", Trace: iam.NewID().String()}, iam.Now(), &fsm.RotateSession{
		ID: iam.NewID(), Family: digest, Presented: digest, Next: next[:32], Replay: make([]byte, 140), TokenID: iam.NewID().String(), ExpiresAt: iam.Now(),
	})
	return len(entry), err
}

// idle is a state machine that does nothing.
type idle struct{}

func (idle) Apply(*raft.Log) any                  { return nil }
func (idle) ApplyBatch(entries []*raft.Log) []any { return make([]any, len(entries)) }
func (idle) Snapshot() (raft.FSMSnapshot, error)  { return nil, errors.New("there is nothing to keep") }
func (idle) Restore(source io.ReadCloser) error   { return source.Close() }

// rawRaft is how many entries a second three nodes in this process take from as many callers as there are
// connections.
func (l *lab) rawRaft(ctx context.Context, size int) (perSecond float64, err error) {
	folder, err := os.MkdirTemp(l.folder, "raft-")
	if err != nil {
		return 0, err
	}
	nodes, err := startIdle(folder)
	defer func() {
		for _, n := range nodes {
			err = errors.Join(err, n.Close())
		}
		err = errors.Join(err, os.RemoveAll(folder))
	}()
	if err != nil {
		return 0, err
	}
	leader, err := leaderOf(ctx, nodes)
	if err != nil {
		return 0, err
	}
	if _, err := applyAll(leader, size, l.options.Connections, l.plan().Warmup); err != nil {
		return 0, err
	}
	return applyAll(leader, size, l.options.Connections, l.plan().Duration)
}

func applyAll(leader *cluster.Bare, size, callers int, duration time.Duration) (float64, error) {
	var count atomic.Int64
	var failure atomic.Pointer[error]
	var all sync.WaitGroup
	start := time.Now()
	for range callers {
		all.Go(func() {
			entry := make([]byte, size)
			for time.Since(start) < duration && failure.Load() == nil {
				if err := leader.Apply(entry, time.Second).Error(); err != nil {
					failure.Store(&err)
					return
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return float64(count.Load()) / time.Since(start).Seconds(), nil
}

// startIdle starts three members, whose transports are closed with them.
func startIdle(folder string) (nodes []*cluster.Bare, err error) {
	var transports []*raft.NetworkTransport
	var servers []raft.ServerAddress
	for range 3 {
		t, err := raft.NewTCPTransport("127.0.0.1:0", nil, 3, 10*time.Second, io.Discard)
		if err != nil {
			return nil, err
		}
		transports, servers = append(transports, t), append(servers, t.LocalAddr())
	}
	for i, t := range transports {
		n, err := cluster.StartBare(filepath.Join(folder, fmt.Sprintf("raft-%d.db", i)), idle{}, t, servers)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func leaderOf(ctx context.Context, nodes []*cluster.Bare) (*cluster.Bare, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for ctx.Err() == nil {
		for _, n := range nodes {
			if n.State() == raft.Leader {
				return n, nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("raft elected no leader")
}
