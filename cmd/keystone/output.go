package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// lineFrom reads the one line of a file that holds a secret, or of standard input for "-".
func lineFrom(path string, stdin io.Reader) (string, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 64<<10))
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("it cannot be read, name one that this user may read: %w", err)
	}
	line := strings.TrimRight(string(text), "\r\n")
	if line == "" {
		return "", errors.New("it is empty: write the secret into it")
	}
	return line, nil
}

// jsonFlag gives a command the flag by which scripts ask for JSON.
func jsonFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Bool("json", false, "print JSON, for scripts")
	return cmd
}

// present prints an answer: for people as a table, with --json as the API gave it.
func present(cmd *cobra.Command, answer any, header table.Row, rows []table.Row) error {
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(cmd.OutOrStdout())
	t.AppendHeader(header)
	t.AppendRows(rows)
	t.Render()
	return nil
}
