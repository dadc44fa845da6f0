package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/importer"
)

// databaseVariable holds the URL of a database. With a password in it, an argument would be in the list of
// processes, for all to read.
const databaseVariable = "DATABASE_URL"

// databaseFlag gives a command the flag that names a database.
func databaseFlag(cmd *cobra.Command, name, what string) *cobra.Command {
	cmd.Flags().String(name, "", what+", as postgres://user@host:5432/name (default: "+databaseVariable+", or the file that "+databaseVariable+"_FILE names)")
	return cmd
}

// databaseOf is the URL of the database that a command was given by its flag or the environment.
func databaseOf(cmd *cobra.Command, name string) (string, error) {
	var c Config
	given, _ := cmd.Flags().GetString(name)
	if given != "" {
		if importer.HasPassword(given) {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: the password in --%s is in the list of processes, for all to read: put the URL into %s instead\n", name, databaseVariable)
		}
		if !strings.Contains(given, "://") {
			return given, nil // as host=… user=…
		}
		if takeDatabaseURL(&c, given) != nil {
			return "", fmt.Errorf("--%s must be %s", name, databaseURL().want)
		}
		return c.DatabaseURL.Reveal(), nil
	}
	from, problems := openSources(cmd.Flags(), os.Environ())
	if len(problems) > 0 {
		return "", problems[0]
	}
	s := databaseURL()
	v, err := from.find(s)
	if err != nil {
		return "", err
	}
	if v.text == "" {
		return "", fmt.Errorf("the database is not named: put its URL into %s, or into --%s where it has no password", databaseVariable, name)
	}
	if s.set(&c, v.text) != nil {
		return "", errors.New(v.name + " must be " + s.want)
	}
	return c.DatabaseURL.Reveal(), nil
}
