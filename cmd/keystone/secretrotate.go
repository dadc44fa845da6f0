package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/secret"
)

// patience is how long a node that was just started may take to be heard.
const patience = 5 * time.Second

// exchange is one step of exchanging the cluster secret in the file of one node.
type exchange struct {
	file, with     string
	drop, makeUsed bool
}

func secretRotateCommand() *cobra.Command {
	var x exchange
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Exchange the cluster secret, step by step, while the cluster runs",
		Long: `Changes the file of the cluster secret on this machine, one step at a time. The first secret in the file
counts, and the others are taken as well. Each step is done on every machine, and after it every node is started
anew, one after the other, each when the one before is ready:

  1. keystone secret rotate            a new secret is taken; prints the line to paste on the other machines
  2. keystone secret rotate --use      the new secret counts, and the old one is still taken
  3. keystone secret rotate --finish   the old secret is forgotten

A step is refused before all nodes have done the one before, and the last one as long as anything in the state
needs the old secret. keystone secret status shows how far it is. No secret goes over the network, into the log
or into an argument. Until the last step the first two can be taken back: step 2 again changes the order back.

Keep the old secret for as long as backups that it signed, unless they may be taken for another cluster's.`,
		Example: `  keystone secret rotate
  keystone secret rotate --with - < new-secret
  keystone secret rotate --use
  keystone secret rotate --finish`,
		Args: cobra.NoArgs,
	}
	addFlags(cmd.Flags(), "config", "data")
	cmd.Flags().StringVar(&x.file, "file", "", "the file of the cluster secret (default: where the node's configuration says)")
	cmd.Flags().StringVar(&x.with, "with", "", "file that holds the new secret, or - for standard input; without it one is made")
	cmd.Flags().BoolVar(&x.makeUsed, "use", false, "have the other secret in the file count")
	cmd.Flags().BoolVar(&x.drop, "finish", false, "forget every secret but the one that counts")
	cmd.MarkFlagsMutuallyExclusive("with", "use", "finish")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return x.step(cmd) }
	return cmd
}

func (x *exchange) step(cmd *cobra.Command) error {
	if x.file == "" {
		file, err := secretFileOf(cmd)
		if err != nil {
			return err
		}
		x.file = file
	}
	text, err := os.ReadFile(x.file)
	if err != nil {
		return fmt.Errorf("the cluster secret cannot be read: %w: name its file with --file, and run this as the user that owns it", err)
	}
	current, others, err := secret.ParseClusterSecrets(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", x.file, err)
	}
	held := append([]secret.ClusterSecret{current}, others...)
	return overSocket(cmd, func(ctx context.Context, c *client.Client) error {
		status, err := patientStatus(ctx, c)
		if err != nil {
			return fmt.Errorf("the node does not tell: %w", err)
		}
		switch {
		case x.drop:
			return x.finish(cmd, status, held)
		case x.makeUsed:
			return x.use(cmd, status, held)
		}
		return x.begin(cmd, status, held)
	})
}

