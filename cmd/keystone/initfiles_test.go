package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/secret"
)

// TestWord: what is printed to be pasted is one word for a shell, whatever is in it.
func TestWord(t *testing.T) {
	for _, text := range []string{"plain/path.yaml", "with space", "o'brien", "$HOME`id`", "[fd00::2]:7400", "a;b&c|d>e", "*?~#!\"\\"} {
		out, err := exec.Command("sh", "-c", "printf %s "+word(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("a shell makes %q of %q: %v", out, text, err)
		}
	}
}

// TestJoinLine: no process gets the secret as an argument, and it is kept out of the history.
func TestJoinLine(t *testing.T) {
	s, next := secret.NewClusterSecret(), secret.NewClusterSecret()
	line := joinLine([]secret.ClusterSecret{s, next}, []string{"[fd00::2]:7400", "10.0.0.8:7400"}, " --http :8000")
	if want := " echo " + s.Reveal() + "," + next.Reveal() + " | keystone init --join '[fd00::2]:7400,10.0.0.8:7400' --http :8000"; line != want {
		t.Errorf("the line is %q", line)
	}
	_, after, _ := strings.Cut(line, "| keystone")
	if strings.Contains(after, "kss_") {
		t.Error("the secret is among the arguments")
	}
}
