package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// passphraseVariable holds the passphrase of a backup. An argument would be in the list of processes, for all
// to read.
const passphraseVariable = "KEYSTONE_BACKUP_PASSPHRASE"

// shortestPassphrase keeps out what is found by trying. A file can be tried against for as long as one likes.
const shortestPassphrase = 12

// passphraseFrom reads the passphrase of a backup from a file, the environment or the terminal. A new one is
// asked for twice: mistyped, it would lock everybody out.
func passphraseFrom(cmd *cobra.Command, file string, fresh bool) (passphrase string, err error) {
	switch given := os.Getenv(passphraseVariable); {
	case file != "":
		if passphrase, err = lineFrom(file, cmd.InOrStdin()); err != nil {
			return "", fmt.Errorf("the passphrase file: %w", err)
		}
	case given != "":
		passphrase = given
	default:
		if passphrase, err = askPassphrase(cmd, fresh); err != nil {
			return "", err
		}
	}
	if fresh && len(passphrase) < shortestPassphrase {
		return "", fmt.Errorf("a passphrase needs at least %d characters: who has the file can try as many as they like", shortestPassphrase)
	}
	return passphrase, nil
}

func askPassphrase(cmd *cobra.Command, fresh bool) (string, error) {
	terminal, isFile := cmd.InOrStdin().(*os.File)
	if !isFile || !term.IsTerminal(int(terminal.Fd())) {
		if fresh {
			return "", errors.New("say for whom to encrypt with --recipient, give a passphrase with --passphrase-file or " + passphraseVariable + ", or ask for a file that is not encrypted with --plain")
		}
		return "", errors.New("the backup is encrypted with a passphrase: give it with --passphrase-file or " + passphraseVariable)
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(text), err
	}
	passphrase, err := ask("Passphrase of the backup: ")
	if err != nil || !fresh {
		return passphrase, err
	}
	again, err := ask("Once more: ")
	if err == nil && again != passphrase {
		err = errors.New("the two passphrases differ: nothing was done")
	}
	return passphrase, err
}
