package main

import (
	"context"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

func keyCommand() *cobra.Command {
	return group("key", "Look at and replace the keys that sign tokens", keyListCommand(), keyRotateCommand())
}

func keyListCommand() *cobra.Command {
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use: "list", Short: "List the signing keys, in the order in which they begin to sign", Example: "  keystone key list", Args: cobra.NoArgs,
	}))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			all, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			return printKeys(cmd, all, all.Keys...)
		})
	}
	return cmd
}

func printKeys(cmd *cobra.Command, answer any, keys ...api.Key) error {
	rows := make([]table.Row, 0, len(keys))
	for _, k := range keys {
		rows = append(rows, table.Row{k.ID, k.Algorithm, k.Status, moment(&k.SignFrom), moment(k.VerifyUntil)})
	}
	return present(cmd, answer, table.Row{"kid", "algorithm", "status", "signs from", "verifies until"}, rows)
}

func keyRotateCommand() *cobra.Command {
	var immediately bool
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key",
		Long: `Makes a new signing key. It is published at once and signs when every service has had time to fetch it;
the one before verifies until its last token has expired.

With --immediately, for a key that was stolen, the new one signs at once and every other one is forgotten:
whatever they signed is dead, and people and programs get new tokens by refreshing or asking for them.`,
		Example: `  keystone key rotate
  keystone key rotate --immediately`,
		Args: cobra.NoArgs,
	}))
	cmd.Flags().BoolVar(&immediately, "immediately", false, "forget every other key: all tokens that were issued are dead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			key, err := c.RotateKey(ctx, api.RotateKeyRequest{Immediately: immediately})
			if err != nil {
				return err
			}
			return printKeys(cmd, key, key)
		})
	}
	return cmd
}
