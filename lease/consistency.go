package lease

import "time"

// Consistency is how true an answer has to be.
type Consistency struct {
	Level Level
	// Within is how late an answer may be at most; for Bounded alone.
	Within time.Duration
}

// Level is a kind of Consistency.
type Level uint8

// The levels, from the usual one on.
const (
	// Leased: nothing that was taken away with success before the question counts as there. It costs no
	// question to another node while this one holds its lease.
	Leased Level = iota
	// Strict: the answer reflects every change, of whatever kind, that was acknowledged before the
	// question. It costs a question to the leader.
	Strict
	// Bounded: as Leased, or as this node knew it not longer ago than Within.
	Bounded
	// Local: as this node knows it, however long ago.
	Local
)

// Reading is how true what a node now reads from its own state is.
type Reading struct {
	Index uint64 // what is read reflects the log at least up to here
	// Staleness is for how long this node has not known whether its state is the latest; 0: it does know.
	Staleness time.Duration
	Waited    bool // the lease did not do, and another node was asked
}
