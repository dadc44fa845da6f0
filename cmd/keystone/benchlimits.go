package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/bench/limits"
)

func benchLimitsCommand() *cobra.Command {
	var rounds, connections, report string
	o := limits.Options{}
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Measure what this machine can do with Keystone, against the least that the same work costs",
		Long: `Starts three nodes and a bare server on this machine, and measures them in turn: introspection against a bare
HTTP handler, a login against the bare password hash, a refresh against the bare log, and so on. What counts are
the ratios: both sides have the same machine at the same time. It ends with an error when a target is missed by more
than the spread of the rounds, or when an answer under load is wrong.`,
		Example: `  keystone bench limits
  keystone bench limits --only introspect,login --rounds 7`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&rounds, "rounds", "3", "how often each pair is measured")
	f.StringVar(&connections, "connections", "64", "connections of each measurement")
	f.DurationVar(&o.Duration, "duration", 3*time.Second, "length of each measurement")
	f.StringSliceVar(&o.Only, "only", nil, "names of the rows to measure, with commas between them")
	f.StringVar(&report, "report", "", "folder for limits.json")
	jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Rounds, err = wholeNumber("rounds", rounds, 1, 100); err != nil {
			return err
		}
		if o.Connections, err = wholeNumber("connections", connections, 1, 1000); err != nil {
			return err
		}
		if o.Duration < 100*time.Millisecond || o.Duration > time.Hour {
			return errors.New("--duration must be a time from 100ms to 1h")
		}
		if o.Program, err = os.Executable(); err != nil {
			return err
		}
		return runLimits(cmd, o, report)
	}
	return cmd
}

func runLimits(cmd *cobra.Command, o limits.Options, report string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	live := newLiveLine(cmd.ErrOrStderr())
	o.Say = live.say
	rows, failure := limits.Run(ctx, o)
	if rows == nil {
		return failure
	}
	if report != "" {
		if err := saveFigures(report, map[string]any{"limits.json": rows}); err != nil {
			return err
		}
	}
	var lines []table.Row
	for _, r := range rows {
		bound := "≤"
		if r.AtLeast {
			bound = "≥"
		}
		lines = append(lines, table.Row{
			r.What, r.Against, fmt.Sprintf("%.2f %s", r.Figure.Median, r.Unit), fmt.Sprintf("%.2f–%.2f", r.Figure.Least, r.Figure.Most),
			fmt.Sprintf("%s %.4g %s", bound, r.Target, r.Unit), r.Verdict, r.Detail,
		})
	}
	err := present(cmd, rows, table.Row{"what", "against", "median", "least–most", "target", "", "absolute"}, lines)
	return errors.Join(failure, err)
}

// benchBareCommand is the other side of the measurements. It is a process of its own because a node is one.
func benchBareCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bare", Short: "Serve answers that cost nothing, for keystone bench limits", Hidden: true, Args: cobra.NoArgs,
		Example: "  keystone bench bare",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), l.Addr())
			return limits.ServeBare(l)
		},
	}
}
