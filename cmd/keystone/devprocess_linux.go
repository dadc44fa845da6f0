package main

import "syscall"

// dieWithParent puts a node into a process group of its own, so that Ctrl-C reaches it through
// keystone dev alone, and lets the kernel end it when the thread that started it does: nobody would
// know of nodes that outlived a keystone dev which was killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
