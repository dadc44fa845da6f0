package main

import (
	"fmt"
	"os"

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

// databaseOf is the URL of the database that a command was given by its flag or the environment. Whether it can be
// read is for the importer to say.
func databaseOf(cmd *cobra.Command, name string) (string, error) {
	given, _ := cmd.Flags().GetString(name)
	if given != "" {
		if importer.HasPassword(given) {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: the password in --%s is in the list of processes, for all to read: put the URL into %s instead\n", name, databaseVariable)
		}
	} else {
		from, problems := openSources(cmd.Flags(), os.Environ())
		if len(problems) > 0 {
			return "", problems[0]
		}
		v, err := from.find(databaseURL())
		if err != nil {
			return "", err
		}
		if given = v.text; given == "" {
			return "", fmt.Errorf("the database is not named: put its URL into %s, or into --%s where it has no password", databaseVariable, name)
		}
	}
	var c Config
	if takeDatabaseURL(&c, given) == nil { // the form of SQLAlchemy among them
		return c.DatabaseURL.Reveal(), nil
	}
	return given, nil
}
