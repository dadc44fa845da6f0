package login

import (
	"sync"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// Lockout keeps guessers out: after so many failures in a row the account is locked for a while.
// Zero attempts mean that nothing is ever locked.
type Lockout struct {
	Attempts int
	For      time.Duration
}

// maxCounted bounds the memory of failure counts; it takes that many accounts under attack at once
// to reach it.
const maxCounted = 100_000

// failures counts wrong passwords by user on this node. The lock itself goes through the log and
// holds on all nodes. The zero value is ready.
type failures struct {
	mu     sync.Mutex
	counts map[iam.ID]count
}

type count struct {
	failed int
	last   iam.Time
}

// add counts one failure and tells whether the account must be locked now. Failures further apart
// than a lock is long do not add up.
func (f *failures) add(user iam.ID, l Lockout, now iam.Time) bool {
	if l.Attempts == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[iam.ID]count{}
	}
	c := f.counts[user]
	if now.Sub(c.last) > l.For {
		c.failed = 0
	}
	c.failed++
	c.last = now
	if len(f.counts) >= maxCounted {
		f.drop(now.Add(-l.For))
	}
	f.counts[user] = c
	return c.failed >= l.Attempts
}

// drop forgets what is too old to count; if that frees nothing, any: a lock that comes late is
// better than a node without memory.
func (f *failures) drop(before iam.Time) {
	for id, c := range f.counts {
		if c.last < before {
			delete(f.counts, id)
		}
	}
	for id := range f.counts {
		if len(f.counts) < maxCounted {
			return
		}
		delete(f.counts, id)
	}
}

func (f *failures) forget(user iam.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.counts, user)
}
