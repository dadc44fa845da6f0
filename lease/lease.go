package lease

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Stamp is a moment on the lease clock of one node. It means nothing to another node, which can only
// send it back.
type Stamp time.Duration

// Plus returns the moment that is so much later.
func (s Stamp) Plus(d time.Duration) Stamp { return s + Stamp(d) }

// Until returns how long it is from s to a later moment.
func (s Stamp) Until(later Stamp) time.Duration { return time.Duration(later - s) }

// Config is what all nodes of a cluster must agree on.
type Config struct {
	// Length is how long a lease lasts at most. A node that is cut off answers for so long, and a
	// revocation waits for so long where a node cannot be reached.
	Length time.Duration `cbor:"1,keyasint"`
	// Margin is by how much, as a part of one, the clocks of two nodes may differ in rate. The leader
	// counts each lease that it gives as longer by it.
	Margin float64 `cbor:"2,keyasint"`
}

// The bounds of Config.
const (
	Shortest    = 100 * time.Millisecond
	Longest     = 3 * time.Second
	LeastMargin = 0.01
	MostMargin  = 0.5
)

// Check refuses what would be unsafe or of no use.
func (c Config) Check() error {
	if c.Length < Shortest || c.Length > Longest {
		return fmt.Errorf("a lease of %s is not usable: give one from %s to %s", c.Length, Shortest, Longest)
	}
	if c.Margin < LeastMargin || c.Margin > MostMargin {
		return errors.New("the margin of leases must be from 1 to 50 percent: no two clocks run alike")
	}
	return nil
}

// Renewal is how often a lease is renewed: four may be lost before it ends.
func (c Config) Renewal() time.Duration { return c.Length / 5 }

// AtMost is how long a lease that is given now may last by the clock of who gives it.
func (c Config) AtMost(lasts time.Duration) time.Duration {
	return lasts + time.Duration(float64(lasts)*c.Margin)
}

// Request is what a node asks the leader for a lease with.
type Request struct {
	Term    uint64 `cbor:"1,keyasint"` // the node's, read after Echo
	Sent    Stamp  `cbor:"2,keyasint"` // by the node's clock
	Echo    Stamp  `cbor:"3,keyasint"` // the newest Stamp that the leader of this term has sent it; 0: none
	Applied uint64 `cbor:"4,keyasint"` // every answer of the node reflects the log up to here
}

// Reply is the leader's.
type Reply struct {
	Term     uint64        `cbor:"1,keyasint"`
	Sent     Stamp         `cbor:"2,keyasint"` // as in the Request
	Stamp    Stamp         `cbor:"3,keyasint"` // by the leader's clock
	Lasts    time.Duration `cbor:"4,keyasint"` // from Sent on; 0: there is no lease now
	Required uint64        `cbor:"5,keyasint"` // the lease counts once the node has applied the log up to here
}

// Lease is what one node holds, whether it leads or not. The zero Lease is none. It is safe for
// concurrent use, and Valid is made for the hot path.
type Lease struct {
	held atomic.Pointer[terms] // nil: none

	mu      sync.Mutex
	term    uint64 // of held and of echo; it never falls
	echo    Stamp
	trusted Stamp // no lease counts from before; see Drop
}

// terms are what makes a lease valid. They are replaced and never changed.
type terms struct {
	term     uint64
	until    Stamp
	required uint64
}

// Valid tells whether the node may answer from its own state. The state must be read after this: in
// the other order an old state could be paired with a lease that was renewed since.
func (l *Lease) Valid(now Stamp, term, applied uint64) bool {
	t := l.held.Load()
	return t != nil && t.term == term && now < t.until && applied >= t.required
}

// Ask makes the request for a renewal. The term is read after the echo is taken: the other way round
// the leader could take an old node's word for a vote that it has given to another since.
func (l *Lease) Ask(now Stamp, term func() uint64, applied uint64) Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	echo, of := l.echo, l.term
	r := Request{Term: term(), Sent: now, Applied: applied}
	if r.Term == of {
		r.Echo = echo
	}
	return r
}

// Take follows the leader's reply. It tells whether the node holds a lease by it. The lease counts from
// when the node asked, by its own clock: a reply that was long under way must not make it longer.
func (l *Lease) Take(term uint64, r Reply) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Term != term || !l.enter(term) {
		return false
	}
	l.echo = max(l.echo, r.Stamp)
	if r.Lasts <= 0 || r.Sent < l.trusted {
		return false
	}
	l.extend(r.Sent.Plus(r.Lasts), r.Required)
	return true
}

// Require keeps the node from answering before it has applied the log up to index, as long as this
// term lasts. It tells whether that holds: not when the node is in another term.
func (l *Lease) Require(term, of, index uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of != term || !l.enter(term) {
		return false
	}
	l.extend(0, index)
	return true
}

// Hold makes the leader's own lease, which it has of its voters.
func (l *Lease) Hold(term uint64, until Stamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.enter(term) {
		l.extend(until, 0)
	}
}

// Drop ends the lease at once, when the clock by which it was counted cannot be trusted. Nothing that was
// asked for before counts, for its reply may have been under way while the clock stood still. What was
// promised to a fence stays: the leader waits no longer for a node that has promised.
func (l *Lease) Drop(now Stamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trusted = now
	next := terms{term: l.term}
	if t := l.held.Load(); t != nil {
		next.required = t.required
	}
	l.held.Store(&next)
}

// enter forgets everything of an earlier term. It returns false for a term that is over: whoever read it
// was overtaken, and must not undo what a fence of the present one was promised.
func (l *Lease) enter(term uint64) bool {
	if term > l.term {
		l.term, l.echo = term, 0
		l.held.Store(&terms{term: term})
	}
	return term == l.term
}

func (l *Lease) extend(until Stamp, required uint64) {
	next := terms{term: l.term, until: until, required: required}
	if t := l.held.Load(); t != nil {
		next.until, next.required = max(t.until, until), max(t.required, required)
	}
	l.held.Store(&next)
}
