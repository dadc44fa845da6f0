package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/bench/limits"
)

func benchGrowthCommand() *cobra.Command {
	var most, rounds, report string
	o := limits.Options{Connections: 64}
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure how Keystone slows down as its data and its load grow",
		Long: `Starts nodes on this machine and measures how introspection changes with the number of tokens, logins and
look-ups with the number of users, and writes with how many are in flight. A million of anything takes minutes to make.`,
		Example: "  keystone bench growth --most 100000 --report ./growth",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&most, "most", "1000000", "the most tokens and users that are made")
	f.StringVar(&rounds, "rounds", "1", "how often each point is measured")
	f.DurationVar(&o.Duration, "duration", 3*time.Second, "length of each measurement")
	f.StringVar(&report, "report", "", "folder for growth.json and a drawing of each curve")
	jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Rounds, err = wholeNumber("rounds", rounds, 1, 100); err != nil {
			return err
		}
		largest, err := wholeNumber("most", most, 1, 1_000_000)
		if err != nil {
			return err
		}
		if o.Duration < 100*time.Millisecond || o.Duration > time.Hour {
			return errors.New("--duration must be a time from 100ms to 1h")
		}
		if o.Program, err = os.Executable(); err != nil {
			return err
		}
		return runGrowth(cmd, o, largest, report)
	}
	return cmd
}

func runGrowth(cmd *cobra.Command, o limits.Options, most int, report string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	live := newLiveLine(cmd.ErrOrStderr())
	o.Say = live.say
	curves, err := limits.Grow(ctx, o, most)
	if err != nil {
		return err
	}
	if report != "" {
		files := map[string]any{"growth.json": curves}
		for _, c := range curves {
			files[c.Name+".svg"] = c.SVG()
		}
		if err := saveFigures(report, files); err != nil {
			return err
		}
	}
	var lines []table.Row
	for _, c := range curves {
		for _, p := range c.Points {
			lines = append(lines, table.Row{c.Title, fmt.Sprintf("%.0f", p[0]), fmt.Sprintf("%.0f", p[1]), c.Y})
		}
	}
	return present(cmd, curves, table.Row{"curve", "size", "figure", "unit"}, lines)
}

// saveFigures writes files into a folder, which it makes: texts as they are and everything else as JSON.
func saveFigures(folder string, files map[string]any) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // figures are for everybody
		return fmt.Errorf("the folder for the report cannot be made: %w", err)
	}
	for name, content := range files {
		text, isText := content.(string)
		if !isText {
			encoded, err := json.MarshalIndent(content, "", "  ")
			if err != nil {
				return err
			}
			text = string(encoded) + "\n"
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("the report cannot be written: %w", err)
		}
	}
	return nil
}
