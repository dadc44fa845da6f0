package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keystone-auth/keystone/certs"
	"github.com/keystone-auth/keystone/secret"
)

// Where the Debian package and the systemd unit have things.
const (
	packageFolder  = "/etc/keystone"
	packagedConfig = packageFolder + "/keystone.yaml"
	packagedData   = "/var/lib/keystone"
)

// madeConfig is the configuration that keystone init made and that a command on the same machine means when it
// is told of none: the one in this folder, else the system's. "" is none.
func madeConfig() string {
	for _, path := range []string{"keystone.yaml", packagedConfig} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// yaml is the configuration. What is commented out has to be good as well, which a test sees to.
func (s *firstSteps) yaml() string {
	join, why := s.join, "The nodes by which this one finds its cluster when its data folder is empty."
	if len(join) == 0 {
		join = []string{s.cluster}
		why = `The nodes by which this one finds its cluster when its data folder is empty. Add the others, once they are there:
# should the disk of this machine be lost, it comes back through them, and never begins a second cluster by itself.`
	}
	return fmt.Sprintf(`# Settings of this Keystone node, made by keystone init. keystone help environment tells of all, with their names in
# upper case; keystone config check --config FILE names whatever is wrong here.

# The name stays with the data folder for ever. No other node of the cluster may have it.
keystone_name: %s

# Where the other nodes reach this one, over TCP and UDP. What is said there is encrypted, and both sides prove that
# they have the cluster secret. The address may change: correct it here and start the node again.
keystone_cluster: %s

# %s
keystone_join: [%s]

# Where the API answers. At an address that other machines reach it wants a certificate, which is read again when it
# changes; keystone_http_insecure says that a proxy in front speaks TLS.
keystone_http: %s
%s#keystone_trusted_proxies: 10.0.0.1
#keystone_public_url: https://auth.example.com

keystone_data: %s

# Whoever has this file can be a node of the cluster. Keep a copy elsewhere: without it backups cannot be proven, and
# the keys in the data cannot be opened.
keystone_secret_file: %s

# What follows must be the same on every node.
#jwt_issuer: https://auth.example.com
#allowed_origins: [https://app.example.com]
#keystone_smtp_host: mail.example.com
#keystone_smtp_from: auth@example.com
`, strconv.Quote(s.name), strconv.Quote(s.cluster), why, strings.Join(quoted(join), ", "), strconv.Quote(s.http), s.yamlTLS(), strconv.Quote(s.data), strconv.Quote(s.secretFile))
}

func (s *firstSteps) yamlTLS() string {
	switch {
	case s.tls.Enabled():
		return fmt.Sprintf("keystone_tls_cert: %s\nkeystone_tls_key: %s\n", strconv.Quote(s.tls.CertFile), strconv.Quote(s.tls.KeyFile))
	case s.insecure:
		return "keystone_http_insecure: true\n"
	}
	return "#keystone_tls_cert: /etc/keystone/tls.crt\n#keystone_tls_key: /etc/keystone/tls.key\n"
}

func quoted(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strconv.Quote(text)
	}
	return out
}

// tell says what was made and what comes next.
func (s *firstSteps) tell(out io.Writer) {
	fmt.Fprintf(out, "Made %s", s.config)
	if !s.keep {
		fmt.Fprintf(out, " and %s", s.secretFile)
	}
	fmt.Fprintf(out, " for the node %s.\n\n", s.name)
	fmt.Fprintf(out, "Start it:\n\n  %s\n\n", s.start())
	if len(s.join) > 0 {
		fmt.Fprintf(out, "It joins its cluster, and is given a vote when it has followed for ten seconds. See the nodes:\n\n  keystone cluster status%s\n", s.dataFlag())
		return
	}
	fmt.Fprintf(out, "On each other machine, paste this line, and then start the node there as it says. It holds the cluster secret,\nand begins with a space, which keeps it out of the history of most shells:\n\n%s\n\n",
		joinLine(s.secrets, []string{s.cluster}, likewise(s.cluster, s.http, s.tls, s.insecure)))
	fmt.Fprintf(out, "Make the first administrator, and see the nodes:\n\n  keystone admin create%s --username ada --email ada@example.org\n  keystone cluster status%s\n", s.dataFlag(), s.dataFlag())
}

// start is how the node is started, from the folder where this process runs.
func (s *firstSteps) start() string {
	if s.config == packagedConfig {
		return "systemctl enable --now keystone"
	}
	return "keystone serve --config " + word(near(s.config))
}

// dataFlag says where the node is, to commands that would not find it.
func (s *firstSteps) dataFlag() string {
	if made := madeConfig(); made != "" {
		if path, err := filepath.Abs(made); err == nil && path == s.config {
			return ""
		}
	}
	return " --data " + word(near(s.data))
}

// near is a path as it is called from here.
func near(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

// word is a text as a shell takes it for one word.
func word(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("/._-:,=@%+", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// likewise has the API of a node that joins answer where this one's does, at the address for the other nodes, and
// in the same way.
func likewise(cluster, http string, tls certs.Config, insecure bool) (flags string) {
	host, _, _ := net.SplitHostPort(cluster)
	of, port, _ := net.SplitHostPort(http)
	if of != host {
		return ""
	}
	flags = " --http :" + port
	if tls.Enabled() {
		flags += " --tls-cert " + word(tls.CertFile) + " --tls-key " + word(tls.KeyFile)
	}
	if insecure {
		flags += " --http-insecure"
	}
	return flags
}

// joinLine is what is pasted on a machine that is to join. echo is part of every shell, and so not a process in
// whose arguments others could read the secret.
func joinLine(secrets []secret.ClusterSecret, addresses []string, more string) string {
	words := make([]string, len(secrets))
	for i, s := range secrets {
		words[i] = s.Reveal()
	}
	return fmt.Sprintf(" echo %s | keystone init --join %s%s", word(strings.Join(words, ",")), word(strings.Join(addresses, ",")), more)
}
