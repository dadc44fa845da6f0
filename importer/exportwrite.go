package importer

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/iam"
)

// write brings all tables to the state. Rows come by COPY, straight into a table that is empty; else into a temporary
// one beside it, with which the table is compared, so that rows that are right already stay untouched.
func (e *exporter) write(ctx context.Context) error {
	for _, g := range groups {
		if err := e.stage(ctx, g); err != nil {
			return err
		}
	}
	for _, g := range slices.Backward(groups) {
		for _, t := range slices.Backward(g.targets) {
			if err := e.remove(ctx, g, t); err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		for _, t := range g.targets {
			if err := e.fill(ctx, g, t); err != nil {
				return err
			}
		}
	}
	if err := e.writeSettings(ctx); err != nil {
		return err
	}
	return e.writeAudit(ctx)
}

// stage copies the rows of a group into temporary tables, and the ids of those that differ.
func (e *exporter) stage(ctx context.Context, g group) error {
	if e.change.before != nil {
		if _, err := e.tx.Exec(ctx, "CREATE TEMPORARY TABLE "+g.touchedTable()+" (id uuid) ON COMMIT DROP"); err != nil {
			return err
		}
		if _, err := e.copy(ctx, pgx.Identifier{g.touchedTable()}, []string{"id"}, ids(g.touched(&e.change))); err != nil {
			return err
		}
	}
	for _, t := range g.targets {
		if e.empty[t] {
			continue
		}
		sql := fmt.Sprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s FROM %s WITH NO DATA", t.staged(), t.list(""), quoted(t.name))
		if _, err := e.tx.Exec(ctx, sql); err != nil {
			return err
		}
		if _, err := e.copy(ctx, pgx.Identifier{t.staged()}, t.names(), e.count(ctx, t, g.rows(&e.change, t))); err != nil {
			return err
		}
		// The planner knows nothing of a table that was just made.
		if _, err := e.tx.Exec(ctx, "ANALYZE "+t.staged()); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) staged() string { return "keystone_new_" + t.name }

func (g group) touchedTable() string { return "keystone_touched_" + g.name }

// remove deletes the rows of a table that the cluster does not have.
func (e *exporter) remove(ctx context.Context, g group, t *target) error {
	if e.empty[t] {
		return nil
	}
	sql := fmt.Sprintf("DELETE FROM %s AS old WHERE NOT EXISTS (SELECT FROM %s AS new WHERE %s)", quoted(t.name), t.staged(), t.same(t.key))
	if e.change.before != nil {
		sql += fmt.Sprintf(" AND old.%s IN (SELECT id FROM %s)", quoted(t.owner), g.touchedTable())
	}
	done, err := e.tx.Exec(ctx, sql)
	e.reports[t].Deleted += done.RowsAffected()
	return err
}

// fill brings the rows of a table that stay to what the cluster has, and adds those that are new.
func (e *exporter) fill(ctx context.Context, g group, t *target) error {
	if e.empty[t] {
		n, err := e.copy(ctx, pgx.Identifier{t.name}, t.names(), e.count(ctx, t, g.rows(&e.change, t)))
		e.reports[t].Inserted += n
		return err
	}
	// Two rows may have taken each other's name, and an index is looked at row by row. So whoever changes its name
	// first gets one that nobody else can have.
	for _, name := range t.unique {
		sql := fmt.Sprintf("UPDATE %s AS old SET %s = '~' || old.%s::text FROM %s AS new WHERE %s AND old.%[2]s IS DISTINCT FROM new.%[2]s",
			quoted(t.name), quoted(name), quoted(t.owner), t.staged(), t.same(t.key))
		if _, err := e.tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	var values []string
	for _, c := range t.columns {
		if !slices.Contains(t.key, c.name) && !slices.Contains(t.once, c.name) {
			values = append(values, c.name)
		}
	}
	if len(values) > 0 {
		sets := make([]string, len(values))
		for i, name := range values {
			sets[i] = fmt.Sprintf("%[1]s = new.%[1]s", quoted(name))
		}
		sql := fmt.Sprintf("UPDATE %s AS old SET %s FROM %s AS new WHERE %s AND (%s) IS DISTINCT FROM (%s)", quoted(t.name),
			strings.Join(sets, ", "), t.staged(), t.same(t.key), columnList("old.", values), columnList("new.", values))
		done, err := e.tx.Exec(ctx, sql)
		e.reports[t].Updated += done.RowsAffected()
		if err != nil {
			return err
		}
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS new WHERE NOT EXISTS (SELECT FROM %[1]s AS old WHERE %[5]s)",
		quoted(t.name), t.list(""), t.list("new."), t.staged(), t.same(t.key))
	done, err := e.tx.Exec(ctx, sql)
	e.reports[t].Inserted += done.RowsAffected()
	return err
}

// same is the condition that the row old is the row new.
func (t *target) same(key []string) string {
	all := make([]string, len(key))
	for i, name := range key {
		all[i] = fmt.Sprintf("old.%[1]s = new.%[1]s", quoted(name))
	}
	return strings.Join(all, " AND ")
}

func columnList(prefix string, names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = prefix + quoted(name)
	}
	return strings.Join(all, ", ")
}

func (e *exporter) writeSettings(ctx context.Context) error {
	g := group{name: "settings", rows: func(c *change, _ *target) iter.Seq[[]any] { return slices.Values(settingRows(c.now.settings)) }, targets: []*target{settingsTable}}
	whole := *e
	whole.change.before = nil // there are a few rows alone
	if err := whole.stage(ctx, g); err != nil {
		return err
	}
	if err := whole.remove(ctx, g, settingsTable); err != nil {
		return err
	}
	return whole.fill(ctx, g, settingsTable)
}

// writeAudit adds the entries that came in, and removes those that the cluster does not keep any more. Entries never
// change, so that the hash of the last one tells whether the copy is a part of the same log.
func (e *exporter) writeAudit(ctx context.Context) error {
	r, report := e.change.now.Reader, e.reports[auditTable]
	first, _ := r.AuditRange()
	var last int64
	if !e.empty[auditTable] {
		var hash []byte
		err := e.tx.QueryRow(ctx, "SELECT sequence, hash FROM keystone_audit ORDER BY sequence DESC LIMIT 1").Scan(&last, &hash)
		if err != nil {
			return err
		}
		keep := int64(first)
		if entry, ok := r.AuditEntry(uint64(last)); !ok || !slices.Equal(entry.Hash[:], hash) {
			keep, last = 1<<62, 0
		}
		done, err := e.tx.Exec(ctx, "DELETE FROM keystone_audit WHERE sequence < $1", keep)
		if err != nil {
			return err
		}
		report.Deleted = done.RowsAffected()
	}
	entries := func(yield func([]any) bool) {
		r.WalkAudit(uint64(last)+1, false, func(entry iam.AuditEntry) bool { return yield(auditRow(entry)) })
	}
	n, err := e.copy(ctx, pgx.Identifier{auditTable.name}, auditTable.names(), e.count(ctx, auditTable, entries))
	report.Inserted = n
	return err
}

// copy sends rows by COPY as they come.
func (e *exporter) copy(ctx context.Context, table pgx.Identifier, names []string, rows iter.Seq[[]any]) (int64, error) {
	next, stop := iter.Pull(rows)
	defer stop()
	return e.tx.CopyFrom(ctx, table, names, pgx.CopyFromFunc(func() ([]any, error) {
		row, ok := next()
		if !ok {
			return nil, ctx.Err()
		}
		return row, nil
	}))
}

func ids(all iter.Seq[iam.ID]) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for id := range all {
			if !yield([]any{[16]byte(id)}) {
				return
			}
		}
	}
}
