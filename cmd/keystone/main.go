// Command keystone is the whole product: a node of an authentication cluster, a cluster on one
// machine for trying things, and what an operator does on the command line.
//
// It turns flags and the environment into one Config and calls the rooms. No rule of the product
// belongs here.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

// run is the program; its result is the exit code.
func run() int {
	if err := rootCommand().ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "keystone: "+scrub(sentence(err)))
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "keystone",
		Short: "Log people and programs in, on one node or on many",
		Long: `Keystone logs people and programs in and tells services whether a token is good.
Every node of a cluster answers everything; there is no database and no cache beside it.

To try it:      keystone dev       three nodes on this machine, with an admin and a demo client
To run a node:  keystone serve     alone on 127.0.0.1:8000, unless it is told more
For a cluster:  keystone init      begins one on this machine, and says how the others join`,
		SilenceUsage:  true, // an error is one sentence; the help is for those who ask
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(serveCommand(), initCommand(), devCommand(), adminCommand(), clusterCommand(), healthCommand(), secretCommand(), versionCommand(), environmentTopic())
	root.AddCommand(configCommand(), completionCommand())
	root.AddCommand(auditCommand())
	root.AddCommand(userCommand(), sessionCommand())
	root.AddCommand(clientCommand(), roleCommand(), scopeCommand(), keyCommand())
	root.AddCommand(importCommand(), syncCommand())
	root.AddCommand(backupCommand(), restoreCommand(), upgradeCommand())
	root.AddCommand(openapiCommand(), benchCommand(), hashCommand())
	root.AddCommand(migrateCommand(), exportCommand(), verifyCommand())
	return root
}

// programVersion is the linker's version, or that of the module for those who used go install.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if version == "dev" && ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}
