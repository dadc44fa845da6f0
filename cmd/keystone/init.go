package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keystone-auth/keystone/certs"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/secret"
)

// probeWithin is how long a new node waits for what a member tells of the cluster.
const probeWithin = 5 * time.Second

// firstSteps is what keystone init was asked for, and what it made of it.
type firstSteps struct {
	name, cluster, http, data, config string
	join                              []string
	secretFile                        string
	secrets                           []secret.ClusterSecret // the first counts
	keep                              bool                   // the secret has its file already
	named                             bool                   // by --name
	tls                               certs.Config
	insecure                          bool // the API may speak in the clear to other machines
}

func initCommand() *cobra.Command {
	var s firstSteps
	var join string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Begin a cluster on this machine, or prepare this machine to join one",
		Long: `Makes a configuration with comments and the file of the cluster secret, and says what to do next.
Nothing that exists is overwritten.

On the first machine it also begins the cluster, in the data folder: a cluster of one, which grows as others
join. It prints the line to paste on those. That line hands the secret to keystone init --join on its standard
input: an argument would be in the list of processes, for all to read. The space that it begins with keeps it
out of the history of most shells. Where nothing is handed over and there is a terminal, the secret is asked for.
KEYSTONE_SECRET and KEYSTONE_SECRET_FILE count here as well.

What is not said is found: the name is that of the machine; the address for the other nodes is the one at
which this machine reaches them; the API answers on this machine alone. For root, where the package made
/etc/keystone, the files are those that the system's service uses; for others they are in this folder.`,
		Example: `  keystone init
  keystone init --name a --cluster 10.0.0.7:7400 --http 10.0.0.7:8000 --tls-cert tls.crt --tls-key tls.key
  keystone init --join 10.0.0.7:7400 < cluster-secret`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&s.name, "name", "", "name of this node, unique in its cluster (default: the machine's name)")
	f.StringVar(&s.cluster, "cluster", "", "address at which the other nodes reach this one; of :7400 and the like the host is found")
	f.StringVar(&s.http, "http", "127.0.0.1:8000", "address of the API; of :8000 and the like the host is that of --cluster")
	f.StringVar(&s.tls.CertFile, "tls-cert", "", "file with the certificate of the API, for an address that other machines reach")
	f.StringVar(&s.tls.KeyFile, "tls-key", "", "file with its private key")
	f.BoolVar(&s.insecure, "http-insecure", false, "let the API speak in the clear to other machines, behind a proxy that speaks TLS")
	f.StringVar(&s.data, "data", "", "folder for everything that this node keeps (default: keystone-data beside the configuration)")
	f.StringVar(&s.config, "config", "", "the file to make (default: /etc/keystone/keystone.yaml or ./keystone.yaml)")
	f.StringVar(&join, "join", "", "nodes of the cluster to enter, host:port with commas between")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s.named = s.name != ""
		if cmd.Flags().Changed("join") {
			var c Config
			if err := joinAddresses(&c, join); err != nil {
				return errors.New("--join must be addresses such as 10.0.0.7:7400,10.0.0.8:7400")
			}
			s.join = c.Node.Join
		}
		return s.run(cmd)
	}
	return cmd
}

func (s *firstSteps) run(cmd *cobra.Command) error {
	for _, step := range []func(*cobra.Command) error{s.places, s.identity, s.secret, s.meet, s.make} {
		if err := step(cmd); err != nil {
			return err
		}
	}
	s.tell(cmd.OutOrStdout())
	return nil
}

// places settles which files are made, and refuses those that are there.
func (s *firstSteps) places(*cobra.Command) (err error) {
	if s.config == "" {
		s.config = "keystone.yaml"
		if info, err := os.Stat(packageFolder); os.Getuid() == 0 && err == nil && info.IsDir() {
			s.config = packagedConfig
		}
	}
	if s.config, err = filepath.Abs(s.config); err != nil {
		return err
	}
	folder := filepath.Dir(s.config)
	if s.data == "" {
		s.data = filepath.Join(folder, "keystone-data")
		if s.config == packagedConfig {
			s.data = packagedData
		}
	}
	if s.data, err = filepath.Abs(s.data); err != nil {
		return err
	}
	s.secretFile = filepath.Join(folder, "cluster-secret")
	if _, err := os.Lstat(s.config); err == nil {
		return fmt.Errorf("%s is there already: start the node with it, or name another file with --config; nothing was changed", s.config)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s cannot be made: %w: name another file with --config", s.config, err)
	}
	return nil
}

// identity settles what the node is called and where it is reached.
func (s *firstSteps) identity(*cobra.Command) error {
	if s.name == "" {
		s.name = nameOfMachine()
	}
	if !nodeName.MatchString(s.name) {
		return errors.New("--name must be 1 to 63 letters, digits, dots, hyphens or underscores")
	}
	if s.cluster == "" {
		s.cluster = ":7400"
	}
	for flag, value := range map[string]string{"--cluster": s.cluster, "--http": s.http} {
		if checkAddress(value) != nil {
			return fmt.Errorf("%s must be an address such as 10.0.0.7:7400 or :7400", flag)
		}
	}
	host, port, _ := net.SplitHostPort(s.cluster)
	if host == "" {
		found, err := ownAddress(s.join)
		if err != nil {
			return err
		}
		host = found
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return errors.New("--cluster must be the one address at which the other nodes reach this one, such as 10.0.0.7:7400")
	}
	s.cluster = net.JoinHostPort(host, port)
	if of, at, _ := net.SplitHostPort(s.http); of == "" {
		s.http = net.JoinHostPort(host, at)
	}
	if err := s.secureHTTP(); err != nil {
		return err
	}
	alone := len(s.join) == 0
	s.join = slices.DeleteFunc(s.join, func(address string) bool { return address == s.cluster }) // it may take a lost node's place
	if len(s.join) == 0 && !alone {
		return fmt.Errorf("--join names %s alone, which is this machine: name another node there, or another address of this one with --cluster", s.cluster)
	}
	return nil
}

