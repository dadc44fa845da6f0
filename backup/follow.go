package backup

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/store"
)

// together is how many entries are applied in one transaction.
const together = 256

// follow applies the log of a node that does not run to a state, from where that stands up to an index.
func follow(s *store.Store, log *cluster.Stopped, to uint64) error {
	meta, err := s.Meta()
	switch {
	case err != nil:
		return err
	case to <= meta.Index:
		return nil
	case log.First > meta.Index+1:
		return fmt.Errorf("the log begins with entry %d, and the state ends with entry %d: what lies between is missing", log.First, meta.Index)
	}
	failed := make(chan error, 2)
	go func() { // of its own, since a state machine that fails ends the goroutine that it runs in
		machine, err := fsm.New(fsm.Config{Store: s, Committed: func([]store.Change) {}, Fatal: func(err error) { failed <- err }})
		for next := meta.Index + 1; err == nil && next <= to; {
			var batch []*raft.Log
			for ; err == nil && next <= to && len(batch) < together; next++ {
				var entry *raft.Log
				if entry, err = log.Entry(next); err == nil && (entry.Type == raft.LogCommand || entry.Type == raft.LogConfiguration) {
					batch = append(batch, entry)
				}
			}
			if err == nil && len(batch) > 0 {
				machine.ApplyBatch(batch)
			}
		}
		failed <- err
	}()
	return <-failed
}
