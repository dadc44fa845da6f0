package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/secret"
)

// Config is everything that a person can set about a node.
type Config struct {
	Node        node.Config
	Host, Port  string // of the API, where HTTP does not say both
	HTTP        string
	acmeCA      string // file
	acmeAgreed  bool
	insecure    bool   // the API may speak in the clear to other machines
	announced   string // the second address of --cluster
	Limits      limit.Set
	NoRateLimit bool
	LogLevel    slog.Level
	LogFormat   string // json, text or auto: text on a terminal
	Debug       bool
	File        string      // the YAML file
	backupFor   []string    // recipients of scheduled backups
	DatabaseURL secret.Text // of import and export; a node uses none
	Mail        mailConfig
}

// setting is one thing that can be set: by a flag of `keystone serve`, by the environment, by the file
// that --config names, or by its default, in this order.
type setting struct {
	flag   string // without hyphens; empty where the environment alone sets it
	env    string
	std    string // the default, as it would be written
	doc    string // for the help
	want   string // what a value looks like; empty where set says so itself, of cluster secrets
	secret bool   // never shown; may come from the file that env_FILE names
	list   bool   // several values with commas between, which may be a list in a file
	set    func(c *Config, value string) error
}

// resolution is what came of all places where settings come from.
type resolution struct {
	config   Config
	values   []value // in the order of the table
	problems []error // one sentence each
}

// configOf reads the flags that were given, the environment and the file into a Config. Of several
// problems the error tells the first, and that there are more.
func configOf(flags *pflag.FlagSet, environ []string) (Config, error) {
	r := resolve(flags, environ)
	switch len(r.problems) {
	case 0:
		return r.config, nil
	case 1:
		return r.config, r.problems[0]
	}
	return r.config, fmt.Errorf("%w (and %d more: keystone config check lists all)", r.problems[0], len(r.problems)-1)
}

// resolve goes through the table, and names everything that is wrong.
func resolve(flags *pflag.FlagSet, environ []string) resolution {
	from, problems := openSources(flags, environ)
	r := resolution{config: Config{Limits: limit.Defaults()}, problems: problems}
	bad := map[string]bool{}
	for _, s := range settings {
		v, err := from.find(s)
		if err == nil && v.text != "" {
			if err = s.set(&r.config, v.text); err != nil {
				err = s.complaint(v.name, v.text, err)
			}
		}
		if err != nil {
			bad[s.env] = true
			r.problems = append(r.problems, err)
		}
		r.values = append(r.values, v)
	}
	r.settleAddress()
	for _, c := range consequences {
		if slices.ContainsFunc(c.of, func(env string) bool { return bad[env] }) {
			continue // it would say of a value what was said already
		}
		if err := c.settle(&r.config); err != nil {
			r.problems = append(r.problems, err)
		}
	}
	return r
}

// valueOf finds the value of a setting by its variable.
func (r *resolution) valueOf(env string) value {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.env == env })
	return r.values[i]
}

// settleAddress puts the API's address together. KEYSTONE_HTTP counts before HOST and PORT, but in the
// file it does not count before either of them in the environment.
func (r *resolution) settleAddress() {
	c := &r.config
	whole := r.valueOf("KEYSTONE_HTTP")
	if c.Node.HTTP = c.HTTP; whole.text == "" {
		c.Node.HTTP = net.JoinHostPort(c.Host, c.Port)
		return
	}
	host, port, err := net.SplitHostPort(c.HTTP)
	if err != nil {
		return
	}
	if v := r.valueOf("HOST"); v.level > whole.level {
		host = v.text
	}
	if v := r.valueOf("PORT"); v.level > whole.level {
		port = v.text
	}
	c.Node.HTTP = net.JoinHostPort(host, port)
}

// complaint is the sentence about a value that cannot be used.
func (s setting) complaint(source, value string, err error) error {
	switch {
	case s.want == "": // the cluster secrets
		return fmt.Errorf("%s: %w; for a new cluster, keystone secret new makes one", source, err)
	case s.secret:
		return fmt.Errorf("%s must be %s", source, s.want)
	}
	if len(value) > 40 {
		value = value[:40] + "…"
	}
	return fmt.Errorf("%s must be %s, and is %q", source, s.want, value)
}

