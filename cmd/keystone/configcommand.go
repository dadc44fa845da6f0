package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func configCommand() *cobra.Command {
	return group("config", "Check and show the configuration of a node", configCheckCommand(), configShowCommand())
}

func configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what is wrong with the configuration, without starting anything",
		Long: `Reads the flags, the environment and the file as keystone serve does, and prints one sentence for each
problem. The exit code is 0 if there is none. Variables that have no effect are told of, and are no problem.`,
		Example: `  keystone config check --config /etc/keystone.yaml
  JWT_ALGORITHM=HS256 JWT_SECRET_KEY_FILE=./jwt-key keystone config check`,
		Args: cobra.NoArgs,
	}
	addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, line := range remarks(os.Environ()) {
			fmt.Fprintln(cmd.ErrOrStderr(), "note: "+line)
		}
		r := resolve(cmd.Flags(), os.Environ())
		if err := r.tell(cmd); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "The configuration is good.")
		return nil
	}
	return cmd
}

// tell prints all problems. The error says how many there are.
func (r *resolution) tell(cmd *cobra.Command) error {
	for _, problem := range r.problems {
		fmt.Fprintln(cmd.ErrOrStderr(), scrub(sentence(problem)))
	}
	switch len(r.problems) {
	case 0:
		return nil
	case 1:
		return errors.New("the configuration has a problem")
	}
	return fmt.Errorf("the configuration has %d problems", len(r.problems))
}

// shownSetting is what keystone config show tells of a setting.
type shownSetting struct {
	Name   string `json:"name"`
	Key    string `json:"key"` // in a file
	Flag   string `json:"flag,omitempty"`
	Value  string `json:"value"`
	From   string `json:"from"`
	Secret bool   `json:"secret"`
	IsSet  bool   `json:"set"`
}

func configShowCommand() *cobra.Command {
	cmd := jsonFlag(&cobra.Command{
		Use:   "show",
		Short: "Show every setting, with where its value came from",
		Long: `Shows what keystone serve would run with. Secrets are shown as [secret]. FROM is default, the variable,
the flag, or the line of the file.`,
		Example: `  keystone config show
  keystone config show --config /etc/keystone.yaml --json`,
		Args: cobra.NoArgs,
	})
	addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := resolve(cmd.Flags(), os.Environ())
		if err := r.show(cmd); err != nil {
			return err
		}
		return r.tell(cmd)
	}
	return cmd
}

func (r *resolution) show(cmd *cobra.Command) error {
	shown := make([]shownSetting, len(settings))
	rows := make([]table.Row, len(settings))
	for i, s := range settings {
		v := r.values[i]
		shown[i] = shownSetting{Name: s.env, Key: s.key(), Value: v.text, From: v.origin(), Secret: s.secret, IsSet: v.text != ""}
		if s.flag != "" {
			shown[i].Flag = "--" + s.flag
		}
		if s.secret && v.text != "" {
			shown[i].Value = masked
		}
		rows[i] = table.Row{s.env, shown[i].Value, shown[i].From}
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"settings": shown})
	}
	return present(cmd, shown, table.Row{"setting", "value", "from"}, rows)
}
