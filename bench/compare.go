package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The verdicts about a Figure: of the second report, judged by the first.
const (
	Faster = "faster"
	Slower = "slower"
	// Same is said where the ranges of the rounds overlap: then the rounds of one report differ as much
	// among themselves as from those of the other.
	Same = "the same within the spread"
	// NotMeasured is said where one of the reports has no such figure, as when nothing was answered.
	NotMeasured = "not measured"
)

// manyErrors is the share of requests above which the rest is no fair sample: errors are quick to give.
const manyErrors = 0.01

// Comparison holds two reports side by side.
type Comparison struct {
	Rows     []Compared `json:"rows"`               // operations that both have, in the order of the first
	Warnings []string   `json:"warnings,omitempty"` // why the comparison may be unfair, in sentences
}

// Compared is one operation in both reports.
type Compared struct {
	Operation string `json:"operation"`
	PerSecond Figure `json:"per_second"`
	P50       Figure `json:"p50"` // microseconds
	P99       Figure `json:"p99"` // microseconds
}

// Figure is one quantity in both reports, each over its rounds.
type Figure struct {
	A       Spread  `json:"a"`
	B       Spread  `json:"b"`
	Ratio   float64 `json:"ratio"` // of the medians, B to A; 0: A is 0
	Verdict string  `json:"verdict"`
}

// Compare judges report b by report a.
func Compare(a, b *Report) Comparison {
	c := Comparison{Warnings: append(differences(a, b), troubles(a, b)...)}
	inB := b.Names()
	var only [2][]string
	for _, name := range a.Names() {
		if !slices.Contains(inB, name) {
			only[0] = append(only[0], name)
			continue
		}
		throughput := func(o Operation) float64 { return o.PerSecond }
		p50 := func(l Latency) int64 { return l.P50 }
		p99 := func(l Latency) int64 { return l.P99 }
		c.Rows = append(c.Rows, Compared{
			Operation: name,
			PerSecond: compareFigures(a.Over(name, throughput), b.Over(name, throughput), true),
			P50:       compareFigures(a.latency(name, p50), b.latency(name, p50), false),
			P99:       compareFigures(a.latency(name, p99), b.latency(name, p99), false),
		})
	}
	for _, name := range inB {
		if !slices.Contains(a.Names(), name) {
			only[1] = append(only[1], name)
		}
	}
	for i, names := range only {
		if len(names) > 0 {
			c.Warnings = append(c.Warnings, fmt.Sprintf("Only the %s report has %s.", ordinal[i], strings.Join(names, ", ")))
		}
	}
	return c
}

var ordinal = [2]string{"first", "second"}

func compareFigures(a, b Spread, moreIsFaster bool) Figure {
	f := Figure{A: a, B: b, Verdict: Same}
	if a.Median > 0 {
		f.Ratio = b.Median / a.Median
	}
	switch {
	case !moreIsFaster && (a.Most == 0 || b.Most == 0):
		f.Verdict = NotMeasured // a latency is never zero, and nothing is not faster than something
	case a.Least <= b.Most && b.Least <= a.Most:
	case (b.Least > a.Most) == moreIsFaster:
		f.Verdict = Faster
	default:
		f.Verdict = Slower
	}
	return f
}

// latency returns a latency of one operation over the rounds in which it has one at all. Over would take
// the others for rounds of no latency.
func (r *Report) latency(operation string, figure func(Latency) int64) Spread {
	var figures []float64
	for _, round := range r.Rounds {
		for _, o := range round.Operations {
			if o.Name == operation && o.Latency.Max > 0 {
				figures = append(figures, float64(figure(o.Latency)))
			}
		}
	}
	return SpreadOf(figures)
}

// differences says what was not equal for both.
func differences(a, b *Report) (warnings []string) {
	mix := func(m Mix) string {
		if len(m) == 0 {
			return "none"
		}
		return m.String()
	}
	loop := func(p Plan) string {
		if p.Rate > 0 {
			return "open loop at " + number(p.Rate) + " requests a second"
		}
		return "closed loop"
	}
	place := func(m Machine) string {
		if m.Local {
			return "the machine of a target"
		}
		return "a machine of its own"
	}
	for _, d := range []struct{ what, a, b string }{
		{"scenario", a.Scenario, b.Scenario},
		{"kind of load", loop(a.Plan), loop(b.Plan)},
		{"number of connections", count(a.Plan.Connections), count(b.Plan.Connections)},
		{"warm-up", length(a.Plan.Warmup), length(b.Plan.Warmup)},
		{"length of a round", length(a.Plan.Duration), length(b.Plan.Duration)},
		{"number of tokens", count(a.Plan.Tokens), count(b.Plan.Tokens)},
		{"number of users", count(a.Plan.Users), count(b.Plan.Users)},
		{"mix of tokens", mix(a.Plan.Mix), mix(b.Plan.Mix)},
		{"number of targets", count(len(a.Targets)), count(len(b.Targets))},
		{"system of the bench", a.Machine.System, b.Machine.System},
		{"processor of the bench", a.Machine.Processor, b.Machine.Processor},
		{"number of processors of the bench", count(a.Machine.Processors), count(b.Machine.Processors)},
		{"place of the bench", place(a.Machine), place(b.Machine)},
	} {
		if d.a != d.b {
			warnings = append(warnings, fmt.Sprintf("The %s differs: %s in the first report, %s in the second.", d.what, known(d.a), known(d.b)))
		}
	}
	return warnings
}

// troubles says what makes one of the reports a poor measure, whatever the other is.
func troubles(a, b *Report) (warnings []string) {
	for i, r := range []*Report{a, b} {
		var good, bad uint64
		for _, round := range r.Rounds {
			for _, o := range round.Operations {
				good, bad = good+o.Requests, bad+o.Errors+o.Unsent
			}
		}
		if len(r.Rounds) < 2 {
			warnings = append(warnings, fmt.Sprintf("The %s report has fewer than two rounds, so that its spread is not known.", ordinal[i]))
		}
		if n := r.Wrong(); n > 0 {
			warnings = append(warnings, fmt.Sprintf("The %s report has wrong answers, %s of them, which must never be given.", ordinal[i], number(float64(n))))
		}
		if all := float64(good + bad); float64(bad) > manyErrors*all {
			warnings = append(warnings, fmt.Sprintf("In the %s report %s of the requests failed or could not be sent.", ordinal[i], percent(float64(bad)/all)))
		}
	}
	return warnings
}

func known(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

func count(n int) string { return number(float64(n)) }

// length writes a duration of a plan, which people give in seconds or minutes.
func length(d time.Duration) string {
	if d >= 2*time.Minute && d%time.Minute == 0 {
		return number(d.Minutes()) + " min"
	}
	return number(d.Seconds()) + " s"
}
