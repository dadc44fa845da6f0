package bench

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/keystone-auth/keystone/client"
)

// Site is what is put under load: nodes of a Keystone cluster, or any OAuth 2 server.
type Site struct {
	// Nodes are the addresses of the nodes, such as http://127.0.0.1:8000. The connections are spread over
	// them.
	Nodes []string
	// Roots may vouch for nodes at https addresses; nil: whom this machine trusts.
	Roots *x509.CertPool
	// Admin makes what a scenario needs, and removes it. Nil: the server is a foreign one, or nothing may
	// be made; then ClientID and ClientSecret are those of a client that is there.
	Admin        *client.Client
	ClientID     string
	ClientSecret string
	// Endpoints of a foreign server, whole URLs on one host. Empty: those of Keystone on the Nodes.
	TokenURL, IntrospectURL, RevokeURL string
}

// paths are where a server takes what.
type paths struct{ token, refresh, service, introspect, revoke, profile string }

var keystonePaths = paths{ //nolint:gosec // paths, no secrets
	token: "/api/v1/auth/token", refresh: "/api/v1/auth/refresh", service: "/api/v1/auth/service-token",
	introspect: "/api/v1/auth/introspect", revoke: "/api/v1/auth/revoke", profile: "/api/v1/users/profile",
}

// foreign tells whether the site is no Keystone.
func (s *Site) foreign() bool { return s.TokenURL != "" || s.IntrospectURL != "" }

// resolve reads the addresses.
func (s *Site) resolve() ([]node, paths, error) {
	if s.foreign() {
		return s.resolveForeign()
	}
	var nodes []node
	for _, address := range s.Nodes {
		n, err := parseNode(address, s.Roots)
		if err != nil {
			return nil, paths{}, err
		}
		nodes = append(nodes, n)
	}
	if nodes == nil {
		return nil, paths{}, errors.New("no node is named that could be put under load: name some with --url")
	}
	return nodes, keystonePaths, nil
}

func (s *Site) resolveForeign() ([]node, paths, error) {
	var p paths
	var found []node
	for _, e := range []struct {
		text string
		into *string
	}{{s.TokenURL, &p.service}, {s.IntrospectURL, &p.introspect}, {s.RevokeURL, &p.revoke}} {
		if e.text == "" {
			continue
		}
		u, err := url.Parse(e.text)
		if err != nil {
			return nil, p, fmt.Errorf("%q is no URL of an endpoint", e.text)
		}
		n, err := parseNode(e.text, s.Roots)
		if err != nil {
			return nil, p, err
		}
		if found == nil {
			found = []node{n}
		}
		if found[0].url != n.url {
			return nil, p, errors.New("all endpoints must be on one host: a run measures one server")
		}
		*e.into = u.RequestURI()
	}
	if s.ClientID == "" || s.ClientSecret == "" {
		return nil, p, errors.New("a foreign server asks for a client: name one with --client-id and --client-secret-file")
	}
	return found, p, nil
}

// local tells whether a node runs on the machine of the bench.
func local(nodes []node) bool {
	own, _ := net.InterfaceAddrs()
	for _, n := range nodes {
		host, _, _ := net.SplitHostPort(n.address)
		ips, err := net.LookupIP(host)
		if err != nil {
			continue
		}
		for _, ip := range ips {
			if ip.IsLoopback() {
				return true
			}
			for _, a := range own {
				if network, ok := a.(*net.IPNet); ok && network.IP.Equal(ip) {
					return true
				}
			}
		}
	}
	return false
}

// removeWithin bounds the time for removing what was made.
const removeWithin = 2 * time.Minute

// Options are what a run needs beside the plan. All may be left out.
type Options struct {
	Version  string       // of the program, for the report
	Say      func(string) // told what is being done before and after the load
	Progress func(Moment) // told how it goes, once a second
	// Kill is called once by the scenario failover, after a third of its first round: it is to end a node.
	// Nil: somebody else does.
	Kill func() error
}

// Run prepares a scenario, runs it as planned and removes what it made, even when ctx ends.
func Run(ctx context.Context, site Site, scenario string, plan Plan, o Options) (_ *Report, err error) {
	sc, err := find(scenario)
	if err != nil {
		return nil, err
	}
	if err := plan.check(); err != nil {
		return nil, err
	}
	nodes, paths, err := site.resolve()
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := &stage{site: site, nodes: nodes, paths: paths, plan: plan, options: o, foreign: site.foreign()}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
		defer cancel()
		err = errors.Join(err, s.removeAll(ctx))
	}()
	l, err := sc.prepare(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Format: Format, Scenario: sc.Name, Started: time.Now().UTC().Truncate(time.Second), Version: o.Version,
		Plan: plan, Machine: machine(), Notes: l.notes,
	}
	r.Machine.Local = local(nodes)
	for _, n := range nodes {
		r.Targets = append(r.Targets, n.url)
	}
	if r.Rounds, err = run(ctx, nodes, plan, l, o.Progress); err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, r.judge()...)
	return r, nil
}

func (o Options) withDefaults() Options {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Progress == nil {
		o.Progress = func(Moment) {}
	}
	return o
}

// check refuses a plan that cannot be run.
func (p *Plan) check() error {
	switch {
	case p.Connections < 1 || p.Connections > 10_000:
		return errors.New("--connections must be a number from 1 to 10000")
	case p.Rate < 0 || p.Rate > 10_000_000:
		return errors.New("--rate must be a number of requests a second up to 10000000")
	case p.Rounds < 1 || p.Rounds > 1000:
		return errors.New("--rounds must be a number from 1 to 1000")
	case p.Duration < 100*time.Millisecond || p.Duration > 24*time.Hour:
		return errors.New("--duration must be a time from 100ms to 24h")
	case p.Warmup < 0 || p.Warmup > time.Hour:
		return errors.New("--warmup must be a time from 0s to 1h")
	case p.Tokens < 0 || p.Tokens > 5_000_000:
		return errors.New("--tokens must be a number up to 5000000")
	case p.Users < 0 || p.Users > 100_000:
		return errors.New("--users must be a number up to 100000")
	}
	return nil
}

// The shares of the processors from which on the bench rather measures itself.
const (
	mostOwnCPU = 0.7 // of a machine of its own
	fullCPU    = 0.9
)

// judge says what the figures hide.
func (r *Report) judge() (notes []string) {
	var own, all []float64
	for _, round := range r.Rounds {
		own, all = append(own, round.OwnCPU), append(all, round.AllCPU)
	}
	mine, whole := SpreadOf(own).Median, SpreadOf(all).Median
	switch {
	case mine > mostOwnCPU:
		notes = append(notes, fmt.Sprintf("The bench itself was the bottleneck: it used %.0f %% of its machine's processors. Run it on a larger machine, or on several.", 100*mine))
	case r.Machine.Local && whole > fullCPU:
		notes = append(notes, fmt.Sprintf("The bench shares a machine with a node, and the machine was full: %.0f %% of its work was the bench. With a machine of its own the node would do more.", 100*mine/whole))
	case whole > fullCPU:
		notes = append(notes, "The machine of the bench was full, with other work than the bench: the figures may be too low.")
	}
	if r.Wrong() > 0 {
		notes = append(notes, "There were answers that must never be given. This is a fault of the server, whatever its speed.")
	}
	return notes
}
