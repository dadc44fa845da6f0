package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/lease"
)

const (
	renewalPause = 20 * time.Millisecond // between two requests of a node that has no lease
	mostRenewals = 3                     // under way: one that is lost must not keep the next one back
	mostJump     = 250 * time.Millisecond
)

// leases is this node's part in the leases of the cluster: it asks for its own while another node leads,
// and gives them while it leads itself. The rules are those of package lease; this type brings them
// terms, messages and the time.
type leases struct {
	config  lease.Config
	nodeID  string
	members *members
	client  *rpcClient
	fsm     *fsm.FSM
	clock   func() time.Duration
	logger  *slog.Logger

	own    lease.Lease
	grants *lease.Grants
	fences *fences

	mu        sync.Mutex
	committed []lease.Member // of the last configuration that was seen committed

	known    atomic.Int64 // the last moment at which this node's state was known to be the latest; 0: never
	wake     chan struct{}
	renewals chan struct{}
	counts   leaseCounts
	said     repetition
}

type leaseCounts struct {
	lost, jumps, asked, late, refused atomic.Uint64
}

func newLeases(c lease.Config, nodeID string, m *members, client *rpcClient, machine *fsm.FSM, clock func() time.Duration, logger *slog.Logger) *leases {
	return &leases{
		config: c, nodeID: nodeID, members: m, client: client, fsm: machine, clock: clock, logger: logger,
		grants: lease.NewGrants(c, nodeID), wake: make(chan struct{}, 1), renewals: make(chan struct{}, mostRenewals),
	}
}

func (l *leases) now() lease.Stamp { return lease.Stamp(l.clock()) }

// term is raft's, which never falls.
func (l *leases) term() uint64 {
	if r := l.members.raft.Load(); r != nil {
		return r.CurrentTerm()
	}
	return 0
}

// valid tells whether this node may answer from its own state, which is to be read after this. It
// returns the index up to which that state at least reflects the log.
func (l *leases) valid() (applied uint64, ok bool) {
	applied = l.fsm.Applied()
	return applied, l.own.Valid(l.now(), l.term(), applied)
}

// run renews this node's lease for ever, or makes it from what the others sent back while it leads.
func (l *leases) run(ctx context.Context) {
	watch := newJumpWatch(l.clock)
	held := false
	for ctx.Err() == nil {
		if jump := watch.jump(); jump > mostJump || jump < -mostJump {
			// A machine whose clock stood still while time went on would take a lease that is over for good.
			l.own.Drop(l.now())
			l.grants.Distrust(l.now())
			l.known.Store(0)
			l.counts.jumps.Add(1)
			l.logger.Warn("this machine's clocks have moved apart, and its lease is dropped", "by", jump.Round(time.Millisecond))
		}
		if !l.lead() {
			l.renew(ctx)
		}
		_, holds := l.valid()
		if held && !holds {
			l.counts.lost.Add(1)
		}
		held = holds
		pause := renewalPause
		if holds {
			pause = l.config.Renewal()
		}
		l.sleep(ctx, pause)
	}
}

// sleep ends early when somebody misses the lease.
func (l *leases) sleep(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
		waitFor(ctx, time.Millisecond) // many may miss it in a loop
	case <-ctx.Done():
	}
}

// miss has the lease renewed at once.
func (l *leases) miss() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// renew asks the leader, if one is known, and does not wait for the answer.
func (l *leases) renew(ctx context.Context) {
	leader, known := l.members.leader()
	if !known || leader.nodeID == l.nodeID || !admit(l.renewals) {
		return
	}
	request := l.own.Ask(l.now(), l.term, l.fsm.Applied())
	go func() {
		defer func() { <-l.renewals }()
		ctx, cancel := context.WithTimeout(ctx, l.config.Length)
		defer cancel()
		var reply lease.Reply
		err := l.client.call(ctx, leader, "/lease", leaseRequest{request, l.config}, &reply)
		if err != nil && !errors.Is(err, errNotLeader) && ctx.Err() == nil && !l.said.before("refused") {
			l.logger.Warn("this node was given no lease", "error", err)
		}
		if err != nil || reply.Sent != request.Sent {
			return
		}
		if !l.own.Take(l.term(), reply) {
			if request.Echo == 0 {
				l.miss() // the leader's stamp is here now, which it wants to see again
			}
			return
		}
		if l.fsm.WaitApplied(ctx, reply.Required) == nil {
			l.learn(reply.Sent)
		}
	}()
}

