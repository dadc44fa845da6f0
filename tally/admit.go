package tally

import (
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// Admission is what all nodes together say to one request.
type Admission struct {
	limit.Decision
	Rule limit.Limit // the one that decided

	caller     string
	rules      []Rule
	signatures []signature
}

// signature says that a node has counted a request, and when by its own clock.
type signature struct {
	node string
	at   []iam.Time
}

// Admit decides about a request that the caller makes now, and counts it if all of the limits admit it.
func (t *Tally) Admit(caller string, limits ...limit.Limit) Admission {
	a := Admission{caller: callerKey(caller), rules: rulesOf(limits)}
	if t.Windows == nil || len(a.rules) == 0 {
		a.Allowed = true
		return a
	}
	nodes := t.members(a.caller)
	majority := len(nodes)/2 + 1
	all := Reply{Allowed: true, Remaining: limit.MaxCount}
	for _, node := range nodes {
		reply, err := t.ask(node, Ask{Kind: kindAdmit, Caller: a.caller, Rules: a.rules})
		if err != nil || reply.Rule < 0 || reply.Rule >= len(a.rules) || len(reply.At) != len(a.rules) {
			continue
		}
		if !reply.Allowed {
			t.TakeBack(a)
			return a.decided(reply, t.Now())
		}
		a.signatures = append(a.signatures, signature{node, reply.At})
		if reply.Remaining < all.Remaining {
			all = reply
		}
		if len(a.signatures) == majority {
			return a.decided(all, t.Now())
		}
	}
	t.TakeBack(a)
	return t.share(a, len(nodes))
}

// decided fills in what the reply says. What was refused has nothing to take back.
func (a Admission) decided(r Reply, now iam.Time) Admission {
	a.Rule = a.rules[r.Rule].limit()
	a.Decision = limit.Decision{
		Allowed: r.Allowed, Limit: a.Rule.Count, Remaining: max(0, r.Remaining), ResetAt: now.Add(r.Reset), RetryAfter: r.Retry,
	}
	if !r.Allowed {
		a.signatures = nil
		a.RetryAfter = max(a.RetryAfter, time.Microsecond)
	}
	return a
}

// TakeBack lets an admitted request not count, for limits on what failed: whether it does is known only
// afterwards.
func (t *Tally) TakeBack(a Admission) {
	for _, s := range a.signatures {
		// A node that does not answer counts on, which errs on the safe side.
		_, _ = t.ask(s.node, Ask{Kind: kindTakeBack, Caller: a.caller, Rules: a.rules, At: s.at})
	}
}

// share decides without the others, for a node that does not reach a majority of them. All shares
// together are no more than the limit, so that a cluster that has fallen to pieces admits no more than
// one that has not; a limit smaller than the cluster leaves nothing for each. What this node has counted
// for the others is in the same windows, and counts.
func (t *Tally) share(a Admission, members int) Admission {
	t.fallbacks.Add(1)
	shares := make([]Rule, len(a.rules))
	for i, r := range a.rules {
		shares[i] = r
		shares[i].Count /= members
		if shares[i].Count == 0 {
			return a.decided(Reply{Rule: i, Reset: r.Per, Retry: t.Probe}, t.Now())
		}
	}
	reply := t.keeper.answer(Ask{Kind: kindAdmit, Caller: a.caller, Rules: shares})
	a.signatures = []signature{{t.Self, reply.At}}
	return a.decided(reply, t.Now())
}
