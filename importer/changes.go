package importer

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
)

// maxChanged bounds the rows whose change is remembered one by one. Where there are more, reading all of the source
// costs no more than reading those.
const maxChanged = 200_000

// rowKey names a row of the source by its table and the text of its id.
type rowKey struct {
	shape *shape
	id    string
}

// changes are the rows that committed transactions have touched and that the cluster has not got yet. It is only kept
// which rows: what is in them is read from the source when they are sent, see syncer.round.
type changes struct {
	mu           sync.Mutex
	rows         map[rowKey]uint64 // the number of the last transaction that touched the row
	transactions []transaction     // in the order of their commits
	last         uint64
	everything   bool          // there were too many rows to name
	received     pglogrepl.LSN // all transactions that were committed before this have been seen
}

// transaction is one of the source.
type transaction struct {
	number uint64
	xid    uint32
	commit pglogrepl.LSN
	end    pglogrepl.LSN
	at     time.Time
}

func newChanges(from pglogrepl.LSN) *changes {
	return &changes{rows: map[rowKey]uint64{}, received: from}
}

// add takes the rows that a transaction has touched, all at once when it has been received to its end.
func (c *changes) add(tx transaction, rows []rowKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = max(c.received, tx.end)
	if len(rows) == 0 {
		return
	}
	c.last++
	tx.number = c.last
	c.transactions = append(c.transactions, tx)
	if c.everything {
		return
	}
	for _, row := range rows {
		c.rows[row] = tx.number
	}
	if len(c.rows) > maxChanged {
		c.everything = true
		c.rows = map[rowKey]uint64{}
	}
}

// passed notes that nothing else was committed before a place in the log.
func (c *changes) passed(lsn pglogrepl.LSN) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = max(c.received, lsn)
}

// waiting tells how many transactions wait, when the oldest of them was committed, and how far the log was received.
func (c *changes) waiting() (n int, oldest time.Time, received pglogrepl.LSN) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = len(c.transactions); n > 0 {
		oldest = c.transactions[0].at
	}
	return n, oldest, c.received
}

// taken is what a snapshot shows anew.
type taken struct {
	rows         []rowKey // that changed
	everything   bool     // all rows count as changed
	upTo         pglogrepl.LSN
	transactions int
}

// take removes the transactions that a snapshot shows. Those that it does not show wait for a later one: their rows are in
// both, if an earlier transaction has touched them as well.
func (c *changes) take(s snapshot) taken {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := taken{everything: c.everything, upTo: c.received}
	hidden := map[uint64]bool{}
	var left []transaction
	for _, tx := range c.transactions {
		switch {
		case !s.shows(tx):
			if len(left) == 0 {
				out.upTo = min(out.upTo, tx.commit) // what came before its commit, and so before its end
			}
			left = append(left, tx)
			hidden[tx.number] = true
		default:
			out.transactions++
		}
	}
	for row, number := range c.rows {
		out.rows = append(out.rows, row)
		if !hidden[number] {
			delete(c.rows, row)
		}
	}
	// Maps have no order; rows are sent in one.
	slices.SortFunc(out.rows, func(a, b rowKey) int { return strings.Compare(a.id, b.id) })
	c.transactions = left
	c.everything = c.everything && len(left) > 0
	return out
}

// snapshot is what a transaction of ours sees of the source.
type snapshot struct {
	end     uint32          // the first transaction id that was not given out yet
	running map[uint32]bool // transactions that were on their way
	lsn     pglogrepl.LSN   // what it shows was written to the log before this
}

// parseSnapshot reads what pg_current_snapshot() returns, as 10:20:10,14,15. Its ids have 64 bits, those of the
// replication protocol the lower 32 of them.
func parseSnapshot(text string, lsn pglogrepl.LSN) (s snapshot, ok bool) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, false
	}
	end, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return s, false
	}
	s = snapshot{end: uint32(end & math.MaxUint32), running: map[uint32]bool{}, lsn: lsn}
	for _, one := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' }) {
		id, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			return s, false
		}
		s.running[uint32(id&math.MaxUint32)] = true
	}
	return s, true
}

// shows tells whether the snapshot shows what the transaction has done. Its commit is in the log a moment before others
// see what it did, so that its place there does not tell.
func (s snapshot) shows(tx transaction) bool {
	begunLater := int32(tx.xid-s.end) >= 0 // ids are compared in a circle
	return tx.commit < s.lsn && !begunLater && !s.running[tx.xid]
}
