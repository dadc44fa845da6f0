package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/bench"
)

// Options say how a run is done.
type Options struct {
	Program     string        // the keystone that is measured, by path
	Rounds      int           // of each pair of measurements
	Duration    time.Duration // of each measurement
	Connections int
	Only        []string     // names of rows; none: all
	Say         func(string) // told what is being measured
}

// Row is one line of the table: a figure, what it is compared with, and what it should be.
type Row struct {
	Name    string       `json:"name"`
	What    string       `json:"what"`
	Against string       `json:"against"`
	Unit    string       `json:"unit"` // × for ratios
	Target  float64      `json:"target"`
	AtLeast bool         `json:"at_least"` // the target is a lower bound, else an upper one
	Figure  bench.Spread `json:"figure"`
	Detail  string       `json:"detail"` // the absolute figures behind it
	Verdict string       `json:"verdict"`
}

// The verdicts about a row.
const (
	Met    = "met"
	Nearly = "missed within the spread" // by the median, and met by a round
	Missed = "MISSED"                   // by every round
)

func (r *Row) judge() string {
	reaches := func(figure float64) bool { return figure == r.Target || figure > r.Target == r.AtLeast }
	switch {
	case reaches(r.Figure.Median):
		return Met
	case reaches(r.Figure.Least), reaches(r.Figure.Most):
		return Nearly
	}
	return Missed
}

// measurement is how a row comes about.
type measurement struct {
	row  Row
	take func(ctx context.Context, l *lab) (figures []float64, detail string, err error)
}

// measurements are the rows in the order in which they are measured. The memory comes before anything that
// uses some.
func measurements() []measurement {
	ratio := func(name, what, against string, target float64, take func(context.Context, *lab) ([]float64, string, error)) measurement {
		return measurement{Row{Name: name, What: what, Against: against, Unit: "×", Target: target, AtLeast: true}, take}
	}
	most := func(name, what, against, unit string, target float64, take func(context.Context, *lab) ([]float64, string, error)) measurement {
		return measurement{Row{Name: name, What: what, Against: against, Unit: unit, Target: target}, take}
	}
	return []measurement{
		most("memory", "memory of a node after the start", "", "MB", 40, memoryOfNode),
		most("memory-10k", "memory with 10,000 users", "", "MB", 60, memoryWith(10_000, 0)),
		most("memory-1m", "memory with 1,000,000 users and 100,000 sessions", "", "MB", 700, memoryWith(1_000_000, 100_000)),
		most("start-1m", "start with 1,000,000 users", "", "s", 3, startWith(1_000_000, 0)),
		ratio("introspect", "introspection, 10,000 tokens, Basic", "a bare handler", 0.80, introspection(false)),
		ratio("introspect-bearer", "introspection, 10,000 tokens, bearer", "a bare handler", 0.80, introspection(true)),
		most("hit", "introspection hit inside the process", "", "ns", 1000, hit),
		most("hit-allocations", "the same, allocations", "", "", 0, hitAllocations),
		most("first-sight", "first sight of an ES256 token", "one ES256 verification", "×", 1.3, firstSight),
		ratio("service-token", "service token", "an ES256 signature and a bare handler", 0.60, serviceToken),
		ratio("refresh", "refresh, 64 in flight", "raft with a state machine that does nothing", 0.60, refresh),
		ratio("login", "login", "raw Argon2id on the same processors", 0.93, login),
		most("storm-latency", "introspection p99 while logins saturate the hash pool", "without logins", "×", 2, stormLatency),
		ratio("storm-throughput", "introspection throughput in that storm", "without logins", 0.45, stormThroughput),
		ratio("wrk", "introspection of one token, counted by this bench", "counted by wrk", 0.80, crossCheck),
		most("binary", "the program's file", "", "MB", 30, binarySize),
	}
}

// ErrMissed says that a target was missed by more than the spread of its rounds.
var ErrMissed = errors.New("a target was missed by more than its spread")

// Run measures. The rows that were measured are returned even with an error.
func Run(ctx context.Context, o Options) (rows []Row, err error) {
	var chosen []measurement
	var names []string
	for _, m := range measurements() {
		names = append(names, m.row.Name)
		if len(o.Only) == 0 || slices.Contains(o.Only, m.row.Name) {
			chosen = append(chosen, m)
		}
	}
	for _, name := range o.Only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("nothing called %q is measured: choose some of %s", name, strings.Join(names, ", "))
		}
	}
	lab, err := openLab(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lab.close()) }()
	for _, m := range chosen {
		o.Say(m.row.What)
		figures, detail, err := m.take(ctx, lab)
		if errors.Is(err, errNoWrk) && len(o.Only) == 0 {
			continue
		}
		if err != nil {
			return rows, fmt.Errorf("%s: %w", m.row.What, err)
		}
		row := m.row
		row.Figure, row.Detail = bench.SpreadOf(figures), detail
		row.Verdict = row.judge()
		rows = append(rows, row)
	}
	if slices.ContainsFunc(rows, func(r Row) bool { return r.Verdict == Missed }) {
		return rows, ErrMissed
	}
	return rows, nil
}

// pairs measures two things in turn, so that whatever else the machine does disturbs both alike, and returns
// the ratio of each pair.
func (l *lab) pairs(ctx context.Context, what, against func(context.Context) (float64, error)) (ratios []float64, a, b bench.Spread, err error) {
	var as, bs []float64
	for range l.options.Rounds {
		x, err := what(ctx)
		if err != nil {
			return nil, a, b, err
		}
		y, err := against(ctx)
		if err != nil {
			return nil, a, b, err
		}
		as, bs, ratios = append(as, x), append(bs, y), append(ratios, x/y)
	}
	return ratios, bench.SpreadOf(as), bench.SpreadOf(bs), nil
}

func binarySize(_ context.Context, l *lab) ([]float64, string, error) {
	info, err := os.Stat(l.options.Program)
	if err != nil {
		return nil, "", err
	}
	return []float64{float64(info.Size()) / 1e6}, fmt.Sprintf("%d bytes", info.Size()), nil
}

func processors() int { return runtime.GOMAXPROCS(0) }
