package node

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keystone-auth/keystone/cluster"
)

// raftTimes are those of raft's own figures that tell an operator where the time goes.
var raftTimes = []struct{ raft, name, help string }{
	{"commitTime", "keystone_raft_commit_seconds", "On the leader: from an entry's way into the log until a majority has it."},
	{"leader.dispatchLog", "keystone_raft_dispatch_seconds", "On the leader: writing entries to its own disk."},
	{"rpc.appendEntries.storeLogs", "keystone_raft_store_seconds", "On followers: writing entries to the disk."},
	{"replication.appendEntries.rpc", "keystone_raft_replication_seconds", "On the leader: sending entries to a follower, until it answers."},
	{"fsm.applyBatch", "keystone_raft_fsm_seconds", "Applying committed entries to the state, one transaction for each batch."},
	{"leader.lastContact", "keystone_raft_last_contact_seconds", "On the leader: how long ago a follower was heard when the lease was checked."},
}

// raftTransitions are the counters of what raft becomes.
var raftTransitions = []string{"leader", "candidate", "follower"}

// raftCollectors has raft report, once for the process, and returns what it reports into. Several nodes
// in one process, as tests have them, share the figures: raft knows one place for them.
var raftCollectors = sync.OnceValue(func() []prometheus.Collector {
	var all []prometheus.Collector
	var names []string
	times, counts := map[string]prometheus.Observer{}, map[string]prometheus.Counter{}
	for _, t := range raftTimes {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: t.name, Help: t.help, Buckets: prometheus.ExponentialBuckets(.0001, 2.5, 12)})
		times[t.raft], all, names = h, append(all, h), append(names, t.raft)
	}
	transitions := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keystone_raft_transitions_total", Help: "How often this node became what the label says."}, []string{"to"})
	for _, state := range raftTransitions {
		counts["state."+state] = transitions.WithLabelValues(state)
	}
	all, names = append(all, transitions), append(names, "state.")
	err := cluster.ObserveRaft(cluster.RaftFigures{
		Took: func(name string, d time.Duration) {
			if h, ok := times[name]; ok {
				h.Observe(d.Seconds())
			}
		},
		Counted: func(name string, n float64) {
			if c, ok := counts[name]; ok {
				c.Add(n)
			}
		},
	}, names...)
	if err != nil {
		panic("BUG: raft's figures: " + err.Error())
	}
	return all
})
