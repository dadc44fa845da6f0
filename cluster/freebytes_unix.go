//go:build unix

package cluster

import "golang.org/x/sys/unix"

// freeBytes is how much more an ordinary user may write to the folder's file system.
func freeBytes(folder string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
