package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/secret"
)

func userCommand() *cobra.Command {
	return group("user", "Manage people's accounts",
		userListCommand(), userShowCommand(), userCreateCommand(), userUpdateCommand(),
		userSwitchCommand("disable", "Keep a user out, and end all sessions", false),
		userSwitchCommand("enable", "Let a disabled user in again", true),
		userDeleteCommand(), userLockDownCommand(), userUnlockCommand(), userRolesCommand(), userPasswordCommand())
}

// aboutUser is a command about one user, who is named by id, username or e-mail address.
func aboutUser(use, short, example string, run func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error) *cobra.Command {
	cmd := jsonFlag(operatorCommand(&cobra.Command{Use: use + " USER", Short: short, Example: example, Args: oneUser}))
	cmd.Long = short + ". The user is named by id, username or e-mail address."
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error { return run(ctx, cmd, c, args[0]) })
	}
	return cmd
}

func oneUser(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("%s needs one user: an id, a username or an e-mail address", cmd.CommandPath())
	}
	return nil
}

func userListCommand() *cobra.Command {
	var q client.UserQuery
	var state string
	var all bool
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use: "list", Short: "List users, the newest first",
		Example: `  keystone user list --search ada
  keystone user list --role admin --sort username,asc --json
  keystone user list --state locked --all`,
		Args: cobra.NoArgs,
	}))
	f := cmd.Flags()
	f.StringVar(&q.Search, "search", "", "part of a name or an e-mail address")
	f.StringVar(&q.Role, "role", "", "only those with this role")
	f.StringVar(&state, "state", "", "only those that are active, disabled, locked, verified or unverified")
	f.StringVar(&q.Sort, "sort", "", "username, email or created_at, then a comma, then asc or desc")
	f.BoolVar(&all, "all", false, "all of them, not the first hundred")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := readState(&q, state); err != nil {
			return err
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error { return listUsers(ctx, cmd, c, q, all) })
	}
	return cmd
}

func readState(q *client.UserQuery, state string) error {
	yes, no := true, false
	switch state {
	case "":
	case "active":
		q.Active = &yes
	case "disabled":
		q.Active = &no
	case "locked":
		q.Locked = &yes
	case "verified":
		q.Verified = &yes
	case "unverified":
		q.Verified = &no
	default:
		return errors.New("--state must be active, disabled, locked, verified or unverified")
	}
	return nil
}

func listUsers(ctx context.Context, cmd *cobra.Command, c *client.Client, q client.UserQuery, all bool) error {
	q.PerPage = 100
	list, err := c.Users(ctx, q)
	if err != nil {
		return err
	}
	for all && list.NextCursor != nil {
		q.Cursor = *list.NextCursor
		more, err := c.Users(ctx, q)
		if err != nil {
			return err
		}
		list.Users, list.NextCursor = append(list.Users, more.Users...), more.NextCursor
	}
	rows := make([]table.Row, 0, len(list.Users))
	for _, u := range list.Users {
		rows = append(rows, table.Row{u.Username, u.Email, userState(u), strings.Join(u.Roles, " "), u.CreatedAt.Format("2006-01-02 15:04"), u.ID})
	}
	if err := present(cmd, list, table.Row{"username", "e-mail", "state", "roles", "made", "id"}, rows); err != nil {
		return err
	}
	if n := list.Total - len(list.Users); n > 0 && list.NextCursor != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "and %d more: see them with --all\n", n)
	}
	return nil
}

// userState is what keeps a user out, or nothing does.
func userState(u api.User) string {
	words := []string{"active"}
	if !u.IsActive {
		words[0] = "disabled"
	}
	if u.LockedUntil != nil {
		words = append(words, "locked")
	}
	if !u.IsVerified {
		words = append(words, "unverified")
	}
	if u.IsSuperuser {
		words = append(words, "superuser")
	}
	return strings.Join(words, ", ")
}

// showUser prints one user.
func showUser(cmd *cobra.Command, u api.User) error {
	rows := []table.Row{
		{"id", u.ID},
		{"username", u.Username},
		{"e-mail", u.Email},
		{"name", u.FullName},
		{"display name", u.DisplayName},
		{"state", userState(u)},
		{"roles", strings.Join(u.Roles, " ")},
		{"scopes", strings.Join(u.Scopes, " ")},
		{"made", u.CreatedAt},
		{"changed", u.UpdatedAt},
	}
	if u.LastLogin != nil {
		rows = append(rows, table.Row{"last login", *u.LastLogin})
	}
	if u.LockedUntil != nil {
		rows = append(rows, table.Row{"locked until", *u.LockedUntil})
	}
	return present(cmd, u, table.Row{"", u.Username}, rows)
}

func userShowCommand() *cobra.Command {
	return aboutUser("show", "Show a user", "  keystone user show ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		u, err := c.User(ctx, ref)
		if err != nil {
			return err
		}
		return showUser(cmd, u)
	})
}

