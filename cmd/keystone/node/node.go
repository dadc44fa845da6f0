package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keystone-auth/keystone/audit"
	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/certs"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/steward"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
	"github.com/keystone-auth/keystone/token"
	"github.com/keystone-auth/keystone/view"
)

// Config is what a node is made of.
type Config struct {
	Name    string
	DataDir string
	HTTP    string // host:port of the API
	// TLS is where the certificate of the API comes from; none: the API speaks in the clear.
	TLS certs.Config
	// PublicURL is how clients reach the cluster; none: as each request names the server.
	PublicURL string

	// Bind and Advertise are host:port of the cluster port; without them the node is alone.
	Bind, Advertise string
	Initial         []cluster.Peer
	Join            []string
	NonVoter        bool // it joins, answers like the others and never votes
	Timings         cluster.Timings

	Secret   secret.ClusterSecret // none: the one in the data folder, which a lone node makes
	Previous []secret.ClusterSecret

	Settings   iam.Settings // what this node asks of the whole cluster when it leads
	SharedKey  secret.Text  // signs in the compatible mode HS256
	RotateKeys time.Duration

	Hasher  secret.HasherConfig
	Policy  login.Policy
	Lockout login.Lockout
	Limits  *limit.Set // nil: no limits
	// TrustedProxies may say for which address they ask.
	TrustedProxies []netip.Prefix
	// Consult is how long an answer of another node about limits may take; 0 is the usual time.
	Consult time.Duration

	AllowedOrigins []string      // of web pages that may call the API
	AllowedHosts   []string      // that a request may name; none: all
	MetricsToken   secret.Text   // who may read the metrics has it; none: everybody may
	AuditEvery     time.Duration // how long refusals wait to be recorded together; 0 = the usual
	Mail           login.Sender  // nil: no messages are sent …
	MailToLog      bool          // … or they are written to the log
	Links          login.Links

	Backup backup.Schedule // of backups that are made unasked

	// MinFree is how many bytes must be free in DataDir before this node rather lets another one lead.
	MinFree uint64
	// StaleReads is how late an answer may be when nobody can be asked; 0: there is none then.
	StaleReads time.Duration

	// Dial, Clock and Committed are for tests: see cluster.Config. Committed is called before a transaction is
	// seen by anybody, and may stand still as a slow disk would.
	Dial      func(ctx context.Context, address string) (net.Conn, error)
	Clock     func() time.Duration
	Committed func()

	// Drain is how long a node that stops says that it is not ready, and answers nevertheless.
	Drain time.Duration

	Version string
	Logger  *slog.Logger
	// Fatal is told why the node cannot go on, and ends the process.
	Fatal func(error)
}

// Node is a node that runs.
type Node struct {
	config     Config
	folder     *folder
	http       net.Listener
	socket     net.Listener
	store      *store.Store
	cluster    *cluster.Node
	server     *httpapi.Server
	proposals  *proposals
	fences     prometheus.Histogram // how long what takes something away waited to be so everywhere
	windows    *limit.Limiter       // nil: no limits
	tally      *tally.Tally
	current    atomic.Bool  // whether this node has caught up with the cluster since it was started
	failed     chan error   // of a listener that broke
	cert       certificate  // of the API; nil: it speaks in the clear
	endCert    func()       // ends what keeps it
	challenges net.Listener // of an authority, in the clear; nil: it comes to the API
	audit      *audit.Log
	mailer     *login.Mailer
	hasher     *secret.Hasher
	tokens     *oauth.Service
	backups    *backup.Source
	keeper     *backup.Keeper
	endBackup  func() // ends the scheduled backups
	uses       func() // ends the recording of clients' uses and waits for it
}

// Start starts a node. It returns when the node listens, which is before it is part of its cluster.
// The error is one sentence for a person, and leaves behind what was there before.
func Start(ctx context.Context, c Config) (*Node, error) {
	n := &Node{config: c, failed: make(chan error, 2)}
	if err := n.start(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return nil, errors.Join(err, n.Close(closing))
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) (err error) {
	// What other programs may have comes first: no state is touched before it is known to be ours.
	if n.folder, err = openFolder(n.config.DataDir); err != nil {
		return err
	}
	if n.http, err = listen(n.config.HTTP); err != nil {
		return err
	}
	if err = n.openCertificate(); err != nil {
		return err
	}
	if n.socket, err = n.folder.listen(); err != nil {
		return err
	}
	clusterSecret, others, err := n.folder.clusterSecret(n.config.Secret, n.config.first())
	if err != nil {
		return err
	}
	n.config.Previous = append(n.config.Previous, others...)
	if n.store, err = store.Open(n.folder.statePath()); err != nil {
		return err
	}
	if err := n.wire(ctx, clusterSecret); err != nil {
		return err
	}
	go n.serve(n.server.Serve, n.secure(n.http))
	go n.serve(n.server.ServeOperator, n.socket)
	return nil
}

// first tells whether the node begins a cluster of its own: then the secret is its to make.
func (c Config) first() bool { return len(c.Initial) == 0 && len(c.Join) == 0 }

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the API cannot listen on %s, which another program has: stop that one, or choose another address with --http", address)
	case err != nil:
		return nil, fmt.Errorf("the API cannot listen on %s: %w: choose an address of this machine with --http", address, err)
	}
	return l, nil
}

