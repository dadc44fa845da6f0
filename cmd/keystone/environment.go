package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// environmentTopic is the help page of everything that the environment sets.
func environmentTopic() *cobra.Command {
	var page strings.Builder
	page.WriteString(environmentIntroduction)
	for _, s := range settings {
		page.WriteString("\n  " + s.env)
		if s.secret {
			page.WriteString(", or " + s.env + "_FILE")
		}
		if s.flag != "" {
			page.WriteString("   (--" + s.flag + ")")
		}
		page.WriteString("\n      " + s.doc)
		if s.std != "" {
			page.WriteString(" (" + s.std + ")")
		}
		page.WriteString("\n")
	}
	return &cobra.Command{Use: "environment", Short: "What can be set by the environment", Long: page.String()}
}

const environmentIntroduction = `What "keystone serve" takes from the environment. A flag counts before a variable, a variable before a
line of the file that --config or KEYSTONE_CONFIG names, and that before the default. An empty variable
counts as none. In the file, which is YAML, a setting has the name of its variable in lower case; of a
secret the file holds jwt_secret_key_file and the like alone, the name of a file with the secret.
`

// addFlags gives the flag set the flags of those settings; none named means all that have one.
func addFlags(flags *pflag.FlagSet, names ...string) {
	for _, s := range settings {
		if s.flag == "" || len(names) > 0 && !slices.Contains(names, s.flag) {
			continue
		}
		if s.std == "true" || s.std == "false" {
			flags.Bool(s.flag, s.std == "true", s.doc)
		} else {
			flags.String(s.flag, s.std, s.doc)
		}
		switch s.flag { // what a shell completes
		case "config":
			_ = flags.SetAnnotation(s.flag, cobra.BashCompFilenameExt, []string{"yaml", "yml"})
		case "data":
			_ = flags.SetAnnotation(s.flag, cobra.BashCompSubdirsInDir, []string{})
		}
	}
}
