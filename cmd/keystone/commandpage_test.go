package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const commandsIntroduction = `# Commands

*Made from the program's own help by ` + "`make docs`" + `.*

Every command explains itself with ` + "`--help`" + `. Commands for operators talk to the node whose data lies in ` + "`--data`" + `, through a socket that only the
owner of the folder and root can open, so they need no password. With ` + "`--url`" + ` and a token they talk to a node somewhere else. The
flags of a node are settings, and can be given by the environment or a file too: [Configuration](configuration.md).

A command that did what it should ends with 0. Otherwise it prints one sentence on standard error and ends with 1.
`

// TestPageOfCommands makes the page from the tree of commands.
func TestPageOfCommands(t *testing.T) {
	var b strings.Builder
	b.WriteString(commandsIntroduction)
	eachCommand(rootCommand(), func(cmd *cobra.Command) {
		if cmd.HasSubCommands() || !cmd.Runnable() {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), markdownText(longOf(cmd)), cmd.UseLine())
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\nFor example:\n\n```\n%s\n```\n", unindent(cmd.Example))
		}
		var flags strings.Builder
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			kind, usage := pflag.UnquoteUsage(f)
			std := ""
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
				std = "`" + f.DefValue + "`"
			}
			fmt.Fprintf(&flags, "| `--%s` | %s | %s | %s |\n", f.Name, kind, std, cell(usage))
		})
		if flags.Len() > 0 {
			fmt.Fprintf(&b, "\n| flag | value | default | what it is |\n|---|---|---|---|\n%s", &flags)
		}
	})
	page(t, "commands.md", b.String())
}

// eachCommand visits all commands that people are shown, those below a command after it.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	visit(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, visit)
	}
}

func longOf(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// markdownText keeps what is indented as it is, and everything else from being read as anything but text.
func markdownText(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	code := false
	var out []string
	for _, line := range lines {
		indented := strings.HasPrefix(line, "  ")
		if indented != code && strings.TrimSpace(line) != "" {
			out, code = append(out, "```"), indented
		}
		if !code {
			line = cell(line)
		}
		out = append(out, line)
	}
	if code {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}

func unindent(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, "\n  ", "\n"), "  ")
}

var (
	fence = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	// called finds the program where a shell would run it, also in a container: docker run --rm keystone, kubectl exec … -- /keystone.
	called = regexp.MustCompile(`(?:^|[;|&(]|\bsudo |\bexec |--rm |-- |node-\d )\s*(?:[A-Z_0-9]+=\S*\s+)*(?:\S*/)?keystone +([a-z].*)`)
	ended  = regexp.MustCompile(`\s#|[;|&>)]|\s<`)
	// inline is the program in running text.
	inline = regexp.MustCompile("`(?:\\S*/)?keystone ([a-z][^`]*)`")
)

// TestDocumentedCommands: each command that a document tells people to type exists, with its flags.
func TestDocumentedCommands(t *testing.T) {
	found := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{}
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n")...)
		}
		for _, line := range lines {
			for _, call := range called.FindAllStringSubmatch(line, -1) {
				found++
				typed(t, file, ended.Split(call[1], 2)[0])
			}
		}
		if strings.Contains(file, "decisions") {
			continue // what was true when it was decided
		}
		for _, call := range inline.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			found++
			typed(t, file, ended.Split(call[1], 2)[0])
		}
	}
	if found < 50 {
		t.Errorf("only %d commands were found in the documents", found)
	}
}

// documents are all that people read, and not those that are made from the program.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"../../README.md", "../../deploy/BUNDLE.md"}
	if err := filepath.WalkDir("../../docs", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".md" && entry.Name() != "commands.md" {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// typed looks the words of a command line up in the tree of commands.
func typed(t *testing.T, file, line string) {
	t.Helper()
	root := rootCommand()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(strings.Fields(line))
	if err != nil {
		t.Errorf("%s: keystone %s: %v", file, line, err)
		return
	}
	if cmd.HasSubCommands() && len(rest) > 0 && rest[0] == strings.ToUpper(rest[0]) {
		return // stands for any command
	}
	for i, word := range rest {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case isFlag && name != "" && name != "help" && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil:
			t.Errorf("%s: keystone %s: %s has no flag --%s", file, line, cmd.CommandPath(), name)
		case i == 0 && !isFlag && cmd.HasSubCommands():
			t.Errorf("%s: keystone %s: %s has no command %s", file, line, cmd.CommandPath(), word)
		}
	}
}

// TestQuotedSentences: what the page for troubles quotes is what some part of Keystone says.
func TestQuotedSentences(t *testing.T) {
	page, err := os.ReadFile("../../docs/operator/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	if err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	quoted := 0
	for line := range strings.Lines(string(page)) {
		sentence, isQuote := strings.CutPrefix(line, "> ")
		if !isQuote {
			continue
		}
		quoted++
		for part := range strings.SplitSeq(sentence, "…") {
			if part = strings.TrimSpace(part); !strings.Contains(source.String(), part) {
				t.Errorf("nothing says %q any more", part)
			}
		}
	}
	if quoted < 15 {
		t.Errorf("only %d sentences are quoted", quoted)
	}
}
