//go:build !linux

package main

import "syscall"

// dieWithParent puts a node into a process group of its own, so that Ctrl-C reaches it through
// keystone dev alone. Only Linux can also end it with a keystone dev that is killed.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
