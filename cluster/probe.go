package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/keystone-auth/keystone/secret"
)

// ErrNoAnswer says that nobody answers at an address.
var ErrNoAnswer = errors.New("nobody answers there")

// Probe asks the node at the address for the members of its cluster, as somebody who has the cluster secret and
// is no node. There are none before it has a cluster. The error is [ErrNoAnswer], or why that node is not one of
// this secret's cluster.
func Probe(ctx context.Context, address string, s secret.ClusterSecret, previous ...secret.ClusterSecret) ([]Peer, error) {
	id, err := newIdentity(newNodeID("probe"), "", "", s, previous, &members{})
	if err != nil {
		return nil, err
	}
	m := newDialer(id, dialTCP, slog.New(slog.DiscardHandler))
	defer m.close()
	c := newRPCClient(m)
	defer c.forget(nil)
	var intro introduction
	err = c.call(ctx, target{address: address}, "/hello", greeting{}, &intro)
	switch {
	case errors.Is(err, errForeignSecret):
		return nil, errForeignSecret
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	var all []Peer
	for _, m := range intro.Members {
		all = append(all, Peer{Name: nameOf(m.ID), Address: m.Address})
	}
	return all, nil
}