// consequences are what follows from several settings together, and what does not fit together. Each
// names the settings that it looks at.
var consequences = []struct {
	of     []string
	settle func(*Config) error
}{
	{nil, func(c *Config) error {
		if !c.NoRateLimit {
			c.Node.Limits = &c.Limits
		}
		if c.Debug {
			c.LogLevel = slog.LevelDebug
		}
		return nil
	}},
	{[]string{"JWT_ALGORITHM", "JWT_SECRET_KEY"}, func(c *Config) error {
		if c.Node.Settings.Algorithm == "HS256" && c.Node.SharedKey.IsZero() {
			return errors.New("JWT_ALGORITHM=HS256 signs with a key that other services share: set JWT_SECRET_KEY or JWT_SECRET_KEY_FILE to it")
		}
		return nil
	}},
	{[]string{"KEYSTONE_ARGON2_MEMORY_KIB", "KEYSTONE_ARGON2_PASSES", "KEYSTONE_ARGON2_LANES"}, func(c *Config) error {
		if err := c.Node.Hasher.Params.Check(); err != nil {
			return fmt.Errorf("KEYSTONE_ARGON2_MEMORY_KIB, _PASSES and _LANES do not fit together: %w", err)
		}
		return nil
	}},
	{[]string{"PASSWORD_MIN_LENGTH", "PASSWORD_MAX_LENGTH"}, func(c *Config) error {
		if c.Node.Policy.MinLength > c.Node.Policy.MaxLength {
			return errors.New("PASSWORD_MIN_LENGTH must not be over PASSWORD_MAX_LENGTH: no password could be chosen")
		}
		return nil
	}},
	{
		[]string{"JWT_ISSUER", "JWT_ALGORITHM", "ACCESS_TOKEN_EXPIRE_MINUTES", "REFRESH_TOKEN_EXPIRE_DAYS", "SERVICE_TOKEN_EXPIRE_MINUTES", "DEFAULT_USER_ROLE"},
		func(c *Config) error {
			if err := c.Node.Settings.Check(); err != nil {
				return fmt.Errorf("the settings do not fit together: %s", sentence(err))
			}
			return nil
		},
	},
	{[]string{"KEYSTONE_NAME", "KEYSTONE_CLUSTER", "KEYSTONE_ADVERTISE", "KEYSTONE_INITIAL", "KEYSTONE_JOIN", "KEYSTONE_NON_VOTER"}, (*Config).finishCluster},
	{tlsSettings, (*Config).finishTLS},
	{mailSettings, (*Config).finishMail},
	{[]string{"KEYSTONE_BACKUP_DIR", "KEYSTONE_BACKUP_RECIPIENTS"}, (*Config).finishBackup},
}

// machineName is this machine's name as far as it can be the name of a node. A lone node is not
// called after it, for a container has another one each time.
func machineName() string {
	host, err := os.Hostname()
	if err != nil || !nodeName.MatchString(host) {
		return "keystone"
	}
	return host
}

// finishCluster settles what this node is called and where the other nodes reach it.
func (c *Config) finishCluster() error {
	n := &c.Node
	if c.announced != "" && n.Advertise != "" && n.Advertise != c.announced {
		return errors.New("--cluster and --advertise name two addresses for the other nodes: leave one out")
	}
	if n.NonVoter && len(n.Join) == 0 {
		return errors.New("--non-voter needs --join: only a cluster that exists can have a node that does not vote")
	}
	n.Advertise = either(n.Advertise, c.announced)
	if n.Bind == "" && n.Advertise == "" && len(n.Initial) == 0 && len(n.Join) == 0 { // a lone node
		n.Name = either(n.Name, "keystone")
		return nil
	}
	n.Name = either(n.Name, machineName())
	own := slices.IndexFunc(n.Initial, func(p cluster.Peer) bool { return p.Name == n.Name })
	switch {
	case len(n.Initial) > 0 && len(n.Join) > 0:
		return errors.New("--initial and --join exclude each other: the first forms a new cluster, the second enters one that exists")
	case len(n.Initial) > 0 && own < 0:
		return fmt.Errorf("--initial lists no node named %q, which is this one's name: add it, or set --name to one of the list", n.Name)
	case own >= 0:
		if err := c.checkOwn(n.Initial[own]); err != nil {
			return err
		}
		n.Advertise = either(n.Advertise, n.Initial[own].Address)
	case n.Bind == "" && n.Advertise == "":
		return errors.New("--join needs --cluster: the address at which the other nodes reach this one, such as 10.0.0.7:7400")
	}
	n.Bind, n.Advertise = either(n.Bind, n.Advertise), either(n.Advertise, n.Bind)
	host, _, err := net.SplitHostPort(n.Advertise)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("the other nodes cannot reach this one at %s: add --advertise with the address at which they do, such as 10.0.0.7:7400", n.Advertise)
	}
	return nil
}

