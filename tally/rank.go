package tally

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// rank orders the nodes for a caller by rendezvous hashing: every node comes to the same order, each
// is the first for its part of the callers, and one that comes or goes changes the order of no others.
func rank(caller string, nodes []string) []string {
	type place struct {
		node  string
		score [sha256.Size]byte
	}
	places := make([]place, len(nodes))
	for i, node := range nodes {
		// A zero byte between them, so that no two pairs read alike.
		places[i] = place{node, sha256.Sum256([]byte(node + "\x00" + caller))}
	}
	slices.SortFunc(places, func(a, b place) int { return bytes.Compare(a.score[:], b.score[:]) })
	order := make([]string, len(nodes))
	for i, p := range places {
		order[i] = p.node
	}
	return order
}
