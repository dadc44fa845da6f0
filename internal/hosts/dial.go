package hosts

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects as a program on that host would. The address must be numbers.
func (s *Set) Dial(ctx context.Context, i int, network, address string) (net.Conn, error) {
	type outcome struct {
		conn net.Conn
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, since it is elsewhere now
		ns, err := os.Open(filepath.Join("/run/netns", s.Name(i)))
		if err != nil {
			done <- outcome{nil, err}
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- outcome{nil, fmt.Errorf("the namespace cannot be entered: %w", err)}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		done <- outcome{conn, err}
	}()
	o := <-done
	return o.conn, o.err
}
