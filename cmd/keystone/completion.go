package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// completionCommand is our own in place of cobra's, whose help is four pages and which answers an
// unknown shell with success.
func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that lets a shell complete commands and flags",
		Example: `  source <(keystone completion bash)      # in ~/.bashrc; for zsh likewise in ~/.zshrc, after compinit
  keystone completion fish > ~/.config/fish/completions/keystone.fish
  keystone completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errNoShell
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return errNoShell
		},
	}
}

var errNoShell = errors.New("name one shell: bash, zsh, fish or powershell")
