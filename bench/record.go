package bench

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The histograms hold 1 µs to 2 minutes with three digits.
const (
	longestMicroseconds = 120_000_000
	digits              = 3
)

// How a request ended.
type outcome uint8

const (
	answered outcome = iota
	failed           // refused, or not answered
	unsent           // it was due and could not be sent in time
	wrong            // answered with what must never be said
)

// tape holds what a few workers saw since it was last taken. It has its own lock, which those few share.
type tape struct {
	mu    sync.Mutex
	all   []*counts // by operation, of the whole round
	brief *counts   // of the present second, all operations together
}

// counts is what was seen of one kind of request.
type counts struct {
	latency  *hdrhistogram.Histogram
	outcomes [4]uint64
	kinds    map[string]uint64
}

func newCounts() *counts {
	return &counts{latency: hdrhistogram.New(1, longestMicroseconds, digits), kinds: map[string]uint64{}}
}

// add counts one request. What was not answered has no latency, but what was never sent has: it waited.
func (c *counts) add(o outcome, took time.Duration, kind string) {
	c.outcomes[o]++
	if o == failed || o == wrong {
		c.kinds[kind]++
	}
	if o != failed {
		_ = c.latency.RecordValue(min(max(1, took.Microseconds()), longestMicroseconds))
	}
}

func (c *counts) merge(o *counts) {
	c.latency.Merge(o.latency)
	for i, n := range o.outcomes {
		c.outcomes[i] += n
	}
	for kind, n := range o.kinds {
		c.kinds[kind] += n
	}
}

func (c *counts) reset() {
	c.latency.Reset()
	c.outcomes = [4]uint64{}
	clear(c.kinds)
}

func newTape(operations int) *tape {
	t := &tape{brief: newCounts()}
	for range operations {
		t.all = append(t.all, newCounts())
	}
	return t
}

func (t *tape) add(operation int, o outcome, took time.Duration, kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[operation].add(o, took, kind)
	t.brief.add(o, took, kind)
}

// gap finds the longest time without a good answer. Times are nanoseconds since the round began.
type gap struct{ last, longest atomic.Int64 }

func (g *gap) end(at time.Duration) {
	now := int64(at)
	long := now - g.last.Swap(now)
	for {
		known := g.longest.Load()
		if long <= known || g.longest.CompareAndSwap(known, long) {
			return
		}
	}
}

func (g *gap) take(at time.Duration) time.Duration {
	g.end(at)
	g.last.Store(0)
	return time.Duration(g.longest.Swap(0))
}

// tapes are those of all workers.
type tapes struct {
	all   []*tape
	gaps  []gap // by operation
	start time.Time
}

// mostTapes is more than processors that could write at once, and few enough to merge every second.
const mostTapes = 16

func newTapes(workers, operations int) *tapes {
	t := &tapes{gaps: make([]gap, operations)}
	for range min(workers, mostTapes) {
		t.all = append(t.all, newTape(operations))
	}
	return t
}

// add counts a request of one worker.
func (t *tapes) add(worker, operation int, o outcome, took time.Duration, kind string) {
	if o == answered {
		t.gaps[operation].end(time.Since(t.start))
	}
	t.all[worker%len(t.all)].add(operation, o, took, kind)
}

// second takes what happened since it was called last.
func (t *tapes) second(at int) Second {
	sum := newCounts()
	for _, one := range t.all {
		one.mu.Lock()
		sum.merge(one.brief)
		one.brief.reset()
		one.mu.Unlock()
	}
	return Second{
		At: at, Requests: sum.outcomes[answered], Errors: sum.outcomes[failed] + sum.outcomes[unsent] + sum.outcomes[wrong],
		P50: sum.latency.ValueAtPercentile(50), P99: sum.latency.ValueAtPercentile(99), Max: sum.latency.Max(),
	}
}

// operations takes the whole of what was seen.
func (t *tapes) operations(names []string, round time.Duration) (all []Operation) {
	for i, name := range names {
		sum := newCounts()
		for _, one := range t.all {
			one.mu.Lock()
			sum.merge(one.all[i])
			one.all[i].reset()
			one.mu.Unlock()
		}
		o := Operation{
			Name: name, Requests: sum.outcomes[answered], PerSecond: float64(sum.outcomes[answered]) / round.Seconds(),
			Errors: sum.outcomes[failed], Unsent: sum.outcomes[unsent], Wrong: sum.outcomes[wrong], Latency: latencyOf(sum.latency),
			Gap: t.gaps[i].take(round).Microseconds(),
		}
		if len(sum.kinds) > 0 {
			o.Kinds = sum.kinds
		}
		if o.Requests+o.Errors+o.Unsent+o.Wrong > 0 {
			all = append(all, o)
		}
	}
	return all
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	l := Latency{
		Min: h.Min(), Mean: h.Mean(), Max: h.Max(),
		P50: h.ValueAtPercentile(50), P90: h.ValueAtPercentile(90), P99: h.ValueAtPercentile(99), P999: h.ValueAtPercentile(99.9),
	}
	if h.TotalCount() == 0 {
		return Latency{}
	}
	for _, b := range h.CumulativeDistributionWithTicks(5) {
		l.Curve = append(l.Curve, Point{Percentile: b.Quantile, Microseconds: b.ValueAt})
	}
	slices.SortFunc(l.Curve, func(a, b Point) int { return cmp.Compare(a.Percentile, b.Percentile) })
	return l
}
