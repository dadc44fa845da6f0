package limits

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/bench/fill"
	"github.com/keystone-auth/keystone/client"
)

// quiet is how long a node is left alone before its memory is looked at.
const quiet = 30 * time.Second

// lone is a node on its own, with a data folder that outlives its process.
type lone struct {
	program, folder, address string
	cmd                      *exec.Cmd
	users                    int
}

// among is a node on its own with so many users, beside those that a scenario makes.
func (l *lab) among(ctx context.Context, users int) (bench.Site, error) {
	if l.lone == nil || l.lone.users != users {
		if err := l.changeLone(ctx, users); err != nil {
			return bench.Site{}, err
		}
	}
	admin, err := client.New("unix:" + filepath.Join(l.lone.folder, "keystone.sock"))
	return bench.Site{Nodes: []string{"http://" + l.lone.address}, Admin: admin}, err
}

// changeLone stops the node that runs and starts the one with so many users, which is made once.
func (l *lab) changeLone(ctx context.Context, users int) (err error) {
	if l.lone != nil {
		err, l.lone = l.lone.stop(), nil
	}
	n := l.filled[users]
	if n == nil && err == nil {
		if n, err = l.fillLone(ctx, users, 0); err == nil {
			l.filled[users] = n
		}
	}
	if err == nil {
		_, err = n.start(ctx)
	}
	if err == nil {
		l.lone = n
	}
	return err
}

// fillLone makes a node with so many users and sessions, which is stopped.
func (l *lab) fillLone(ctx context.Context, users, sessions int) (*lone, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	n := &lone{program: l.options.Program, folder: filepath.Join(l.folder, fmt.Sprintf("lone-%d", users)), address: address, users: users}
	if _, err := n.start(ctx); err != nil {
		return nil, err
	}
	if err := n.stop(); err != nil {
		return nil, err
	}
	l.options.Say(fmt.Sprintf("making %d users and %d sessions", users, sessions))
	return n, fill.Folder(ctx, n.folder, users, sessions)
}

// start starts the node and returns how long it took until it served.
func (n *lone) start(ctx context.Context) (time.Duration, error) {
	n.cmd = exec.Command(n.program, "serve", "--data", n.folder, "--http", n.address, "--no-rate-limit")
	begin := time.Now()
	if err := n.cmd.Start(); err != nil {
		return 0, err
	}
	c, err := client.New("http://" + n.address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for time.Since(begin) < startWithin {
		if health, err := c.Health(ctx); err == nil && health.Status == "healthy" {
			return time.Since(begin), nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, errors.Join(ctx.Err(), n.stop())
		}
	}
	return 0, errors.Join(errors.New("the node did not serve in time"), n.stop())
}

func (n *lone) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	killer := time.AfterFunc(endWithin, func() { _ = n.cmd.Process.Kill() })
	defer killer.Stop()
	return n.cmd.Wait()
}

// memoryWith is the memory of a node with so many users and sessions.
func memoryWith(users, sessions int) func(context.Context, *lab) ([]float64, string, error) {
	return func(ctx context.Context, l *lab) (figures []float64, detail string, err error) {
		n, err := l.fillLone(ctx, users, sessions)
		if err != nil {
			return nil, "", err
		}
		if _, err := n.start(ctx); err != nil {
			return nil, "", err
		}
		defer func() { err = errors.Join(err, n.stop(), os.RemoveAll(n.folder)) }()
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
		bytes, err := residentBytes(n.cmd.Process.Pid)
		return []float64{float64(bytes) / 1e6}, fmt.Sprintf("after %v", quiet), err
	}
}

// startWith is how long a node with so many users takes to serve, its file in the memory of the system.
func startWith(users, sessions int) func(context.Context, *lab) ([]float64, string, error) {
	return func(ctx context.Context, l *lab) (figures []float64, detail string, err error) {
		n, err := l.fillLone(ctx, users, sessions)
		if err != nil {
			return nil, "", err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(n.folder)) }()
		for range l.options.Rounds {
			took, err := n.start(ctx)
			if err != nil {
				return nil, "", err
			}
			figures = append(figures, took.Seconds())
			if err := n.stop(); err != nil {
				return nil, "", err
			}
		}
		return figures, "", nil
	}
}
