package bench_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/bench"
)

// measured is a report with one operation and a round for each figure: requests a second, and the
// latencies that a closed loop of one connection would have with them.
func measured(figures ...float64) *bench.Report {
	r := &bench.Report{Scenario: "login", Plan: bench.Plan{Connections: 1, Tokens: 9, Mix: bench.Mix{bench.MixValid: 1}}}
	for _, f := range figures {
		us := int64(1e6 / f)
		r.Rounds = append(r.Rounds, bench.Round{Operations: []bench.Operation{
			{Name: "login", Requests: 100, PerSecond: f, Latency: bench.Latency{P50: us, P99: 2 * us, Max: 3 * us}},
		}})
	}
	return r
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		a, b  []float64
		want  string
		ratio float64
	}{
		{[]float64{100, 110, 120}, []float64{121, 220, 130}, bench.Faster, 130.0 / 110},
		{[]float64{121, 220, 130}, []float64{100, 110, 120}, bench.Slower, 110.0 / 130},
		{[]float64{100, 110, 120}, []float64{120, 220, 130}, bench.Same, 130.0 / 110}, // they touch
		{[]float64{100, 300}, []float64{150, 160}, bench.Same, 155.0 / 200},           // one within the other
		{[]float64{100, 100}, []float64{100, 100}, bench.Same, 1},
	} {
		got := bench.Compare(measured(c.a...), measured(c.b...))
		if len(got.Rows) != 1 || len(got.Warnings) > 0 {
			t.Fatalf("%v to %v: %+v", c.b, c.a, got)
		}
		row := got.Rows[0]
		if row.PerSecond.Verdict != c.want || row.P50.Verdict != c.want || row.P99.Verdict != c.want {
			t.Errorf("%v to %v is judged %+v, want %s", c.b, c.a, row, c.want)
		}
		if row.PerSecond.Ratio != c.ratio || row.P99.Ratio != row.P99.B.Median/row.P99.A.Median {
			t.Errorf("%v to %v has the ratio %v, want %v: %+v", c.b, c.a, row.PerSecond.Ratio, c.ratio, row)
		}
	}
}

func TestNothingIsNotFasterThanSomething(t *testing.T) {
	a, b := measured(100, 110), measured(100, 110)
	for i := range b.Rounds {
		b.Rounds[i].Operations[0] = bench.Operation{Name: "login", Errors: 1000}
	}
	row := bench.Compare(a, b).Rows[0]
	if row.P50.Verdict != bench.NotMeasured || row.P99.Verdict != bench.NotMeasured || row.PerSecond.Verdict != bench.Slower {
		t.Errorf("it is judged %+v", row)
	}
	if row := bench.Compare(b, a).Rows[0]; row.PerSecond.Ratio != 0 || row.PerSecond.Verdict != bench.Faster {
		t.Errorf("the other way round it is judged %+v", row)
	}
	a.Rounds[1].Operations[0] = bench.Operation{Name: "login", Errors: 1000}
	if row := bench.Compare(a, measured(100, 110)).Rows[0]; row.P50.A.Least != 10_000 {
		t.Errorf("a round without answers counts as one without latency: %+v", row.P50)
	}
}

func TestUnfairComparisonsAreWarnedOf(t *testing.T) {
	for want, change := range map[string]func(r *bench.Report){
		"The scenario differs: login in the first report, verify in the second.": func(r *bench.Report) { r.Scenario = "verify" },
		"closed loop in the first report, open loop at 1,000":                    func(r *bench.Report) { r.Plan.Rate = 1000 },
		"number of connections differs: 1 in":                                    func(r *bench.Report) { r.Plan.Connections = 2 },
		"length of a round differs":                                              func(r *bench.Report) { r.Plan.Duration = time.Minute },
		"warm-up differs":                                                        func(r *bench.Report) { r.Plan.Warmup = time.Second },
		"number of tokens differs":                                               func(r *bench.Report) { r.Plan.Tokens = 10 },
		"mix of tokens differs: valid=1 in the first report, none":               func(r *bench.Report) { r.Plan.Mix = nil },
		"number of targets differs":                                              func(r *bench.Report) { r.Targets = []string{"a"} },
		"processor of the bench differs: not known in the first report, Z80":     func(r *bench.Report) { r.Machine.Processor = "Z80" },
		"number of processors of the bench differs":                              func(r *bench.Report) { r.Machine.Processors = 4 },
		"the machine of a target in the second":                                  func(r *bench.Report) { r.Machine.Local = true },
		"The second report has fewer than two rounds":                            func(r *bench.Report) { r.Rounds = r.Rounds[:1] },
		"The second report has wrong answers, 3 of them":                         func(r *bench.Report) { r.Rounds[0].Operations[0].Wrong = 3 },
		"In the second report 20 % of the requests failed":                       func(r *bench.Report) { r.Rounds[0].Operations[0].Errors = 50 },
		"Only the second report has logout.": func(r *bench.Report) {
			r.Rounds[0].Operations = append(r.Rounds[0].Operations, bench.Operation{Name: "logout"})
		},
	} {
		b := measured(100, 110)
		change(b)
		got := bench.Compare(measured(100, 110), b).Warnings
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("the warnings are %q, want %q", got, want)
		}
	}
}

func TestOperationsOfOneReportHaveNoRow(t *testing.T) {
	a, b := measured(100, 110), measured(100, 110)
	a.Rounds[0].Operations = append([]bench.Operation{{Name: "verify"}}, a.Rounds[0].Operations...)
	got := bench.Compare(a, b)
	if len(got.Rows) != 1 || got.Rows[0].Operation != "login" || !slices.Contains(got.Warnings, "Only the first report has verify.") {
		t.Errorf("it is %+v", got)
	}
	if got := bench.Compare(&bench.Report{}, &bench.Report{}); len(got.Rows) > 0 {
		t.Errorf("two empty reports have rows: %+v", got)
	}
}
