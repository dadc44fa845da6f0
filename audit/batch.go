package audit

import (
	"net/netip"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

const (
	// mostEntries bounds a batch, which must fit into one command however long its texts are.
	mostEntries = 100
	// mostOfOne is how many of these may come from one address, so that nobody can crowd out what others
	// do at the same time.
	mostOfOne = 20
)

// Dropped is the type of the entry that says how many refusals found no place in a batch.
const Dropped = "audit.dropped"

// batch is what waits to be recorded. The zero value is empty.
type batch struct {
	alike   map[alike]int // where in rows
	rows    []iam.AuditEntry
	of      map[string]int    // rows by address
	dropped map[string]uint64 // by the addresses that have all the rows they may
	lost    uint64            // from all others
}

// alike is what refusals have in common that are recorded as one.
type alike struct{ kind, actor, target, reason, ip string }

func (b *batch) add(e iam.AuditEntry) {
	if b.alike == nil {
		b.alike, b.of, b.dropped = map[alike]int{}, map[string]int{}, map[string]uint64{}
	}
	key := alike{e.Type, e.Actor, e.Target, e.Reason, e.IP}
	if i, there := b.alike[key]; there {
		b.rows[i].Count = max(b.rows[i].Count, 1) + 1
		return
	}
	address := addressOf(e.IP)
	switch {
	case address != "" && b.of[address] >= mostOfOne:
		b.dropped[address]++
	case len(b.rows) >= mostEntries:
		b.lost++
	default:
		b.alike[key] = len(b.rows)
		b.rows = append(b.rows, e)
		b.of[address]++
	}
}

// addressOf is whom the limits take an address for.
func addressOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	return limit.AddressKey(addr)
}

func (b *batch) crowded() bool { return len(b.dropped) > 0 || b.lost > 0 }

// entries are the rows, and what there is to say of those that are missing.
func (b *batch) entries(now iam.Time) []iam.AuditEntry {
	rows := b.rows
	told := func(address string, n uint64) {
		rows = append(rows, iam.AuditEntry{At: now, Type: Dropped, Result: iam.AuditRefused, IP: address, Count: n})
	}
	for address, n := range b.dropped {
		told(address, n)
	}
	if b.lost > 0 {
		told("", b.lost)
	}
	return rows
}
