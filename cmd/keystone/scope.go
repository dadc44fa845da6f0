package main

import (
	"context"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

func scopeCommand() *cobra.Command {
	return group("scope", "Manage the scopes that roles and clients hold",
		listing("List scopes", "  keystone scope list\n  keystone scope list --search orders --json", "name or created_at", listScopes),
		named("show", "SCOPE", "Show a scope, named by name or id", "  keystone scope show read:orders", showScope),
		scopeCreateCommand(), scopeUpdateCommand(),
		removal("SCOPE", "Remove a scope that no role and no client holds", "  keystone scope delete read:orders", (*client.Client).DeleteScope))
}

func listScopes(ctx context.Context, cmd *cobra.Command, c *client.Client, q client.ListQuery) error {
	var all api.Scopes
	if err := walk(q, func(q client.ListQuery) (*string, error) {
		page, err := c.Scopes(ctx, q)
		all.Scopes, all.Page = append(all.Scopes, page.Scopes...), page.Page
		return page.NextCursor, err
	}); err != nil {
		return err
	}
	rows := make([]table.Row, 0, len(all.Scopes))
	for _, s := range all.Scopes {
		rows = append(rows, table.Row{s.Name, s.Resource, s.Action, s.Description})
	}
	return present(cmd, all, table.Row{"name", "resource", "action", "description"}, rows)
}

func showScope(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
	s, err := c.Scope(ctx, name)
	if err != nil {
		return err
	}
	return printScope(cmd, s)
}

func printScope(cmd *cobra.Command, s api.Scope) error {
	return describe(cmd, s, table.Row{"name", s.Name}, table.Row{"id", s.ID}, table.Row{"resource", s.Resource},
		table.Row{"action", s.Action}, table.Row{"description", s.Description})
}

func scopeFlags(f *pflag.FlagSet) {
	f.String("description", "", "what the scope permits")
	f.String("resource", "", "what it is about")
	f.String("action", "", "what may be done with that")
}

func scopeCreateCommand() *cobra.Command {
	cmd := named("create", "SCOPE", "Make a scope, by convention action:resource", "  keystone scope create read:orders --description \"See orders\"", func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		r := api.CreateScopeRequest{Name: name}
		r.Description, _ = cmd.Flags().GetString("description")
		r.Resource, _ = cmd.Flags().GetString("resource")
		r.Action, _ = cmd.Flags().GetString("action")
		s, err := c.CreateScope(ctx, r)
		if err != nil {
			return fmt.Errorf("the scope was not made: %w", err)
		}
		return printScope(cmd, s)
	})
	scopeFlags(cmd.Flags())
	return cmd
}

func scopeUpdateCommand() *cobra.Command {
	cmd := named("update", "SCOPE", "Change what the flags say of a scope", "  keystone scope update read:orders --description \"See all orders\"", func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		var change api.PatchScopeRequest
		texts := map[string]*api.Patch[string]{"description": &change.Description, "resource": &change.Resource, "action": &change.Action}
		cmd.Flags().Visit(func(flag *pflag.Flag) {
			if text := texts[flag.Name]; text != nil {
				*text = api.To(flag.Value.String())
			}
		})
		s, err := c.PatchScope(ctx, name, change)
		if err != nil {
			return err
		}
		return printScope(cmd, s)
	})
	scopeFlags(cmd.Flags())
	return cmd
}
