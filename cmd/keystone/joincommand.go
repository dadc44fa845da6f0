package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/secret"
)

func clusterJoinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "join-command",
		Short: "Print the line to paste on a machine that is to join",
		Long: `Prints one line for a machine that is to join the cluster of the node on this one. It holds the cluster secret,
which is read where that node reads it: from its file, the environment, or its data folder. No node gives it
away over the API. The line begins with a space, which keeps it out of the history of most shells.`,
		Example: `  keystone cluster join-command
  keystone cluster join-command --config /etc/keystone/keystone.yaml`,
		Args: cobra.NoArgs,
	}
	addFlags(cmd.Flags(), "config", "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := nodeConfig(cmd.Flags())
		if err != nil {
			return err
		}
		secrets, err := clusterSecretsOf(c)
		if err != nil {
			return err
		}
		return overSocket(cmd, func(ctx context.Context, api *client.Client) error {
			status, err := api.Cluster(ctx)
			if err != nil {
				return fmt.Errorf("the node does not tell: %w", err)
			}
			var addresses []string
			for _, n := range status.Nodes {
				if n.State == "alive" {
					addresses = append(addresses, n.Address)
				}
			}
			if len(addresses) == 0 {
				return errors.New("no node of the cluster answers: see keystone cluster status")
			}
			fmt.Fprintln(cmd.OutOrStdout(), joinLine(secrets, addresses, likewise(c.Node.Advertise, c.Node.HTTP, c.Node.TLS, c.insecure)))
			return nil
		})
	}
	return cmd
}

// nodeConfig is the configuration of the node on this machine, with that which keystone init made where none is
// named.
func nodeConfig(flags *pflag.FlagSet) (Config, error) {
	return configOf(flags, preparedEnvironment(flags))
}

// nodeSources is nodeConfig as it is written down.
func nodeSources(flags *pflag.FlagSet) (sources, error) {
	from, problems := openSources(flags, preparedEnvironment(flags))
	return from, errors.Join(problems...)
}

func preparedEnvironment(flags *pflag.FlagSet) []string {
	environ := os.Environ()
	if flags.Changed("config") || flags.Changed("data") || os.Getenv(configVariable) != "" {
		return environ
	}
	if made := madeConfig(); made != "" {
		environ = append(environ, configVariable+"="+made)
	}
	return environ
}

// clusterSecretsOf are the cluster secrets of the node on this machine, the one that counts first.
func clusterSecretsOf(c Config) ([]secret.ClusterSecret, error) {
	if !c.Node.Secret.IsZero() {
		return append([]secret.ClusterSecret{c.Node.Secret}, c.Node.Previous...), nil
	}
	text, err := os.ReadFile(node.SecretFile(c.Node.DataDir))
	if err != nil {
		return nil, fmt.Errorf("the cluster secret cannot be read: %w: name the node's configuration with --config, or set KEYSTONE_SECRET_FILE", err)
	}
	current, others, err := secret.ParseClusterSecrets(string(text))
	return append([]secret.ClusterSecret{current}, others...), err
}