// secureHTTP refuses what keystone serve would, and names files so that they are found from any folder.
func (s *firstSteps) secureHTTP() error {
	for _, file := range []*string{&s.tls.CertFile, &s.tls.KeyFile} {
		if *file == "" {
			continue
		}
		path, err := filepath.Abs(*file)
		if err != nil {
			return err
		}
		*file = path
	}
	c := Config{insecure: s.insecure}
	c.Node.HTTP, c.Node.TLS = s.http, s.tls
	return c.finishTLS()
}

// secret finds the cluster secret: in its file, as KEYSTONE_SECRET, on standard input. The first node makes it.
func (s *firstSteps) secret(cmd *cobra.Command) error {
	given, err := s.given(cmd)
	if err != nil {
		return err
	}
	kept, err := os.ReadFile(s.secretFile)
	switch {
	case err == nil && given != "" && strings.TrimSpace(string(kept)) != strings.TrimSpace(given):
		return fmt.Errorf("%s holds another secret than the one that was given: remove the wrong one; nothing was changed", s.secretFile)
	case err == nil:
		given, s.keep = string(kept), true
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the cluster secret cannot be read: %w: run this as the user that owns the file", err)
	case given == "" && len(s.join) == 0:
		given = secret.NewClusterSecret().Reveal()
	case given == "":
		return errors.New("a node that joins needs the secret of its cluster on standard input: paste the line that keystone cluster join-command prints on a node of it")
	}
	current, others, err := secret.ParseClusterSecrets(given)
	if err != nil {
		return fmt.Errorf("%w; keystone cluster join-command prints it on a node of the cluster", err)
	}
	s.secrets = append([]secret.ClusterSecret{current}, others...)
	return nil
}

func (s *firstSteps) given(cmd *cobra.Command) (string, error) {
	from := sources{flags: cmd.Flags(), env: environment(os.Environ())}
	row := slices.IndexFunc(settings, func(s setting) bool { return s.env == "KEYSTONE_SECRET" })
	v, err := from.find(settings[row])
	if err != nil || v.text != "" || len(s.join) == 0 {
		return v.text, err
	}
	in := cmd.InOrStdin()
	if terminal, isFile := in.(*os.File); isFile && term.IsTerminal(int(terminal.Fd())) {
		if _, err := os.Stat(s.secretFile); err == nil {
			return "", nil
		}
		fmt.Fprint(cmd.ErrOrStderr(), "Cluster secret: ")
		text, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(text), err
	}
	text, err := io.ReadAll(io.LimitReader(in, longestSecret))
	return string(text), err
}

// meet asks the cluster who its members are, if anybody answers.
func (s *firstSteps) meet(cmd *cobra.Command) error {
	if len(s.join) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), probeWithin)
	defer cancel()
	var silent error
	for _, address := range slices.Clone(s.join) {
		members, err := cluster.Probe(ctx, address, s.secrets[0], s.secrets[1:]...)
		switch {
		case errors.Is(err, cluster.ErrNoAnswer):
			silent = err
			continue
		case err != nil:
			return fmt.Errorf("the node at %s is not of this cluster: %w; nothing was changed", address, err)
		}
		return s.among(members)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "note: no node of the cluster answers yet, so nothing was compared with it (%v)\n", silent)
	return nil
}

// among takes the members into the list of those to ask, so that this node finds its cluster when some of them
// are gone, and refuses a name that another machine has. Who names the node means to replace that one.
func (s *firstSteps) among(members []cluster.Peer) error {
	for _, m := range members {
		if m.Name == s.name && m.Address != s.cluster && !s.named {
			return fmt.Errorf("the cluster has a node called %s, at %s: give this one a name of its own with --name; nothing was changed", m.Name, m.Address)
		}
		if m.Name != s.name && m.Address == s.cluster {
			return fmt.Errorf("the cluster has a node at %s, called %s: give this one that --name if it takes its place, or another address with --cluster; nothing was changed", m.Address, m.Name)
		}
		if m.Address != s.cluster && m.Name != s.name && !slices.Contains(s.join, m.Address) {
			s.join = append(s.join, m.Address)
		}
	}
	return nil
}

// make makes the files, the configuration last. After an error there is none of them.
func (s *firstSteps) make(*cobra.Command) (err error) {
	var undo []func()
	defer func() {
		if err != nil {
			for _, u := range slices.Backward(undo) {
				u()
			}
		}
	}()
	if !s.keep {
		if err := newFile(s.secretFile, 0o600, s.revealed()); err != nil {
			return fmt.Errorf("the file of the cluster secret cannot be made: %w: choose another folder with --config", err)
		}
		undo = append(undo, func() { _ = os.Remove(s.secretFile) })
	}
	if len(s.join) == 0 {
		back, err := node.Begin(s.data, s.name, s.cluster)
		if err != nil {
			return err
		}
		undo = append(undo, back)
	}
	if err := newFile(s.config, 0o644, s.yaml()); err != nil {
		return fmt.Errorf("the configuration cannot be made: %w: choose another file with --config", err)
	}
	return nil
}

func (s *firstSteps) revealed() string {
	var lines strings.Builder
	for _, one := range s.secrets {
		lines.WriteString(one.Reveal() + "\n")
	}
	return lines.String()
}

// newFile makes a file that is not there yet.
func newFile(path string, mode fs.FileMode, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
