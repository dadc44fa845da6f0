package bench

import (
	"cmp"
	_ "embed" // for the template
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:embed report.css
var reportStyle string

// page is what the report shows: texts alone, so that write decides about nothing but places.
type page struct {
	*Report
	When       string
	Sentence   string // the plan
	Facts      []fact
	Warning    string // about wrong answers; empty: there were none
	Operations []operationRow
	Kinds      []kindRow
	OwnCPU     cell
	AllCPU     cell
	Drawings   []string // SVG
	Calm       bool     // it was measured, and no second had an error
}

type fact struct{ Name, Value string }

// cell is a figure over the rounds.
type cell struct {
	Median, Range string // no range where all rounds agree
}

type operationRow struct {
	Name                  string
	Figures               []cell
	Errors, Unsent, Wrong string
	Bad, Never            bool // there were errors or unsent requests; wrong answers
}

type kindRow struct{ Operation, Kind, Count string }

// HTML writes the report for people: one page that needs nothing else, neither a script nor the network.
func (r *Report) HTML() ([]byte, error) {
	p := page{
		Report: r, Sentence: r.Plan.sentence(), Facts: r.facts(), Kinds: r.kinds(),
		OwnCPU: r.share(func(round Round) float64 { return round.OwnCPU }),
		AllCPU: r.share(func(round Round) float64 { return round.AllCPU }),
	}
	if !r.Started.IsZero() {
		p.When = r.Started.Format("2 January 2006, 15:04:05 MST")
	}
	if n := r.Wrong(); n > 0 {
		p.Warning = number(float64(n))
	}
	for _, name := range r.Names() {
		p.Operations = append(p.Operations, r.row(name))
	}
	for _, c := range r.Charts() {
		p.Drawings = append(p.Drawings, c.SVG())
	}
	p.Calm = len(p.Drawings) > 0 && !r.anyErrors()
	return []byte(p.write()), nil
}

// sentence says in one how the scenario was run.
func (p Plan) sentence() string {
	how := fmt.Sprintf("Closed loop: %s, each of which asks again as soon as it is answered", plural(p.Connections, "connection"))
	if p.Rate > 0 {
		how = fmt.Sprintf("Open loop: %s requests a second at times that are fixed in advance, over %s",
			number(p.Rate), plural(p.Connections, "connection"))
	}
	warmup := "no warm-up"
	if p.Warmup > 0 {
		warmup = length(p.Warmup) + " of warm-up"
	}
	return fmt.Sprintf("%s; %s, then %s × %s.", how, warmup, plural(p.Rounds, "round"), length(p.Duration))
}

// facts are the circumstances that are known.
func (r *Report) facts() (facts []fact) {
	add := func(name string, known bool, value string) {
		if known {
			facts = append(facts, fact{name, value})
		}
	}
	p, m := r.Plan, r.Machine
	add("Mix of tokens", len(p.Mix) > 0, p.Mix.String())
	add("Distinct tokens", p.Tokens > 0, count(p.Tokens))
	add("Users", p.Users > 0, count(p.Users))
	add("Seed", p.Seed > 0, strconv.FormatUint(p.Seed, 10))
	var parts []string
	for _, part := range []struct {
		known bool
		text  string
	}{
		{m.Processor != "", m.Processor},
		{m.Processors > 0, plural(m.Processors, "processor")},
		{m.Memory > 0, fmt.Sprintf("%.1f GiB of memory", float64(m.Memory)/(1<<30))},
		{m.System != "", m.System},
		{m.Go != "", m.Go},
		{m.Local, "shared with a target"},
	} {
		if part.known {
			parts = append(parts, part.text)
		}
	}
	add("Machine of the bench", len(parts) > 0, strings.Join(parts, ", "))
	add("Measured by", r.Version != "", "keystone bench "+r.Version)
	return facts
}

// row is one operation in the table.
func (r *Report) row(name string) operationRow {
	throughput := r.Over(name, func(o Operation) float64 { return o.PerSecond })
	row := operationRow{Name: name, Figures: []cell{cellOf(throughput, perSecond)}}
	for _, figure := range []func(Latency) int64{
		func(l Latency) int64 { return l.P50 }, func(l Latency) int64 { return l.P90 }, func(l Latency) int64 { return l.P99 },
		func(l Latency) int64 { return l.P999 }, func(l Latency) int64 { return l.Max },
	} {
		c := cell{Median: "–"}
		if s := r.latency(name, figure); s.Most > 0 {
			c = cellOf(s, Microseconds)
		}
		row.Figures = append(row.Figures, c)
	}
	var errors, unsent, wrong uint64
	for _, round := range r.Rounds {
		for _, o := range round.Operations {
			if o.Name == name {
				errors, unsent, wrong = errors+o.Errors, unsent+o.Unsent, wrong+o.Wrong
			}
		}
	}
	row.Errors, row.Unsent, row.Wrong = number(float64(errors)), number(float64(unsent)), number(float64(wrong))
	row.Bad, row.Never = errors+unsent > 0, wrong > 0
	return row
}

// kinds are the kinds of errors over all rounds, the most frequent first.
func (r *Report) kinds() (rows []kindRow) {
	for _, name := range r.Names() {
		sums := map[string]uint64{}
		for _, round := range r.Rounds {
			for _, o := range round.Operations {
				if o.Name != name {
					continue
				}
				for kind, n := range o.Kinds {
					sums[kind] += n
				}
			}
		}
		kinds := slices.Sorted(maps.Keys(sums))
		slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(sums[b], sums[a]) })
		for _, kind := range kinds {
			rows = append(rows, kindRow{name, kind, number(float64(sums[kind]))})
		}
	}
	return rows
}

