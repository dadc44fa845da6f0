package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

func adminCommand() *cobra.Command {
	return group("admin", "Manage administrators", adminCreateCommand())
}

func adminCreateCommand() *cobra.Command {
	var username, email, passwordFile string
	cmd := operatorCommand(&cobra.Command{
		Use:   "create",
		Short: "Make an administrator",
		Long: `Makes a person with the role admin, through the socket of a node that runs on this machine; it then
exists on all nodes. Without a password file a password is made and printed, this once.`,
		Example: `  keystone admin create --username alice --email alice@example.org
  keystone admin create --username alice --email alice@example.org --password-file ./password
  keystone admin create --data /var/lib/keystone --username alice --email alice@example.org`,
		Args: cobra.NoArgs,
	})
	cmd.Flags().StringVar(&username, "username", "", "the name that the person logs in with")
	cmd.Flags().StringVar(&email, "email", "", "the person's e-mail address")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file that holds the password, or - for standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if username == "" || email == "" {
			return errors.New("an administrator needs --username and --email")
		}
		password, err := passwordFrom(passwordFile, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			return createAdmin(ctx, c, cmd.OutOrStdout(), username, email, password)
		})
	}
	return cmd
}

// passwordFrom reads a password file; no file is no password. An argument would be in the list of
// processes, for all to read.
func passwordFrom(path string, stdin io.Reader) (string, error) {
	if path == "" {
		return "", nil
	}
	password, err := lineFrom(path, stdin)
	if err != nil {
		return "", fmt.Errorf("the password file: %w", err)
	}
	return password, nil
}

func createAdmin(ctx context.Context, c *client.Client, out io.Writer, username, email, password string) error {
	generated := password == ""
	if generated {
		password = secret.GeneratePassword()
	}
	user, err := c.CreateUser(ctx, api.CreateUserRequest{Username: username, Email: email, Password: password, Roles: []string{iam.RoleAdmin}})
	if err != nil {
		return fmt.Errorf("the administrator was not made: %w", err)
	}
	fmt.Fprintf(out, "administrator %s was made\n", user.Username)
	if generated {
		fmt.Fprintf(out, "password: %s\nIt is shown this once.\n", password)
	}
	return nil
}