// patientStatus waits a little for nodes that do not answer: one that has just been started is not heard at once.
func patientStatus(ctx context.Context, c *client.Client) (status api.Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		next, err := c.Cluster(ctx)
		if ctx.Err() != nil && status.ClusterID != "" {
			return status, nil
		}
		if err != nil {
			return status, err
		}
		status = next
		if !slices.ContainsFunc(status.Nodes, func(n api.Node) bool { return n.State != "alive" }) {
			return status, nil
		}
		select {
		case <-ctx.Done():
			return status, nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// begin has the node take a second secret.
func (x *exchange) begin(cmd *cobra.Command, status api.Cluster, held []secret.ClusterSecret) error {
	fresh, given := secret.NewClusterSecret(), x.with != ""
	if given {
		line, err := lineFrom(x.with, cmd.InOrStdin())
		if err != nil {
			return fmt.Errorf("the new secret: %w", err)
		}
		if fresh, err = secret.ParseClusterSecret(line); err != nil {
			return err
		}
	}
	switch {
	case slices.ContainsFunc(held, func(s secret.ClusterSecret) bool { return s.Reveal() == fresh.Reveal() }):
		return fmt.Errorf("%s holds that secret already: nothing was changed", x.file)
	case len(held) > 1:
		return fmt.Errorf("%s holds two secrets: finish the exchange that was begun first; nothing was changed", x.file)
	}
	if err := x.ready(status, held[0], held[0]); err != nil {
		return err
	}
	if err := x.write(append(held, fresh)); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s holds a second secret, which this node takes once it was started anew.\n", x.file)
	if !given {
		fmt.Fprintf(out, "On each other machine, paste this line. It begins with a space, which keeps it out of the history of most shells:\n\n echo %s | keystone secret rotate --with -\n\n", fresh.Reveal())
	}
	fmt.Fprintln(out, "When it is on all machines, start every node anew, one after the other. Then, on each: keystone secret rotate --use")
	return nil
}

// use has the second secret count, which every node has to take by then.
func (x *exchange) use(cmd *cobra.Command, status api.Cluster, held []secret.ClusterSecret) error {
	if len(held) != 2 {
		return fmt.Errorf("%s holds %d secrets, and one is to take the place of the other: begin with keystone secret rotate; nothing was changed", x.file, len(held))
	}
	if err := x.ready(status, secret.ClusterSecret{}, held[1]); err != nil {
		return err
	}
	if err := x.write([]secret.ClusterSecret{held[1], held[0]}); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The other secret in %s counts, once this node was started anew.\nDo this on each machine and start every node anew, one after the other. Then, on each: keystone secret rotate --finish\n", x.file)
	return nil
}

// finish forgets what nobody uses and nothing needs any more.
func (x *exchange) finish(cmd *cobra.Command, status api.Cluster, held []secret.ClusterSecret) error {
	if len(held) == 1 {
		return fmt.Errorf("%s holds one secret: there is nothing to finish", x.file)
	}
	if err := x.ready(status, held[0], held[0]); err != nil {
		return err
	}
	if !status.SecretSettled {
		return errors.New("something in the state still needs the old secret; the leader brings it under the new one within seconds: try again; nothing was changed")
	}
	if err := x.write(held[:1]); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The old secret is gone from %s, and this node takes it no more once it was started anew.\nDo this on each machine and start every node anew, one after the other.\n", x.file)
	return nil
}

// ready refuses a step that would cut nodes off: each must be there, take one secret, and count the other if it is one.
func (x *exchange) ready(status api.Cluster, counts, takes secret.ClusterSecret) error {
	for _, n := range status.Nodes {
		switch {
		case n.State != "alive" || len(n.Secrets) == 0:
			return fmt.Errorf("node %s does not tell which secrets it takes: start it, or remove it if it is gone for good; nothing was changed", n.Name)
		case !slices.Contains(n.Secrets, takes.Fingerprint()):
			return fmt.Errorf("node %s does not take that secret yet: do the step before on its machine and start it anew; nothing was changed", n.Name)
		case !counts.IsZero() && n.Secrets[0] != counts.Fingerprint():
			return fmt.Errorf("node %s goes by another secret than the first one of %s: do the step before on every machine and start the nodes anew; nothing was changed", n.Name, x.file)
		}
	}
	return nil
}

func (x *exchange) write(held []secret.ClusterSecret) error {
	var lines strings.Builder
	for _, s := range held {
		lines.WriteString(s.Reveal() + "\n")
	}
	if err := node.WriteFile(x.file, []byte(lines.String())); err != nil {
		return fmt.Errorf("the file of the cluster secret cannot be written: %w: run this as the user that owns it", err)
	}
	return nil
}

// secretFileOf is the file from which the node on this machine has the cluster secret.
func secretFileOf(cmd *cobra.Command) (string, error) {
	c, err := nodeSources(cmd.Flags())
	if err != nil {
		return "", err
	}
	for _, path := range []string{c.env["KEYSTONE_SECRET_FILE"], c.file["keystone_secret_file"].text} {
		if path != "" {
			return path, nil
		}
	}
	if c.env["KEYSTONE_SECRET"] != "" {
		return "", errors.New("the cluster secret comes from KEYSTONE_SECRET: give the nodes the new one after the old one there, then before it, then alone; or put it into a file")
	}
	folder, err := dataFolder(cmd.Flags())
	if err != nil {
		return "", err
	}
	path := node.SecretFile(folder)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no cluster secret at %s: name the node's configuration with --config, or the file with --file", path)
	}
	return path, nil
}

func secretStatusCommand() *cobra.Command {
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "status",
		Short: "Show which cluster secrets the nodes go by, and whether an old one is still needed",
		Long: `Shows fingerprints, which tell secrets apart and say nothing about them. COUNTS is the secret that a node goes
by, TAKES what it takes from others as well.`,
		Example: `  keystone secret status`,
		Args:    cobra.NoArgs,
	}))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			status, err := c.Cluster(ctx)
			if err != nil {
				return fmt.Errorf("the node does not tell: %w", err)
			}
			rows := make([]table.Row, 0, len(status.Nodes))
			for _, n := range status.Nodes {
				counts, takes := "not known", ""
				if len(n.Secrets) > 0 {
					counts, takes = n.Secrets[0], strings.Join(n.Secrets[1:], " ")
				}
				rows = append(rows, table.Row{n.Name, counts, takes})
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); !asJSON {
				defer fmt.Fprintln(cmd.OutOrStdout(), secretAdvice(status))
			}
			return present(cmd, status, table.Row{"node", "counts", "takes"}, rows)
		})
	}
	return cmd
}

// secretAdvice says how far an exchange is.
func secretAdvice(status api.Cluster) string {
	counts, takes := map[string]bool{}, map[string]bool{}
	for _, n := range status.Nodes {
		if len(n.Secrets) == 0 {
			return "A node does not tell: start it, or remove it if it is gone for good."
		}
		counts[n.Secrets[0]] = true
		for _, s := range n.Secrets {
			takes[s] = true
		}
	}
	switch {
	case len(takes) == 1:
		return "All nodes go by one secret, and take no other."
	case len(counts) > 1:
		return "The nodes go by different secrets, which all have to take: go on with this step on the other machines."
	case !status.SecretSettled:
		return "Something in the state still needs a secret that counts no more; the leader is bringing it under the new one."
	}
	return "All nodes go by one secret, and nothing in the state needs another."
}
