package main

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/secret"
)

// hashCommand is the process that computes password hashes for a node: see secret.ServeHashes.
func hashCommand() *cobra.Command {
	return &cobra.Command{
		Use: hashWorker, Short: "Compute password hashes for a node", Hidden: true, Args: cobra.NoArgs,
		Example: "  keystone hash-worker < jobs.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM) // the node ends it, by closing its input, once nobody waits
			return secret.ServeHashes(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

const hashWorker = "hash-worker"

// hashProgram starts such a process: the very program that runs, even where its file has been replaced by
// another version since, and under the name that it was started with, from which some programs know what
// they are.
func hashProgram() *exec.Cmd {
	path := os.Args[0]
	if runtime.GOOS == "linux" {
		path = "/proc/self/exe"
	} else if own, err := os.Executable(); err == nil {
		path = own
	}
	cmd := exec.Command(path, hashWorker) //nolint:gosec // this very program
	cmd.Args[0] = os.Args[0]
	return cmd
}
