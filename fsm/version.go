package fsm

import (
	"fmt"

	"github.com/keystone-auth/keystone/store"
)

// version is that of the commands of this source.
const version = 1

// next is set by the linker, in tests alone: the program is then one of the version after this, and needs that for
// RaiseEpoch.
var next string

// needs are the versions that the commands of a kind need, where that is not the first. A node of an earlier version
// cannot apply their entries, so the leader lets none into the log before every member can.
var needs = map[Kind]uint64{}

func init() {
	if next != "" {
		needs[kindRaiseEpoch] = version + 1
	}
}

// Version is the highest command version that this build can apply. A log entry that asks for more
// stops the node: skipping it would make this node's state another one than its neighbours'.
func Version() uint64 {
	if next != "" {
		return version + 1
	}
	return version
}

// Needs is the version that a node must have to apply the command.
func Needs(cmd Command) uint64 { return max(1, needs[cmd.Kind()]) }

// Needs is the highest version that an entry needed which this state has applied. No program of an earlier one may
// go on with it.
func (f *FSM) Needs() uint64 { return max(1, f.needs.Load()) }

// understands refuses a state that was made by commands which this node does not know: it would go on by rules that
// are no longer those of its cluster.
func (f *FSM) understands(meta store.Meta) error {
	if meta.Needs <= f.Version {
		return nil
	}
	return fmt.Errorf("the state in %s was made by commands of version %d, and this Keystone knows version %d: start the newer version, nothing was changed",
		f.Store.Path(), meta.Needs, f.Version)
}
