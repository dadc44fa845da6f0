package main

import (
	"context"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/client"
)

// named is a command about one thing that has a name.
func named(use, what, short, example string, run func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error) *cobra.Command {
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use: use + " " + what, Short: short, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("%s needs one %s", cmd.CommandPath(), what)
			}
			return nil
		},
	}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error { return run(ctx, cmd, c, args[0]) })
	}
	return cmd
}

// removal is a command that removes something and says so. Scripts are told by the exit code.
func removal(what, short, example string, remove func(*client.Client, context.Context, string) error) *cobra.Command {
	return named("delete", what, short, example, func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		if err := remove(c, ctx, name); err != nil {
			return err
		}
		if asJSON, _ := cmd.Flags().GetBool("json"); !asJSON {
			fmt.Fprintf(cmd.OutOrStdout(), "%s was deleted\n", name)
		}
		return nil
	})
}

// listing is a command that shows a list, of which it asks for page after page: page appends one to the
// table and returns where the next begins.
func listing(short, example, sorts string, show func(ctx context.Context, cmd *cobra.Command, c *client.Client, q client.ListQuery) error) *cobra.Command {
	q := client.ListQuery{PerPage: 100, Filters: map[string]string{}}
	cmd := jsonFlag(operatorCommand(&cobra.Command{Use: "list", Short: short, Example: example, Args: cobra.NoArgs}))
	cmd.Flags().StringVar(&q.Search, "search", "", "part of a name or a description")
	cmd.Flags().StringVar(&q.Sort, "sort", "", sorts+", then a comma, then asc or desc")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error { return show(ctx, cmd, c, q) })
	}
	return cmd
}

// walk asks for page after page until the list is at its end.
func walk(q client.ListQuery, page func(client.ListQuery) (next *string, err error)) error {
	for {
		next, err := page(q)
		if err != nil || next == nil {
			return err
		}
		q.Cursor = *next
	}
}

// describe prints one thing, its members below each other. Its name is no head of the table, where letter
// case is lost.
func describe(cmd *cobra.Command, answer any, members ...table.Row) error {
	return present(cmd, answer, table.Row{"member", "value"}, members)
}
