package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// servingWithin is how long the nodes may take to form a cluster and to serve.
const servingWithin = 60 * time.Second

// devOptions are the flags of `keystone dev`.
type devOptions struct {
	nodes, port       int
	nodesSet, portSet bool
	data              string
	json              bool
	noRateLimit       bool
}

func devCommand() *cobra.Command {
	var o devOptions
	var nodes, port string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster on this machine, to try things",
		Long: `Starts a cluster of real node processes on this machine, waits until all of them serve, makes an
administrator and a demo client on the first start, and prints their credentials with lines to paste.

A node that is killed stays down, so that you can watch the others go on; kill -HUP of keystone dev
brings it back. Ctrl-C stops all of them. Started again with the same --data, the cluster has the same
data and the same credentials.

This is for trying and for tests: the credentials lie in dev.json in the data folder.`,
		Example: `  keystone dev
  keystone dev --data ./my-cluster --port 9000
  keystone dev --nodes 5 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.nodesSet, o.portSet = cmd.Flags().Changed("nodes"), cmd.Flags().Changed("port")
			if err := o.read(nodes, port); err != nil {
				return err
			}
			return runDev(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&nodes, "nodes", "3", "how many nodes, 1 to 9")
	f.StringVar(&port, "port", "8000", "HTTP port of the first node; the others get those that follow")
	f.StringVar(&o.data, "data", "", "folder for the data of all nodes (default: a fresh temporary one)")
	f.BoolVar(&o.json, "json", false, "print one line of JSON once the nodes serve, and everything else on standard error")
	f.BoolVar(&o.noRateLimit, "no-rate-limit", false, "switch all rate limits off")
	return cmd
}

func (o *devOptions) read(nodes, port string) (err error) {
	if o.nodes, err = wholeNumber("nodes", nodes, 1, 9); err == nil {
		o.port, err = wholeNumber("port", port, 1, 65536-o.nodes)
	}
	return err
}

// runDev runs the cluster until a signal ends it.
func runDev(ctx context.Context, o devOptions, out, progress io.Writer) error {
	// The nodes die with the thread that started them, see dieWithParent; so it has to be this one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	terminal := isatty.IsTerminal(os.Stderr.Fd())
	signals := make(chan os.Signal, 64) // however many SIGHUPs wait, Ctrl-C must not be lost behind them
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	d, err := openDev(o)
	if err != nil {
		return err
	}
	defer d.close()
	f := &fleet{dev: d, options: o, progress: progress, signals: signals, exits: make(chan exit, 64)}
	err = f.run(ctx, out, terminal)
	unclean := f.stop()
	if err != nil {
		return err // what nodes do that are ended for it is no news
	}
	return unclean
}

// run starts the nodes, says where they are and waits until somebody ends them.
func (f *fleet) run(ctx context.Context, out io.Writer, terminal bool) error {
	fmt.Fprintf(f.progress, "starting %d nodes, with their data in %s\n", len(f.dev.Nodes), f.dev.path)
	if err := f.startAll(); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, servingWithin)
	defer cancel()
	err := f.whileStarting(starting, func(ctx context.Context) error {
		if err := waitServing(ctx, f.dev); err != nil {
			return err
		}
		return f.dev.setUp(ctx)
	})
	if errors.Is(err, errInterrupted) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.print(out); err != nil {
		return err
	}
	f.supervise(ctx, terminal)
	return nil
}

// supervise reports what happens to the nodes until a signal ends them all.
func (f *fleet) supervise(ctx context.Context, terminal bool) {
	for {
		select {
		case e := <-f.exits:
			f.ended(e)
		case s := <-f.signals:
			// A terminal that goes away sends SIGHUP too, and nobody could press Ctrl-C any more.
			gone := terminal && !isatty.IsTerminal(os.Stderr.Fd())
			if s != syscall.SIGHUP || gone {
				return
			}
			f.revive()
		case <-ctx.Done():
			return
		}
	}
}
