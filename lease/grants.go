package lease

import (
	"slices"
	"sync"
)

// Member is a node of the cluster's configuration.
type Member struct {
	ID    string
	Voter bool
}

// Grants is what the leader knows of the leases of all others, and of its own right to give any. It is
// safe for concurrent use.
type Grants struct {
	config Config
	self   string

	mu      sync.Mutex
	term    uint64 // that this node leads; 0: none
	ready   bool   // this node has applied all that earlier leaders have committed
	before  Stamp  // whatever an earlier leader has given is over by then
	trusted Stamp  // no stamp from before counts; see Distrust
	members map[string]*member
}

// member is what the leader knows of one other node, in this term.
type member struct {
	echo   Stamp  // the newest stamp of ours that it has sent back
	aware  uint64 // its answers reflect the log up to here, or it has none
	given  []grant
	barred bool // it is about to be removed
}

// grant is a lease that may be in use.
type grant struct {
	required uint64
	until    Stamp
}

// NewGrants returns the books of a node that does not lead yet.
func NewGrants(c Config, self string) *Grants {
	return &Grants{config: c, self: self, members: map[string]*member{}}
}

// Lead begins a term. Leases of earlier leaders may be in use, of which this one knows nothing but that
// they are over after one length.
func (g *Grants) Lead(term uint64, now Stamp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.term, g.ready, g.members = term, false, map[string]*member{}
	g.before = now.Plus(g.config.AtMost(g.config.Length))
}

// Ready says that this node's state holds all that was committed before the term.
func (g *Grants) Ready(term uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ready = g.term == term
}

// Leads tells whether this node leads that term and is ready to give leases.
func (g *Grants) Leads(term uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leads(term)
}

func (g *Grants) leads(term uint64) bool { return g.ready && g.term == term && term != 0 }

// Distrust forgets what the clock was used for to this node's own advantage, after it has jumped: no stamp
// from before counts, also of those that are still under way.
func (g *Grants) Distrust(now Stamp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trusted = now
}

// Renew answers a request of a node, which must be one of a configuration that is committed: an
// election could undo it otherwise, and the next leader would not know whom to wait for. The lease that
// is given never outlasts this node's own.
func (g *Grants) Renew(now Stamp, from string, r Request, applied uint64, all []Member) (Reply, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Term != g.term || g.term == 0 || r.Echo > now {
		return Reply{}, false
	}
	m := g.member(from)
	m.echo, m.aware = max(m.echo, r.Echo), max(m.aware, r.Applied)
	// A node that was killed may have lost what it had applied, while the books say that it is aware of it.
	required := max(applied, m.aware)
	reply := Reply{Term: g.term, Sent: r.Sent, Stamp: now, Required: required}
	lasts := min(g.config.Length, now.Until(g.own(now, all)))
	if !g.ready || m.barred || lasts <= 0 {
		return reply, true
	}
	reply.Lasts = lasts
	m.record(now, grant{required: required, until: now.Plus(g.config.AtMost(lasts))})
	return reply, true
}

// Own is until when this node may answer as the leader of that term. It rests on what a majority of the
// voters has sent back: as of then none of them had voted for another.
func (g *Grants) Own(term uint64, now Stamp, all []Member) (until Stamp, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.leads(term) {
		return 0, false
	}
	until = g.own(now, all)
	return until, now < until
}

func (g *Grants) own(now Stamp, all []Member) Stamp {
	var echoes []Stamp
	voters := 0
	for _, m := range all {
		switch {
		case !m.Voter:
			continue
		case m.ID == g.self:
			echoes = append(echoes, now)
		default:
			echo := g.member(m.ID).echo
			if echo < g.trusted {
				echo = 0
			}
			echoes = append(echoes, echo)
		}
		voters++
	}
	if voters == 0 {
		return 0
	}
	slices.Sort(echoes)
	majority := voters/2 + 1
	oldest := echoes[voters-majority]
	if oldest == 0 {
		return 0
	}
	return oldest.Plus(g.config.Length)
}

// Acknowledge notes that a node answers by nothing older than index in this term.
func (g *Grants) Acknowledge(term uint64, from string, index uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if term == g.term && term != 0 {
		m := g.member(from)
		m.aware = max(m.aware, index)
	}
}

// Waiting is a node that may still answer by what is older than an index.
type Waiting struct {
	ID    string
	Until Stamp // it cannot after this
}

// Unaware returns who may still answer by what is older than index. When nobody may, what the log entry
// there took away is gone everywhere. It returns false when this node does not lead the term.
func (g *Grants) Unaware(term uint64, now Stamp, index uint64, all []Member) (waiting []Waiting, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.leads(term) {
		return nil, false
	}
	for _, one := range all {
		if one.ID == g.self {
			continue
		}
		if m := g.member(one.ID); m.aware < index {
			if until := m.until(index, g.before); now < until {
				waiting = append(waiting, Waiting{one.ID, until})
			}
		}
	}
	return waiting, true
}

// Confirmed counts the members that have said themselves that they are aware of index.
func (g *Grants) Confirmed(index uint64, all []Member) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	count := 0
	for _, one := range all {
		if one.ID == g.self || g.member(one.ID).aware >= index {
			count++
		}
	}
	return count
}

// Bar gives a node no lease any more, because it is about to leave the cluster, and returns when it has
// none: nobody waits for a node that is no member.
func (g *Grants) Bar(term uint64, node string) (until Stamp, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.leads(term) {
		return 0, false
	}
	m := g.member(node)
	m.barred = true
	return m.until(^uint64(0), g.before), true
}

// Admit takes Bar back.
func (g *Grants) Admit(node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.member(node).barred = false
}

func (g *Grants) member(id string) *member {
	m, ok := g.members[id]
	if !ok {
		m = &member{}
		g.members[id] = m
	}
	return m
}

// until is when the node can no longer answer by what is older than index.
func (m *member) until(index uint64, before Stamp) Stamp {
	until := before
	for _, g := range m.given {
		if g.required < index {
			until = max(until, g.until)
		}
	}
	return until
}

// mostGrants bounds what is kept of one node, which has some six in use when all is well.
const mostGrants = 64

// record keeps the grants that may be in use, one for each required index. Where there are too many the
// last one stands for those after it too: its required index is the lower one, so more is waited for.
func (m *member) record(now Stamp, g grant) {
	m.given = slices.DeleteFunc(m.given, func(old grant) bool { return old.until <= now })
	for i := range m.given {
		if m.given[i].required == g.required || i == mostGrants-1 {
			m.given[i].until = max(m.given[i].until, g.until)
			return
		}
	}
	m.given = append(m.given, g)
}
