package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/importer"
)

func verifyCommand() *cobra.Command {
	var most string
	var strict bool
	cmd := jsonFlag(sourceFlags(operatorCommand(&cobra.Command{
		Use:   "verify",
		Short: "Compare a PostgreSQL database with the cluster, row by row",
		Long: `Reads the database as an import does and compares each row with the cluster's: the proof before everybody
moves over, and the proof that an export is whole. It says which members of which rows are different, never what
stands in them, and ends with an error if there is any difference.

These are taken for the same:
  - roles and scopes of the same name, whatever their ids
  - usernames and e-mail addresses in another letter case
  - a client without an access_token_lifetime of its own, and one that has what the cluster gives to all
  - address ranges in another order
  - a user whose password hash has a form that nobody can verify: the password must be reset (must reset)

And these, unless --strict is given, since a cluster that is in use does them by itself:
  - rows of the cluster that no import brought (own); what one brought and the source has no more is a difference
  - last_login, locked_until, last_used, total_requests and updated_at that are later or more here (moved on)
  - a password that was changed here later than at the source (moved on)
  - a password that Keystone hashed anew at a login: it made the hash, with other parameters than those of the
    source, and the user has logged in here since (hashed anew)

Sessions, refresh tokens and mailed tickets are not compared: they do not last.`,
		Example: `  keystone verify --from postgres://reader@db.example.org/auth
  keystone verify --from postgres://reader@db.example.org/reports --strict --json`,
		Args: cobra.NoArgs,
	})))
	flags := cmd.Flags()
	flags.StringVar(&most, "list", "20", "list at most so many differences")
	flags.BoolVar(&strict, "strict", false, "take for a difference as well what a cluster that is in use does by itself")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		n, err := wholeNumber("list", most, 0, 1_000_000)
		if err != nil {
			return err
		}
		url, m, err := sourceOf(cmd)
		if err != nil {
			return err
		}
		ctx, stop := stoppable(cmd)
		defer stop()
		source, err := importer.Open(ctx, url, m)
		if err != nil {
			return err
		}
		// Without the deadline of other commands: there may be much to read.
		return asOperator(cmd, func(_ context.Context, c *client.Client) error {
			return runVerify(ctx, cmd, c, source, importer.VerifyOptions{Strict: strict, Most: n})
		})
	}
	return cmd
}

// errDifferent ends a comparison that found differences with an error, for scripts.
var errDifferent = errors.New("the database and the cluster are not the same, see the differences")

func runVerify(ctx context.Context, cmd *cobra.Command, c *client.Client, source *importer.Source, o importer.VerifyOptions) error {
	live := newLiveLine(cmd.ErrOrStderr())
	defer live.end()
	o.Progress = live.rows("compared")
	snapshot, err := takeSnapshot(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = snapshot.Store.Close() }()
	v, err := importer.Verify(ctx, source, snapshot, o)
	live.end()
	if err != nil {
		return err
	}
	if err := printDifferences(cmd, v); err != nil {
		return err
	}
	if !v.Same {
		return errDifferent
	}
	return nil
}

func printDifferences(cmd *cobra.Command, v *importer.Verification) error {
	out := cmd.OutOrStdout()
	asJSON, _ := cmd.Flags().GetBool("json")
	if !asJSON {
		for _, d := range v.Differences {
			line := fmt.Sprintf("%s %s: %s", d.Kind, dash(d.ID), d.What)
			if len(d.Fields) > 0 {
				line += " (" + strings.Join(d.Fields, ", ") + ")"
			}
			if d.Reason != "" {
				line += ": " + d.Reason
			}
			fmt.Fprintln(out, line)
		}
		if v.More > 0 {
			fmt.Fprintf(out, "and %d more differences\n", v.More)
		}
	}
	var rows []table.Row
	for _, k := range v.Kinds {
		rows = append(rows, table.Row{
			k.Kind, k.Source, k.Cluster, k.Same, k.Different, k.OnlyAtSource, k.OnlyInCluster, k.Unrepresentable, k.Own, k.MovedOn, k.HashedAnew, k.MustReset,
		})
	}
	err := present(cmd, v, table.Row{
		"kind", "source", "cluster", "same", "different", "only at source", "only here", "cannot be imported", "own", "moved on", "hashed anew", "must reset",
	}, rows)
	if err == nil && !asJSON && v.Same {
		fmt.Fprintln(out, "There is no difference.")
	}
	return err
}
