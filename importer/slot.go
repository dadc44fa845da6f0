package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DefaultPublication is the publication of a sync that is told no other one.
const DefaultPublication = "keystone_sync"

// slotState is what the source says of a replication slot, and of its log at the same moment.
type slotState struct {
	exists    bool
	ours      bool // of this database, and of the plugin that sync reads
	active    bool
	confirmed pglogrepl.LSN
	retained  int64 // bytes of the log that the source keeps for it
	status    string
	safe      *int64 // bytes until the source takes it away
	lsn       pglogrepl.LSN
	now       time.Time
}

func slotOf(ctx context.Context, conn *pgx.Conn, name string) (s slotState, err error) {
	var confirmed, lsn string
	err = conn.QueryRow(ctx, `
		SELECT s.slot_name IS NOT NULL, coalesce(s.plugin = 'pgoutput' AND s.database = current_database(), false), coalesce(s.active, false),
		       coalesce(s.confirmed_flush_lsn, '0/0')::text, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint,
		       coalesce(s.wal_status, ''), s.safe_wal_size, pg_current_wal_lsn()::text, now()
		FROM (VALUES (1)) AS one LEFT JOIN pg_replication_slots s ON s.slot_name = $1`, name).
		Scan(&s.exists, &s.ours, &s.active, &confirmed, &s.retained, &s.status, &s.safe, &lsn, &s.now)
	if err != nil {
		return s, err
	}
	if s.confirmed, err = pglogrepl.ParseLSN(confirmed); err == nil {
		s.lsn, err = pglogrepl.ParseLSN(lsn)
	}
	return s, err
}

// leastSafe is how much room a slot must have left before the source takes it away: two segments of the log.
const leastSafe = 32 << 20

// endangered says why the slot must go before it fills the disk of the source, or "".
func (s slotState) endangered(most int64) string {
	switch {
	case s.retained > most:
		return fmt.Sprintf("the source keeps %s of its log for the slot, and --max-slot-bytes allows %s", bytesOf(s.retained), bytesOf(most))
	case s.status == "lost" || s.status == "unreserved":
		return "the source takes the slot away, since its log has grown over max_slot_wal_keep_size"
	case s.safe != nil && *s.safe < leastSafe:
		return fmt.Sprintf("the log of the source is %s away from max_slot_wal_keep_size", bytesOf(max(*s.safe, 0)))
	}
	return ""
}

func bytesOf(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// followed are the tables whose changes matter.
func (s *Source) followed(sessions bool) (all []*table) {
	for _, shape := range shapes {
		if t := s.tables[shape]; t != nil && (shape != tokensShape || sessions) {
			all = append(all, t)
		}
	}
	return all
}

// unfit is why the source cannot be followed by logical replication.
type unfit struct{ why string }

// Error implements error.
func (u *unfit) Error() string { return u.why }

// fit looks whether the source can be followed by logical replication, and returns the id of its server. The error is an
// *unfit where it cannot.
func (s *Source) fit(ctx context.Context, conn *pgx.Conn, sessions bool) (system string, err error) {
	var level string
	var standby bool
	if err := conn.QueryRow(ctx, `SELECT current_setting('wal_level'), pg_is_in_recovery()`).Scan(&level, &standby); err != nil {
		return "", err
	}
	switch {
	case standby:
		return "", &unfit{"the source is a standby: name its primary to follow it by logical replication"}
	case level != "logical":
		return "", &unfit{"wal_level of the source is " + level + ": logical replication needs it to be logical, which takes a restart of the source"}
	}
	for _, t := range s.followed(sessions) {
		if err := t.identifiable(ctx, conn); err != nil {
			return "", err
		}
	}
	stream, err := s.replicate(ctx)
	if err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && !lost(err) {
			return "", &unfit{fmt.Sprintf("the source takes no connection for replication from the user %s (%s): ALTER ROLE %s REPLICATION allows it", s.user, refused.Message, pgx.Identifier{s.user}.Sanitize())}
		}
		return "", err
	}
	defer func() { _ = stream.Close(context.WithoutCancel(ctx)) }()
	id, err := pglogrepl.IdentifySystem(ctx, stream)
	if err != nil {
		return "", &unfit{"what answers is no PostgreSQL that replicates, perhaps a connection pooler: name the server itself"}
	}
	return id.SystemID, nil
}

