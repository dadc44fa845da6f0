package main

import (
	"os"
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM) // the node ends it, by closing its input, once nobody waits
			return secret.ServeHashes(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

const hashWorker = "hash-worker"

// hashProgram is how such a process is started: the very program that runs, even where its file has been
// replaced by another version since.
func hashProgram() []string {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe", hashWorker}
	}
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{program, hashWorker}
}
