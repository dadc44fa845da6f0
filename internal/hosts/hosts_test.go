package hosts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/hosts"
)

const (
	patience = 3 * time.Minute
	password = "Correct-Horse-Battery-9!"
	clients  = "10.214.0.254" // this machine, on the hosts' network
	outside  = "203.0.113.9"  // RFC 5737: nobody's
)

// program is the binary under test, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keystone-hosts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "keystone")
	args := []string{"build", "-tags", "hashicorpmetrics", "-o", program, "github.com/keystone-auth/keystone/cmd/keystone"}
	if raced() { // as the rest of the run, whose packages are compiled already
		args = slices.Insert(args, 1, "-race")
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the program cannot be built: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// site is three hosts, a folder for each, and the nodes on them.
type site struct {
	*hosts.Set
	t        *testing.T
	dir      string
	network  int // the third number of the addresses
	previous int // the one that they had before
	nodes    map[int]*exec.Cmd
}

func (s *site) address(i int) string { return fmt.Sprintf("10.214.%d.%d", s.network, i) }
func (s *site) folder(i int) string  { return filepath.Join(s.dir, letter(i)) }
func letter(i int) string            { return string(rune('a' + i - 1)) }

// newSite makes hosts that have a way out, to a router that nobody is, so that whatever they send there can be seen.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Set: hosts.New(t, 3), t: t, dir: t.TempDir(), nodes: map[int]*exec.Cmd{}}
	for i := 1; i <= 3; i++ {
		settings := filepath.Join("/etc/netns", s.Name(i))
		if err := errors.Join(os.MkdirAll(settings, 0o700), os.WriteFile(filepath.Join(settings, "resolv.conf"), []byte("nameserver 203.0.113.53\n"), 0o600), os.Mkdir(s.folder(i), 0o700)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(settings) })
		for _, which := range []string{"all", "default"} {
			if out, err := s.Command(i, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/"+which+"/disable_ipv6").CombinedOutput(); err != nil {
				t.Logf("IPv6 stays on: %s", out)
			}
		}
	}
	s.Connect("n", s.address)
	s.Must("addr", "add", clients+"/16", "dev", s.Cable("n", 0))
	for i := 1; i <= 3; i++ {
		s.wayOut(i)
	}
	t.Cleanup(func() {
		for i := range s.nodes {
			s.stop(i)
		}
	})
	return s
}

func (s *site) wayOut(i int) {
	s.Must("-n", s.Name(i), "route", "replace", "10.214.0.0/16", "dev", hosts.Inside("n"))
	s.Must("-n", s.Name(i), "neigh", "replace", "10.214.255.254", "lladdr", "02:00:00:00:00:fe", "dev", hosts.Inside("n"))
	s.Must("-n", s.Name(i), "route", "replace", "default", "via", "10.214.255.254")
}

// shell runs a line as it stands in the documents, in the folder of a host.
func (s *site) shell(i int, line string) string {
	s.t.Helper()
	cmd := s.Command(i, "sh", "-c", line)
	cmd.Dir, cmd.Env = s.folder(i), s.environment()
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("on %s: %s: %v\n%s", letter(i), strings.TrimSpace(line), err, complaint.String())
	}
	return string(out)
}

func (s *site) environment(more ...string) []string {
	return append(os.Environ(), append([]string{
		"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "KEYSTONE_ARGON2_MEMORY_KIB=64", "KEYSTONE_ARGON2_PASSES=1",
	}, more...)...)
}

// serve starts the node of a host by the configuration that keystone init made there.
func (s *site) serve(i int, more ...string) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.folder(i), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := s.Command(i, program, "serve", "--config", "keystone.yaml")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.folder(i), s.environment(more...), log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.nodes[i] = cmd
}

func (s *site) stop(i int) {
	s.t.Helper()
	cmd := s.nodes[i]
	delete(s.nodes, i)
	_ = cmd.Process.Signal(syscall.SIGTERM) // ip has become the node
	if err := cmd.Wait(); err != nil {
		s.t.Errorf("node %s did not stop cleanly: %v", letter(i), err)
	}
	if text, err := os.ReadFile(filepath.Join(s.folder(i), "log")); err == nil && s.t.Failed() {
		s.t.Logf("the end of the log of %s:\n%s", letter(i), text[max(0, len(text)-3000):])
	}
}

