package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

// changeRoles does what the flags say to the roles of a user.
func changeRoles(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) (api.User, error) {
	f := cmd.Flags()
	set, _ := f.GetStringSlice("set")
	add, _ := f.GetStringSlice("add")
	remove, _ := f.GetStringSlice("remove")
	if f.Changed("set") {
		return c.SetRoles(ctx, ref, append([]string{}, set...))
	}
	u, tag, err := c.UserVersion(ctx, ref)
	if err != nil || len(add)+len(remove) == 0 {
		return u, err
	}
	for _, role := range remove {
		if !slices.Contains(u.Roles, role) {
			return u, fmt.Errorf("the user does not have the role %s: nothing was changed", role)
		}
	}
	kept := slices.DeleteFunc(append(slices.Clone(u.Roles), add...), func(role string) bool { return slices.Contains(remove, role) })
	slices.Sort(kept)
	return c.WithIfMatch(tag).SetRoles(ctx, u.ID, slices.Compact(kept)) // what somebody else gives at this moment is not taken away
}

func userPasswordCommand() *cobra.Command {
	var passwordFile string
	cmd := aboutUser("reset-password", "Give a user another password, unlock the account and end all sessions",
		`  keystone user reset-password ada
  keystone user reset-password ada --password-file ./password`,
		func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
			password, err := passwordFrom(passwordFile, cmd.InOrStdin())
			if err != nil {
				return err
			}
			done, err := c.SetPassword(ctx, ref, password)
			if err != nil {
				return fmt.Errorf("the password was not changed: %w", err)
			}
			rows := []table.Row{{"sessions ended", done.SessionsTerminated}}
			if done.TemporaryPassword != "" {
				rows = append(rows, table.Row{"password, shown this once", done.TemporaryPassword})
			}
			return present(cmd, done, table.Row{"", ref}, rows)
		})
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file that holds the password, or - for standard input (default: one is made)")
	return cmd
}

func sessionCommand() *cobra.Command {
	return group("session", "See and end the sessions of people", sessionListCommand(), sessionEndCommand())
}

func sessionListCommand() *cobra.Command {
	return aboutUser("list", "List a user's sessions, the newest first", "  keystone session list ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		list, err := c.UserSessions(ctx, ref)
		if err != nil {
			return err
		}
		rows := make([]table.Row, 0, len(list.Sessions))
		for _, s := range list.Sessions {
			rows = append(rows, table.Row{s.ID, s.IPAddress, s.UserAgent, s.CreatedAt, s.LastActivity, s.ExpiresAt})
		}
		return present(cmd, list, table.Row{"session", "address", "user agent", "began", "last used", "ends"}, rows)
	})
}

func sessionEndCommand() *cobra.Command {
	return aboutUser("end", "Log a user out everywhere", "  keystone session end ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		ended, err := c.EndUserSessions(ctx, ref)
		if err != nil {
			return err
		}
		return present(cmd, api.SessionsEnded{Message: "All sessions terminated successfully", SessionsTerminated: ended}, table.Row{"sessions ended"}, []table.Row{{ended}})
	})
}
