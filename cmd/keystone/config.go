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
)

// Config is everything that a person can set about a node.
type Config struct {
	Node        node.Config
	Host, Port  string // of the API, where HTTP does not say both
	HTTP        string
	announced   string // the second address of --cluster
	Limits      limit.Set
	NoRateLimit bool
	LogLevel    slog.Level
	LogFormat   string // json or text; empty = text on a terminal
	Mail        mailConfig
}

// setting is one thing that can be set: by a flag of `keystone serve`, by the environment, or by its
// default, in this order.
type setting struct {
	flag   string // without hyphens; empty where the environment alone sets it
	env    string
	std    string // the default, as it would be written
	doc    string // for the help
	want   string // what a value looks like; empty where set says so itself, of cluster secrets
	secret bool   // never shown; may come from the file that env_FILE names
	set    func(c *Config, value string) error
}

// configOf reads the flags that were given and the environment into a Config.
func configOf(flags *pflag.FlagSet, environ []string) (Config, error) {
	env := environment(environ)
	c := Config{Limits: limit.Defaults()}
	for _, s := range settings {
		source, value, err := s.find(flags, env)
		if err != nil {
			return c, err
		}
		if value == "" {
			continue
		}
		if err := s.set(&c, value); err != nil {
			return c, s.complaint(source, value, err)
		}
	}
	return c, c.finish()
}

func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// find returns the value that counts, and what a person would call the place where it came from. An
// empty variable counts as none: compose files hand on what is not set that way.
func (s setting) find(flags *pflag.FlagSet, env map[string]string) (source, value string, err error) {
	if f := flags.Lookup(s.flag); s.flag != "" && f != nil && f.Changed {
		return "--" + s.flag, f.Value.String(), nil
	}
	value = env[s.env]
	if path := env[s.env+"_FILE"]; s.secret && path != "" {
		if value != "" {
			return "", "", fmt.Errorf("%s and %s_FILE are both set: unset one of them", s.env, s.env)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", "", fmt.Errorf("%s_FILE names a file that cannot be read: %w: name one that this user may read, or unset it", s.env, err)
		}
		return s.env + "_FILE", strings.TrimRight(string(text), "\r\n"), nil
	}
	if value == "" {
		value = s.std
	}
	return s.env, value, nil
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

// finish fills in what follows from other settings and refuses what does not fit together.
func (c *Config) finish() error {
	n := &c.Node
	if n.HTTP = c.HTTP; n.HTTP == "" {
		n.HTTP = net.JoinHostPort(c.Host, c.Port)
	}
	if !c.NoRateLimit {
		n.Limits = &c.Limits
	}
	if n.Settings.Algorithm == "HS256" && len(n.SharedKey) == 0 {
		return errors.New("JWT_ALGORITHM=HS256 signs with a key that other services share: set JWT_SECRET_KEY or JWT_SECRET_KEY_FILE to it")
	}
	if err := n.Hasher.Params.Check(); err != nil {
		return fmt.Errorf("KEYSTONE_ARGON2_MEMORY_KIB, _PASSES and _LANES do not fit together: %w", err)
	}
	if n.Policy.MinLength > n.Policy.MaxLength {
		return errors.New("PASSWORD_MIN_LENGTH must not be over PASSWORD_MAX_LENGTH: no password could be chosen")
	}
	if err := c.finishMail(); err != nil {
		return err
	}
	if err := n.Settings.Check(); err != nil {
		return fmt.Errorf("the settings do not fit together: %s", sentence(err))
	}
	return c.finishCluster()
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
	{"ALLOWED_ORIGINS", "not used by this version"},
	{"ALLOWED_HOSTS", "not used by this version"},
	{"DEBUG", "not used: set LOG_LEVEL=debug for more log lines"},
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
			out = append(out, name+" is no setting of Keystone and has no effect: see keystone help environment")
		}
	}
	return out
}

func known(env string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool {
		return s.env == env || s.secret && s.env+"_FILE" == env
	})
}
