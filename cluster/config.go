package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
	"github.com/keystone-auth/keystone/secret"
)

// Peer is a node as the operator writes it down: a name and the host:port of its cluster port.
type Peer struct {
	Name    string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
}

// Config is what a node is started with. The zero values of Bind, Initial and Join make a lone node.
type Config struct {
	Name      string // unique in the cluster and kept for ever
	DataDir   string
	Bind      string // host:port to listen on; empty: loopback, any port
	Advertise string // host:port under which the others reach this node; a DNS name is resolved at every dial

	// Initial are all the members that a new cluster begins with, this node among them, the same on
	// each. Join are addresses of members of a cluster that exists. Both are ignored by a node that
	// has data.
	Initial  []Peer
	Join     []string
	NonVoter bool // only reads: it follows the log and never votes

	HTTPAddress string // told to the other nodes, for people
	Version     string

	Secret   secret.ClusterSecret
	Previous []secret.ClusterSecret // also trusted, while the secret is being changed

	FSM       *fsm.FSM
	Snapshots *fsm.Snapshots
	Logger    *slog.Logger
	// Fatal is told, once, why the node cannot be part of its cluster. The process is to end.
	Fatal func(error)

	Timings Timings
	// Dial makes connections to other nodes; nil: over TCP. Tests cut nodes off from each other here,
	// underneath the real TLS.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Clock is the clock of leases, which goes on while the machine sleeps; nil: the machine's. It has no
	// relation to the time of day, and only its rate has to be right.
	Clock func() time.Duration
	// MinFree is how many bytes must be free in DataDir before this node rather lets another one lead.
	MinFree uint64
	// StaleReads is how late an answer may be when nobody can be asked; 0: there is none then.
	StaleReads time.Duration
	// FenceWaited is told how long each command that takes something away waited until it was so
	// everywhere; nil: nobody is told.
	FenceWaited func(time.Duration)
	Now         func() iam.Time // the clock that commands carry; nil: the machine's
}

// Timings are the clocks of a node. Zero values stand for the defaults, which suit three nodes in
// one or several data centres of a region.
type Timings struct {
	Heartbeat         time.Duration // without one for so long a follower asks for votes
	Election          time.Duration
	LeaderLease       time.Duration // a leader that hears no majority for so long steps down
	Commit            time.Duration // how late a follower learns of a commit that is not announced to it
	SnapshotInterval  time.Duration
	SnapshotThreshold uint64
	TrailingLogs      uint64        // kept for followers that were away, before they need a whole snapshot
	Stabilisation     time.Duration // how long a newcomer must be healthy before it may vote
	Retry             time.Duration // between two attempts to form or to join
	GossipProbe       time.Duration
	Lease             time.Duration // see lease.Config
	LeaseMargin       float64       // as a part of one
}

func (t Timings) withDefaults() Timings {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Heartbeat, 500 * time.Millisecond},
		{&t.Election, 500 * time.Millisecond},
		{&t.LeaderLease, 250 * time.Millisecond},
		{&t.Commit, 50 * time.Millisecond},
		{&t.SnapshotInterval, time.Minute},
		{&t.Stabilisation, 10 * time.Second},
		{&t.Retry, 500 * time.Millisecond},
		{&t.GossipProbe, time.Second},
		{&t.Lease, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if t.LeaseMargin == 0 {
		t.LeaseMargin = 0.05
	}
	if t.SnapshotThreshold == 0 {
		t.SnapshotThreshold = 8192
	}
	if t.TrailingLogs == 0 {
		t.TrailingLogs = 100_000
	}
	return t
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// check refuses what cannot work, before anything is opened.
func (c *Config) check() error {
	switch {
	case !nameForm.MatchString(c.Name):
		return fmt.Errorf("the node name %q is not usable: give 1 to 63 letters, digits, dots, hyphens or underscores", c.Name)
	case c.DataDir == "":
		return errors.New("no data folder was given: a node must keep what it voted for")
	case c.FSM == nil || c.Snapshots == nil || c.Logger == nil || c.Fatal == nil:
		return errors.New("BUG: the cluster needs a state machine, its snapshots, a logger and Fatal")
	case c.Secret.IsZero():
		return errors.New("no cluster secret was given: every node of a cluster needs the same one")
	case c.NonVoter && len(c.Initial) > 0:
		return errors.New("a node of the initial list votes: start a non-voter with the address of a member to join instead")
	}
	for _, address := range c.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("the address %q to join is not host:port", address)
		}
	}
	if err := c.Timings.withDefaults().leases().Check(); err != nil {
		return err
	}
	if err := checkClock(); err != nil {
		return err
	}
	return c.checkInitial()
}

func (c *Config) checkInitial() error {
	if len(c.Initial) == 0 {
		return nil
	}
	names, addresses := map[string]bool{}, map[string]bool{}
	for _, p := range c.Initial {
		_, _, err := net.SplitHostPort(p.Address)
		switch {
		case !nameForm.MatchString(p.Name):
			return fmt.Errorf("the initial list holds the node name %q, which is not usable", p.Name)
		case err != nil:
			return fmt.Errorf("the initial list gives node %s the address %q, which is not host:port", p.Name, p.Address)
		case names[p.Name]:
			return fmt.Errorf("the initial list names %s twice: every node needs its own name", p.Name)
		case addresses[p.Address]:
			return fmt.Errorf("the initial list gives the address %s to two nodes", p.Address)
		}
		names[p.Name], addresses[p.Address] = true, true
	}
	if !names[c.Name] {
		return fmt.Errorf("this node is called %s and the initial list (%s) does not hold that name", c.Name, listText(c.Initial))
	}
	return nil
}

func (t Timings) leases() lease.Config { return lease.Config{Length: t.Lease, Margin: t.LeaseMargin} }

// withDefaults also brings the initial list into the one order in which all nodes look at it.
func (c Config) withDefaults() Config {
	c.Initial = slices.Clone(c.Initial)
	slices.SortFunc(c.Initial, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	for _, p := range c.Initial {
		if p.Name == c.Name && c.Advertise == "" {
			c.Advertise = p.Address
		}
	}
	if c.Bind == "" {
		c.Bind = "127.0.0.1:0"
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	if c.Clock == nil {
		c.Clock = bootTime
	}
	if c.FenceWaited == nil {
		c.FenceWaited = func(time.Duration) {}
	}
	if c.Now == nil {
		c.Now = iam.Now
	}
	c.Timings = c.Timings.withDefaults()
	return c
}

// advertised decides under which address the others are to reach this node.
func (c *Config) advertised(listening net.Addr) (string, error) {
	if c.Advertise != "" {
		if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
			return "", fmt.Errorf("the address %q to advertise is not host:port", c.Advertise)
		}
		return c.Advertise, nil
	}
	tcp, ok := listening.(*net.TCPAddr)
	if !ok || tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("the node listens on all addresses (%s): say under which one the others reach it", c.Bind)
	}
	return tcp.String(), nil
}

func listText(peers []Peer) string {
	parts := make([]string, len(peers))
	for i, p := range peers {
		parts[i] = p.Name + "=" + p.Address
	}
	return strings.Join(parts, ", ")
}

// waitFor sleeps unless ctx ends first, and tells whether it slept through.
func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
