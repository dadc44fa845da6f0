//go:build !linux

package secret

import "os/exec"

// startNice starts a process with the priority of this one: elsewhere the priority belongs to the process,
// which could not have its own back.
func startNice(cmd *exec.Cmd) error { return cmd.Start() }
