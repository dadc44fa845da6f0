package fsm

import (
	"sync"
	"time"
)

// Receipt says that no node answers by what a command took away any more: each member of the cluster
// has confirmed that it knows, or the time is over for which it may answer without asking.
type Receipt struct {
	Index     uint64        `cbor:"1,keyasint"` // the log index that every answer reflects from now on
	Confirmed int           `cbor:"2,keyasint"` // so many members said that they know, the leader among them
	Members   int           `cbor:"3,keyasint"`
	Waited    time.Duration `cbor:"4,keyasint"` // from the commit to the last confirmation
}

// Receipts collects the receipts of one request, which may propose more than one command. The zero value
// is ready and a nil one collects nothing. It is safe for concurrent use.
type Receipts struct {
	mu  sync.Mutex
	all *Receipt
}

// Add takes one more; nil is none.
func (r *Receipts) Add(one *Receipt) {
	if r == nil || one == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		first := *one
		r.all = &first
		return
	}
	if one.Index > r.all.Index { // whoever knows of a later entry knows of those before it
		r.all.Index, r.all.Confirmed, r.all.Members = one.Index, one.Confirmed, one.Members
	}
	r.all.Waited += one.Waited
}

// Receipt is the receipt of everything together, and nil when there is none.
func (r *Receipts) Receipt() *Receipt {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}
