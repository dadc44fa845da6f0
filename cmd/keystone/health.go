package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/client"
)

func healthCommand() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell whether a node can answer; the exit code is 0 if it can",
		Example: `  keystone health
  keystone health --url https://10.0.0.7:8000 --ca ca.pem`,
		Args: cobra.NoArgs,
	}
	addFlags(cmd.Flags(), "data")
	cmd.Flags().StringVar(&url, "url", "", "the node to ask, which needs no token (default: the one whose data lies in the folder)")
	caFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ask := func(ctx context.Context, c *client.Client) error {
			h, err := c.Health(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s (%s), leader %s, applied index %d\n", h.Node, h.Status, h.Role, h.Leader, h.AppliedIndex)
			return nil
		}
		if url == "" {
			return overSocket(cmd, ask)
		}
		c, err := nodeElsewhere(cmd, url)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), askWithin)
		defer cancel()
		return ask(ctx, c)
	}
	return cmd
}
