package bench_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/bench"
)

// sample is a report of two rounds with two operations.
func sample() *bench.Report {
	r := &bench.Report{
		Format: bench.Format, Scenario: "introspect", Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Version: "1.2.3",
		Targets: []string{"https://a.example:8443", "https://b.example:8443"},
		Plan: bench.Plan{
			Connections: 64, Warmup: 5 * time.Second, Duration: 30 * time.Second, Rounds: 2, Tokens: 10_000,
			Mix: bench.Mix{bench.MixValid: 90, bench.MixRevoked: 10},
		},
		Machine: bench.Machine{System: "linux/amd64", Processor: "Example 9", Processors: 8, Memory: 16 << 30, Local: true},
		Notes:   []string{"The nodes ran in containers."},
	}
	for n := range int64(2) {
		round := bench.Round{Seconds: 30, OwnCPU: 0.25, AllCPU: 0.5 + float64(n)/10}
		for i, name := range []string{"introspect", "login"} {
			us := (200 + 50*n) * int64(1+999*i)
			round.Operations = append(round.Operations, bench.Operation{
				Name: name, Requests: 30_000, PerSecond: float64(1000 - 100*n), Errors: uint64(3 * n * int64(i)),
				Latency: bench.Latency{Min: us / 2, P50: us, P90: 2 * us, P99: 3 * us, P999: 4 * us, Max: 9 * us, Curve: []bench.Point{
					{0, us / 2}, {50, us}, {90, 2 * us}, {99, 3 * us}, {99.9, 4 * us}, {99.99, 5 * us}, {100, 9 * us},
				}},
			})
		}
		for at := range 30 {
			round.Series = append(round.Series, bench.Second{At: at, Requests: 1000 - 100*uint64(n), P50: 200 + 50*n, P99: 600, Max: 1900})
		}
		r.Rounds = append(r.Rounds, round)
	}
	r.Rounds[1].Operations[1].Kinds = map[string]uint64{"timeout": 2, "status 503": 4}
	return r
}

func html(t *testing.T, r *bench.Report) string {
	t.Helper()
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestThePageShowsTheReport(t *testing.T) {
	got := html(t, sample())
	for _, want := range []string{
		"<h1>introspect</h1>", "4 March 2026, 05:06:07 UTC", "https://b.example:8443", "The nodes ran in containers.",
		"Closed loop: 64 connections", "5 s of warm-up, then 2 rounds × 30 s", "valid=90,revoked=10", "16.0 GiB", "shared with a target",
		"<td>950<small>900 – 1,000</small></td>", "<td>225 µs<small>200 µs – 250 µs</small></td>", "<td>225 ms<small>200 ms – 250 ms</small></td>",
		"<td>2.02 s<small>1.8 s – 2.25 s</small></td>", "<dd>25 %</dd>", "<dd>55 % <small>(50 % – 60 %)</small></dd>",
		`<td>4</td><td class="text wrapped">status 503</td>`, `<td class="bad">3</td>`,
		">Latency by percentile</text>", ">0 %</text>", ">99.99 %</text>", ">Throughput over time</text>", ">Latency over time</text>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Index(got, ">status 503<") > strings.Index(got, ">timeout<") {
		t.Error("the most frequent kind of error is not the first")
	}
	for _, unwanted := range []string{"Wrong answers:", "Errors over time", "<script"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("the page has %s", unwanted)
		}
	}
	if found := regexp.MustCompile(`(?i)(src|href)="[^d]|@import|url\(`).FindString(got); found != "" {
		t.Errorf("the page wants something from outside: %s", found)
	}
}

func TestThePageTellsOfWhatWentWrong(t *testing.T) {
	r := sample()
	r.Plan.Rate = 5000
	r.Rounds[0].Operations[0].Wrong = 1234
	r.Rounds[0].Series[3].Errors = 7
	got := html(t, r)
	for _, want := range []string{
		`role="alert"><strong>Wrong answers: 1,234.`, `<td class="bad">1,234</td>`, ">Errors over time</text>",
		"Open loop: 5,000 requests a second", "counts from when a request was due",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(got, "No second had an error") {
		t.Error("the page says that there were no errors")
	}
}

func TestTextsOfThePageAreEscaped(t *testing.T) {
	r := sample()
	const evil = "https://x/<script>alert(1)</script>"
	r.Scenario, r.Targets, r.Notes, r.Version = evil, []string{evil}, []string{evil}, evil
	r.Machine.Processor = evil
	r.Rounds[0].Operations[0].Name = evil
	r.Rounds[0].Operations[0].Kinds = map[string]uint64{evil: 1}
	got := html(t, r)
	if strings.Contains(got, "<script") || !strings.Contains(got, "https://x/&lt;script&gt;alert(1)") {
		t.Error("a text can put elements into the page")
	}
}

func TestAnEmptyReportHasAPage(t *testing.T) {
	got := html(t, &bench.Report{})
	if !strings.Contains(got, "Nothing was measured.") || strings.Contains(got, "<svg") || strings.Contains(got, "0001") {
		t.Errorf("the page is %s", got)
	}
	r := &bench.Report{Rounds: []bench.Round{{}, {Operations: []bench.Operation{{Name: "login", Errors: 5}}}}}
	if got := html(t, r); !strings.Contains(got, `<td>–</td><td class="bad">5</td>`) {
		t.Errorf("what was never answered has a latency: %s", got)
	}
}

func TestTheCurveIsTheMedianOfTheRounds(t *testing.T) {
	curve := func(points ...bench.Point) bench.Round {
		return bench.Round{Operations: []bench.Operation{{Name: "x", Latency: bench.Latency{Max: 1, Curve: points}}}}
	}
	r := &bench.Report{Rounds: []bench.Round{
		curve(bench.Point{0, 10}, bench.Point{50, 20}, bench.Point{100, 90}),
		curve(bench.Point{0, 30}, bench.Point{90, 40}, bench.Point{100, 50}),
	}}
	charts := r.Charts()
	want := [][2]float64{{1, 20}, {2, 30}, {10, 65}}
	if len(charts) != 1 || len(charts[0].Lines) != 1 || len(charts[0].Lines[0].Points) != len(want) {
		t.Fatalf("the charts are %v", charts)
	}
	for i, p := range charts[0].Lines[0].Points {
		if p != want[i] {
			t.Errorf("point %d is %v, want %v", i, p, want[i])
		}
	}
}

func TestRoundsFollowEachOther(t *testing.T) {
	for _, c := range sample().Charts() {
		if c.Title != "Throughput over time" {
			continue
		}
		points := c.Lines[0].Points
		if first, second := points[0], points[31]; first != [2]float64{0, 1000} || second != [2]float64{30, 900} || points[30][0] == points[30][0] {
			t.Errorf("the rounds begin at %v and %v, with %v between them", first, second, points[30])
		}
		return
	}
	t.Error("there is no chart of the throughput")
}

func TestLatenciesAreReadable(t *testing.T) {
	for us, want := range map[float64]string{
		0: "0 µs", 87: "87 µs", 999.4: "999 µs", 999.6: "1 ms", 12_345: "12.3 ms", 999_600: "1 s", 61_500_000: "61.5 s",
	} {
		if got := bench.Microseconds(us); got != want {
			t.Errorf("%v is written %q, want %q", us, got, want)
		}
	}
}
