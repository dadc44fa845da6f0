package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/bench"
)

// errWrongAnswers ends a bench with an error, for scripts.
var errWrongAnswers = errors.New("there were answers that must never be given, see the table: this is a fault of the server")

// printReport prints what was measured.
func printReport(out io.Writer, r *bench.Report, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		printOperations(out, r)
	}
	if r.Wrong() > 0 {
		return errWrongAnswers
	}
	return nil
}

func printOperations(out io.Writer, r *bench.Report) {
	m := r.Machine
	fmt.Fprintf(out, "%s on %d nodes, %s\n", r.Scenario, len(r.Targets), planned(r.Plan))
	fmt.Fprintf(out, "%s, %d processors, %s, %.1f GiB; the bench used %s of them\n", m.System, m.Processors, m.Processor, float64(m.Memory)/(1<<30), share(ownCPU(r)))
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"operation", "a second", "least–most", "p50", "p90", "p99", "p99.9", "max", "errors", "unsent", "wrong", "gap"})
	for _, name := range r.Names() {
		rate := r.Over(name, func(o bench.Operation) float64 { return o.PerSecond })
		us := func(figure func(bench.Operation) int64) string {
			return bench.Microseconds(r.Over(name, func(o bench.Operation) float64 { return float64(figure(o)) }).Median)
		}
		t.AppendRow(table.Row{
			name, fmt.Sprintf("%.0f", rate.Median), fmt.Sprintf("%.0f–%.0f", rate.Least, rate.Most),
			us(func(o bench.Operation) int64 { return o.Latency.P50 }), us(func(o bench.Operation) int64 { return o.Latency.P90 }),
			us(func(o bench.Operation) int64 { return o.Latency.P99 }), us(func(o bench.Operation) int64 { return o.Latency.P999 }),
			us(func(o bench.Operation) int64 { return o.Latency.Max }),
			total(r, name, func(o bench.Operation) uint64 { return o.Errors }),
			total(r, name, func(o bench.Operation) uint64 { return o.Unsent }),
			total(r, name, func(o bench.Operation) uint64 { return o.Wrong }),
			us(func(o bench.Operation) int64 { return o.Gap }),
		})
	}
	t.Render()
	for _, kind := range errorKinds(r) {
		fmt.Fprintln(out, kind)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
}

func planned(p bench.Plan) string {
	how := fmt.Sprintf("closed loop with %d connections", p.Connections)
	if p.Rate > 0 {
		how = fmt.Sprintf("open loop at %.0f requests a second over %d connections", p.Rate, p.Connections)
	}
	return fmt.Sprintf("%s, %d rounds of %s after %s", how, p.Rounds, p.Duration, p.Warmup)
}

func share(of float64) string { return fmt.Sprintf("%.0f %%", 100*of) }

func ownCPU(r *bench.Report) float64 {
	var all []float64
	for _, round := range r.Rounds {
		all = append(all, round.OwnCPU)
	}
	return bench.SpreadOf(all).Median
}

func total(r *bench.Report, name string, figure func(bench.Operation) uint64) (n uint64) {
	for _, round := range r.Rounds {
		for _, o := range round.Operations {
			if o.Name == name {
				n += figure(o)
			}
		}
	}
	return n
}

// errorKinds are lines such as "refresh: 12 × 429 rate_limit_exceeded", with what to do where that is known.
func errorKinds(r *bench.Report) (lines []string) {
	for _, name := range r.Names() {
		kinds := map[string]uint64{}
		for _, round := range r.Rounds {
			for _, o := range round.Operations {
				if o.Name == name {
					for kind, n := range o.Kinds {
						kinds[kind] += n
					}
				}
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			line := fmt.Sprintf("%s: %d × %s", name, kinds[kind], kind)
			if kind == "429 rate_limit_exceeded" {
				line += " (switch the rate limits off on the nodes, with KEYSTONE_NO_RATE_LIMIT=true)"
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func benchCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "compare A B",
		Short:   "Compare two reports",
		Example: "  keystone bench compare ./before ./after/report.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("keystone bench compare needs two reports: name two folders that --report wrote, or their report.json")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := bench.Load(args[0])
			if err != nil {
				return err
			}
			b, err := bench.Load(args[1])
			if err != nil {
				return err
			}
			printComparison(cmd.OutOrStdout(), bench.Compare(a, b))
			return nil
		},
	}
}

func printComparison(out io.Writer, c bench.Comparison) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"operation", "figure", "A", "B", "B to A", ""})
	for _, r := range c.Rows {
		rate := func(v float64) string { return fmt.Sprintf("%.0f", v) }
		for _, f := range []struct {
			name  string
			of    bench.Figure
			write func(float64) string
		}{{"a second", r.PerSecond, rate}, {"p50", r.P50, bench.Microseconds}, {"p99", r.P99, bench.Microseconds}} {
			t.AppendRow(table.Row{
				r.Operation, f.name, ranged(f.of.A, f.write), ranged(f.of.B, f.write), fmt.Sprintf("%.2f", f.of.Ratio), f.of.Verdict,
			})
		}
	}
	t.Render()
	for _, warning := range c.Warnings {
		fmt.Fprintln(out, "note: "+warning)
	}
}

func ranged(s bench.Spread, write func(float64) string) string {
	return fmt.Sprintf("%s (%s–%s)", write(s.Median), write(s.Least), write(s.Most))
}
