package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

// Node is one member of a cluster, or on its way to become one.
type Node struct {
	config     Config
	self       *self
	members    *members
	mux        *mux
	client     *rpcClient
	rpc        *rpcServer
	proposer   *proposer
	leases     *leases
	readers    *readers
	leadership *leadership
	former     *former
	admission  *admission
	gate       *gate
	commits    *announcer
	clock      *clockCheck
	space      *spaceCheck
	log        raftLog
	disk       *disk
	packets    *net.UDPConn

	closed     chan struct{} // closed as soon as Close begins
	closeOnce  sync.Once
	closeErr   error
	ctx        context.Context // of everything in the background except raft
	cancel     context.CancelFunc
	running    sync.WaitGroup // live
	serving    sync.WaitGroup // the answers to other nodes
	raftEnded  chan struct{}  // closed when raft is down, or never ran
	leadEnded  chan struct{}  // closed when the last duty has ended
	failedOnce sync.Once
	failed     chan struct{} // closed after failure is set
	failure    error

	mu        sync.Mutex
	gossip    *gossip       // nil before this node is in a cluster
	transport raftTransport // set together with raft
}

// Start opens the data folder and the cluster port, and begins to form, join or continue a cluster
// in the background. An error is one sentence for the operator; nothing is left running then. What
// turns out later goes to Config.Fatal. ctx does not bound the node's life: Close ends it.
func Start(_ context.Context, c Config) (*Node, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	dir, err := openDataDir(c.DataDir, c.Name)
	if err != nil {
		return nil, err
	}
	log, err := openLog(dir.logFile())
	if err != nil {
		return nil, err
	}
	n, err := newNode(c, dir, log)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	n.running.Go(n.live)
	n.running.Go(func() { n.leases.run(n.ctx) })
	return n, nil
}

func newNode(c Config, dir *dataDir, log raftLog) (*Node, error) {
	used, err := log.used()
	if err != nil {
		return nil, fmt.Errorf("the log in %s cannot be read: %w", dir.path, err)
	}
	if err := dir.settle(used, c.FSM.Applied() > 0); err != nil {
		return nil, err
	}
	p := dir.now()
	m := &members{resuming: p.Joined}
	id, err := newIdentity(p.NodeID, p.ClusterID, p.Replaces, c.Secret, c.Previous, m)
	if err != nil {
		return nil, err
	}
	listener, packets, err := listen(c.Bind)
	if err != nil {
		return nil, err
	}
	advertise, err := c.advertised(listener.Addr())
	if err != nil {
		_, _ = listener.Close(), packets.Close()
		return nil, err
	}
	n := &Node{
		config: c, members: m, log: log, packets: packets,
		closed: make(chan struct{}), failed: make(chan struct{}),
		raftEnded: make(chan struct{}), leadEnded: make(chan struct{}),
	}
	n.disk = &disk{folder: dir.path, least: c.MinFree, logger: c.Logger, closed: n.closed, stuck: c.FSM.Stuck}
	n.disk.sweep()
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.self = &self{config: &n.config, advertise: advertise, nodeID: p.NodeID, dir: dir, identity: id, members: m}
	for _, s := range append([]secret.ClusterSecret{c.Secret}, c.Previous...) {
		n.self.secrets = append(n.self.secrets, s.Fingerprint())
	}
	n.mux = newMux(listener, id, c.Dial, c.Logger)
	n.wire()
	return n, nil
}

