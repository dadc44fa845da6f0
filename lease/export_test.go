package lease

// What the simulation takes away from the rules, to see that it would be missed.

// SkipWait forgets that earlier leaders may have given leases.
func (g *Grants) SkipWait() { g.before = 0 }

// Overgrant gives a lease that this node's own lease does not cover.
func (g *Grants) Overgrant(now Stamp, from string, r Reply) Reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ready {
		r.Lasts = g.config.Length
		g.member(from).record(now, grant{required: r.Required, until: now.Plus(g.config.AtMost(r.Lasts))})
	}
	return r
}
