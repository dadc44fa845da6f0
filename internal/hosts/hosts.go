// Package hosts makes machines for tests: network namespaces that a bridge joins, each with addresses of its own. What
// runs in one of them sees the others as it would see other machines, and the test can cut its cable.
//
// Nothing outside of tests may use it.
package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Set is some hosts.
type Set struct {
	t     *testing.T
	tag   string
	count int
}

// New makes the hosts, which are numbered from 1, or skips the test where that is not allowed.
func New(t *testing.T, count int) *Set {
	t.Helper()
	s := &Set{t: t, tag: fmt.Sprintf("ks%d", os.Getpid()%10_000), count: count}
	if os.Getuid() != 0 {
		t.Skip("only root may make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command, so no network namespaces can be made")
	}
	if err := s.IP("netns", "add", s.Name(0)); err != nil {
		t.Skipf("network namespaces cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		for i := range count + 1 {
			_ = s.IP("netns", "del", s.Name(i)) // and the links in it
		}
	})
	for i := 1; i <= count; i++ {
		s.Must("netns", "add", s.Name(i))
		s.Must("-n", s.Name(i), "link", "set", "lo", "up")
	}
	return s
}

// IP runs a command of iproute2.
func (s *Set) IP(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %s", strings.Join(args, " "), out)
	}
	return nil
}

// Must is IP for what cannot fail.
func (s *Set) Must(args ...string) {
	s.t.Helper()
	if err := s.IP(args...); err != nil {
		s.t.Fatal(err)
	}
}

// Name is the namespace of a host.
func (s *Set) Name(i int) string { return fmt.Sprintf("%s-%d", s.tag, i) }

// Cable is the outer end of a host's link to a network; 0 is the network's bridge.
func (s *Set) Cable(network string, i int) string { return fmt.Sprintf("%s%s%d", s.tag, network, i) }

// Inside is the name of the link within each host.
func Inside(network string) string { return "net" + network }

// Connect joins all hosts by a bridge, which is called by a letter, and gives each an address in that network of 256.
func (s *Set) Connect(network string, address func(i int) string) {
	s.t.Helper()
	bridge := s.Cable(network, 0)
	s.Must("link", "add", bridge, "type", "bridge")
	s.t.Cleanup(func() { _ = s.IP("link", "del", bridge) })
	s.Must("link", "set", bridge, "up")
	for i := 1; i <= s.count; i++ {
		outside := s.Cable(network, i)
		s.Must("link", "add", outside, "type", "veth", "peer", "name", Inside(network), "netns", s.Name(i))
		s.Must("link", "set", outside, "master", bridge, "up")
		s.Must("-n", s.Name(i), "addr", "add", address(i)+"/24", "dev", Inside(network))
		s.Must("-n", s.Name(i), "link", "set", Inside(network), "up")
	}
}

// Command is a program on a host.
func (s *Set) Command(i int, program string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", s.Name(i), program}, args...)...)
}
