package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

// benchSecretVariable holds the secret of a client of a foreign server: an argument would be for all to read.
const benchSecretVariable = "KEYSTONE_BENCH_CLIENT_SECRET"

// benchOptions are the flags of a scenario.
type benchOptions struct {
	plan bench.Plan
	site bench.Site

	connections, rounds, tokens, users, rate, mix, auth, kill string
	secretFile, report                                        string
	json                                                      bool
}

func benchCommand() *cobra.Command {
	commands := []*cobra.Command{benchCompareCommand(), benchLimitsCommand(), benchGrowthCommand(), benchBareCommand()}
	for _, s := range bench.Scenarios() {
		commands = append(commands, scenarioCommand(s))
	}
	cmd := group("bench", "Put load on a cluster and measure it as its clients see it", commands...)
	cmd.Long = `Measures a cluster over HTTP. Each scenario makes the users, clients and tokens that it needs and removes
them at its end, so it needs an administrator: the data folder of a node on this machine (--data), or a token
(KEYSTONE_TOKEN or --token-file, with --url). Rate limits would be what is measured: switch them off on the nodes
(KEYSTONE_NO_RATE_LIMIT, or keystone dev --no-rate-limit).

Without --rate each connection asks again as soon as it is answered (closed loop), which finds the highest
throughput. With --rate requests are due at times fixed in advance (open loop), and their latency counts from then,
however late they could be sent: that is what callers feel who do not wait for each other.`
	return cmd
}

func scenarioCommand(s bench.Scenario) *cobra.Command {
	o := &benchOptions{}
	cmd := &cobra.Command{
		Use:   s.Name,
		Short: strings.ToUpper(s.Summary[:1]) + s.Summary[1:],
		Example: fmt.Sprintf(`  keystone bench %[1]s --data ./my-cluster
  keystone bench %[1]s --data ./my-cluster/node-1 --url http://127.0.0.1:8001 --rate 500 --report ./report`, s.Name),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.read(cmd); err != nil {
				return err
			}
			return runBench(cmd, s, o)
		},
	}
	o.flags(cmd, s)
	return cmd
}

func (o *benchOptions) flags(cmd *cobra.Command, s bench.Scenario) {
	f := cmd.Flags()
	addFlags(f, "data")
	rounds, duration := "3", 10*time.Second
	if s.Name == "failover" {
		rounds, duration = "1", 20*time.Second
	}
	f.StringSliceVar(&o.site.Nodes, "url", nil, "nodes to put under load, with commas between them (default: all of the cluster)")
	f.String("token-file", "", "file that holds an administrator's access token for the first --url, or - for standard input")
	caFlag(cmd)
	f.StringVar(&o.connections, "connections", "64", "connections, spread over the nodes")
	f.StringVar(&o.rate, "rate", "0", "requests a second at fixed times (open loop); 0: as many as are answered (closed loop)")
	f.DurationVar(&o.plan.Warmup, "warmup", 2*time.Second, "load before anything is measured")
	f.DurationVar(&o.plan.Duration, "duration", duration, "length of a round")
	f.StringVar(&o.rounds, "rounds", rounds, "rounds, of which the median and the spread are told")
	f.Uint64Var(&o.plan.Seed, "seed", 1, "seed of what is random")
	f.StringVar(&o.report, "report", "", "folder for report.json and report.html")
	f.BoolVar(&o.json, "json", false, "print the report as JSON, for scripts")
	f.StringVar(&o.tokens, "tokens", "10000", "distinct tokens that are asked about")
	f.StringVar(&o.users, "users", "16", "users that are made")
	f.StringVar(&o.mix, "mix", "valid=90,revoked=5,expired=0,garbage=5", "shares of tokens that are asked about; expired ones cost a minute of preparation")
	f.StringVar(&o.auth, "auth", "basic", "how who introspects proves itself: basic or bearer")
	if s.Name == "failover" {
		f.StringVar(&o.kill, "kill", "", "process id of a node on this machine, which is killed after a third of the first round (default: kill one by hand)")
	}
	if s.Foreign {
		f.StringVar(&o.site.TokenURL, "token-url", "", "token endpoint of any OAuth 2 server")
		f.StringVar(&o.site.IntrospectURL, "introspect-url", "", "introspection endpoint of any OAuth 2 server")
		f.StringVar(&o.site.RevokeURL, "revoke-url", "", "revocation endpoint of any OAuth 2 server")
		f.StringVar(&o.site.ClientID, "client-id", "", "client of that server")
		f.StringVar(&o.secretFile, "client-secret-file", "", "file with the secret of that client, or - for standard input (default: "+benchSecretVariable+")")
	}
}

