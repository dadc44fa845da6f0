package lease_test

import (
	"slices"
	"time"

	"github.com/keystone-auth/keystone/lease"
)

// entry is one of the abstract log. Most take something away.
type entry struct {
	term    uint64
	members []bool // the configuration from here on; nil: as before
}

// machine is a node: its term and log outlive a crash, all else does not, and its state may fall back.
type machine struct {
	world  *world
	number int
	name   string
	voter  bool
	rate   float64
	start  time.Duration

	up          bool
	incarnation int
	asleep      time.Duration // until then

	term       uint64
	log        []entry
	commit     uint64
	applied    uint64
	checkpoint uint64 // where the state may fall back to

	leading bool
	noop    uint64 // the first entry of the term that it leads
	match   []uint64
	own     *lease.Lease
	grants  *lease.Grants
	heard   time.Duration // from a leader; see rules.lastContact
}

func (m *machine) boot() {
	m.own, m.grants = new(lease.Lease), lease.NewGrants(m.world.config, m.name)
	m.leading, m.commit, m.heard = false, m.applied, -time.Hour
	m.match = make([]uint64, m.world.size())
}

func (w *world) size() int { return max(len(w.nodes), 8) }

// clock is the machine's own, of which nobody knows how fast it goes.
func (m *machine) clock() lease.Stamp {
	return lease.Stamp(m.start + time.Duration(float64(m.world.now)*m.rate))
}

func (m *machine) awake() bool { return m.up && m.world.now >= m.asleep }

// whenAwake runs something once the machine is not paused, unless it crashes before.
func (m *machine) whenAwake(incarnation int, run func()) {
	switch {
	case m.incarnation != incarnation || !m.up:
	case m.awake():
		run()
	default:
		m.world.after(m.asleep-m.world.now+m.world.upTo(time.Millisecond), func() { m.whenAwake(incarnation, run) })
	}
}

func (m *machine) every(pause time.Duration, run func()) {
	m.world.after(pause/2+m.world.upTo(pause), func() {
		if m.awake() {
			run()
		}
		m.every(pause, run)
	})
}

func (m *machine) pause(d time.Duration) { m.asleep = m.world.now + d }

func (m *machine) crash() {
	if !m.up {
		return
	}
	m.up = false
	m.incarnation++
	m.applied = m.checkpoint + uint64(m.world.rng.Int64N(int64(m.applied-m.checkpoint+1)))
	m.world.after(m.world.upTo(length), func() {
		m.up = true
		m.boot()
	})
}

// members are those of the last configuration up to an index.
func (m *machine) members(upTo uint64) (all []bool, index uint64) {
	for i := upTo; i > 0; i-- {
		if m.log[i-1].members != nil {
			return m.log[i-1].members, i
		}
	}
	all = make([]bool, len(m.world.nodes))
	for i := range all {
		all[i] = true
	}
	return all, 0
}

func (m *machine) list(sets ...[]bool) (all []lease.Member) {
	for i, n := range m.world.nodes {
		if slices.ContainsFunc(sets, func(s []bool) bool { return s[i] }) {
			all = append(all, lease.Member{ID: n.name, Voter: n.voter})
		}
	}
	return all
}

func (m *machine) latest() []bool    { all, _ := m.members(uint64(len(m.log))); return all }
func (m *machine) committed() []bool { all, _ := m.members(m.applied); return all }

// enter follows a higher term.
func (m *machine) enter(term uint64) {
	if term > m.term {
		m.term, m.leading = term, false
	}
}

func (m *machine) last() (term, index uint64) {
	if len(m.log) > 0 {
		term = m.log[len(m.log)-1].term
	}
	return term, uint64(len(m.log))
}

// distrust is what a machine does when its clock may have stood still.
func (m *machine) distrust() {
	if !m.awake() {
		return
	}
	m.grants.Distrust(m.clock())
	m.own.Drop(m.clock())
	if m.world.rules.forgetful {
		m.own = new(lease.Lease)
	}
}

