package store

import (
	"errors"
	"io/fs"
	"syscall"
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
