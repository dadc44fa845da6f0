package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/keystone-auth/keystone/store"
)

// Snapshot is the state of a cluster at one instant, in a file that nobody changes.
type Snapshot struct {
	Store     *store.Store
	ClusterID string
	StateHash string // as the nodes compare it, in hexadecimal digits
}

// ExportOptions says how an export is done.
type ExportOptions struct {
	// Overwrite lets the export delete and replace rows that were not written by an earlier export of this cluster.
	Overwrite bool
	// Before is the snapshot that the last export wrote, nil where it is not at hand. With it only what differs from
	// it is sent, if the database has just that snapshot.
	Before *Snapshot
	// Progress is told how many rows of a table were read so far. It may be nil.
	Progress func(table string, rows int64)
}

// ExportReport is what an export came to.
type ExportReport struct {
	ClusterID string        `json:"cluster_id"`
	Index     uint64        `json:"index"`   // of the log entry up to which the copy goes
	At        time.Time     `json:"at"`      // the cluster's clock there
	Changes   bool          `json:"changes"` // only what differed from the export before was compared
	Tables    []TableReport `json:"tables"`
	Seconds   float64       `json:"seconds"`
}

// TableReport is what an export did to a table.
type TableReport struct {
	Table    string `json:"table"`
	Read     int64  `json:"read"` // rows of the cluster that were looked at
	Inserted int64  `json:"inserted"`
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
}

// Changed tells whether the export changed any row.
func (r *ExportReport) Changed() bool {
	for _, t := range r.Tables {
		if t.Inserted+t.Updated+t.Deleted > 0 {
			return true
		}
	}
	return false
}

