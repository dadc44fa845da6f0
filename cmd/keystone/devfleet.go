package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

// stopWithin is how long the nodes may take to stop before they are killed; each gives itself less.
const stopWithin = closeWithin + 3*time.Second

// errInterrupted says that somebody ended the start, which is no error.
var errInterrupted = errors.New("interrupted")

// fleet is the node processes of one `keystone dev`. One goroutine uses it.
type fleet struct {
	dev      *devCluster
	options  devOptions
	progress io.Writer
	signals  <-chan os.Signal
	running  []*exec.Cmd // by node; nil where it is down
	logFrom  []int64     // by node: where in its log the present run begins
	exits    chan exit
}

// exit is the end of a node process.
type exit struct {
	index int
	cmd   *exec.Cmd
	err   error
}

func (f *fleet) startAll() error {
	f.running, f.logFrom = make([]*exec.Cmd, len(f.dev.Nodes)), make([]int64, len(f.dev.Nodes))
	for i := range f.dev.Nodes {
		if err := f.start(i); err != nil {
			return err
		}
	}
	return nil
}

// start starts the process of a node, with its log appended to the file in its folder. The secret
// lies in that folder too: arguments and environment are for everybody's eyes.
func (f *fleet) start(i int) error {
	n := f.dev.Nodes[i]
	folder := f.dev.folder(n)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("the folder of %s cannot be made: %w: start with another --data", n.Name, err)
	}
	if err := node.WriteFile(node.SecretFile(folder), []byte(f.dev.Secret+"\n")); err != nil {
		return fmt.Errorf("the cluster secret cannot be given to %s: %w: start with another --data", n.Name, err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(f.log(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log of %s cannot be written: %w: start with another --data", n.Name, err)
	}
	defer log.Close() // the process has its own handle
	if f.logFrom[i], err = log.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("the log of %s cannot be written: %w: start with another --data", n.Name, err)
	}
	cmd := exec.Command(program, f.arguments(n)...)
	cmd.Env = nodeEnvironment(os.Environ())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s cannot be started: %w", n.Name, err)
	}
	f.running[i] = cmd
	go func() { f.exits <- exit{i, cmd, cmd.Wait()} }()
	return nil
}

func (f *fleet) arguments(n devNode) []string {
	initial := make([]string, len(f.dev.Nodes))
	for i, peer := range f.dev.Nodes {
		initial[i] = peer.Name + "=" + peer.clusterAddress()
	}
	args := []string{
		"serve", "--name", n.Name, "--data", f.dev.folder(n), "--http", n.address(),
		"--cluster", n.clusterAddress(), "--initial", strings.Join(initial, ","),
	}
	if f.options.noRateLimit {
		args = append(args, "--no-rate-limit")
	}
	return args
}

// nodeEnvironment hands on what a person sets for all nodes, and nothing that tells one node who and
// where it is.
func nodeEnvironment(environ []string) []string {
	own := []string{"HOST", "PORT", "KEYSTONE_ACME_DOMAINS", "KEYSTONE_SECRET", "KEYSTONE_SECRET_FILE", "KEYSTONE_SECRET_PREVIOUS", "KEYSTONE_SECRET_PREVIOUS_FILE"}
	own = append(own, tokenVariable, "DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL") // secrets that no node needs
	logFormat, mail := false, false
	var out []string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		isFlag := slices.ContainsFunc(settings, func(s setting) bool { return s.flag != "" && s.env == name })
		if isFlag || slices.Contains(own, name) {
			continue
		}
		logFormat = logFormat || name == "LOG_FORMAT" && value != ""
		mail = mail || strings.HasPrefix(name, "KEYSTONE_SMTP_") && value != "" || name == "KEYSTONE_MAIL_TO_LOG" && value != ""
		out = append(out, pair)
	}
	if !mail {
		out = append(out, "KEYSTONE_MAIL_TO_LOG=true") // on one's own machine, in a log that nobody else may read
	}
	if !logFormat {
		out = append(out, "LOG_FORMAT=text")
	}
	return out
}

func (f *fleet) log(i int) string {
	return filepath.Join(f.dev.folder(f.dev.Nodes[i]), node.LogName)
}

