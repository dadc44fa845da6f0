package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	closeTimeout    = 10 * time.Second // for each step of Close that waits for somebody else
	removedFor      = 3 * time.Second  // how long a node must find itself left out before it believes it
	strangerTimeout = time.Second
)

// live is a node's life between Start and Close.
func (n *Node) live() {
	var err error
	if n.self.dir.now().Joined {
		err = n.resume(n.ctx)
	} else {
		err = n.former.run(n.ctx)
	}
	if n.ctx.Err() != nil {
		return
	}
	if err != nil {
		n.fail(err)
		return
	}
	n.watch(n.ctx)
}

// resume continues with the data that this node has. Initial and Join have no say then, but if they
// lead to another cluster and nowhere to this node's own, the operator has mixed up two data folders,
// and is told. One address of several with a stranger behind it is that stranger's fault: it must not
// be able to keep the members from starting.
func (n *Node) resume(ctx context.Context) error {
	if err := n.strangers(ctx); err != nil {
		return err
	}
	return n.open(nil)
}

func (n *Node) strangers(ctx context.Context) error {
	strange, own := 0, 0
	var sentence error
	answers := n.greetSeeds(ctx)
	for _, a := range answers {
		if a.err == nil {
			own++
			continue
		}
		err := n.stranger(a.address, a.err)
		if errors.Is(err, errReplaced) {
			return err
		}
		if err != nil {
			strange++
			sentence = err
			n.config.Logger.Warn("a node that does not belong to this cluster answers", "error", err)
		}
	}
	if own == 0 && 2*strange > len(answers) {
		return sentence
	}
	return nil
}

// errReplaced begins the sentence for a node that was left behind when its cluster was recovered. With its data it would
// be a second cluster with another history.
var errReplaced = errors.New("the cluster of this node was recovered without it, as cluster")

// stranger makes a sentence of err if it says that somebody else's node answered.
func (n *Node) stranger(address string, err error) error {
	if errors.Is(err, errForeignSecret) {
		return fmt.Errorf("the node at %s was given another cluster secret than this one, whose data is in %s: use the right secret, data folder or addresses, nothing was changed", address, n.config.DataDir)
	}
	var other *otherClusterError
	if !errors.As(err, &other) {
		return nil
	}
	if other.replaces {
		return fmt.Errorf("%w %s at %s: to take this node in again empty its data folder %s and start it with --join %s", errReplaced, other.theirs, address, n.config.DataDir, address)
	}
	return fmt.Errorf("the data in %s belongs to cluster %s, and the node at %s to cluster %s: use the right data folder or the right addresses, nothing was changed",
		n.config.DataDir, n.self.identity.cluster(), address, other.theirs)
}

// watch looks after what changes by itself while the node is a member.
func (n *Node) watch(ctx context.Context) {
	pause := n.config.Timings.Retry
	var outSince time.Time // since when this node has found itself left out
	for ctx.Err() == nil {
		n.mux.expel()
		n.client.forget(n.targets())
		if g := n.chat(ctx); g != nil {
			g.meet(ctx)
		}
		out, err := n.place(ctx)
		if err != nil {
			n.fail(err)
			return
		}
		switch {
		case !out:
			outSince = time.Time{}
		case outSince.IsZero():
			outSince = time.Now()
		case time.Since(outSince) > removedFor:
			n.fail(fmt.Errorf("this node, %s, was removed from the cluster: to take it in again empty its data folder %s and start it", n.config.Name, n.config.DataDir))
			return
		}
		waitFor(ctx, pause)
	}
}

func (n *Node) targets() []target {
	var out []target
	for _, s := range n.members.servers() {
		for _, address := range []string{string(s.Address), n.members.whereIs(string(s.ID), string(s.Address))} {
			out = append(out, target{address, string(s.ID)}, target{address: address})
		}
	}
	return out
}

// place checks where this node stands in the cluster: it remembers having joined, tells the leader a
// new address, and finds out whether it was left out.
func (n *Node) place(ctx context.Context) (out bool, err error) {
	own, member := n.members.byID(n.self.nodeID)
	_, led := n.members.leader()
	moved := member && string(own.Address) != n.self.advertise
	if moved || member && !led {
		n.greetSeeds(ctx)
	}
	switch {
	case n.members.empty():
		// Taken in once, and not sent the log yet: or whoever took it in was deposed at that moment.
		_, _ = n.former.askToJoin(ctx)
		return false, nil
	case !member:
		return true, nil
	case moved && n.members.leads():
		_ = n.settleOwnAddress(ctx) // tried again soon
		return false, nil
	case moved:
		// The leader still sends to the old address, so this node may hear of none. Tried again soon.
		_, _ = n.former.askToJoin(ctx)
	case !led:
		return n.leftOut(ctx)
	}
	return false, n.self.dir.joined()
}

