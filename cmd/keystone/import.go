package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/importer"
)

// importPatience is how long an import waits for a source or a cluster that has gone away.
const importPatience = 2 * time.Minute

func importCommand() *cobra.Command {
	var run importRun
	var batch string
	cmd := sourceFlags(operatorCommand(&cobra.Command{
		Use:   "import",
		Short: "Bring people, roles and clients in from a PostgreSQL database",
		Long: `Reads the catalogue of a PostgreSQL database, shows what it will read, and brings users, roles, scopes,
clients and their links into the cluster, with their ids and password hashes. How far it has come is kept
in the cluster together with the rows: run again after any crash, from anywhere, it goes on from there; run
again after its end, it brings what has changed at the source and leaves alone what was changed here.

Rows that cannot be taken are told of one by one, and the others are imported. The database is only read.`,
		Example: `  DATABASE_URL=postgres://app@db.example.org/app keystone import --dry-run
  keystone import --from postgres://app@db.example.org/app --report notes.jsonl
  keystone import --mapping mapping.yaml --on-conflict rename
  keystone import --url https://a.example.org,https://b.example.org --token-file token`,
		Args: cobra.NoArgs,
	}))
	cmd.Flags().Lookup("url").Usage = "ask the nodes at these addresses, with commas between them, with the token in " + tokenVariable + " or --token-file"
	f := jsonFlag(cmd).Flags()
	f.BoolVar(&run.o.DryRun, "dry-run", false, "do everything but keep anything")
	f.BoolVar(&run.o.Sessions, "sessions", false, "bring in refresh tokens that are alive, for a cluster that takes the old system's tokens")
	f.BoolVar(&run.o.Restart, "restart", false, "begin anew, wherever an earlier run has stopped")
	f.StringVar(&run.o.OnConflict, "on-conflict", api.ConflictSkip, "what happens to a row whose username, e-mail address or client_id is another's: skip, rename or fail")
	f.StringVar(&run.o.Name, "name", "", "name of the import, under which the cluster remembers how far it has come (default: made from the database)")
	f.StringVar(&batch, "batch", "1000", "rows of one request, 1 to 2000")
	f.StringVar(&run.notes, "report", "", "file to which what is to be said of single rows is appended, a JSON object on each line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if run.o.Batch, err = wholeNumber("batch", batch, 1, 2000); err != nil {
			return err
		}
		if !slices.Contains([]string{api.ConflictSkip, api.ConflictRename, api.ConflictFail}, run.o.OnConflict) {
			return errors.New("--on-conflict must be skip, rename or fail")
		}
		return run.do(cmd)
	}
	cmd.AddCommand(importMappingCommand(), importTestLoginCommand())
	return cmd
}

// sourceFlags gives a command the flags that say which database it reads.
func sourceFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("from", "", "URL of the database (default: "+databaseVariable+", where a password is safe)")
	cmd.Flags().String("schema", "", "schema of its tables (default: as its search path has it)")
	cmd.Flags().String("mapping", "", "file that says how its tables and columns are named, see keystone import mapping")
	return cmd
}

// sourceOf returns what the flags of a source say.
func sourceOf(cmd *cobra.Command) (url string, m importer.Mapping, err error) {
	if url, err = databaseOf(cmd, "from"); err != nil {
		return "", m, err
	}
	if path, _ := cmd.Flags().GetString("mapping"); path != "" {
		if m, err = importer.ReadMapping(path); err != nil {
			return "", m, err
		}
	}
	if schema, _ := cmd.Flags().GetString("schema"); schema != "" {
		m.Schema = schema
	}
	return url, m, nil
}

// importNodes returns clients of the nodes that the flags name. They need no answer yet.
func importNodes(cmd *cobra.Command) (nodes []*client.Client, err error) {
	urls, _ := cmd.Flags().GetString("url")
	file, _ := cmd.Flags().GetString("token-file")
	switch {
	case urls == "" && file != "":
		return nil, errors.New("--token-file is for a node elsewhere: say which one with --url")
	case urls == "":
		_, c, err := socketClient(cmd)
		return []*client.Client{c}, err
	}
	first, err := clientWithToken(cmd, strings.TrimSpace(strings.Split(urls, ",")[0]), file)
	if err != nil {
		return nil, err
	}
	nodes = append(nodes, first)
	for _, url := range strings.Split(urls, ",")[1:] {
		other, err := first.At(strings.TrimSpace(url))
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, other)
	}
	return nodes, nil
}

// importRun is one run of keystone import.
type importRun struct {
	o     importer.Options
	notes string // file
}

// importResult is what --json prints.
type importResult struct {
	Plan []importer.PlannedTable `json:"plan"`
	*importer.Report
}

func (r *importRun) do(cmd *cobra.Command) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	url, mapping, err := sourceOf(cmd)
	if err != nil {
		return err
	}
	if r.o.Nodes, err = importNodes(cmd); err != nil {
		return err
	}
	source, err := importer.Open(ctx, url, mapping)
	if err != nil {
		return err
	}
	if r.o.Name == "" {
		r.o.Name = source.Name()
	}
	plan := source.Plan(r.o.Sessions)
	asJSON, _ := cmd.Flags().GetBool("json")
	if !asJSON {
		printPlan(cmd.OutOrStdout(), source.Where(), plan)
	}
	closeNotes, err := r.openNotes()
	if err != nil {
		return err
	}
	defer closeNotes()
	live := newLiveLine(cmd.ErrOrStderr())
	r.o.Patience, r.o.Say, r.o.Progress = importPatience, live.say, live.importing
	report, failure := source.Import(ctx, r.o)
	live.end()
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(importResult{plan, report})
	} else {
		printImport(cmd.OutOrStdout(), report, r.notes)
	}
	if failure == nil && report.NothingKept() {
		failure = errors.New("every row was refused: see the reasons above")
	}
	return errors.Join(failure, err)
}

