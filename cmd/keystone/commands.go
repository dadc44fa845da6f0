package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// group is a command that does nothing but hold others. Cobra would answer a mistyped one with the
// help and with success, and a script would go on as if its work were done.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s has no such command: see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// flagError is the sentence about a flag that cannot be used.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if errors.As(err, &value) { // only flags that are true or false are read by pflag, see wholeNumber
		return fmt.Errorf("--%s must be true or false", value.GetFlag().Name)
	}
	return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
}

// wholeNumber reads the value of a flag; pflag's own words for a wrong one are a programmer's.
func wholeNumber(flag, value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("--%s must be a number from %d to %d", flag, least, most)
	}
	return n, nil
}