// campaign asks all voters at once, whether they hear a leader or not.
func (m *machine) campaign() {
	if !m.awake() || !m.voter {
		return
	}
	m.enter(m.term + 1)
	votes, voters := 1, 0
	term, index := m.last()
	for _, v := range m.world.nodes {
		if !v.voter {
			continue
		}
		voters++
		apart := m.world.cut[[2]int{m.number, v.number}] || m.world.cut[[2]int{v.number, m.number}]
		if v == m || !v.awake() || v.term >= m.term || apart && m.world.chance(0.8) {
			continue
		}
		v.enter(m.term)
		theirs, length := v.last()
		if term > theirs || term == theirs && index >= length {
			votes++
		}
	}
	if votes <= voters/2 {
		return
	}
	m.leading = true
	m.match = make([]uint64, m.world.size())
	m.grants.Lead(m.term, m.clock())
	if m.world.rules.noWait {
		m.grants.SkipWait()
	}
	m.append(entry{term: m.term})
	m.noop = uint64(len(m.log))
}

func (m *machine) append(e entry) uint64 {
	m.log = append(slices.Clip(m.log), e)
	m.match[m.number] = uint64(len(m.log))
	return uint64(len(m.log))
}

// replicate sends the whole log to all members.
func (m *machine) replicate() {
	if !m.leading {
		return
	}
	for i, member := range m.latest() {
		if member && i != m.number {
			f, term, log, commit := m.world.nodes[i], m.term, m.log, m.commit
			m.world.send(m, f, func() { f.follow(m, term, log, commit) })
		}
	}
	m.advance()
}

func (m *machine) follow(from *machine, term uint64, log []entry, commit uint64) {
	if term < m.term {
		now := m.term
		m.world.send(m, from, func() { from.enter(now) })
		return
	}
	m.enter(term)
	m.heard = m.world.now
	same := 0
	for same < len(log) && same < len(m.log) && m.log[same].term == log[same].term {
		same++
	}
	if same < len(log) { // a conflict, or more than there was
		m.log = log
	}
	m.learn(min(commit, uint64(len(log))))
	matched := uint64(len(log))
	m.world.send(m, from, func() {
		if from.leading && from.term == term {
			from.match[m.number] = max(from.match[m.number], matched)
			from.advance()
		}
	})
}

// advance commits what most voters have, if it is of this term.
func (m *machine) advance() {
	var have []uint64
	for _, v := range m.world.nodes {
		if v.voter {
			have = append(have, m.match[v.number])
		}
	}
	slices.Sort(have)
	index := have[(len(have)-1)/2]
	if index > m.commit && m.log[index-1].term == m.term {
		m.learn(index)
	}
}

// learn applies what is committed, sometimes late.
func (m *machine) learn(commit uint64) {
	if commit <= m.commit {
		return
	}
	m.commit = commit
	delay := m.world.upTo(3 * time.Millisecond)
	if m.world.chance(0.01) {
		delay = m.world.upTo(2 * length)
	}
	incarnation := m.incarnation
	m.world.after(delay, func() {
		m.whenAwake(incarnation, func() {
			m.applied = max(m.applied, commit)
			if m.world.chance(0.2) {
				m.checkpoint = m.applied
			}
			if m.leading && m.applied >= m.noop {
				m.grants.Ready(m.term)
			}
		})
	})
}

// serves tells whether the machine answers from its own state now.
func (m *machine) serves() bool {
	w := m.world
	switch {
	case w.rules.leaderServes && m.leading && m.grants.Leads(m.term):
		return true
	case w.rules.lastContact:
		return w.now-m.heard < length
	case w.rules.noRequired:
		return m.own.Valid(m.clock(), m.term, ^uint64(0))
	}
	return m.own.Valid(m.clock(), m.term, m.applied)
}

// renew asks everybody who believes that he leads.
func (m *machine) renew() {
	if m.lead() {
		return
	}
	for _, l := range m.world.nodes {
		if l == m || !l.leading {
			continue
		}
		request := m.own.Ask(m.clock(), func() uint64 { return m.term }, m.applied)
		m.world.send(m, l, func() { l.grant(m, request) })
	}
}