// learn notes that this node's state was the latest at that moment.
func (l *leases) learn(at lease.Stamp) {
	for {
		old := l.known.Load()
		if int64(at) <= old || l.known.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// lead makes the leader's own lease, and tells whether this node has one.
func (l *leases) lead() bool {
	term := l.term()
	now := l.now()
	until, ok := l.grants.Own(term, now, l.voters())
	if ok {
		l.own.Hold(term, until)
		l.learn(now)
	}
	return ok
}

// leaseRequest also says by which rules the node counts. A node of other rules gets no lease, and its word
// gives the leader none: a leader with shorter leases would not wait for longer ones to end.
type leaseRequest struct {
	Lease lease.Request `cbor:"1,keyasint"`
	Rules lease.Config  `cbor:"2,keyasint"`
}

// receive is the leader's side of renew.
func (l *leases) receive(_ context.Context, from caller, asked leaseRequest) (lease.Reply, error) {
	if asked.Rules != l.config {
		return lease.Reply{}, fmt.Errorf("node %s counts leases as %+v and the leader as %+v: give all nodes the same KEYSTONE_LEASE and KEYSTONE_LEASE_MARGIN",
			nameOf(from.nodeID), asked.Rules, l.config)
	}
	request, term := asked.Lease, l.term()
	if request.Term != term || !l.members.leads() || !l.admitted(from.nodeID) {
		return lease.Reply{}, errNotLeader
	}
	reply, ok := l.grants.Renew(l.now(), from.nodeID, request, l.fsm.Applied(), l.voters())
	if !ok {
		return lease.Reply{}, errNotLeader
	}
	l.lead()
	l.fences.heard()
	return reply, nil
}

// voters are the members as raft counts its majorities, committed or not.
func (l *leases) voters() []lease.Member {
	latest, _ := l.look()
	return latest
}

// everybody is whom a confirmation waits for: the members of the configuration that is committed and of
// the one that may be soon.
func (l *leases) everybody() []lease.Member {
	latest, committed := l.look()
	for _, m := range committed {
		if !hasMember(latest, m.ID) {
			latest = append(latest, m)
		}
	}
	return latest
}

// admitted tells whether the node is a member of the configuration that is committed. One that an
// election could undo must give nobody a lease: the next leader would not know of it.
func (l *leases) admitted(nodeID string) bool {
	_, committed := l.look()
	return hasMember(committed, nodeID)
}

func (l *leases) look() (latest, committed []lease.Member) {
	r := l.members.raft.Load()
	if r == nil {
		return nil, nil
	}
	future := r.GetConfiguration()
	if future.Error() != nil {
		return nil, nil
	}
	for _, s := range future.Configuration().Servers {
		latest = append(latest, lease.Member{ID: string(s.ID), Voter: s.Suffrage == raft.Voter})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fsm.Applied() >= future.Index() { // entries of the configuration are applied like others
		l.committed = latest
	}
	return latest, l.committed
}

func hasMember(all []lease.Member, id string) bool {
	for _, m := range all {
		if m.ID == id {
			return true
		}
	}
	return false
}

// takeOver makes this node ready to give leases and to confirm, once barrier says that it has applied
// everything that was committed before its term.
func (l *leases) takeOver(ctx context.Context, barrier func(context.Context) error) error {
	term := l.term()
	l.grants.Lead(term, l.now())
	if err := barrier(ctx); err != nil {
		return err
	}
	l.look() // so that the members of the committed configuration are known
	if l.term() != term {
		return errNotLeader
	}
	l.grants.Ready(term)
	l.lead()
	l.miss()
	return nil
}

// drain returns when a node that is to leave the cluster holds no lease and gets none any more: nobody
// waits for a node that is no member.
func (l *leases) drain(ctx context.Context, nodeID string) error {
	until, ok := l.grants.Bar(l.term(), nodeID)
	if !ok || !waitFor(ctx, l.now().Until(until)) {
		return errNotLeader
	}
	return nil
}

// jumpWatch compares the clock of leases with the time of day. A machine that was frozen as a whole, as
// hypervisors do, finds its time of day corrected afterwards and the other clock not.
type jumpWatch struct {
	clock  func() time.Duration
	offset time.Duration
}

func newJumpWatch(clock func() time.Duration) *jumpWatch {
	w := &jumpWatch{clock: clock}
	w.jump()
	return w
}

// jump is by how much the two have moved apart since the last call.
func (w *jumpWatch) jump() time.Duration {
	offset := time.Duration(time.Now().UnixNano()) - w.clock()
	jump := offset - w.offset
	w.offset = offset
	return jump
}
