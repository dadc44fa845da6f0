package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

func clusterCommand() *cobra.Command {
	return group("cluster", "Look at the cluster", clusterStatusCommand())
}

func clusterStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := operatorCommand(&cobra.Command{
		Use:   "status",
		Short: "Show the nodes, who leads, and how far each has come",
		Long: `Shows what the node whose data lies in the folder knows of all nodes. LAG is how many log entries a
node is behind the leader; STATE HASH compares its state with this node's at a common log index.`,
		Example: `  keystone cluster status
  keystone cluster status --data /var/lib/keystone --json`,
		Args: cobra.NoArgs,
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			status, err := c.Cluster(ctx)
			if err != nil {
				return fmt.Errorf("the node does not tell: %w", err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(status)
			}
			printStatus(cmd.OutOrStdout(), status)
			return nil
		})
	}
	return cmd
}

func printStatus(out io.Writer, status api.Cluster) {
	leader := status.Leader
	if leader == "" {
		leader = "none"
	}
	fmt.Fprintf(out, "cluster %s   leader %s   term %d\n", status.ClusterID, leader, status.Term)
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"node", "role", "state", "http", "cluster", "version", "applied", "lag", "state hash"})
	for _, n := range status.Nodes {
		applied, lag := progress(n)
		t.AppendRow(table.Row{n.Name, n.Role, n.State, n.HTTP, n.Address, n.Version, applied, lag, agreement(n)})
	}
	t.Render()
}

// progress is how far a node has come. Of one that does not answer nobody knows, and a lag of 0 would
// be the best of news.
func progress(n api.Node) (applied, lag any) {
	if n.State != "alive" {
		return "-", "-"
	}
	return n.AppliedIndex, n.Lag
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
