package main

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// mapped is how many bytes of files this process has in memory, the program itself among them: the third number
// of statm (proc_pid_statm(5)), in pages.
func mapped() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 3 {
		return 0
	}
	pages, _ := strconv.Atoi(string(fields[2]))
	return pages * os.Getpagesize()
}

// unmap lets go of the pages of a mapped file that this process has looked at. They stay in the kernel's
// cache, from which the next look at one takes it back, but they no longer count as memory of the process.
func unmap(address, size uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, address, size, syscall.MADV_DONTNEED); errno != 0 {
		return os.NewSyscallError("madvise", errno)
	}
	return nil
}