// checkOwn compares what the list says of this node with what was said of it alone. The others look for
// it where the list says; and a command line that was copied from another node and changed in half
// would start a second process that calls itself by that one's name.
func (c *Config) checkOwn(listed cluster.Peer) error {
	n := &c.Node
	flag, said := "--advertise", n.Advertise
	switch {
	case said == listed.Address || said == "" && (n.Bind == "" || binds(n.Bind, listed.Address)):
		return nil
	case said == "":
		flag, said = "--cluster", n.Bind
	case c.announced != "":
		flag = "--cluster"
	}
	return fmt.Errorf("--initial says that %s is at %s, and %s says %s: correct one of them, or give this node its own name",
		listed.Name, listed.Address, flag, said)
}

// binds tells whether whoever listens at bind is reached at the listed address, as far as one can see.
func binds(bind, listed string) bool {
	host, port, _ := net.SplitHostPort(bind)
	_, wanted, _ := net.SplitHostPort(listed)
	ip := net.ParseIP(host)
	everywhere := host == "" || ip != nil && ip.IsUnspecified()
	return bind == listed || everywhere && port == wanted
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// sentence is what a refusal says to a person, without its code.
func sentence(err error) string {
	var refusal *iam.Error
	if !errors.As(err, &refusal) {
		return err.Error()
	}
	if len(refusal.Fields) == 0 {
		return refusal.Message
	}
	return refusal.Fields[0].Field + " " + refusal.Fields[0].Message
}

// notUsed are names that people set for the system that Keystone takes the place of, or for later
// versions, and what to tell those who do.
var notUsed = []struct{ env, why string }{
	{"REDIS_URL", "not needed: Keystone has no cache beside it"},
}

// fromOrchestrator matches what orchestrators set for a service called keystone.
var fromOrchestrator = regexp.MustCompile(`_SERVICE_(HOST|PORT)|^KEYSTONE(_[A-Z0-9_]+)?_PORT(_|$)`)

// remarks are lines for the log about variables that have no effect. A misspelt name is worth one:
// KEYSTONE_INITIALS would otherwise quietly make a cluster of one.
func remarks(environ []string) []string {
	var out []string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" {
			continue
		}
		for _, n := range notUsed {
			if n.env == name {
				out = append(out, name+" is "+n.why)
			}
		}
		if strings.HasPrefix(name, "KEYSTONE_") && !known(name) && !fromOrchestrator.MatchString(name) {
			out = append(out, name+" is no setting of Keystone and has no effect: "+suggestion(name))
		}
	}
	return out
}

// suggestion is what to do about a name that is not known.
func suggestion(name string) string {
	var names []string
	for _, s := range settings {
		names = append(names, s.env)
		if s.secret {
			names = append(names, s.env+"_FILE")
		}
	}
	if meant := nearest(name, names); meant != "" {
		return "was " + meant + " meant?"
	}
	return "see keystone help environment"
}

func known(env string) bool {
	return env == tokenVariable || env == caVariable || env == passphraseVariable || slices.ContainsFunc(settings, func(s setting) bool {
		return s.env == env || s.secret && s.env+"_FILE" == env
	})
}
