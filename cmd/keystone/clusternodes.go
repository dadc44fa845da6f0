package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/client"
)

func clusterRemoveCommand() *cobra.Command {
	return onNode(&cobra.Command{
		Use:   "remove NAME",
		Short: "Take a node out of the cluster",
		Long: `Takes a node out of the cluster, whether it runs or not. The others refuse it at once, and it stops when it
learns of it. Refused where those that remain would have no majority. To come back it needs an empty data folder.

Whoever has the cluster secret can join again: where the node may be in the wrong hands, exchange the secret
(keystone secret rotate), and make everything dead that was issued (keystone cluster invalidate-all).

A node that was stopped, or whose disk was lost, need not be removed: it is expected back.`,
		Example: `  keystone cluster remove b --yes`,
	}, "the node would be no member any more", "%s was removed", (*client.Client).RemoveNode)
}

func clusterPromoteCommand() *cobra.Command {
	return onNode(&cobra.Command{
		Use:   "promote NAME",
		Short: "Give a node that was demoted its vote back",
		Long: `Gives a node that was demoted its vote back. New nodes are given theirs without this, once they have followed
closely for ten seconds. Refused where the node is down or far behind, and where it was started with --non-voter.`,
		Example: `  keystone cluster promote b`,
	}, "", "%s votes", (*client.Client).PromoteNode)
}

func clusterDemoteCommand() *cobra.Command {
	return onNode(&cobra.Command{
		Use:   "demote NAME",
		Short: "Take a node's vote: it answers like the others, and never leads",
		Long: `Takes a node's vote. It answers like all others, and neither votes nor leads until it is promoted, also after it
was started anew. One that leads hands the leadership on first. Of three nodes that vote one may be down; of
two none. Refused where those that still vote would have no majority.`,
		Example: `  keystone cluster demote b --yes`,
	}, "the cluster would bear the loss of fewer nodes", "%s votes no more", (*client.Client).DemoteNode)
}

// onNode is a command that does something with the node that it is given. Where it costs something, which is said
// then, it wants --yes.
func onNode(cmd *cobra.Command, costs, did string, act func(*client.Client, context.Context, string) error) *cobra.Command {
	yes := costs == ""
	cmd.Args = cobra.ExactArgs(1)
	jsonFlag(operatorCommand(cmd))
	if !yes {
		cmd.Flags().BoolVar(&yes, "yes", false, "do it: without this nothing is done")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			return errors.New(costs + ": add --yes if that is meant, nothing was done")
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			if err := act(c, ctx, args[0]); err != nil {
				return err
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); !asJSON {
				fmt.Fprintf(cmd.OutOrStdout(), did+"\n", args[0])
			}
			return nil
		})
	}
	return cmd
}

func clusterTransferCommand() *cobra.Command {
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "transfer [NAME]",
		Short: "Have another node lead, the named one or any",
		Long: `Hands the leadership on, to the node of that name or to any other one that votes. Whatever is under way goes on;
changes wait for some milliseconds. A node that is stopped does this by itself.`,
		Example: `  keystone cluster transfer
  keystone cluster transfer b`,
		Args: cobra.MaximumNArgs(1),
	}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			now, err := c.TransferLeadership(ctx, name)
			if err != nil {
				return err
			}
			return present(cmd, now, table.Row{"leader"}, []table.Row{{now.Leader}})
		})
	}
	return cmd
}
