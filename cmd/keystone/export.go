package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/store"
)

// exportOptions are the flags of keystone export.
type exportOptions struct {
	overwrite, follow, json bool
	every                   string
}

func exportCommand() *cobra.Command {
	var o exportOptions
	cmd := jsonFlag(operatorCommand(databaseFlag(&cobra.Command{
		Use:   "export",
		Short: "Write everything into a PostgreSQL database",
		Long: `Takes a consistent copy of the cluster's state and writes it into the documented tables of a PostgreSQL
database (15 or newer), which are made first: users, roles, scopes, service_clients, the links between them,
user_sessions, and those refresh_tokens of the old system that are alive still. What those tables cannot hold
goes into tables whose names begin with keystone_, the audit log among it. keystone import reads it all back.

A database that an export wrote before is brought up to date: rows that did not change stay untouched, and
rows that the cluster does not have any more are deleted. Rows that no export wrote are replaced only with
--overwrite. Everything is written in one transaction; whoever reads meanwhile sees the copy as it was.

Not written are signing keys, refresh tokens of Keystone, and mailed tickets: they are of use to a cluster alone,
and keystone backup keeps them. Usernames come in lower case, as the old system has them. A secret that Keystone made
for a client is there as its SHA-256, tagged {keystone-sha256}, since it was never anything else; passwords as
the hashes they are. So whoever may read the database can try to guess passwords: guard it as a backup.

With --follow the command stays, and writes what differs whenever the state has changed. It needs about as much
room in TMPDIR as the state file has, and twice that with --follow.`,
		Example: `  keystone export --to postgres://keystone@db.example.org/reports
  DATABASE_URL_FILE=/run/secrets/database keystone export --follow --every 1m`,
		Args: cobra.NoArgs,
	}, "to", "write to this database")))
	flags := cmd.Flags()
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace rows that no export of this cluster wrote, or a later state of it")
	flags.BoolVar(&o.follow, "follow", false, "stay, and keep the copy current until the command is ended")
	flags.StringVar(&o.every, "every", "30s", "with --follow: how often to look for changes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.json, _ = cmd.Flags().GetBool("json")
		every, err := time.ParseDuration(o.every)
		if err != nil || every < time.Second || every > 24*time.Hour {
			return errors.New("--every must be a time from 1s to 24h, such as 30s")
		}
		url, err := databaseOf(cmd, "to")
		if err != nil {
			return err
		}
		ctx, stop := stoppable(cmd)
		defer stop()
		// Without the deadline of other commands: there may be much to write.
		return asOperator(cmd, func(_ context.Context, c *client.Client) error { return runExport(ctx, cmd, c, url, every, o) })
	}
	return cmd
}

func runExport(ctx context.Context, cmd *cobra.Command, c *client.Client, url string, every time.Duration, o exportOptions) error {
	live := newLiveLine(cmd.ErrOrStderr())
	defer live.end()
	options := importer.ExportOptions{Overwrite: o.overwrite, Progress: live.rows("written")}
	if !o.follow {
		snapshot, err := takeSnapshot(ctx, c)
		if err != nil {
			return err
		}
		defer func() { _ = snapshot.Store.Close() }()
		report, err := importer.Export(ctx, url, snapshot, options)
		live.end()
		if err != nil {
			return err
		}
		return printExport(cmd, report)
	}
	out := cmd.OutOrStdout()
	f := importer.Follower{
		URL: url, Every: every, Options: options,
		Take:    func(ctx context.Context) (*importer.Snapshot, error) { return takeSnapshot(ctx, c) },
		Moved:   func(ctx context.Context, since *importer.Snapshot) (bool, error) { return hasMoved(ctx, c, since) },
		Trouble: func(err error) { live.say(scrub(sentence(err))) },
		Done: func(r *importer.ExportReport) {
			live.end()
			switch {
			case o.json:
				_ = json.NewEncoder(out).Encode(r)
			case r.Changed():
				fmt.Fprintf(out, "%s  %s\n", r.At.Local().Format(time.DateTime), inOneLine(r))
			}
		},
	}
	return f.Run(ctx)
}

// takeSnapshot fetches a copy of the state. The file has no name any more once it is open, so that it is gone with this
// process, however that ends.
func takeSnapshot(ctx context.Context, c *client.Client) (*importer.Snapshot, error) {
	folder, err := os.MkdirTemp("", "keystone-copy-")
	if err != nil {
		return nil, fmt.Errorf("there is no place for a copy of the state, name a folder with TMPDIR: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	from, into := io.Pipe()
	go func() { into.CloseWithError(c.Backup(ctx, into)) }()
	unpacked, err := backup.Unpack(from, folder)
	from.CloseWithError(err) // ends the request where not all of it was read
	if err != nil {
		return nil, fmt.Errorf("the copy of the state: %w", err)
	}
	opened, err := store.OpenReadOnly(unpacked.Path)
	if err != nil {
		return nil, err
	}
	return &importer.Snapshot{Store: opened, ClusterID: unpacked.Meta.ClusterID, StateHash: unpacked.Meta.StateHash}, nil
}

// hasMoved tells whether a node has another state than the snapshot. The log index would not do: it moves without a
// change, too.
func hasMoved(ctx context.Context, c *client.Client, since *importer.Snapshot) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	status, err := c.Cluster(ctx)
	if err != nil {
		return false, err
	}
	var hash string
	var index uint64
	for _, n := range status.Nodes {
		if n.StateHashIndex > index {
			hash, index = n.StateHash, n.StateHashIndex
		}
	}
	return hash != since.StateHash, nil
}

// rows is a progress of rows, by table or kind.
func (l *liveLine) rows(done string) func(what string, n int64) {
	begun := time.Now()
	var last time.Time
	return func(what string, n int64) {
		if !l.terminal || time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		fmt.Fprintf(l.out, "\r\033[K%s: %d rows %s, %s", what, n, done, time.Since(begun).Round(time.Second))
		l.open = true
	}
}

func inOneLine(r *importer.ExportReport) string {
	var inserted, updated, deleted int64
	for _, t := range r.Tables {
		inserted, updated, deleted = inserted+t.Inserted, updated+t.Updated, deleted+t.Deleted
	}
	return fmt.Sprintf("index %d: %d rows inserted, %d updated, %d deleted, in %.1f s", r.Index, inserted, updated, deleted, r.Seconds)
}

func printExport(cmd *cobra.Command, r *importer.ExportReport) error {
	var rows []table.Row
	for _, t := range r.Tables {
		rows = append(rows, table.Row{t.Table, t.Read, t.Inserted, t.Updated, t.Deleted})
	}
	if err := present(cmd, r, table.Row{"table", "read", "inserted", "updated", "deleted"}, rows); err != nil {
		return err
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); !asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "The copy is of %s, %s\n", r.At.Local().Format(time.DateTime), inOneLine(r))
	}
	return nil
}
