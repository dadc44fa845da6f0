package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

func roleCommand() *cobra.Command {
	return group("role", "Manage the roles that users are given",
		listing("List roles", "  keystone role list\n  keystone role list --search audit --json", "name or created_at", listRoles),
		named("show", "ROLE", "Show a role, named by name or id", "  keystone role show admin", showRole),
		roleCreateCommand(), roleUpdateCommand(),
		removal("ROLE", "Remove a role that nobody holds", "  keystone role delete auditor", (*client.Client).DeleteRole))
}

func listRoles(ctx context.Context, cmd *cobra.Command, c *client.Client, q client.ListQuery) error {
	var all api.Roles
	if err := walk(q, func(q client.ListQuery) (*string, error) {
		page, err := c.Roles(ctx, q)
		all.Roles, all.Page = append(all.Roles, page.Roles...), page.Page
		return page.NextCursor, err
	}); err != nil {
		return err
	}
	rows := make([]table.Row, 0, len(all.Roles))
	for _, r := range all.Roles {
		rows = append(rows, table.Row{r.Name, r.UserCount, strings.Join(r.Scopes, " "), r.Description})
	}
	return present(cmd, all, table.Row{"name", "users", "scopes", "description"}, rows)
}

func showRole(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
	r, err := c.Role(ctx, name)
	if err != nil {
		return err
	}
	return printRole(cmd, r)
}

func printRole(cmd *cobra.Command, r api.Role) error {
	return describe(cmd, r, table.Row{"name", r.Name}, table.Row{"id", r.ID}, table.Row{"description", r.Description},
		table.Row{"scopes", strings.Join(r.Scopes, " ")}, table.Row{"users", r.UserCount})
}

func roleFlags(f *pflag.FlagSet) {
	f.String("description", "", "what the role is for")
	f.StringSlice("scope", nil, "scope that it holds, perhaps several times")
}

func roleCreateCommand() *cobra.Command {
	cmd := named("create", "ROLE", "Make a role", "  keystone role create auditor --scope admin:audit --description \"Read the audit log\"", func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		description, _ := cmd.Flags().GetString("description")
		scopes, _ := cmd.Flags().GetStringSlice("scope")
		r, err := c.CreateRole(ctx, api.RoleRequest{Name: name, Description: description, Scopes: scopes})
		if err != nil {
			return fmt.Errorf("the role was not made: %w", err)
		}
		return printRole(cmd, r)
	})
	roleFlags(cmd.Flags())
	return cmd
}

func roleUpdateCommand() *cobra.Command {
	cmd := named("update", "ROLE", "Change what the flags say of a role", "  keystone role update auditor --scope admin:audit --scope read:users\n  keystone role update auditor --name auditors", func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		var change api.PatchRoleRequest
		cmd.Flags().Visit(func(flag *pflag.Flag) {
			switch flag.Name {
			case "name":
				change.Name = api.To(flag.Value.String())
			case "description":
				change.Description = api.To(flag.Value.String())
			case "scope":
				scopes, _ := cmd.Flags().GetStringSlice("scope")
				change.Scopes = api.To(scopes)
			}
		})
		r, err := c.PatchRole(ctx, name, change)
		if err != nil {
			return err
		}
		return printRole(cmd, r)
	})
	roleFlags(cmd.Flags())
	cmd.Flags().String("name", "", "another name")
	cmd.Long = "Changes what the flags say of a role. The scopes take the place of those before, and show in the next tokens."
	return cmd
}
