package node

import (
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/store"
)

// registry holds the metrics of everything below HTTP, and of the process.
func (n *Node) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		nodeCollector{n}, n.proposals.seconds, n.fences,
	)
	r.MustRegister(raftCollectors()...)
	return r
}

// sample is a figure that is read when somebody asks for it.
type sample struct {
	name, help string
	value      func(figures) float64
}

// figures are read once for each scrape, so that those of one page belong together.
type figures struct {
	cluster cluster.Stats
	store   store.Stats

	backupMade, backupVerified int64
	certificateExpires         int64
}

var samples = []sample{
	{"keystone_raft_term", "Term of the Raft log.", func(f figures) float64 { return float64(f.cluster.Term) }},
	{"keystone_raft_last_index", "Last entry of this node's log.", func(f figures) float64 { return float64(f.cluster.LastIndex) }},
	{"keystone_raft_commit_index", "Last entry that this node knows to be committed.", func(f figures) float64 { return float64(f.cluster.CommitIndex) }},
	{"keystone_raft_apply_lag", "Committed entries that this node's state does not reflect yet.", func(f figures) float64 {
		return float64(f.cluster.CommitIndex - min(f.cluster.Applied, f.cluster.CommitIndex))
	}},
	{"keystone_raft_members", "Members of the cluster, this node included.", func(f figures) float64 { return float64(f.cluster.Peers) }},
	{"keystone_forwards_in_flight", "Changes that this node has sent to the leader and not heard of yet.", func(f figures) float64 { return float64(f.cluster.Forwards) }},
	{"keystone_applies_in_flight", "Changes that this node, as the leader, has in the log and not applied yet.", func(f figures) float64 { return float64(f.cluster.Applies) }},
	{"keystone_disk_free_bytes", "Bytes that may still be written to the file system of the data folder.", func(f figures) float64 { return float64(f.cluster.DiskFree) }},
	{"keystone_disk_full", "1 while this node stands aside because its disk is full.", func(f figures) float64 {
		if f.cluster.DiskFull {
			return 1
		}
		return 0
	}},
	{"keystone_lease_held", "1 while this node may answer from its own state without asking.", func(f figures) float64 {
		if f.cluster.Fresh {
			return 1
		}
		return 0
	}},
	{"keystone_store_bytes", "Size of the state file.", func(f figures) float64 { return float64(f.store.Bytes) }},
	{"keystone_store_free_pages", "Pages of the state file that hold nothing.", func(f figures) float64 { return float64(f.store.FreePages) }},
	{"keystone_backup_last_success_seconds", "When the latest backup in the folder of scheduled ones was made, in seconds since 1970; 0: there is none.", func(f figures) float64 { return float64(f.backupMade) }},
	{"keystone_backup_last_verified_seconds", "When the latest scheduled backup was proven and read back, in seconds since 1970; 0: there is none.", func(f figures) float64 { return float64(f.backupVerified) }},
	{"keystone_tls_certificate_expiry_seconds", "When the certificate of the API expires, in seconds since 1970; 0: there is none.", func(f figures) float64 { return float64(f.certificateExpires) }},
	{"keystone_store_readers", "Transactions that read the state file.", func(f figures) float64 { return float64(f.store.Readers) }},
}

// counters are samples that only grow while the process lives.
var counters = []sample{
	{"keystone_lease_losses_total", "How often this node lost its lease: cut off, paused, or after an election.", func(f figures) float64 { return float64(f.cluster.LeasesLost) }},
	{"keystone_clock_jumps_total", "How often the time of day and the clock of leases moved apart, after which the lease was dropped.", func(f figures) float64 { return float64(f.cluster.ClockJumps) }},
	{"keystone_reads_asked_total", "Requests that waited for word of the leader, because this node had no lease or the caller wanted a strict answer.", func(f figures) float64 { return float64(f.cluster.ReadsAsked) }},
	{"keystone_reads_refused_total", "Requests that were refused because this node could not know whether its state is the latest.", func(f figures) float64 { return float64(f.cluster.ReadsRefused) }},
	{"keystone_reads_stale_total", "Requests that were answered by an older state, as the caller or the settings allow.", func(f figures) float64 { return float64(f.cluster.ReadsStale) }},
}

// roles are those of cluster.Node.Role.
var roles = []string{"leader", "follower", "candidate", "nonvoter", "forming"}

var (
	roleDesc  = prometheus.NewDesc("keystone_raft_state", "1 for what this node is in the cluster, 0 for what else it might be.", []string{"state"}, nil)
	buildDesc = prometheus.NewDesc("keystone_build_info", "1, with the version of Keystone and of Go.", []string{"version", "go"}, nil)
)

// nodeCollector is the prometheus.Collector of a node's own figures.
type nodeCollector struct{ node *Node }

// Describe implements prometheus.Collector.
func (c nodeCollector) Describe(to chan<- *prometheus.Desc) {
	to <- roleDesc
	to <- buildDesc
	for _, s := range slices.Concat(samples, counters) {
		to <- s.desc()
	}
}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(buildDesc, 1, c.node.config.Version, runtime.Version())
	is := c.node.cluster.Role()
	for _, role := range roles {
		value := 0.0
		if role == is {
			value = 1
		}
		gauge(roleDesc, value, role)
	}
	state, err := c.node.store.Stats()
	if err != nil {
		to <- prometheus.NewInvalidMetric(roleDesc, err)
		return
	}
	f := figures{cluster: c.node.cluster.Stats(), store: state}
	f.backupMade, f.backupVerified = c.node.keeper.Last()
	f.certificateExpires = c.node.certificateExpires()
	for _, s := range samples {
		gauge(s.desc(), s.value(f))
	}
	for _, s := range counters {
		to <- prometheus.MustNewConstMetric(s.desc(), prometheus.CounterValue, s.value(f))
	}
}

func (s sample) desc() *prometheus.Desc { return prometheus.NewDesc(s.name, s.help, nil, nil) }