// identifiable tells whether the source can say of each change which row it is about. To publish a table that has no
// replica identity would make every UPDATE and DELETE of it fail, for the application that it belongs to.
func (t *table) identifiable(ctx context.Context, conn *pgx.Conn) error {
	if !t.relation.isTable {
		return &unfit{t.relation.name + " is a view or a foreign table, whose changes are not in the log"}
	}
	var identity string
	var columns []string
	err := conn.QueryRow(ctx, `
		SELECT c.relreplident::text, coalesce((
		         SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
		         WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END), '{}')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
		t.relation.schema, t.relation.name).Scan(&identity, &columns)
	if err != nil {
		return err
	}
	_, id := t.owner()
	switch {
	case identity == "f" || slices.Contains(columns, id):
		return nil
	case len(columns) == 0:
		return &unfit{fmt.Sprintf("the table %s has no primary key, so that publishing it would make its updates and deletes fail at the source: give it one, or REPLICA IDENTITY FULL", t.relation.name)}
	}
	return &unfit{fmt.Sprintf("the key of %s does not hold %s, so that a deleted row cannot be told: ALTER TABLE %s REPLICA IDENTITY FULL makes that possible", t.relation.name, id, t.sql())}
}

// publish sees that a publication tells of every change of the tables. It makes or changes none but the default
// one. The outcome says whether it did: changes from before are missing then.
func (s *Source) publish(ctx context.Context, conn *pgx.Conn, name string, sessions bool) (changed bool, err error) {
	tables := s.followed(sessions)
	missing, exists, err := unpublished(ctx, conn, name, tables)
	if err != nil || exists && len(missing) == 0 {
		return false, err
	}
	all := make([]string, len(tables))
	for i, t := range tables {
		all[i] = t.sql()
	}
	quotedName := pgx.Identifier{name}.Sanitize()
	sql := fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true)", quotedName, strings.Join(all, ", "))
	switch {
	case exists && name != DefaultPublication:
		return false, fmt.Errorf("the publication %s does not tell of every change of %s: let its owner correct that, or name another one with --publication", name, strings.Join(missing, ", "))
	case exists:
		sql = fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s", quotedName, strings.Join(all, ", "))
	}
	if _, err = conn.Exec(ctx, sql); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "42501" {
			return false, &unfit{fmt.Sprintf("the user %s may not publish the tables (%s): let their owner run %s", s.user, refused.Message, sql)}
		}
		return false, err
	}
	if missing, _, err = unpublished(ctx, conn, name, tables); err == nil && len(missing) > 0 {
		err = fmt.Errorf("the publication %s does not tell of every change of %s: drop it, and run the command again, which makes it anew", name, strings.Join(missing, ", "))
	}
	return true, err
}

// unpublished are the tables of which the publication does not tell every change.
func unpublished(ctx context.Context, conn *pgx.Conn, name string, tables []*table) (missing []string, exists bool, err error) {
	var whole bool
	err = conn.QueryRow(ctx, `SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = $1`, name).Scan(&whole)
	if err == pgx.ErrNoRows { //nolint:errorlint // it is returned as it is
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, t := range tables {
		_, id := t.owner()
		var told bool
		if err := conn.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_publication_tables
			               WHERE pubname = $1 AND schemaname = $2 AND tablename = $3 AND rowfilter IS NULL AND $4::name = ANY (attnames))`,
			name, t.relation.schema, t.relation.name, id).Scan(&told); err != nil {
			return nil, true, err
		}
		if !whole || !told {
			missing = append(missing, t.relation.name)
		}
	}
	return missing, true, nil
}

// createSlot makes a slot, from which on nothing of the log is lost. It waits for the transactions that run.
func createSlot(ctx context.Context, conn *pgx.Conn, name string) (err error) {
	_, err = conn.Exec(ctx, `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, name)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "42501":
			return &unfit{"the user may not make a replication slot (" + refused.Message + ")"}
		case "53400":
			return &unfit{"all replication slots of the source are in use: raise max_replication_slots, or drop one"}
		}
	}
	return err
}

// dropWithin is how long a slot may be in use by a connection that has just ended.
const dropWithin = 20 * time.Second

// dropSlot removes the slot if there is one.
func (s *Source) dropSlot(ctx context.Context, name string) (dropped bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return false, s.explain(ctx, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for deadline := time.Now().Add(dropWithin); ; {
		is, err := slotOf(ctx, conn, name)
		switch {
		case err != nil:
			return false, s.explain(ctx, err)
		case !is.exists:
			return false, nil
		case !is.ours:
			return false, fmt.Errorf("the replication slot %s is not one of keystone sync: name its own with --slot", name)
		}
		_, err = conn.Exec(ctx, `SELECT pg_drop_replication_slot($1)`, name)
		var refused *pgconn.PgError
		if err == nil || !errors.As(err, &refused) || refused.Code != "55006" { // in use
			return err == nil, s.explain(ctx, err)
		}
		if time.Now().After(deadline) {
			return false, fmt.Errorf("the replication slot %s is in use: stop the keystone sync that follows it", name)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