// Export writes a snapshot into the documented schema, which it creates or brings up to date first. All rows are
// written in one transaction: others see the copy as it was before or as it is afterwards, and after an error as it was.
func Export(ctx context.Context, url string, snapshot *Snapshot, o ExportOptions) (*ExportReport, error) {
	if _, err := MigrateUp(ctx, url); err != nil {
		return nil, err
	}
	begun := time.Now()
	var report *ExportReport
	err := withTarget(ctx, url, func(conn *pgx.Conn) error {
		if err := foreignVersion(ctx, conn); err != nil {
			return err
		}
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
		e := &exporter{tx: tx, o: o, cluster: snapshot.ClusterID, empty: map[*target]bool{}, reports: map[*target]*TableReport{}}
		// A row that cannot be read is missing inside of a view, and makes it fail at its end: so the commit is behind it.
		if err := withBoth(snapshot, o.Before, func(now, before *side) error { return e.export(ctx, now, before) }); err != nil {
			return err
		}
		report = e.report()
		return commit(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	report.Seconds = time.Since(begun).Seconds()
	return report, nil
}

// view calls use with what the snapshot holds.
func (s *Snapshot) view(use func(*side) error) error {
	meta, err := s.Store.Meta()
	if err != nil {
		return err
	}
	return s.Store.View(func(r *store.Reader) error {
		settings, _ := r.Settings()
		return use(&side{Reader: r, index: meta.Index, now: meta.Time, settings: settings})
	})
}

// withBoth calls use with both snapshots; the one before may be nil.
func withBoth(now, before *Snapshot, use func(now, before *side) error) error {
	return now.view(func(now *side) error {
		if before == nil {
			return use(now, nil)
		}
		return before.view(func(before *side) error { return use(now, before) })
	})
}

// exporter is one export on its way. The transaction ends with it.
type exporter struct {
	tx       pgx.Tx
	cluster  string
	change   change
	o        ExportOptions
	empty    map[*target]bool // tables without any row, which are filled without a detour
	reports  map[*target]*TableReport
	everyone []*target
}

func (e *exporter) export(ctx context.Context, now, before *side) error {
	for _, g := range groups {
		e.everyone = append(e.everyone, g.targets...)
	}
	e.everyone = append(e.everyone, settingsTable, auditTable)
	e.change = change{now: now}
	if err := e.lock(ctx); err != nil {
		return err
	}
	known, err := e.known(ctx)
	if err != nil {
		return err
	}
	// Of clients the copy shows what the cluster's settings make of them, so that a change of those is one of all.
	if before != nil && known == before.index && before.settings == now.settings {
		e.change.before = before
	}
	if err := e.write(ctx); err != nil {
		return err
	}
	_, err = e.tx.Exec(ctx, `INSERT INTO keystone_export (cluster_id, log_index, state_time) VALUES ($1, $2, $3)
		ON CONFLICT (only_row) DO UPDATE SET cluster_id = excluded.cluster_id, log_index = excluded.log_index,
			state_time = excluded.state_time, exported_at = now()`, e.cluster, int64(now.index), now.now.Std())
	return err
}

// commit keeps what the transaction did.
func commit(ctx context.Context, tx pgx.Tx) error {
	err := tx.Commit(ctx)
	var refused *pgconn.PgError
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return errors.New("the connection to the database was lost at the last moment: it has all of the export or nothing of it, run it again")
}

func (e *exporter) report() *ExportReport {
	now := e.change.now
	report := &ExportReport{ClusterID: e.cluster, Index: now.index, At: now.now.Std(), Changes: e.change.before != nil}
	for _, t := range e.everyone {
		report.Tables = append(report.Tables, *e.reports[t])
	}
	return report
}

// lock keeps others from writing to the tables until the end; who reads them is not held up. It finds out as well
// which tables are empty, which stays true from then on.
func (e *exporter) lock(ctx context.Context) error {
	for _, setting := range []string{"lock_timeout = '30s'", "statement_timeout = 0", "idle_in_transaction_session_timeout = 0"} {
		if _, err := e.tx.Exec(ctx, "SET LOCAL "+setting); err != nil {
			return err
		}
	}
	for _, t := range append([]*target{{name: "keystone_export"}}, e.everyone...) {
		if _, err := e.tx.Exec(ctx, "LOCK TABLE "+quoted(t.name)+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	for _, t := range e.everyone {
		var filled bool
		if err := e.tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+quoted(t.name)+")").Scan(&filled); err != nil {
			return err
		}
		e.empty[t], e.reports[t] = !filled, &TableReport{Table: t.name}
	}
	return nil
}

// known returns the log index of the export that the database holds, 0 for none. It refuses to replace what somebody
// else may still need: the rows of the old system, a copy of another cluster, or one of a later time.
func (e *exporter) known(ctx context.Context) (index uint64, err error) {
	cluster, now := e.cluster, e.change.now
	var owner string
	var at int64
	err = e.tx.QueryRow(ctx, "SELECT cluster_id, log_index FROM keystone_export").Scan(&owner, &at)
	switch {
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return 0, err
	case e.o.Overwrite:
	case err == nil && owner != cluster:
		return 0, &refusal{"this database holds a copy of another cluster, and nothing was changed: name another database, or replace that copy with --overwrite"}
	case err == nil && uint64(at) > now.index:
		return 0, &refusal{fmt.Sprintf("this database holds a later state of the cluster (index %d, and the one at hand is of %d), and nothing was changed: to go back, say --overwrite", at, now.index)}
	case err != nil:
		for _, t := range documented {
			if !e.empty[t] {
				return 0, &refusal{fmt.Sprintf("the table %s of this database has rows that no export wrote, and nothing was changed: name an empty database, or say --overwrite, by which rows that the cluster does not have are deleted", t.name)}
			}
		}
	}
	if owner != cluster {
		return 0, nil
	}
	return uint64(at), nil
}

// count tells the progress of a table while its rows go by.
func (e *exporter) count(ctx context.Context, t *target, rows iter.Seq[[]any]) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		r := e.reports[t]
		for row := range rows {
			if r.Read++; r.Read%1000 == 0 {
				if ctx.Err() != nil { // a long walk over the store must not outlast the wish to end it
					return
				}
				e.tell(t)
			}
			if !yield(row) {
				return
			}
		}
		e.tell(t)
	}
}

func (e *exporter) tell(t *target) {
	if e.o.Progress != nil {
		e.o.Progress(t.name, e.reports[t].Read)
	}
}