// wire makes the parts and tells each of those that it needs, from the disk upwards.
func (n *Node) wire(ctx context.Context, clusterSecret secret.ClusterSecret) error {
	c := n.config
	sealer := secret.NewSealer(clusterSecret, c.Previous...)
	memory, err := view.New(view.Config{Open: sealer.Open, Fatal: c.Fatal}, n.store)
	if err != nil {
		return fmt.Errorf("the data in %s cannot be used: %w", c.DataDir, err)
	}
	machine, err := fsm.New(fsm.Config{
		Store: n.store, Committed: c.committed(memory), Restored: func() { memory.Reload(n.store) }, Fatal: c.Fatal,
	})
	if err != nil {
		return err
	}
	snapshots, err := fsm.NewSnapshots(n.store, n.folder.snapshotPath())
	if err != nil {
		return err
	}
	n.fences = newFenceHistogram()
	n.cluster, err = cluster.Start(ctx, cluster.Config{
		Name: c.Name, DataDir: n.folder.path, Bind: c.Bind, Advertise: c.Advertise, Initial: c.Initial, Join: c.Join, NonVoter: c.NonVoter,
		HTTPAddress: n.announcedHTTP(), Version: c.Version, Secret: clusterSecret, Previous: c.Previous,
		FSM: machine, Snapshots: snapshots, Logger: c.Logger, Fatal: c.Fatal, Timings: c.Timings,
		Dial: c.Dial, Clock: c.Clock, StaleReads: c.StaleReads, MinFree: c.MinFree, FenceWaited: func(d time.Duration) { n.fences.Observe(d.Seconds()) },
	})
	if err != nil {
		return err
	}
	n.proposals = measure(n.cluster)
	go func() {
		if n.cluster.WaitReady(context.WithoutCancel(ctx)) == nil {
			n.current.Store(true)
		}
	}()
	duties := &steward.Steward{
		Store: n.store, Proposer: n.proposals, Sealer: sealer, Settings: c.Settings, SharedSecret: c.SharedKey,
		RotateEvery: c.RotateKeys, PublishFor: token.PublishWait, Every: stewardEvery, Now: iam.Now, Log: c.Logger,
		Notary: secret.NewNotary(clusterSecret, c.Previous...),
	}
	n.cluster.Lead(duties.Run)
	n.count()
	n.manageCertificate(sealer)
	n.startBackups(clusterSecret)
	n.server = n.api(memory, sealer, duties)
	n.recordUses(ctx)
	n.keepBackups(ctx)
	return nil
}

// committed is what follows each transaction.
func (c Config) committed(memory *view.View) func([]store.Change) {
	return func(changes []store.Change) {
		if c.Committed != nil {
			c.Committed() // first: a slow disk holds back what memory sees too
		}
		memory.Commit(changes)
		for _, change := range changes {
			if e, ok := change.Row.(iam.Epoch); ok {
				c.Logger.Warn("a new epoch has begun: every token and session that was issued before is dead", "epoch", e.Number, "reason", e.Reason)
			}
		}
	}
}

// announcedHTTP is the address of the API as another machine would write it, with https:// in front where it speaks
// TLS.
func (n *Node) announcedHTTP() string {
	at := n.HTTP()
	host, port, _ := net.SplitHostPort(at)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, _, err := net.SplitHostPort(n.config.Advertise); err == nil {
			at = net.JoinHostPort(host, port)
		}
	}
	if n.config.TLS.Enabled() {
		return "https://" + at
	}
	return at
}

// stewardEvery is how often the leader looks whether something is to be done.
const stewardEvery = 5 * time.Second

