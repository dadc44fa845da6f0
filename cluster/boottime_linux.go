package cluster

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the time since the machine was started, with the time that it slept: a lease must not
// outlive a machine's sleep, as it would by the clock that Go measures durations with.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("BUG: " + err.Error()) // checkClock comes first
	}
	return time.Duration(t.Nano())
}

// checkClock refuses a machine on which no lease could be counted.
func checkClock() error {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return fmt.Errorf("this machine does not let Keystone read CLOCK_BOOTTIME, by which leases are counted: allow it in the sandbox: %w", err)
	}
	return nil
}