// share is a share of the processors over the rounds in which it is known.
func (r *Report) share(of func(Round) float64) cell {
	var shares []float64
	for _, round := range r.Rounds {
		if share := of(round); share > 0 {
			shares = append(shares, share)
		}
	}
	if len(shares) == 0 {
		return cell{Median: "not known"}
	}
	return cellOf(SpreadOf(shares), percent)
}

// Charts are the figures of the report, for its page and for documents. What was not measured has none,
// and without errors there is no chart of errors.
func (r *Report) Charts() (charts []Chart) {
	if lines := r.percentiles(); len(lines) > 0 {
		charts = append(charts, Chart{
			Title: "Latency by percentile", X: "percentile, stretched towards the slowest requests", Y: "latency",
			LogX: true, LogY: true, LabelX: percentileAt, LabelY: Microseconds, Lines: lines,
		})
	}
	over := func(title, y string, log bool, label func(float64) string, lines ...Line) {
		if len(lines[0].Points) > 0 {
			charts = append(charts, Chart{
				Title: title, X: "seconds, all rounds one after the other", Y: y, LogY: log, LabelY: label, Lines: lines,
			})
		}
	}
	over("Throughput over time", "requests a second", false, nil,
		r.overTime("answered requests", func(s Second) float64 { return float64(s.Requests) }))
	if r.anyErrors() {
		over("Errors over time", "errors a second", false, nil, r.overTime("errors", func(s Second) float64 { return float64(s.Errors) }))
	}
	over("Latency over time", "latency", true, Microseconds,
		r.overTime("max", func(s Second) float64 { return float64(s.Max) }),
		r.overTime("p99", func(s Second) float64 { return float64(s.P99) }),
		r.overTime("p50", func(s Second) float64 { return float64(s.P50) }))
	return charts
}

func (r *Report) anyErrors() bool {
	return slices.ContainsFunc(r.Rounds, func(round Round) bool {
		return slices.ContainsFunc(round.Series, func(s Second) bool { return s.Errors > 0 })
	})
}

// overTime puts the rounds one after the other, parted by a gap, since time went by between them.
func (r *Report) overTime(name string, figure func(Second) float64) Line {
	l := Line{Name: name}
	begin := 0
	for _, round := range r.Rounds {
		next := begin + int(round.Seconds)
		for _, s := range round.Series {
			l.Points = append(l.Points, [2]float64{float64(begin + s.At), figure(s)})
			next = max(next, begin+s.At+1)
		}
		if len(round.Series) > 0 {
			l.Points = append(l.Points, [2]float64{math.NaN(), math.NaN()})
		}
		begin = next
	}
	return l
}

// percentiles are the latencies of each operation by 1/(1-p), the median over the rounds. On a logarithmic
// axis that gives each further nine the same room. The greatest latency would lie at infinity.
func (r *Report) percentiles() (lines []Line) {
	for _, name := range r.Names() {
		var curves [][]Point
		var marks []float64
		for _, round := range r.Rounds {
			for _, o := range round.Operations {
				if o.Name != name || len(o.Latency.Curve) == 0 {
					continue
				}
				curves = append(curves, o.Latency.Curve)
				for _, p := range o.Latency.Curve {
					marks = append(marks, p.Percentile)
				}
			}
		}
		slices.Sort(marks)
		line := Line{Name: name}
		for _, mark := range slices.Compact(marks) {
			if !(mark >= 0 && mark < 100) {
				continue
			}
			var at []float64
			for _, curve := range curves {
				at = append(at, float64(latencyAt(curve, mark)))
			}
			line.Points = append(line.Points, [2]float64{100 / (100 - mark), SpreadOf(at).Median})
		}
		if len(line.Points) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// latencyAt reads a curve at a percentile, which need not be one of its own: each round has others.
func latencyAt(curve []Point, percentile float64) int64 {
	for _, p := range curve {
		if p.Percentile >= percentile {
			return p.Microseconds
		}
	}
	return curve[len(curve)-1].Microseconds
}

func percentileAt(x float64) string { return number(100-100/x) + " %" }

func cellOf(s Spread, write func(float64) string) cell {
	c := cell{Median: write(s.Median)}
	if least, most := write(s.Least), write(s.Most); least != most {
		c.Range = least + " – " + most
	}
	return c
}

// Microseconds writes a latency in the unit that suits it, with three digits.
func Microseconds(us float64) string {
	const milli, second = 1e3, 1e6
	switch rounded := threeDigits(us); {
	case rounded < milli:
		return number(rounded) + " µs"
	case rounded < second:
		return number(rounded/milli) + " ms"
	default:
		return number(rounded/second) + " s"
	}
}

// perSecond writes whole requests where there are enough of them.
func perSecond(v float64) string {
	if v >= 100 {
		return number(math.Round(v))
	}
	return number(threeDigits(v))
}

func percent(share float64) string { return number(threeDigits(100*share)) + " %" }

// threeDigits is what can be said of a measurement at most.
func threeDigits(v float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return rounded
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}
