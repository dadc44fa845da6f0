package tally

import "time"

// Strike counts one more of what happens in a row to the key, such as a failed login, and returns how
// many they are now. Those further apart than gap do not add up. As many nodes count as for a request,
// and the highest count is the right one: a node that was away meanwhile has missed some. A node that
// reaches nobody counts by itself.
func (t *Tally) Strike(key string, gap time.Duration) int {
	ask := Ask{Kind: kindStrike, Caller: callerKey(key), Gap: min(gap, longest)}
	most := 0
	for _, reply := range t.askMajority(ask) {
		most = max(most, reply.Count)
	}
	return most
}

// StrikeNobody takes as long as Strike and counts nothing, for names that nobody has: the time must not
// tell the two apart, and made-up names must not take the place of those that count.
func (t *Tally) StrikeNobody(key string) {
	t.askMajority(Ask{Kind: kindNothing, Caller: callerKey(key)})
}

// Forget ends a row on every node that can be reached.
func (t *Tally) Forget(key string) {
	ask := Ask{Kind: kindForget, Caller: callerKey(key)}
	for _, node := range t.members(ask.Caller) {
		_, _ = t.ask(node, ask) // who has missed it counts too many, and locks too early
	}
}

// askMajority asks the first nodes that answer, this one among them if they are too few.
func (t *Tally) askMajority(a Ask) []Reply {
	nodes := t.members(a.Caller)
	var replies []Reply
	for _, node := range nodes {
		reply, err := t.ask(node, a)
		if err != nil {
			continue
		}
		if replies = append(replies, reply); len(replies) == len(nodes)/2+1 {
			return replies
		}
	}
	t.fallbacks.Add(1)
	return replies
}