// whileStarting runs work, and ends it when a node ends or somebody does not want to wait.
func (f *fleet) whileStarting(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	done := make(chan error, 1)
	working.Go(func() { done <- work(ctx) })
	for {
		select {
		case err := <-done:
			return err
		case e := <-f.exits:
			f.running[e.index] = nil
			reason, said := f.lastWords(e.index)
			if !said {
				reason = "see the end of " + f.log(e.index)
			}
			return fmt.Errorf("%s did not start: %s", f.dev.Nodes[e.index].Name, reason)
		case s := <-f.signals:
			if s != syscall.SIGHUP {
				return errInterrupted
			}
		}
	}
}

// lastWords is what a node that ended said at last, which is the reason if it had the time to say it.
// What an earlier run of it said is not.
func (f *fleet) lastWords(i int) (reason string, said bool) {
	text, err := os.ReadFile(f.log(i))
	if err != nil || f.logFrom[i] > int64(len(text)) {
		return "", false
	}
	lines := bytes.Split(bytes.TrimSpace(text[f.logFrom[i]:]), []byte("\n"))
	return strings.CutPrefix(string(lines[len(lines)-1]), "keystone: ")
}

// ended notes that a node is down.
func (f *fleet) ended(e exit) {
	if f.running[e.index] != e.cmd {
		return
	}
	f.running[e.index] = nil
	fmt.Fprintf(f.progress, "%s (pid %d) is down: %s; kill -HUP %d starts it again\n",
		f.dev.Nodes[e.index].Name, e.cmd.Process.Pid, f.how(e), os.Getpid())
}

// how is the way in which a node ended, in its own words if it had the time for some.
func (f *fleet) how(e exit) string {
	if reason, said := f.lastWords(e.index); said {
		return reason
	}
	if e.err != nil {
		return e.err.Error()
	}
	return "ended"
}

// settleWithin is how long the end of a node may be on its way to us when somebody who has just killed
// it asks for it to be started again.
const settleWithin = 300 * time.Millisecond

// revive starts the nodes that are down.
func (f *fleet) revive() {
	for settled := time.After(settleWithin); settled != nil; {
		select {
		case e := <-f.exits:
			f.ended(e)
		case <-settled:
			settled = nil
		}
	}
	for i, n := range f.dev.Nodes {
		if f.running[i] != nil {
			continue
		}
		if err := f.start(i); err != nil {
			fmt.Fprintln(f.progress, "keystone: "+err.Error())
			continue
		}
		fmt.Fprintf(f.progress, "%s is started again, pid %d\n", n.Name, f.running[i].Process.Pid)
	}
}

// stop ends all nodes: with a signal that lets them finish, then, for one that hangs or when somebody
// presses Ctrl-C again, without. The error names those that did not end as they should.
func (f *fleet) stop() error {
	left, killed := f.signal(syscall.SIGTERM), false
	var unclean []string
	patience := time.After(stopWithin)
	for left > 0 {
		select {
		case e := <-f.exits:
			if f.running[e.index] != e.cmd {
				continue
			}
			f.running[e.index] = nil
			left--
			if e.unclean(killed) {
				unclean = append(unclean, fmt.Sprintf("%s (%s)", f.dev.Nodes[e.index].Name, f.how(e)))
			}
		case s := <-f.signals:
			if s != syscall.SIGHUP { // which asks for nodes, or comes from a terminal that is gone
				killed = true
				f.signal(syscall.SIGKILL)
			}
		case <-patience:
			killed = true
			f.signal(syscall.SIGKILL)
		}
	}
	if unclean == nil {
		return nil
	}
	return fmt.Errorf("not every node stopped cleanly: %s; see the end of their logs in %s", strings.Join(unclean, ", "), f.dev.path)
}

// unclean tells whether the end of a node is a fault of its own. A node that somebody else killed was
// down, even where we hear of it only now.
func (e exit) unclean(killed bool) bool {
	var how *exec.ExitError
	if !errors.As(e.err, &how) {
		return e.err != nil
	}
	status, isStatus := how.Sys().(syscall.WaitStatus)
	return killed || !isStatus || !status.Signaled() || status.Signal() != syscall.SIGKILL
}

// signal sends a signal to the nodes that run and returns how many these are.
func (f *fleet) signal(s os.Signal) int {
	n := 0
	for _, cmd := range f.running {
		if cmd == nil {
			continue
		}
		_ = cmd.Process.Signal(s) // it fails for one that has just ended, which is what is wanted
		n++
	}
	return n
}
