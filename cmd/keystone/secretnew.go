package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/secret"
)

func secretCommand() *cobra.Command {
	return group("secret", "Make and exchange the cluster secret", secretRotateCommand(), secretStatusCommand(), &cobra.Command{
		Use:   "new",
		Short: "Print a new cluster secret",
		Long: `Prints a new secret for a new cluster. Every node is given the same one, by KEYSTONE_SECRET, by the
file that KEYSTONE_SECRET_FILE names, or as the file "secret" in its data folder. Who has it can be a
node of the cluster.`,
		Example: `  keystone secret new > secret && chmod 600 secret
  KEYSTONE_SECRET_FILE=./secret keystone serve --cluster 10.0.0.7:7400 --initial …`,
		Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), secret.NewClusterSecret().Reveal())
		},
	})
}
