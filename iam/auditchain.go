package iam

import "fmt"

// AuditBreak says where an audit log is not what was written, and how that shows.
type AuditBreak struct {
	Sequence uint64
	What     string
}

func (b *AuditBreak) Error() string {
	return fmt.Sprintf("the audit log is broken at entry %d: %s", b.Sequence, b.What)
}

// AuditChain proves an audit log, entry by entry from its beginning. The zero value proves a log of
// which nothing was ever removed; it needs the checkpoints for any other.
type AuditChain struct {
	// Checkpoints are all that there are, in the order of their sequence numbers.
	Checkpoints []AuditCheckpoint
	// Signed tells what is wrong with the signature of a checkpoint. Nil: signatures are not looked at.
	Signed func(AuditCheckpoint) error

	First, Last uint64    // of the entries that were followed
	Head        AuditHash // of the last one
	passed      int       // checkpoints that were met
}

// Follow takes the next entry. The error is an *AuditBreak, after which the chain is of no more use.
func (c *AuditChain) Follow(e AuditEntry) error {
	if c.First == 0 {
		if err := c.begin(e); err != nil {
			return err
		}
	}
	want := c.Last + 1
	switch {
	case e.Sequence > want:
		return &AuditBreak{want, fmt.Sprintf("it is missing, entry %d follows", e.Sequence)}
	case e.Sequence < want:
		return &AuditBreak{e.Sequence, fmt.Sprintf("it stands where entry %d belongs", want)}
	case e.Sum() != e.Hash:
		return &AuditBreak{want, fmt.Sprintf("its content has the hash %s and it says %s: it was changed", e.Sum(), e.Hash)}
	case e.Previous != c.Head:
		return &AuditBreak{want, fmt.Sprintf("it follows an entry with the hash %s, and the entry before has %s: one of the two was replaced", e.Previous, c.Head)}
	}
	c.Last, c.Head = e.Sequence, e.Hash
	return c.pass()
}

// begin takes the first entry: number 1, or the one behind a checkpoint which says that the entries up to
// there were removed.
func (c *AuditChain) begin(e AuditEntry) error {
	c.First = e.Sequence
	removed := c.passed < len(c.Checkpoints) && c.Checkpoints[c.passed].Removed
	switch {
	case e.Sequence == 0:
		return &AuditBreak{0, "entries are numbered from 1"}
	case e.Sequence == 1 && !removed:
		return nil
	case !removed:
		c.First = 1
		return &AuditBreak{1, fmt.Sprintf("it is missing, entry %d is the first, and no checkpoint says that the entries before were removed", e.Sequence)}
	}
	base := c.Checkpoints[c.passed]
	c.First = base.Sequence + 1
	c.Last, c.Head = base.Sequence, base.Hash
	return c.met(base)
}

// pass compares the entry that was followed last with the checkpoint that is about it.
func (c *AuditChain) pass() error {
	if c.passed == len(c.Checkpoints) || c.Checkpoints[c.passed].Sequence > c.Last {
		return nil
	}
	next := c.Checkpoints[c.passed]
	switch {
	case next.Sequence < c.Last:
		return &AuditBreak{next.Sequence, "a checkpoint is about an entry that is not there"}
	case next.Removed:
		return &AuditBreak{next.Sequence, "it is there, and a checkpoint says that it was removed"}
	case next.Hash != c.Head:
		return &AuditBreak{next.Sequence, fmt.Sprintf("it has the hash %s, and a checkpoint says %s: the history was written anew", c.Head, next.Hash)}
	}
	return c.met(next)
}

func (c *AuditChain) met(checkpoint AuditCheckpoint) error {
	c.passed++
	if c.Signed == nil {
		return nil
	}
	if err := c.Signed(checkpoint); err != nil {
		return &AuditBreak{checkpoint.Sequence, "its checkpoint does not count: " + err.Error()}
	}
	return nil
}

// End is to be told the number and the hash of the last entry that the log says it has.
func (c *AuditChain) End(sequence uint64, head AuditHash) error {
	switch {
	case c.Last < sequence:
		return &AuditBreak{c.Last + 1, fmt.Sprintf("it is missing, and the log should go on to entry %d", sequence)}
	case c.Last > sequence:
		return &AuditBreak{sequence + 1, fmt.Sprintf("the log should end at entry %d", sequence)}
	case c.Head != head:
		return &AuditBreak{sequence, fmt.Sprintf("it has the hash %s, and the state says that the last one has %s", c.Head, head)}
	case c.passed < len(c.Checkpoints):
		return &AuditBreak{c.Last + 1, fmt.Sprintf("it is missing: a checkpoint is about entry %d", c.Checkpoints[c.passed].Sequence)}
	}
	return nil
}
