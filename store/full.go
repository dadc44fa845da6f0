package store

import (
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// IsFull tells whether err says that the disk had no room for what was written. Nothing was changed then,
// and once there is room the same may be tried again. An error of a sync is never that, whatever its
// number: what a disk keeps of pages that it could not write nobody knows.
func IsFull(err error) bool {
	var at *fs.PathError
	if !errors.As(err, &at) || at.Op != "write" {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

const (
	// roomPause is between two tries to write to a disk that is full. Each one that fails costs a walk over the
	// whole file.
	roomPause = 500 * time.Millisecond
	// askPause is between two looks at whether such a try has found room, which cost nothing.
	askPause = 20 * time.Millisecond
)

// WaitForRoom waits before an Update that found a full disk is tried again, and returns false when stop was
// closed.
func WaitForRoom(stop <-chan struct{}) bool { return wait(askPause, nil, stop) }

// wait waits so long, or until there is word in enough, and returns false when stop was closed.
func wait(pause time.Duration, enough, stop <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-enough:
		return true
	case <-stop:
		return false
	}
}
