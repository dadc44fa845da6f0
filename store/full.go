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

// roomPause is between two tries to write to a disk that is full. Each one that fails costs a walk over the
// whole file.
const roomPause = 500 * time.Millisecond

// WaitForRoom waits before a write to a full disk is tried again, and returns false when stop was closed.
func WaitForRoom(stop <-chan struct{}) bool {
	timer := time.NewTimer(roomPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}