// api makes the services and the HTTP interface over them.
func (n *Node) api(memory *view.View, sealer *secret.Sealer, duties *steward.Steward) *httpapi.Server {
	c := n.config
	c.Hasher.Fallback = func(err error) {
		c.Logger.Warn("password hashes are computed in this process, and logins slow everything else down", "error", err)
	}
	hasher := secret.NewHasher(c.Hasher)
	n.hasher = hasher
	people := &login.Service{
		Store: n.store, Proposer: n.proposals, Hasher: hasher, Policy: c.Policy, Lockout: c.Lockout, CatchUp: n.cluster.CatchUp, Now: iam.Now,
		Mailer: n.startMailer(), Links: c.Links,
		Tally: n.tally,
	}
	n.audit = audit.New(audit.Config{Store: n.store, Proposer: n.proposals, Now: iam.Now, Logger: c.Logger, Every: c.AuditEvery})
	people.Refused = n.audit.Refused
	tokens := &oauth.Service{Store: n.store, View: memory, Proposer: n.proposals, Login: people, Now: iam.Now, Seal: sealer.Seal, Confirm: n.cluster.Confirm}
	n.tokens = tokens
	api := httpapi.Config{
		OAuth: tokens, Login: people, View: memory, Store: n.store, Proposer: n.proposals, Hasher: hasher,
		Cluster: clusterView(n.cluster, memory, n.current.Load, duties.SecretSettled), Version: c.Version, Node: c.Name, Logger: c.Logger,
		PublicURL: c.PublicURL, AllowedOrigins: c.AllowedOrigins, AllowedHosts: c.AllowedHosts, MetricsToken: c.MetricsToken, Registry: n.registry(),
		Audit:          n.audit,
		Backup:         n.openBackup,
		CopyLog:        n.cluster.CopyLog,
		TrustedProxies: c.TrustedProxies,
	}
	if c.Limits != nil {
		api.Limiter, api.Limits = n.tally, *c.Limits
		tokens.Limiter, tokens.Guesses = n.tally, c.Limits.ServiceToken
	}
	return httpapi.New(api)
}

// startMailer starts what sends messages to people.
func (n *Node) startMailer() *login.Mailer {
	sender := n.config.Mail
	if n.config.MailToLog {
		n.config.Logger.Warn("KEYSTONE_MAIL_TO_LOG is set: whoever reads this log can reset passwords")
		sender = login.LogSender{Log: n.config.Logger}
	}
	n.mailer = login.NewMailer(sender, n.config.Logger)
	return n.mailer
}

// recordUses starts to tell the cluster which clients call this node.
func (n *Node) recordUses(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{}) // closed here alone
	go func() {
		defer close(done)
		n.tokens.KeepUses(ctx, oauth.RecordUsesEvery)
	}()
	n.uses = func() {
		cancel()
		<-done
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = n.tokens.RecordUses(last) // of a node that reaches no leader the last half minute is not counted
	}
}

func (n *Node) serve(serve func(net.Listener) error, l net.Listener) {
	if err := serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		n.failed <- fmt.Errorf("the node cannot serve on %s any more: %w", l.Addr(), err)
	}
}

// HTTP returns the address of the API, host:port.
func (n *Node) HTTP() string { return n.http.Addr().String() }

// Cluster returns the node's part of the cluster.
func (n *Node) Cluster() *cluster.Node { return n.cluster }

// Store returns the node's state, to be looked at.
func (n *Node) Store() *store.Store { return n.store }

// Failed gives the error of a listener that broke.
func (n *Node) Failed() <-chan error { return n.failed }

// Close stops the node: first it says that it is not ready and hands the leadership on, while it goes on answering;
// then it takes nothing in any more, so that what is under way can still be answered; then its part in the cluster
// ends, then the state, and the lock of the folder last.
func (n *Node) Close(ctx context.Context) error {
	var errs []error
	if n.server != nil {
		n.leave(ctx)
		errs = append(errs, n.drain(ctx))
	}
	for _, end := range []func(){n.uses, n.endBackup, n.endCert} {
		if end != nil {
			end()
		}
	}
	for _, l := range []net.Listener{n.http, n.socket, n.challenges} {
		if l != nil {
			_ = l.Close() // a second time, where the server ran
		}
	}
	if n.audit != nil {
		n.recordRest(ctx)
	}
	if n.mailer != nil {
		n.mailer.Close()
	}
	if n.hasher != nil {
		n.hasher.Close()
	}
	if n.tally != nil {
		n.tally.Close()
	}
	if n.cluster != nil {
		errs = append(errs, n.cluster.Close(ctx))
	}
	if n.windows != nil {
		n.windows.Close()
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.folder != nil {
		errs = append(errs, n.folder.close())
	}
	return errors.Join(errs...)
}

// leave makes the node one that nobody needs. Whoever writes through it, or through a node that forwards to it, would
// else wait for an election.
func (n *Node) leave(ctx context.Context) {
	n.server.Leave()
	n.cluster.StepDown(ctx)
	if n.config.Drain > 0 {
		select {
		case <-time.After(n.config.Drain):
		case <-ctx.Done():
		}
	}
}

// drain lets the requests under way end, in half of the time there is: the rest is for the cluster. A
// client that does not let go is no fault of this node.
func (n *Node) drain(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	err := n.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		n.config.Logger.Warn("some connections were still busy when the node stopped")
		return nil
	}
	return err
}

// recordRest records the refusals that wait, while this node can still reach the others. A cluster that is
// stopped as a whole has nobody left to record them, and must not wait for it.
func (n *Node) recordRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := n.audit.Close(ctx); err != nil {
		n.config.Logger.Warn("the last refusals could not be recorded in the audit log", "error", err)
	}
}