// healthy waits until every host's own status shows three voters that are alive at their addresses.
func (s *site) healthy() {
	s.t.Helper()
	for i := 1; i <= 3; i++ {
		s.poll("the cluster is not healthy", func() error {
			cmd := s.Command(i, program, "cluster", "status", "--data", "keystone-data", "--json")
			cmd.Dir, cmd.Env = s.folder(i), s.environment()
			out, err := cmd.Output()
			if err != nil {
				return err
			}
			var status api.Cluster
			if err := json.Unmarshal(out, &status); err != nil {
				return err
			}
			voters := 0
			for _, n := range status.Nodes {
				if (n.Role == "leader" || n.Role == "follower") && n.State == "alive" && strings.HasPrefix(n.Address, fmt.Sprintf("10.214.%d.", s.network)) {
					voters++
				}
			}
			if voters != 3 || status.Leader == "" {
				return fmt.Errorf("as %s sees it: %s", letter(i), out)
			}
			return nil
		})
	}
}

// edit changes the configuration of a host as an editor would.
func (s *site) edit(i int, old, with string) {
	s.t.Helper()
	file := filepath.Join(s.folder(i), "keystone.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		s.t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, with)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// api is the API of a node as callers on this machine reach it.
func (s *site) api(i int) *client.Client {
	c, err := client.New("http://" + s.address(i) + ":8000")
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) poll(what string, done func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// expected is what nodes have to say to anybody: to each other on the cluster port, and answers of the API.
func (s *site) expected(p hosts.Packet) bool {
	node := func(address string) bool {
		for i := 1; i <= 3; i++ {
			if address == s.address(i) || address == fmt.Sprintf("10.214.%d.%d", s.previous, i) {
				return true
			}
		}
		return false
	}
	to := p.To.Addr().String()
	switch p.Protocol {
	case "arp", "icmp": // who has that address; nobody listens there now
		return node(to) || to == clients
	case "udp":
		return node(to) && p.From.Port() == 7400 && p.To.Port() == 7400
	case "tcp":
		return node(to) && (p.From.Port() == 7400 || p.To.Port() == 7400) || to == clients && p.From.Port() == 8000
	}
	return false
}

// TestThreeHosts goes the way of an operator with three machines, by the commands of the documents, and then has happen
// to him what happens.
func TestThreeHosts(t *testing.T) {
	s := newSite(t)
	watch := s.Watch("n")
	s.begin()
	token := s.use()
	s.alone(watch)
	s.move()
	s.cut(token)
}

// begin is docs/operator/install.md, by hand.
func (s *site) begin() {
	begun := time.Now()
	said := s.shell(1, fmt.Sprintf("keystone init --name a --cluster %s:7400 --http %[1]s:8000 --http-insecure", s.address(1)))
	s.serve(1)
	for i := 2; i <= 3; i++ {
		var line string
		s.poll("there is no line to paste", func() error {
			for text := range strings.Lines(said) {
				if strings.HasPrefix(text, " echo ") {
					line = strings.TrimSpace(text)
				}
			}
			if line == "" {
				return errors.New(said)
			}
			return nil
		})
		s.poll("the first node does not answer", func() error { // keystone init --join asks it
			_, err := s.api(1).Health(s.t.Context())
			return err
		})
		s.shell(i, line+" --name "+letter(i)) // hosts of a test share the machine's name
		s.serve(i)
	}
	s.healthy()
	s.t.Logf("from the first command to three healthy voters: %v", time.Since(begun).Round(10*time.Millisecond))
}

// use logs in, asks about the token and takes another one away, on different nodes.
func (s *site) use() string {
	s.shell(1, "echo "+password+" | keystone admin create --username ada --email ada@example.org --password-file -")
	var made api.Client
	if err := json.Unmarshal([]byte(s.shell(2, "keystone client create asker --name Asker --json")), &made); err != nil {
		s.t.Fatal(err)
	}
	login := func(i int) string {
		got, err := s.api(i).Login(s.t.Context(), api.TokenRequest{Username: "ada", Password: password})
		if err != nil {
			s.t.Fatal(err)
		}
		return got.AccessToken
	}
	token, revoked := login(1), login(2)
	if err := s.api(3).WithToken(revoked).Revoke(s.t.Context(), revoked); err != nil {
		s.t.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		for asked, want := range map[string]bool{token: true, revoked: false} {
			if got, err := s.api(i).WithCredentials(made.ClientID, made.ClientSecret).Introspect(s.t.Context(), asked); err != nil || got.Active != want {
				s.t.Errorf("%s says %v, %v; want %v", letter(i), got.Active, err, want)
			}
		}
	}
	return token
}

// alone proves that nothing was sent to anybody else, and then that the watch would have seen it.
func (s *site) alone(watch *hosts.Watch) {
	time.Sleep(3 * time.Second) // what nodes do when nobody asks
	others, counted := watch.Except(s.expected)
	for _, p := range others {
		s.t.Errorf("%v, which nobody asked for", p)
	}
	s.t.Logf("%d packets were sent, all between the nodes and to callers", counted)
	if counted < 100 {
		s.t.Error("the watch sees nothing")
	}
	s.stop(3)
	s.serve(3, "KEYSTONE_SMTP_HOST="+outside, "KEYSTONE_SMTP_FROM=auth@example.org")
	s.poll("the watch does not see the mail server", func() error {
		if err := s.api(3).RequestPasswordReset(s.t.Context(), "ada@example.org"); err != nil {
			return err
		}
		others, _ = watch.Except(s.expected)
		if len(others) == 0 {
			return errors.New("nothing")
		}
		return nil
	})
	for _, p := range others {
		if p.Host != 3 || p.Protocol != "tcp" || p.To.Addr().String() != outside {
			s.t.Errorf("%v, and one node was given a mail server at %s", p, outside)
		}
	}
}

// move gives every host another address: docs/operator/install.md, When addresses change.
func (s *site) move() {
	for i := 1; i <= 3; i++ {
		s.stop(i)
		s.Must("-n", s.Name(i), "addr", "flush", "dev", hosts.Inside("n"))
	}
	old := s.network
	s.network, s.previous = old+1, old
	for i := 1; i <= 3; i++ {
		s.Must("-n", s.Name(i), "addr", "add", s.address(i)+"/16", "dev", hosts.Inside("n"))
		s.wayOut(i)
		s.edit(i, fmt.Sprintf("10.214.%d.", old), fmt.Sprintf("10.214.%d.", s.network))
	}
	moved := time.Now()
	for i := 1; i <= 3; i++ {
		s.serve(i)
	}
	s.healthy()
	s.t.Logf("from the restart under new addresses to three healthy voters: %v", time.Since(moved).Round(10*time.Millisecond))
	s.poll("nobody can log in any more", func() error {
		_, err := s.api(2).Login(s.t.Context(), api.TokenRequest{Username: "ada", Password: password})
		return err
	})
}

// cut takes the leader's cable away: two go on, and it says that it does not know.
func (s *site) cut(token string) {
	var health api.Health
	s.poll("nobody leads", func() (err error) {
		if health, err = s.api(1).Health(s.t.Context()); err == nil && health.Leader == "" {
			err = errors.New("no leader")
		}
		return err
	})
	leader := int(health.Leader[0]-'a') + 1
	other := leader%3 + 1
	s.Must("link", "set", s.Cable("n", leader), "down")
	profile := func(i int) int {
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return s.Dial(ctx, i, network, address)
		}}
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.address(i)+":8000/api/v1/users/me", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
		if err != nil {
			s.t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	s.poll("the node that was cut off still answers", func() error {
		if code := profile(leader); code != http.StatusServiceUnavailable {
			return fmt.Errorf("status %d", code)
		}
		return nil
	})
	s.poll("the others do not serve", func() error {
		_, err := s.api(other).Login(s.t.Context(), api.TokenRequest{Username: "ada", Password: password})
		return err
	})
	s.poll("a node of the majority does not know a token", func() error {
		if code := profile(other); code != http.StatusOK {
			return fmt.Errorf("status %d", code)
		}
		return nil
	})
	s.Must("link", "set", s.Cable("n", leader), "up")
	s.healthy()
	s.poll("the node that was cut off does not serve again", func() error {
		if code := profile(leader); code != http.StatusOK {
			return fmt.Errorf("status %d", code)
		}
		return nil
	})
}