// openNotes opens the file for notes. It is appended to: one import may take several runs.
func (r *importRun) openNotes() (func(), error) {
	if r.notes == "" {
		return func() {}, nil
	}
	file, err := os.OpenFile(r.notes, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the report cannot be written: %w", err)
	}
	r.o.Note = func(n api.ImportNote) error {
		if err := json.NewEncoder(file).Encode(n); err != nil {
			return fmt.Errorf("the report cannot be written: %w", err)
		}
		return nil
	}
	return func() { _ = file.Close() }, nil
}

func importMappingCommand() *cobra.Command {
	cmd := sourceFlags(&cobra.Command{
		Use:   "mapping",
		Short: "Print a mapping for a database whose names differ",
		Long: `Reads the catalogue of a database and prints a file for keystone import --mapping: what is named as in
the documented schema is commented out, what is not is guessed where its name says enough.`,
		Example: `  DATABASE_URL=postgres://app@db.example.org/app keystone import mapping > mapping.yaml
  keystone import mapping --from postgres://app@db.example.org/app --schema auth`,
		Args: cobra.NoArgs,
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url, mapping, err := sourceOf(cmd)
		if err != nil {
			return err
		}
		source, err := importer.Inspect(cmd.Context(), url, mapping)
		if err != nil {
			return err
		}
		return source.WriteMapping(cmd.OutOrStdout())
	}
	return cmd
}

func importTestLoginCommand() *cobra.Command {
	var username, passwordFile string
	cmd := sourceFlags(operatorCommand(&cobra.Command{
		Use:   "test-login",
		Short: "Log one known user in, to see that the imported password works",
		Long: `Logs a user in at a node as an application would, and ends the session again. Where the database is named
too, it says which form the password's hash has there. The first login replaces a hash of another system.`,
		Example: `  keystone import test-login --username ada --password-file ./password
  DATABASE_URL=postgres://app@db.example.org/app keystone import test-login --username ada --password-file - < password`,
		Args: cobra.NoArgs,
	}))
	cmd.Flags().StringVar(&username, "username", "", "the name that the person logs in with")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file that holds the password, or - for standard input")
	cmd.Flags().Lookup("url").Usage = "ask the node at this address, such as https://auth.example.org; no token is needed"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if username == "" || passwordFile == "" {
			return errors.New("a login needs --username and --password-file")
		}
		password, err := passwordFrom(passwordFile, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return testLogin(cmd, username, password)
	}
	return cmd
}

func testLogin(cmd *cobra.Command, username, password string) error {
	form := "its form at the source is not known, since no database is named"
	if from, _ := cmd.Flags().GetString("from"); from != "" || os.Getenv(databaseVariable) != "" {
		url, mapping, err := sourceOf(cmd)
		if err != nil {
			return err
		}
		if form, err = formAtSource(cmd.Context(), url, mapping, username); err != nil {
			return err
		}
	}
	use := func(ctx context.Context, c *client.Client) error {
		tokens, err := c.Login(ctx, api.TokenRequest{Username: username, Password: password})
		if err != nil {
			return fmt.Errorf("the login failed (the hash: %s): %w", form, err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s logged in; the hash: %s\n", username, form)
		if err := c.Revoke(ctx, tokens.RefreshToken); err != nil {
			return fmt.Errorf("the login works, but its session was not ended: %w", err)
		}
		return nil
	}
	if url, _ := cmd.Flags().GetString("url"); url != "" {
		c, err := nodeElsewhere(cmd, url)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), askWithin)
		defer cancel()
		return use(ctx, c)
	}
	return overSocket(cmd, use)
}

// importing shows how far an import is, on a terminal.
func (l *liveLine) importing(p importer.Progress) {
	if !l.terminal {
		return
	}
	const width = 30
	full := int(width * p.Done / max(p.Total, 1))
	fmt.Fprintf(l.out, "\r\033[K%ss %s%s %d of %d, %.0f rows/s, %s left", p.Kind,
		strings.Repeat("█", full), strings.Repeat("░", width-full), p.Done, p.Total, p.PerSecond, p.Left.Round(time.Second))
	l.open = true
}

// summary writes a sentence about how an import ended.
func summary(out io.Writer, r *importer.Report) {
	sum := r.Sum()
	what := "The import is complete"
	switch {
	case r.DryRun && r.Finished:
		what = "Nothing was kept: this is what would come of it"
	case r.DryRun:
		what = "Nothing was kept, and the dry run did not come to its end"
	case !r.Finished:
		what = "The import is not complete: run the command again to go on"
	}
	fmt.Fprintf(out, "%s. %d rows in %.1f s (%.0f rows/s).\n", what, sum.Read, r.Seconds, float64(sum.Read)/max(r.Seconds, 0.001))
	if r.Whole != nil {
		fmt.Fprintf(out, "It went on where an earlier run had stopped. Since the beginning: %d created, %d updated, %d unchanged, %d refused by the cluster.\n",
			r.Whole.Created, r.Whole.Updated, r.Whole.Unchanged, r.Whole.Refused)
	}
}
