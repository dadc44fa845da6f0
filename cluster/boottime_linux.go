package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the time since the machine was started, with the time that it slept: a lease must not
// outlive a machine's sleep, as it would by the clock that Go measures durations with.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		// Every Linux that Go runs on has this clock. Where a sandbox forbids it nothing is safe.
		panic("the clock CLOCK_BOOTTIME cannot be read: " + err.Error())
	}
	return time.Duration(t.Nano())
}
