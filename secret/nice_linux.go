package secret

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// startNice starts a process that stands back behind others from its first instant. On Linux the priority
// belongs to a thread and is inherited by what the thread starts. A thread that has stepped back may not
// come forward again, so it is thrown away: it ends with the goroutine that is locked to it.
func startNice(cmd *exec.Cmd) error {
	// A process group of its own: Ctrl-C on a terminal is for the node, which still answers what it began.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	started := make(chan error, 1)
	go startAndLeave(cmd, started)
	return <-started
}

func startAndLeave(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	if syscall.Gettid() == os.Getpid() {
		// The main thread cannot be thrown away, and its priority is what tools show for the whole process.
		// While it is held here, the next goroutine runs on another one.
		defer runtime.UnlockOSThread()
		held := make(chan error, 1)
		go startAndLeave(cmd, held)
		started <- <-held
		return
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, Niceness) // one that may not step back works all the same
	started <- cmd.Start()
}
