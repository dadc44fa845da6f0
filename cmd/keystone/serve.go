package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

// closeWithin is how long a clean shutdown may take after KEYSTONE_DRAIN: running requests end, leadership is handed on.
const closeWithin = 5 * time.Second

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Runs one node until it gets SIGTERM or SIGINT.

Without any setting it is alone: it listens on 127.0.0.1:8000, keeps its data in ./keystone-data and
makes its secret and its signing key on the first start.

keystone init prepares a machine for a cluster of several. By hand: the nodes share one secret, which
KEYSTONE_SECRET or the file named by KEYSTONE_SECRET_FILE gives to each (see keystone secret new). The first
nodes are started with the same --initial list; more nodes enter with --join. A node remembers its cluster:
both lists count when it has no data, and a node with --join never begins a cluster.

Everything else is set by the environment or by a YAML file: see keystone help environment.
The first administrator is made with keystone admin create.`,
		Example: `  keystone serve

  export KEYSTONE_SECRET=$(keystone secret new)
  keystone serve --name a --cluster 10.0.0.7:7400 --http 10.0.0.7:8000 --tls-cert tls.crt --tls-key tls.key \
    --initial a=10.0.0.7:7400,b=10.0.0.8:7400,c=10.0.0.9:7400

  keystone serve --name d --cluster 10.0.0.10:7400 --join 10.0.0.7:7400
  keystone serve --config /etc/keystone.yaml`,
		Args: cobra.NoArgs,
	}
	addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := configOf(cmd.Flags(), os.Environ())
		if err != nil {
			return err
		}
		return serve(cmd.Context(), c, cmd.ErrOrStderr())
	}
	return cmd
}

// serve runs a node until a signal comes. A second signal ends the process at once.
func serve(ctx context.Context, c Config, logs io.Writer) error {
	log := newLogger(logs, c).With("node", c.Node.Name)
	for _, line := range remarks(os.Environ()) {
		log.Warn(line)
	}
	c.Node.Logger, c.Node.Version = log, programVersion()
	c.Node.Hasher.Program = hashProgram
	var dying sync.Mutex
	c.Node.Fatal = func(err error) {
		dying.Lock()                                          // for good: the first reason is the one that counts
		fmt.Fprintln(logs, "keystone: "+scrub(sentence(err))) // as every error that ends the program
		os.Exit(1)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	n, err := node.Start(ctx, c.Node)
	if err != nil {
		return err
	}
	if c.Node.TLS.Enabled() { // of others a hang-up ends the process, as it always has
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		go func() {
			for range hangups {
				n.ReloadCertificate()
			}
		}()
	}
	log.Info("serving", "http", n.HTTP(), "tls", c.Node.TLS.Enabled(), "data", c.Node.DataDir, "version", c.Node.Version)
	resting, wake := context.WithCancel(ctx)
	defer wake()
	go giveBack(resting, n, log)
	select {
	case s := <-signals:
		log.Info("stopping", "signal", s.String())
	case err = <-n.Failed():
	case <-ctx.Done():
	}
	go exitOn(signals, log)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Node.Drain+closeWithin)
	defer cancel()
	if closeErr := n.Close(closing); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("the node did not stop cleanly: %w", closeErr))
	}
	log.Info("stopped")
	return err
}

func exitOn(signals <-chan os.Signal, log *slog.Logger) {
	<-signals
	log.Warn("ended by a second signal")
	os.Exit(1)
}