// leftOut asks the members about this node when it hears from no leader: nobody sends to a node that
// was removed, so it would never know.
func (n *Node) leftOut(ctx context.Context) (out bool, err error) {
	for _, s := range n.members.servers() {
		if string(s.ID) == n.self.nodeID {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
		intro, err := n.former.greet(ctx, string(s.Address))
		cancel()
		strange := n.stranger(string(s.Address), err)
		if errors.Is(strange, errReplaced) {
			return false, strange
		}
		if strange != nil && !n.former.said.before("stranger") {
			n.config.Logger.Warn("a node that does not belong to this cluster answers in a member's place", "error", strange)
		}
		if err == nil && intro.ClusterID != "" && intro.Leader != "" {
			if intro.Member {
				return false, nil
			}
			out = true
		}
	}
	return out, nil
}

// WaitReady returns when a leader is known and this node has applied what was committed at that
// time, or with what ended the waiting.
func (n *Node) WaitReady(ctx context.Context) error {
	for {
		if n.caughtUp(ctx) {
			return nil
		}
		select {
		case <-n.failed:
			return n.failure
		case <-n.closed:
			return errors.New("this node was stopped before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("this node (%s) is not ready: it has no leader, or has not caught up with it: %w", n.Role(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// caughtUp asks the leader how far it is. A leader that has set itself up has applied all that was
// committed before.
func (n *Node) caughtUp(ctx context.Context) bool {
	if err := n.clock.behind(); err != nil {
		if !n.former.said.before("clock") {
			n.config.Logger.Error("this node does not serve", "error", err)
		}
		return false
	}
	leader, known := n.members.leader()
	if !known {
		return false
	}
	r, err := surveyor{n}.ask(ctx, raft.Server{ID: raft.ServerID(leader.nodeID), Address: raft.ServerAddress(leader.address)})
	if err != nil || !r.Ready {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	return n.config.FSM.WaitApplied(ctx, r.Applied) == nil && n.Role() != "forming"
}

// Close hands the leadership on and stops the node. The data stays, and so does the membership: a
// node that is stopped is expected back. The state machine and its store are the caller's to close.
func (n *Node) Close(ctx context.Context) error {
	n.closeOnce.Do(func() { n.closeErr = n.close(ctx) })
	return n.closeErr
}

func (n *Node) close(ctx context.Context) error {
	close(n.closed) // no proposals from here on
	r := n.members.raft.Load()
	if r != nil && r.State() == raft.Leader && n.otherVoters() { // that StepDown did not reach, or to which it came back
		_ = bounded(ctx, func() { _ = r.LeadershipTransfer().Error() })
	}
	n.cancel()
	if err := bounded(ctx, n.running.Wait); err != nil {
		return fmt.Errorf("the node's work did not end: %w", err)
	}
	n.mu.Lock()
	g, transport := n.gossip, n.transport
	n.mu.Unlock()
	if g != nil {
		g.close()
	}
	_ = n.packets.Close()
	n.config.FSM.Stop() // raft would wait for one that waits for a full disk
	n.mux.close()       // first, so that raft waits for no answer of a node that gives none
	if r = n.members.raft.Load(); r != nil {
		// The future also closes the transport.
		if err := bounded(ctx, func() { _ = r.Shutdown().Error(); _ = transport.Close() }); err != nil {
			return fmt.Errorf("raft did not stop: %w", err)
		}
	}
	close(n.raftEnded)
	n.client.forget(nil)
	if err := bounded(ctx, func() { <-n.leadEnded; n.serving.Wait() }); err != nil {
		return fmt.Errorf("what the leader was doing did not end: %w", err)
	}
	if err := n.log.Close(); err != nil {
		return fmt.Errorf("the log was not closed: %w", err)
	}
	return nil
}

// bounded waits for fn, but not for ever: whoever stops a node must not be kept by another one.
func bounded(ctx context.Context, fn func()) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
