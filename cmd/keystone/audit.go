package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

func auditCommand() *cobra.Command {
	return group("audit", "Read and prove the audit log", auditListCommand(), auditExportCommand(), auditVerifyCommand())
}

// auditFilters gives a command the flags that say what it looks for.
func auditFilters(cmd *cobra.Command, q *client.AuditQuery) {
	flags := cmd.Flags()
	flags.StringVar(&q.From, "from", "", "no earlier than this time, such as 2026-01-31T12:00:00Z, or than so long ago, such as 24h")
	flags.StringVar(&q.To, "to", "", "earlier than this time, or than so long ago")
	flags.StringVar(&q.Type, "type", "", "of this type, such as login.failed, or of these, such as user.*")
	flags.StringVar(&q.Actor, "actor", "", "by this user id or client_id, or by operator or system")
	flags.StringVar(&q.Target, "target", "", "about this user id, client_id, …")
	flags.StringVar(&q.Result, "result", "", "with this result: success or refused")
}

// settleTimes turns how long ago into a time.
func settleTimes(q *client.AuditQuery) error {
	for name, text := range map[string]*string{"from": &q.From, "to": &q.To} {
		if *text == "" {
			continue
		}
		if ago, err := time.ParseDuration(*text); err == nil {
			*text = time.Now().Add(-ago).UTC().Format(time.RFC3339Nano)
		}
		if _, err := time.Parse(time.RFC3339Nano, *text); err != nil {
			return fmt.Errorf("--%s must be a time such as 2026-01-31T12:00:00Z or so long ago, such as 24h", name)
		}
	}
	return nil
}

func auditListCommand() *cobra.Command {
	var q client.AuditQuery
	var limit string
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "list",
		Short: "Show what happened, the latest first",
		Example: `  keystone audit list --from 24h --result refused
  keystone audit list --type 'user.*' --limit 200 --json`,
		Args: cobra.NoArgs,
	}))
	auditFilters(cmd, &q)
	cmd.Flags().StringVar(&q.Search, "search", "", "with this text anywhere, in any letter case")
	cmd.Flags().BoolVar(&q.Oldest, "oldest", false, "the oldest first")
	cmd.Flags().StringVar(&limit, "limit", "50", "at most so many")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		most, err := wholeNumber("limit", limit, 1, 100_000)
		if err = errors.Join(err, settleTimes(&q)); err != nil {
			return err
		}
		return asOperator(cmd, func(ctx context.Context, c *client.Client) error {
			events, err := listAudit(ctx, c, q, most)
			if err != nil {
				return fmt.Errorf("the audit log cannot be read: %w", err)
			}
			return printEvents(cmd, events)
		})
	}
	return cmd
}

// listAudit goes from page to page until it has as many events as are wanted.
func listAudit(ctx context.Context, c *client.Client, q client.AuditQuery, most int) (all api.AuditEvents, err error) {
	for {
		q.PerPage = min(100, most-len(all.Events))
		page, err := c.AuditEvents(ctx, q)
		if err != nil {
			return all, err
		}
		events := append(all.Events, page.Events...)
		if all.Events == nil {
			all = page
		}
		all.Events, all.NextCursor = events, page.NextCursor
		if page.NextCursor == nil || len(events) >= most {
			return all, nil
		}
		q.Cursor = *page.NextCursor
	}
}

func printEvents(cmd *cobra.Command, all api.AuditEvents) error {
	var rows []table.Row
	for _, e := range all.Events {
		result := e.Result
		if e.Reason != "" {
			result += " (" + e.Reason + ")"
		}
		rows = append(rows, table.Row{e.Sequence, e.Time.Local().Format(time.DateTime), e.Type, max(1, e.Count), dash(e.Actor), dash(e.Target), result, dash(e.IPAddress)})
	}
	return present(cmd, all, table.Row{"sequence", "time", "type", "times", "actor", "target", "result", "from"}, rows)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func auditExportCommand() *cobra.Command {
	var q client.AuditQuery
	var after string
	cmd := operatorCommand(&cobra.Command{
		Use:   "export",
		Short: "Write the audit log as JSON lines, the oldest first",
		Example: `  keystone audit export > audit.jsonl
  keystone audit export --after 120000 >> audit.jsonl`,
		Args: cobra.NoArgs,
	})
	auditFilters(cmd, &q)
	cmd.Flags().StringVar(&after, "after", "", "only what comes behind this sequence number")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if after != "" {
			n, err := wholeNumber("after", after, 0, 1<<62)
			if err != nil {
				return err
			}
			q.After = uint64(n)
		}
		if err := settleTimes(&q); err != nil {
			return err
		}
		return asOperator(cmd, func(_ context.Context, c *client.Client) error {
			// Without the deadline of other commands: a log may be long.
			return c.ExportAudit(cmd.Context(), q, func(line []byte) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line)
				return err
			})
		})
	}
	return cmd
}