// read checks the flags.
func (o *benchOptions) read(cmd *cobra.Command) (err error) {
	if o.site.Roots, err = rootsOf(cmd); err != nil {
		return err
	}
	for _, n := range []struct {
		flag, text  string
		least, most int
		into        *int
	}{
		{"connections", o.connections, 1, 10_000, &o.plan.Connections},
		{"rounds", o.rounds, 1, 1000, &o.plan.Rounds},
		{"tokens", o.tokens, 1, 5_000_000, &o.plan.Tokens},
		{"users", o.users, 1, 100_000, &o.plan.Users},
	} {
		if *n.into, err = wholeNumber(n.flag, n.text, n.least, n.most); err != nil {
			return err
		}
	}
	if o.plan.Rate, err = strconv.ParseFloat(o.rate, 64); err != nil || !(o.plan.Rate >= 0) {
		return errors.New("--rate must be a number of requests a second")
	}
	if o.plan.Mix, err = bench.ParseMix(o.mix); err != nil {
		return err
	}
	if o.auth != "basic" && o.auth != "bearer" {
		return errors.New("--auth must be basic or bearer")
	}
	o.plan.Bearer = o.auth == "bearer"
	if o.site.TokenURL == "" && o.site.IntrospectURL == "" {
		return nil
	}
	o.site.ClientSecret = os.Getenv(benchSecretVariable)
	if o.secretFile != "" {
		if o.site.ClientSecret, err = lineFrom(o.secretFile, cmd.InOrStdin()); err != nil {
			return fmt.Errorf("the file of the client's secret: %w", err)
		}
	}
	if !cmd.Flags().Changed("mix") { // no more than the endpoints that are named can do
		o.plan.Mix = bench.Mix{bench.MixValid: 95, bench.MixGarbage: 5}
	}
	return nil
}

// runBench runs one scenario and tells what came of it.
func runBench(cmd *cobra.Command, s bench.Scenario, o *benchOptions) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.site.TokenURL == "" && o.site.IntrospectURL == "" {
		closeAdmin, err := o.findCluster(ctx, cmd)
		if err != nil {
			return err
		}
		defer closeAdmin()
	}
	live := newLiveLine(cmd.ErrOrStderr())
	options := bench.Options{Version: programVersion(), Say: live.say, Progress: live.progress}
	if o.kill != "" {
		kill, err := killer(o.kill, live)
		if err != nil {
			return err
		}
		options.Kill = kill
	}
	report, err := bench.Run(ctx, o.site, s.Name, o.plan, options)
	live.end()
	if report == nil {
		return err
	}
	if o.report != "" {
		if err := report.Save(o.report); err != nil {
			return err
		}
	}
	return errors.Join(err, printReport(cmd.OutOrStdout(), report, o.json))
}

// killer ends a process without a warning, as a power failure would.
func killer(text string, live *liveLine) (func() error, error) {
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 2 {
		return nil, errors.New("--kill must be the process id of a node")
	}
	process, err := os.FindProcess(pid)
	if err != nil || process.Signal(syscall.Signal(0)) != nil {
		return nil, fmt.Errorf("--kill: there is no process %d that this user may end", pid)
	}
	return func() error {
		live.say(fmt.Sprintf("killing process %d", pid))
		return process.Kill()
	}, nil
}

// findCluster finds the administrator's way in and the nodes.
func (o *benchOptions) findCluster(ctx context.Context, cmd *cobra.Command) (closeAdmin func(), err error) {
	admin, err := o.admin(cmd)
	if err != nil {
		return nil, err
	}
	o.site.Admin = admin
	status, err := admin.Cluster(ctx)
	if err != nil {
		return nil, fmt.Errorf("the cluster was not reached as its administrator: %w", err)
	}
	if len(o.site.Nodes) > 0 {
		return admin.Close, nil
	}
	for _, n := range status.Nodes {
		if n.HTTP != "" && n.State != "dead" {
			o.site.Nodes = append(o.site.Nodes, urlOf(n.HTTP))
		}
	}
	return admin.Close, nil
}

// urlOf is the URL of a node that announces host:port, or a URL where it speaks TLS.
func urlOf(announced string) string {
	if strings.Contains(announced, "://") {
		return announced
	}
	return "http://" + announced
}

// admin is the node on this machine whose data lies in the folder, or the first of the nodes, with a token.
func (o *benchOptions) admin(cmd *cobra.Command) (*client.Client, error) {
	file, _ := cmd.Flags().GetString("token-file")
	if len(o.site.Nodes) > 0 && !cmd.Flags().Changed("data") {
		return clientWithToken(cmd, o.site.Nodes[0], file)
	}
	folder, err := dataFolder(cmd.Flags())
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(folder, "dev.json")); err == nil {
		folder = filepath.Join(folder, "node-1") // any node of keystone dev would do
	}
	if _, err := os.Stat(node.Socket(folder)); err != nil {
		return nil, errNoNode(folder)
	}
	return client.New("unix:" + node.Socket(folder))
}

// liveLine tells how a bench goes: on a terminal in one line that is written over, else in lines.
type liveLine struct {
	out      io.Writer
	terminal bool
	open     bool // the line on the terminal has something in it
}

func newLiveLine(out io.Writer) *liveLine {
	f, isFile := out.(*os.File)
	return &liveLine{out: out, terminal: isFile && isatty.IsTerminal(f.Fd())}
}

func (l *liveLine) say(text string) {
	l.end()
	fmt.Fprintln(l.out, text)
}

func (l *liveLine) progress(m bench.Moment) {
	if !l.terminal {
		return
	}
	where := "warming up"
	if m.Round > 0 {
		where = fmt.Sprintf("round %d of %d", m.Round, m.Rounds)
	}
	fmt.Fprintf(l.out, "\r\033[K%s, %d s: %d answers, p50 %s, p99 %s, %d errors",
		where, m.At+1, m.Requests, bench.Microseconds(float64(m.P50)), bench.Microseconds(float64(m.P99)), m.Errors)
	l.open = true
}

func (l *liveLine) end() {
	if l.open {
		fmt.Fprint(l.out, "\r\033[K")
		l.open = false
	}
}