func userCreateCommand() *cobra.Command {
	var r api.CreateUserRequest
	var passwordFile string
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use: "create", Short: "Make an account",
		Long: "Makes an account. Without a password file a password is made and printed, this once, on standard error.",
		Example: `  keystone user create --username ada --email ada@example.org
  keystone user create --username ada --email ada@example.org --role user --role auditor --password-file ./password`,
		Args: cobra.NoArgs,
	}))
	f := cmd.Flags()
	f.StringVar(&r.Username, "username", "", "the name that the person logs in with")
	f.StringVar(&r.Email, "email", "", "the person's e-mail address")
	f.StringVar(&r.FirstName, "first-name", "", "first name")
	f.StringVar(&r.LastName, "last-name", "", "last name")
	f.StringVar(&r.DisplayName, "display-name", "", "name to be shown")
	f.StringSliceVar(&r.Roles, "role", nil, "role, perhaps several times (default: that of those who register)")
	f.StringVar(&passwordFile, "password-file", "", "file that holds the password, or - for standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if r.Username == "" || r.Email == "" {
			return errors.New("a user needs --username and --email")
		}
		if r.Password, err = passwordFrom(passwordFile, cmd.InOrStdin()); err != nil {
			return err
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error { return createUser(ctx, cmd, c, r) })
	}
	return cmd
}

func createUser(ctx context.Context, cmd *cobra.Command, c *client.Client, r api.CreateUserRequest) error {
	generated := r.Password == ""
	if generated {
		r.Password = secret.GeneratePassword()
	}
	u, err := c.CreateUser(ctx, r)
	if err != nil {
		return fmt.Errorf("the user was not made: %w", err)
	}
	if generated {
		fmt.Fprintf(cmd.ErrOrStderr(), "password: %s\nIt is shown this once.\n", r.Password)
	}
	return showUser(cmd, u)
}

func userUpdateCommand() *cobra.Command {
	cmd := aboutUser("update", "Change what is given of a user", `  keystone user update ada --email ada@example.org --verified
  keystone user update ada --superuser=false`, func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		r, any := userChange(cmd)
		if !any {
			return errors.New("nothing is to be changed: see keystone user update --help")
		}
		u, err := c.UpdateUser(ctx, ref, r)
		if err != nil {
			return fmt.Errorf("the user was not changed: %w", err)
		}
		return showUser(cmd, u)
	})
	f := cmd.Flags()
	f.String("username", "", "the name that the person logs in with")
	f.String("email", "", "the e-mail address, which then has to be verified again")
	f.String("first-name", "", "first name")
	f.String("last-name", "", "last name")
	f.String("display-name", "", "name to be shown")
	f.String("bio", "", "what the person says of themselves")
	f.Bool("verified", false, "whether the e-mail address is known to be the person's")
	f.Bool("superuser", false, "whether the person holds every scope")
	return cmd
}

// userChange is what the flags say is to be different.
func userChange(cmd *cobra.Command) (r api.UpdateUserRequest, any bool) {
	f := cmd.Flags()
	for name, into := range map[string]**string{
		"username": &r.Username, "email": &r.Email, "first-name": &r.FirstName, "last-name": &r.LastName,
		"display-name": &r.DisplayName, "bio": &r.Bio,
	} {
		if f.Changed(name) {
			text, _ := f.GetString(name)
			*into, any = &text, true
		}
	}
	for name, into := range map[string]**bool{"verified": &r.IsVerified, "superuser": &r.IsSuperuser} {
		if f.Changed(name) {
			flag, _ := f.GetBool(name)
			*into, any = &flag, true
		}
	}
	return r, any
}

func userSwitchCommand(use, short string, active bool) *cobra.Command {
	return aboutUser(use, short, "  keystone user "+use+" ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		u, err := c.UpdateUser(ctx, ref, api.UpdateUserRequest{IsActive: &active})
		if err != nil {
			return fmt.Errorf("the user was not changed: %w", err)
		}
		return showUser(cmd, u)
	})
}

func userDeleteCommand() *cobra.Command {
	return aboutUser("delete", "Remove a user for good", "  keystone user delete ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		if err := c.DeleteUser(ctx, ref); err != nil {
			return fmt.Errorf("the user was not removed: %w", err)
		}
		return present(cmd, api.Message{Message: "User deleted successfully"}, table.Row{"removed"}, []table.Row{{ref}})
	})
}

func userLockDownCommand() *cobra.Command {
	return aboutUser("lock-down", "Take everything from a user at once: the account, sessions, tokens, mailed links", "  keystone user lock-down ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		done, err := c.LockDownUser(ctx, ref)
		if err != nil {
			return fmt.Errorf("the user was not locked down: %w", err)
		}
		return present(cmd, done, table.Row{"", ref}, []table.Row{{"state", "disabled"}, {"sessions ended", done.SessionsTerminated}})
	})
}

func userUnlockCommand() *cobra.Command {
	return aboutUser("unlock", "Let a user try again who was locked out", "  keystone user unlock ada", func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		u, err := c.UnlockUser(ctx, ref)
		if err != nil {
			return err
		}
		return showUser(cmd, u)
	})
}

func userRolesCommand() *cobra.Command {
	cmd := aboutUser("roles", "Show a user's roles, or change them", `  keystone user roles ada
  keystone user roles ada --add auditor --remove user
  keystone user roles ada --set admin,user`, func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref string) error {
		u, err := changeRoles(ctx, cmd, c, ref)
		if err != nil {
			return err
		}
		rows := make([]table.Row, 0, len(u.Roles))
		for _, role := range u.Roles {
			rows = append(rows, table.Row{role})
		}
		return present(cmd, api.RolesRequest{Roles: u.Roles}, table.Row{"roles of " + u.Username}, rows)
	})
	cmd.Flags().StringSlice("add", nil, "roles to give")
	cmd.Flags().StringSlice("remove", nil, "roles to take away")
	cmd.Flags().StringSlice("set", nil, "all roles that the user is to have")
	cmd.MarkFlagsMutuallyExclusive("set", "add")
	cmd.MarkFlagsMutuallyExclusive("set", "remove")
	return cmd
}
