package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/importer"
)

// stoppable ends a command's context when the process is asked to end.
func stoppable(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}

func migrateCommand() *cobra.Command {
	return group("migrate", "Make or change the tables of a PostgreSQL database for exports",
		migrateUpCommand(), migrateDownCommand(), migrateStatusCommand())
}

func migrateUpCommand() *cobra.Command {
	cmd := databaseFlag(jsonFlag(&cobra.Command{
		Use:   "up",
		Short: "Bring the tables up to date",
		Long: `Makes the documented tables and, beside them, tables whose names begin with keystone_ for what those cannot
hold. Tables that the old system made are used as they are, if they have the columns that an export writes;
nothing in them is changed. keystone export does this by itself.`,
		Example: `  keystone migrate up --to postgres://keystone@db.example.org/reports`,
		Args:    cobra.NoArgs,
	}), "to", "the database")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return migrate(cmd, importer.MigrateUp, "the tables were up to date")
	}
	return cmd
}

func migrateDownCommand() *cobra.Command {
	var dropRows bool
	cmd := databaseFlag(jsonFlag(&cobra.Command{
		Use:   "down",
		Short: "Take the last step of migrate up back",
		Long: `Drops the tables that the last step made. Tables that were there before Keystone stay, and so does any
that holds rows, unless --drop-rows says that those may go.`,
		Example: `  keystone migrate down --to postgres://keystone@db.example.org/reports
  keystone migrate down --to postgres://keystone@db.example.org/reports --drop-rows`,
		Args: cobra.NoArgs,
	}), "to", "the database")
	cmd.Flags().BoolVar(&dropRows, "drop-rows", false, "drop tables that hold rows as well")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return migrate(cmd, func(ctx context.Context, url string) ([]importer.Migration, error) {
			return importer.MigrateDown(ctx, url, dropRows)
		}, "nothing was taken back")
	}
	return cmd
}

func migrateStatusCommand() *cobra.Command {
	cmd := databaseFlag(jsonFlag(&cobra.Command{
		Use:     "status",
		Short:   "Show which steps were taken",
		Example: `  keystone migrate status --to postgres://keystone@db.example.org/reports`,
		Args:    cobra.NoArgs,
	}), "to", "the database")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return migrate(cmd, importer.MigrateStatus, "") }
	return cmd
}

// migrate runs one of the three and prints the steps that it returns.
func migrate(cmd *cobra.Command, run func(ctx context.Context, url string) ([]importer.Migration, error), nothing string) error {
	url, err := databaseOf(cmd, "to")
	if err != nil {
		return err
	}
	ctx, stop := stoppable(cmd)
	defer stop()
	steps, err := run(ctx, url)
	if err != nil {
		if len(steps) > 0 {
			err = errors.Join(fmt.Errorf("%d steps were taken before", len(steps)), err)
		}
		return err
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); len(steps) == 0 && !asJSON {
		fmt.Fprintln(cmd.OutOrStdout(), nothing)
		return nil
	}
	if steps == nil {
		steps = []importer.Migration{}
	}
	var rows []table.Row
	for _, s := range steps {
		state, at := "not applied", "-"
		if s.Applied {
			state = "applied"
		}
		if s.At != nil {
			at = s.At.Local().Format(time.DateTime)
		}
		rows = append(rows, table.Row{s.Version, s.Name, state, at})
	}
	return present(cmd, map[string]any{"migrations": steps}, table.Row{"step", "name", "state", "since"}, rows)
}
