package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

func clusterCommand() *cobra.Command {
	return group("cluster", "Look at the cluster, or act on all of it",
		clusterStatusCommand(), clusterJoinCommand(), clusterRemoveCommand(), clusterTransferCommand(), clusterPromoteCommand(), clusterDemoteCommand(),
		clusterRecoverCommand(), clusterInvalidateCommand())
}

func clusterStatusCommand() *cobra.Command {
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "status",
		Short: "Show the nodes, who leads, and how far each has come",
		Long: `Shows what the node whose data lies in the folder knows of all nodes. LAG is how many log entries a
node is behind the leader; STATE HASH compares its state with this node's at a common log index.`,
		Example: `  keystone cluster status
  keystone cluster status --data /var/lib/keystone --json`,
		Args: cobra.NoArgs,
	}))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			status, err := c.Cluster(ctx)
			if err != nil {
				return fmt.Errorf("the node does not tell: %w", err)
			}
			return printStatus(cmd, status)
		})
	}
	return cmd
}

func clusterInvalidateCommand() *cobra.Command {
	var reason string
	var yes bool
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "invalidate-all",
		Short: "Make every token and session dead that was issued up to now",
		Long: `Begins a new epoch: every token, session and mailed link of before is dead on every node, and the signing
keys are replaced. Everybody has to log in again. Do it when the worst must be assumed. A restore of
a backup has done it already.`,
		Example: `  keystone cluster invalidate-all --reason "a node was stolen" --yes`,
		Args:    cobra.NoArgs,
	}))
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log and the status of the cluster")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it: without this nothing is done")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case reason == "":
			return errors.New("say why with --reason: it goes into the audit log")
		case !yes:
			return errors.New("everybody would have to log in again: add --yes if that is meant, nothing was done")
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			e, err := c.InvalidateAll(ctx, reason)
			if err != nil {
				return fmt.Errorf("nothing was invalidated: %w", err)
			}
			return present(cmd, e, table.Row{"epoch", "begun", "reason"}, []table.Row{{e.Number, e.RaisedAt, e.Reason}})
		})
	}
	return cmd
}

func printStatus(cmd *cobra.Command, status api.Cluster) error {
	if asJSON, _ := cmd.Flags().GetBool("json"); !asJSON {
		leader := status.Leader
		if leader == "" {
			leader = "none"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "cluster %s   leader %s   term %d\n", status.ClusterID, leader, status.Term)
		if e := status.Epoch; e != nil {
			fmt.Fprintf(cmd.OutOrStdout(), "epoch %d since %s: %s\n", e.Number, e.RaisedAt.Format("2006-01-02 15:04:05 MST"), e.Reason)
		}
		if status.Mixed {
			fmt.Fprintln(cmd.OutOrStdout(), "The nodes run different versions: finish the upgrade. Until then nothing is used that one of them does not know.")
		}
	}
	var rows []table.Row
	for _, n := range status.Nodes {
		applied, lag := progress(n)
		rows = append(rows, table.Row{n.Name, n.Role, n.State, n.HTTP, n.Address, n.Version, versions(n), applied, lag, agreement(n)})
	}
	return present(cmd, status, table.Row{"node", "role", "state", "http", "cluster", "version", "commands/format", "applied", "lag", "state hash"}, rows)
}

// progress is how far a node has come. Of one that does not answer nobody knows, and a lag of 0 would
// be the best of news.
func progress(n api.Node) (applied, lag any) {
	if n.State != "alive" {
		return "-", "-"
	}
	return n.AppliedIndex, n.Lag
}

// versions are those of the commands and of the state files that a node knows.
func versions(n api.Node) string {
	if n.Commands == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", n.Commands, n.Format)
}

func agreement(n api.Node) string {
	switch {
	case n.Agrees == nil:
		return "not known"
	case *n.Agrees:
		return "equal"
	}
	return "DIFFERS"
}