// wire makes the parts and lets them be asked.
func (n *Node) wire() {
	c, id := &n.config, n.self.nodeID
	n.client = newRPCClient(n.mux)
	n.leases = newLeases(c.Timings.leases(), id, n.members, n.client, c.FSM, c.Clock, c.Logger)
	fences := newFences(n.ctx, n.leases, c.FenceWaited)
	n.readers = newReaders(n.ctx, n.leases, c.StaleReads, n.barrier)
	survey := surveyor{n}
	votes := &promotion{
		members: n.members, survey: survey.ask, applied: c.FSM.Applied, closed: n.closed,
		stabilisation: c.Timings.Stabilisation, founder: n.isFounder, logger: c.Logger,
	}
	n.admission = &admission{members: n.members, client: n.client, closed: n.closed, alive: n.gossips, leases: n.leases, yield: n.yield, vote: votes, takeVote: n.self.takeVote, logger: c.Logger}
	n.gate = &gate{members: n.members, fsm: c.FSM, survey: survey.ask, program: c.Version, joining: &n.admission.mu, last: map[raft.ServerID]uint64{}}
	n.admission.gate = n.gate
	n.commits = newAnnouncer(n.members)
	n.proposer = newProposer(n.members, n.client, c.FSM, fences, n.gate, n.commits, c.Now, n.closed)
	n.former = &former{self: n.self, client: n.client, logger: c.Logger, open: n.open}
	n.leadership = &leadership{notify: make(chan bool, 16), setup: n.takeOver, yield: n.yield, logger: c.Logger}
	n.clock = &clockCheck{nodeID: id, members: n.members, survey: survey.ask, now: c.Now, state: c.FSM.Time, yield: n.yield, logger: c.Logger}
	n.space = &spaceCheck{disk: n.disk, nodeID: id, members: n.members, survey: survey.ask, yield: n.yield, logger: c.Logger}
	for _, duty := range []func(context.Context){n.clock.run, n.space.run, votes.run, n.commits.run} {
		n.leadership.add(duty)
	}

	hello, join := handle(n.self.introduce), handle(n.admission.admit)
	hello.open, join.open = true, true
	n.rpc = &rpcServer{identity: n.self.identity, ctx: n.ctx, logger: c.Logger, routes: map[string]route{
		"/hello":    hello,
		"/join":     join,
		"/remove":   handle(n.admission.remove),
		"/suffrage": handle(n.admission.suffrage),
		"/vote":     handle(n.self.takeVote),
		"/transfer": handle(n.handOn),
		"/apply":    handle(n.proposer.receive),
		"/confirm":  handle(n.proposer.receiveConfirm),
		"/lease":    handle(n.leases.receive),
		"/fence":    handle(fences.receive),
		"/read":     handle(n.readers.receive),
		"/status":   handle(survey.receive),
	}}
	n.serving.Go(func() {
		if err := n.rpc.serve(n.mux.queues[protocolRPC]); err != nil && !errors.Is(err, net.ErrClosed) {
			n.fail(fmt.Errorf("this node can no longer answer the others: %w", err))
		}
	})
	go func() {
		defer close(n.leadEnded)
		n.leadership.run(n.raftEnded)
	}()
}

// listen opens one port number for streams and for packets.
func listen(bind string) (net.Listener, *net.UDPConn, error) {
	var last error
	for range 20 {
		listener, err := net.Listen("tcp", bind)
		if err != nil {
			return nil, nil, fmt.Errorf("the cluster port cannot be opened, choose another address or stop what uses it: %w", err)
		}
		tcp := listener.Addr().(*net.TCPAddr)
		packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: tcp.IP, Port: tcp.Port, Zone: tcp.Zone})
		if err == nil {
			return listener, packets, nil
		}
		_ = listener.Close()
		last = err
		// Only a port that the system chose can be another one next time.
		if _, port, _ := net.SplitHostPort(bind); port != "0" {
			break
		}
	}
	return nil, nil, fmt.Errorf("the cluster port cannot be opened for UDP, choose another address or stop what uses it: %w", last)
}

// open starts raft and everything that needs a cluster id. The log holds something from then on,
// unless it is yet to be sent.
func (n *Node) open(founders []server) error {
	c := &n.config
	logger := raftLogger(c.Logger, n.closed)
	config := raftConfig(n.self.nodeID, c.Timings, n.leadership.notify)
	config.Logger = logger
	transport := newRaftTransport(n.mux, n.self.advertise, raftIOTimeout, n.disk.trouble, n.commits, logger)
	r, err := startRaft(config, c.FSM, carefulLog{n.log, n.disk, n.fail}, c.Snapshots, transport, founders)
	if err != nil {
		return errors.Join(err, transport.Close())
	}
	if len(founders) > 0 {
		err = n.self.dir.joined()
	}
	n.mu.Lock()
	n.transport = transport
	n.mu.Unlock()
	n.members.raft.Store(r)
	return err
}

