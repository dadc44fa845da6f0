package tally

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// keeper is what this node itself has counted, for whoever asks.
type keeper struct {
	windows *limit.Limiter // nil: there are no limits
	streaks limit.Streaks
	now     func() iam.Time

	// One question about a caller at a time: one that is refused by its second limit must not, for the
	// moment in which the first has admitted it, keep another one out.
	locks [64]sync.Mutex
	seed  maphash.Seed
}

func (k *keeper) answer(a Ask) Reply {
	lock := &k.locks[maphash.String(k.seed, a.Caller)%uint64(len(k.locks))]
	lock.Lock()
	defer lock.Unlock()
	switch a.Kind {
	case kindAdmit:
		return k.admit(a)
	case kindTakeBack:
		k.takeBack(a)
	case kindStrike:
		return Reply{Count: k.streaks.Add(a.Caller, a.Gap, k.now())}
	case kindForget:
		k.streaks.Forget(a.Caller)
	}
	return Reply{}
}

// admit counts a request under all the limits or under none.
func (k *keeper) admit(a Ask) Reply {
	now := k.now()
	if k.windows == nil {
		return Reply{Allowed: true, At: make([]iam.Time, len(a.Rules))}
	}
	reply := Reply{Allowed: true, Remaining: limit.MaxCount, At: make([]iam.Time, len(a.Rules))}
	for i, r := range a.Rules {
		d := k.windows.Admit(a.Caller, r.limit(), now)
		reply.At[i] = d.At
		switch {
		case !d.Allowed && (reply.Allowed || d.RetryAfter > reply.Retry):
			reply.Allowed, reply.Rule, reply.Remaining = false, i, 0
			reply.Retry, reply.Reset = d.RetryAfter, until(now, d.ResetAt)
		case reply.Allowed && d.Remaining < reply.Remaining:
			reply.Rule, reply.Remaining, reply.Reset = i, d.Remaining, until(now, d.ResetAt)
		}
	}
	if !reply.Allowed {
		a.At = reply.At
		k.takeBack(a)
	}
	return reply
}

func until(now, at iam.Time) time.Duration { return max(0, at.Sub(now)) }

// takeBack passes over what was refused, which has no time.
func (k *keeper) takeBack(a Ask) {
	if k.windows == nil {
		return
	}
	for i, r := range a.Rules {
		if a.At[i] != 0 {
			k.windows.TakeBack(a.Caller, r.limit(), a.At[i])
		}
	}
}
