package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

func clusterRecoverCommand() *cobra.Command {
	var inspect, yes bool
	cmd := jsonFlag(&cobra.Command{
		Use:   "recover",
		Short: "Go on with one node alone, where most of the others are lost for good",
		Long: `Makes the node whose data lies in the folder, and which must not run, a cluster of one. It is for a cluster
whose majority is lost for good: as long as most nodes can be brought back, bring them back instead.

If several nodes are left, look at each with --inspect and recover the one with the highest last term, and of those
the one with the highest last index. Empty the data folders of all others, and start these with --join.

All entries in the log of this node count from then on, those too of which nobody was told that they were made. Changes
that only the lost nodes had are gone. So everything that was issued before is dead afterwards: tokens, sessions and
mailed links, for some of them may have been revoked on the nodes that are lost. The signing keys are replaced; the
shared secret of the compatible mode stays. The cluster gets a new id: a node that comes back with its old data
is refused, and says what to do.

What was in the folder before is kept in a folder below it, which is as secret as the data itself.`,
		Example: `  keystone cluster recover --data /var/lib/keystone --inspect
  keystone cluster recover --data /var/lib/keystone --yes`,
		Args: cobra.NoArgs,
	})
	addFlags(cmd.Flags(), "data", "config", "cluster")
	cmd.Flags().BoolVar(&inspect, "inspect", false, "only show how far this node has come")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it: without this nothing is done")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := nodeConfig(cmd.Flags())
		if err != nil {
			return err
		}
		if inspect {
			s, err := node.Inspect(c.Node)
			if err != nil {
				return err
			}
			return printStanding(cmd, s)
		}
		if !yes {
			return errors.New("the other nodes would be left behind, and everybody would have to log in again: add --yes if most nodes are lost for good, or look first with --inspect; nothing was done")
		}
		out, kept, err := node.Recover(c.Node)
		if err != nil {
			return err
		}
		return printRecovered(cmd, out, kept)
	}
	return cmd
}

func printStanding(cmd *cobra.Command, s backup.Standing) error {
	rows := []table.Row{
		{"node", s.Node},
		{"cluster", s.ClusterID},
		{"last term", s.LastTerm},
		{"last index", s.LastIndex},
		{"applied index", s.Applied},
		{"commands", s.Commands},
	}
	for _, m := range s.Members {
		role := "voter"
		if !m.Voter {
			role = "non-voter"
		}
		rows = append(rows, table.Row{"member", fmt.Sprintf("%s at %s, %s", m.Name, m.Address, role)})
	}
	return present(cmd, s, table.Row{"standing", ""}, rows)
}

func printRecovered(cmd *cobra.Command, out backup.Recovered, kept string) error {
	dropped := strings.Join(out.Dropped, ", ")
	if dropped == "" {
		dropped = "nobody"
	}
	err := present(cmd, out, table.Row{"recovered", ""}, []table.Row{
		{"node", out.Node},
		{"kept up to index", out.LastIndex},
		{"cluster", out.NewClusterID},
		{"was cluster", out.ClusterID},
		{"left behind", dropped},
		{"epoch", out.NewEpoch},
		{"sessions ended", out.Sessions},
		{"data of before", kept},
	})
	if asJSON, _ := cmd.Flags().GetBool("json"); err == nil && !asJSON {
		fmt.Fprintln(cmd.OutOrStdout(), "Every token and session of before is dead. Start this node, then each other one on an empty data folder with --join.")
	}
	return err
}