// chat starts gossip as soon as this node's own name can be resolved, which in a container may take
// a while after the start. Without it the cluster works, and only knows less about its nodes.
func (n *Node) chat(ctx context.Context) *gossip {
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g != nil {
		return g
	}
	c := &n.config
	_, err := resolve(ctx, n.self.advertise)
	if err == nil {
		g, err = startGossip(gossipConfig{
			mux: n.mux, packets: n.packets, advertise: n.self.advertise,
			nodeID: n.self.nodeID, clusterID: n.self.identity.cluster(),
			self:   hint{Name: c.Name, HTTP: c.HTTPAddress, Version: c.Version, NonVoter: !n.self.wantsVote(), Address: n.self.advertise},
			secret: c.Secret, previous: c.Previous, probe: c.Timings.GossipProbe, closed: n.closed, logger: c.Logger,
		})
	}
	if err != nil {
		if !n.former.said.before("gossip") {
			c.Logger.Warn("this node cannot gossip yet", "advertise", n.self.advertise, "error", err)
		}
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gossip = g
	return g
}

// takeOver makes a node that was elected ready to lead: it applies everything that was committed before,
// after which it may give leases, compares its clock, and corrects its own address.
func (n *Node) takeOver(ctx context.Context) error {
	r := n.members.raft.Load()
	if r == nil {
		return errNotLeader
	}
	if err := n.leases.takeOver(ctx, n.barrier); err != nil {
		return err
	}
	if err := errors.Join(n.clock.check(ctx), n.space.check(ctx)); err != nil {
		return err
	}
	return n.settleOwnAddress(ctx)
}

// barrier returns when this node has applied everything that any leader has acknowledged.
func (n *Node) barrier(ctx context.Context) error {
	r := n.members.raft.Load()
	if r == nil {
		return errNotLeader
	}
	defer n.commits.committed()
	return await(ctx, n.closed, r.Barrier(0))
}

func (n *Node) isFounder(name string) bool {
	return slices.ContainsFunc(n.config.Initial, func(p Peer) bool { return p.Name == name })
}

// heard is what gossip knows of the nodes that are alive.
func (n *Node) heard() map[string]hint {
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g == nil {
		return nil
	}
	return g.heard()
}

func (n *Node) gossips(nodeID string) bool {
	_, ok := n.heard()[nodeID]
	return ok
}

// fail tells the operator, once, why this node cannot go on.
func (n *Node) fail(err error) {
	n.failedOnce.Do(func() {
		n.failure = err
		close(n.failed)
		go n.config.Fatal(err)
	})
}

// Lead has duty run whenever this node leads, after it has applied everything that was committed
// before. The context ends with the leadership, and the duty must return soon after.
func (n *Node) Lead(duty func(ctx context.Context)) { n.leadership.add(duty) }

// Propose implements fsm.Proposer on every node, whichever leads.
func (n *Node) Propose(ctx context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	if isClosed(n.closed) {
		return fsm.Result{}, iam.Unavailable(time.Second, "This node is stopping.")
	}
	return n.proposer.propose(ctx, origin, cmd)
}

// Status asks every member how it is.
func (n *Node) Status(ctx context.Context) Status { return surveyor{n}.status(ctx) }

// Role is "leader", "follower", "candidate" or "nonvoter", and "forming" before this node is a
// member.
func (n *Node) Role() string {
	r := n.members.raft.Load()
	own, member := n.members.byID(n.self.nodeID)
	switch {
	case r == nil || !member:
		return "forming"
	case r.State() == raft.Leader:
		return "leader"
	case own.Suffrage != raft.Voter:
		return "nonvoter"
	case r.State() == raft.Candidate:
		return "candidate"
	}
	return "follower"
}

// Leader is the name of the node that leads as far as this one knows, or "".
func (n *Node) Leader() string {
	leader, ok := n.members.leader()
	if !ok {
		return ""
	}
	return nameOf(leader.nodeID)
}

// Applied is the index of the last log entry that this node has applied.
func (n *Node) Applied() uint64 { return n.config.FSM.Applied() }

// Trouble is why this node cannot keep anything now, in one sentence for the operator, or nil.
func (n *Node) Trouble() error { return n.disk.trouble() }

// Address is the host:port under which the other nodes reach this one.
func (n *Node) Address() string { return n.self.advertise }

// Stats returns this node's figures, without asking anybody.
func (n *Node) Stats() Stats {
	s := Stats{
		Applied: n.Applied(), Peers: len(n.members.servers()), Leader: n.members.leads(),
		Forwards: len(n.proposer.forwards), Applies: len(n.proposer.applies),
	}
	s.DiskFree, _ = freeBytes(n.disk.folder)
	s.DiskFull = n.Trouble() != nil
	c := &n.leases.counts
	s.Fresh, s.LeasesLost, s.ClockJumps = n.Fresh(), c.lost.Load(), c.jumps.Load()
	s.ReadsAsked, s.ReadsRefused, s.ReadsStale = c.asked.Load(), c.refused.Load(), c.late.Load()
	if r := n.members.raft.Load(); r != nil {
		s.Term, s.LastIndex, s.CommitIndex = r.CurrentTerm(), r.LastIndex(), r.CommitIndex()
	}
	return s
}