func (m *machine) lead() bool {
	until, ok := m.grants.Own(m.term, m.clock(), m.list(m.latest()))
	if ok {
		m.own.Hold(m.term, until)
	}
	return ok
}

func (m *machine) grant(from *machine, request lease.Request) {
	known := m.committed()
	if m.world.rules.uncommitted {
		known = m.latest()
	}
	if request.Term != m.term || !m.leading || !known[from.number] {
		return
	}
	reply, ok := m.grants.Renew(m.clock(), from.name, request, m.applied, m.list(m.latest()))
	if !ok {
		return
	}
	if m.world.rules.unbounded {
		reply = m.grants.Overgrant(m.clock(), from.name, reply)
	}
	m.lead()
	m.world.send(m, from, func() {
		if m.world.rules.fromReceipt {
			reply.Sent = from.clock()
		}
		from.own.Take(from.term, reply)
	})
}

// revoke takes something away and confirms it. Whoever was not told of a success asks again, at whoever
// leads then: done is the entry of the first try.
func (m *machine) revoke(done uint64) {
	index := m.append(entry{term: m.term})
	if done == 0 {
		done = index
	}
	m.confirm(m.term, index, done)
}

func (m *machine) confirm(term, index, done uint64) {
	incarnation := m.incarnation
	m.world.after(2*time.Millisecond+m.world.upTo(5*time.Millisecond), func() {
		m.whenAwake(incarnation, func() {
			if m.term != term || !m.leading {
				m.world.retry(term, done)
				return
			}
			if m.applied < index {
				m.confirm(term, index, done)
				return
			}
			m.fence(term, index, done)
		})
	})
}

func (m *machine) fence(term, index, done uint64) {
	w := m.world
	waiting, leads := m.grants.Unaware(term, m.clock(), index, m.list(m.latest(), m.committed()))
	if leads && len(waiting) == 0 {
		w.claimed = max(w.claimed, done)
		w.confirmed++
		return
	}
	for _, n := range w.nodes {
		if !slices.ContainsFunc(waiting, func(x lease.Waiting) bool { return x.ID == n.name }) {
			continue
		}
		w.send(m, n, func() {
			if n.term == term && n.applied < index && !w.rules.noRequired {
				n.own.Require(n.term, term, index)
			}
			if n.term == term {
				w.send(n, m, func() { m.grants.Acknowledge(term, n.name, index) })
			}
		})
	}
	m.confirm(term, index, done)
}

// retry asks again where somebody else leads by now, if the change was made.
func (w *world) retry(term, done uint64) {
	w.after(w.upTo(200*time.Millisecond), func() {
		for _, l := range w.nodes {
			if !l.awake() || !l.leading || l.term <= term || uint64(len(l.log)) < done || l.log[done-1].term != term || l.applied < done {
				continue
			}
			if w.rules.unfencedRetry {
				w.claimed = max(w.claimed, done) // "it is revoked already"
				return
			}
			l.revoke(done)
			return
		}
	})
}

// changeMembers removes the last machine, once it has no lease, or takes it in again.
func (m *machine) changeMembers() {
	all, index := m.members(uint64(len(m.log)))
	if index > m.applied || m.applied < m.noop {
		return // one change at a time
	}
	next := slices.Clone(all)
	last := len(next) - 1
	next[last] = !next[last]
	if next[last] || m.world.rules.noDrain {
		m.append(entry{term: m.term, members: next})
		if m.world.chance(0.3) {
			m.world.ambush(1<<m.number | 1<<last)
		}
		return
	}
	until, ok := m.grants.Bar(m.term, m.world.nodes[last].name)
	if !ok {
		return
	}
	term, incarnation := m.term, m.incarnation
	wait := time.Duration(float64(m.clock().Until(until))/m.rate) + time.Millisecond
	m.world.after(max(0, wait), func() {
		m.whenAwake(incarnation, func() {
			if _, now := m.members(uint64(len(m.log))); m.leading && m.term == term && now == index {
				m.append(entry{term: term, members: next})
			}
		})
	})
}
