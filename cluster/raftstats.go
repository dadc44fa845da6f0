package cluster

import (
	"strings"
	"time"

	"github.com/hashicorp/go-metrics"
)

// RaftFigures takes what raft says of its own work. The names are those of raft's documents, without
// the word raft: commitTime, leader.dispatchLog, fsm.applyBatch and so on.
type RaftFigures struct {
	Took    func(name string, d time.Duration)
	Counted func(name string, n float64)
}

// ObserveRaft has the figures of all nodes in this process given to f: raft knows one place for them.
// Names that begin with none of those given are dropped before anything is computed for them, and so are
// all labels, which are the ids of peers: over the years there may be any number of these.
func ObserveRaft(f RaftFigures, names ...string) error {
	config := metrics.DefaultConfig("")
	config.EnableHostname, config.EnableRuntimeMetrics, config.FilterDefault = false, false, false
	for _, name := range names {
		config.AllowedPrefixes = append(config.AllowedPrefixes, raftPrefix+name)
	}
	_, err := metrics.NewGlobal(config, &raftSink{figures: f})
	return err
}

const raftPrefix = "raft."

// raftSink is a metrics.MetricSink of timers and counters.
type raftSink struct {
	metrics.BlackholeSink
	figures RaftFigures
}

func figure(key []string) string { return strings.TrimPrefix(strings.Join(key, "."), raftPrefix) }

// AddSampleWithLabels implements metrics.MetricSink; raft measures in milliseconds.
func (s *raftSink) AddSampleWithLabels(key []string, ms float32, _ []metrics.Label) {
	s.figures.Took(figure(key), time.Duration(float64(ms)*float64(time.Millisecond)))
}

// IncrCounterWithLabels implements metrics.MetricSink.
func (s *raftSink) IncrCounterWithLabels(key []string, n float32, _ []metrics.Label) {
	s.figures.Counted(figure(key), float64(n))
}
