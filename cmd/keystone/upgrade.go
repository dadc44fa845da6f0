package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

func upgradeCommand() *cobra.Command {
	return group("upgrade", "Try a new version on a copy of a node's data", upgradeCheckCommand(), upgradeReplayCommand())
}

func upgradeCheckCommand() *cobra.Command {
	var wait time.Duration
	cmd := jsonFlag(&cobra.Command{
		Use:   "check NEW_BINARY",
		Short: "Prove that a new version makes the same of a node's data as this one",
		Long: `Copies the data of a node, has this program and the new one go on with a copy each, and compares what they
make of it: the state, whose rows and indexes are checked and hashed anew, and the log, which is applied once more from its
first entry if it still holds that, and from where the state stands to its end. The state hashes must be equal.

The data of the node is only read, and the new program is given no secret and opens no connection. A node that does not
run is copied. One that runs is asked for a copy of its state, and then of its log; with --wait there is time in between,
in which the cluster makes changes that both programs then apply, also where the log has lost its beginning.

The copies are made in TMPDIR, readable for this user alone, and removed. It ends with an error if the versions differ,
or if the new one refuses the data.`,
		Example: `  keystone upgrade check ./keystone-new --data /var/lib/keystone
  keystone upgrade check ./keystone-new --data /var/lib/keystone --wait 1m`,
		Args: cobra.ExactArgs(1),
	})
	addFlags(cmd.Flags(), "data")
	cmd.Flags().DurationVar(&wait, "wait", 0, "of a node that runs: for how long to collect changes after its state was copied")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		folder, err := dataFolder(cmd.Flags())
		if err != nil {
			return err
		}
		c, err := checkUpgrade(cmd.Context(), args[0], folder, wait)
		if err != nil {
			return err
		}
		return c.print(cmd)
	}
	return cmd
}

func upgradeReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay", Short: "Go on with a copy of a node's data, for keystone upgrade check", Hidden: true, Args: cobra.NoArgs,
		Example: "  keystone upgrade replay --data ./copy",
	}
	addFlags(cmd.Flags(), "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := dataFolder(cmd.Flags())
		if err != nil {
			return err
		}
		out, err := backup.ReplayFolder(folder, programVersion())
		if err != nil {
			return err
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(out)
	}
	return cmd
}

// upgradeCheck is what both programs made of the data.
type upgradeCheck struct {
	Same    bool          `json:"same"`
	Present backup.Replay `json:"present"`
	New     backup.Replay `json:"new"`
}

func checkUpgrade(ctx context.Context, program, folder string, wait time.Duration) (c upgradeCheck, err error) {
	if program, err = filepath.Abs(program); err != nil {
		return c, err
	}
	scratch, err := os.MkdirTemp("", "keystone-upgrade-*")
	if err != nil {
		return c, fmt.Errorf("there is no place for a copy of the data: %w: set TMPDIR to a folder that has room", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	first, second := filepath.Join(scratch, "present"), filepath.Join(scratch, "new")
	if err := errors.Join(os.Mkdir(first, 0o700), copyData(ctx, first, folder, wait), os.CopyFS(second, os.DirFS(first))); err != nil {
		return c, err
	}
	if c.Present, err = backup.ReplayFolder(first, programVersion()); err != nil {
		return c, fmt.Errorf("this program cannot go on with the data, so there is nothing to compare with: %w", err)
	}
	if c.New, err = replayBy(ctx, program, second); err != nil {
		return c, err
	}
	a, b := c.Present, c.New
	c.Same = a.Index == b.Index && a.Hash == b.Hash && a.Anew == b.Anew && a.AnewHash == b.AnewHash && a.Tail == b.Tail && a.TailHash == b.TailHash
	return c, nil
}

// copyData copies the data of a node that does not run, or asks one that runs for its state and its log.
func copyData(ctx context.Context, into, folder string, wait time.Duration) error {
	if _, err := os.Stat(node.Socket(folder)); err == nil {
		if c, err := client.New("unix:" + node.Socket(folder)); err == nil {
			defer c.Close()
			if _, err := c.Health(ctx); err == nil {
				return copyRunning(ctx, into, c, wait)
			}
		}
	}
	return node.TakeCopy(into, folder)
}

func copyRunning(ctx context.Context, into string, c *client.Client, wait time.Duration) error {
	from, to := io.Pipe()
	go func() { to.CloseWithError(c.Backup(ctx, to)) }()
	unpacked, err := backup.Unpack(from, into)
	from.CloseWithError(err)
	if err != nil {
		return fmt.Errorf("the copy of the state: %w", err)
	}
	if err := os.Rename(unpacked.Path, filepath.Join(into, "state.db")); err != nil {
		return err
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	from, to = io.Pipe()
	go func() { to.CloseWithError(c.CopyLog(ctx, to)) }()
	err = cluster.PlantLog(into, from)
	from.CloseWithError(err)
	return err
}

// replayBy has another version go on with the copy. It inherits no variable but the one that says where there is room:
// what it would do with a secret nobody knows yet.
func replayBy(ctx context.Context, program, folder string) (out backup.Replay, err error) {
	cmd := exec.CommandContext(ctx, program, "upgrade", "replay", "--data", folder)
	cmd.Env = []string{"TMPDIR=" + os.TempDir()}
	cmd.Dir = folder
	var said, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaint
	if err := cmd.Run(); err != nil {
		reason := strings.TrimPrefix(strings.TrimSpace(complaint.String()), "keystone: ")
		if reason == "" {
			reason = err.Error()
		}
		return out, fmt.Errorf("REFUSED: %s does not go on with the data: %s", program, reason)
	}
	if err := json.Unmarshal(said.Bytes(), &out); err != nil {
		return out, fmt.Errorf("%s is no Keystone that can be checked: it answered with something else", program)
	}
	return out, nil
}

var errUpgradeDiffers = errors.New("DIFFERS: the new version makes another state of the same log: do not start it, and report this")

func (c upgradeCheck) print(cmd *cobra.Command) error {
	row := func(what string, a, b any) table.Row { return table.Row{what, a, b} }
	p, n := c.Present, c.New
	err := present(cmd, c, table.Row{"", "present", "new"}, []table.Row{
		row("version", p.Program, n.Program),
		row("commands/format", fmt.Sprintf("%d/%d", p.Commands, p.Format), fmt.Sprintf("%d/%d", n.Commands, n.Format)),
		row("state at index", p.Index, n.Index),
		row("state hash", short(p.Hash), short(n.Hash)),
		row("entries applied anew", p.Anew, n.Anew),
		row("hash of that", short(p.AnewHash), short(n.AnewHash)),
		row("entries behind the state", p.Tail, n.Tail),
		row("hash after them", short(p.TailHash), short(n.TailHash)),
	})
	switch asJSON, _ := cmd.Flags().GetBool("json"); {
	case err != nil:
		return err
	case !c.Same:
		return errUpgradeDiffers
	case !asJSON && p.Anew+p.Tail == 0:
		fmt.Fprintln(cmd.OutOrStdout(), "OK: the new version reads the same state. No entry of the log was applied, for it has lost its beginning: check a node that runs with --wait 1m.")
	case !asJSON:
		fmt.Fprintln(cmd.OutOrStdout(), "OK: the new version makes the same of the data.")
	}
	return nil
}

func short(hash string) string {
	if hash == "" {
		return "-"
	}
	return hash[:min(16, len(hash))]
}
