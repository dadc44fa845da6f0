package main

import (
	"os"
	"syscall"
)

// unmap lets go of the pages of a mapped file that this process has looked at. They stay in the kernel's
// cache, from which the next look at one takes it back, but they no longer count as memory of the process.
func unmap(address, size uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, address, size, syscall.MADV_DONTNEED); errno != 0 {
		return os.NewSyscallError("madvise", errno)
	}
	return nil
}
