package importer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/api"
)

// maxBatch bounds the rows of one request in bytes: a node takes 250 KiB whatever is in them.
const maxBatch = 240 << 10

// longestID bounds what an id may be for the import to go on behind it.
const longestID = 200

// ended is the cursor of an import that has come to its end.
const ended = "end"

// outcomeKept is that of a row which is imported, but not all of it.
const outcomeKept = "kept"

// position is how far an import has come: up to a row of a table. The zero position is the beginning.
type position struct{ table, id string }

// String is the position as the cluster keeps it.
func (p position) String() string {
	if p.table == "" {
		return ""
	}
	return p.table + " " + p.id
}

func parsePosition(cursor string) (position, error) {
	table, id, ok := strings.Cut(cursor, " ")
	if cursor == "" || cursor == ended {
		return position{}, nil
	}
	if s := shapeOf(table); !ok || s == nil || !s.ofRows() {
		return position{}, errors.New("the cluster remembers a place in the source that this version does not know: begin anew with --restart")
	}
	return position{table, id}, nil
}

// batch is what goes into one request, and what is to be said of rows that do not.
type batch struct {
	kind    string
	request api.ImportRequest // its rows and the cursor behind them
	rows    int               // that were read for it
	refused int               // that cannot be represented
	notes   []api.ImportNote
	size    int
}

// reader reads the source in the order of an import. It connects again when the connection breaks.
type reader struct {
	source   *Source
	sessions bool
	dryRun   bool
	rows     int           // of a batch
	patience time.Duration // how long the source may be away
	say      func(string)

	conn  *pgx.Conn
	names map[*shape]map[string]string // of roles and scopes, by id
}

// run sends the source behind the position, batch by batch, and then the end.
func (r *reader) run(ctx context.Context, from position, out chan<- *batch) error {
	defer r.disconnect(ctx)
	skip := from.table != ""
	for _, shape := range shapes {
		t := r.source.tables[shape]
		after := ""
		if skip {
			if shape.name != from.table {
				continue
			}
			skip, after = false, from.id
		}
		if t == nil || !shape.ofRows() || shape == tokensShape && !r.sessions {
			continue
		}
		if err := r.table(ctx, t, after, out); err != nil {
			return err
		}
	}
	return hand(ctx, out, &batch{request: api.ImportRequest{Cursor: ended}})
}

func hand(ctx context.Context, out chan<- *batch, b *batch) error {
	select {
	case out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// table sends the rows of a table behind an id. Those without an id have no place in the order: they are counted.
func (r *reader) table(ctx context.Context, t *table, after string, out chan<- *batch) error {
	place := position{t.shape.name, after}
	if after == "" {
		nameless, err := r.nameless(ctx, t)
		if err != nil {
			return err
		}
		if nameless > 0 {
			first := &batch{kind: t.shape.kind, rows: nameless, refused: nameless}
			first.notes = append(first.notes, api.ImportNote{
				Kind: t.shape.kind, Outcome: api.ImportRefused, Field: "id", Reason: fmt.Sprintf("is null in %d rows, where there must be a value", nameless),
			})
			if err := hand(ctx, out, first); err != nil {
				return err
			}
		}
	}
	twins, err := r.twins(ctx, t)
	if err != nil {
		return err
	}
	for {
		page, err := r.page(ctx, t, after)
		if err != nil {
			return err
		}
		b := &batch{kind: t.shape.kind}
		for i, row := range page {
			size := row.size()
			if b.rows > 0 && b.size+size > maxBatch {
				if err := hand(ctx, out, b.upTo(place)); err != nil {
					return err
				}
				b = &batch{kind: t.shape.kind}
			}
			after, _ = row.value("id")
			if len(after) <= longestID {
				place.id = after
			}
			b.add(row, size, twins)
			if i == len(page)-1 {
				if err := hand(ctx, out, b.upTo(place)); err != nil {
					return err
				}
			}
		}
		if len(page) < r.rows {
			return nil
		}
	}
}

// upTo says how far the import has come once the batch is kept.
func (b *batch) upTo(place position) *batch {
	b.request.Cursor = place.String()
	return b
}

// add takes a row into the request, or into the notes where it cannot be represented, or where a name of it is an
// earlier row's.
func (b *batch) add(r *row, size int, twins map[string]string) {
	b.rows++
	if id, _ := r.value("id"); twins[id] != "" {
		r.refuse(twins[id], belongs[twins[id]])
	}
	attempt := api.ImportRequest{}
	r.table.shape.put(&attempt, r)
	if r.reason != "" {
		b.refused++
		b.notes = append(b.notes, api.ImportNote{Kind: b.kind, ID: r.name(), Outcome: api.ImportRefused, Field: r.field, Reason: r.reason})
		return
	}
	b.size += size
	b.request.Scopes = append(b.request.Scopes, attempt.Scopes...)
	b.request.Roles = append(b.request.Roles, attempt.Roles...)
	b.request.Users = append(b.request.Users, attempt.Users...)
	b.request.Clients = append(b.request.Clients, attempt.Clients...)
	b.request.Sessions = append(b.request.Sessions, attempt.Sessions...)
	if r.unknown > 0 {
		_, named := r.table.shape.linked()
		b.notes = append(b.notes, api.ImportNote{
			Kind: b.kind, ID: r.name(), Outcome: outcomeKept, Field: named.name,
			Reason: fmt.Sprintf("the source lacks %d of its %s, which are left out", r.unknown, named.name),
		})
	}
}

// alive is the condition on refresh tokens; other tables have none.
func (t *table) alive() string {
	if t.shape != tokensShape {
		return ""
	}
	sql := " AND " + t.column("expires_at") + "::timestamptz > now()"
	for _, name := range []string{"is_revoked", "is_used"} {
		if _, ok := t.at[name]; ok {
			sql += " AND " + t.column(name) + "::boolean IS NOT TRUE"
		}
	}
	if _, ok := t.at["revoked_at"]; ok {
		sql += " AND " + t.column("revoked_at") + " IS NULL"
	}
	return sql
}

// passed counts the rows up to a position, which an import that goes on has no need to read.
func (r *reader) passed(ctx context.Context, to position) (n int64, err error) {
	if to.table == "" {
		return 0, nil
	}
	for _, shape := range shapes {
		t := r.source.tables[shape]
		if shape.name != to.table {
			n += r.source.counts[shape]
			continue
		}
		if t == nil {
			return n, nil
		}
		var here int64
		err = r.steadily(ctx, func(conn *pgx.Conn) error {
			sql := "SELECT count(*) FROM " + t.sql() + " WHERE " + t.column("id") + " <= CAST($1::text AS " + t.kind("id") + ")" + t.alive()
			return conn.QueryRow(ctx, sql, to.id).Scan(&here)
		})
		return n + here, err
	}
	return n, nil
}

// belongs is what the cluster says of a row whose name is another's.
var belongs = map[string]string{
	"username": "the username belongs to another user", "email": "the e-mail address belongs to another user",
	"client_id": "the client_id belongs to another client",
}

// mostTwins bounds what a dry run remembers of rows with names of others.
const mostTwins = 100_000

// twins are the rows whose name is an earlier one's, and the column where that is so. A dry run has to know: the cluster
// finds them by rows that it has kept.
func (r *reader) twins(ctx context.Context, t *table) (map[string]string, error) {
	if !r.dryRun {
		return nil, nil
	}
	all := map[string]string{}
	for _, name := range map[*shape][]string{usersShape: {"email", "username"}, clientsShape: {"client_id"}}[t.shape] {
		sql := fmt.Sprintf(`SELECT id FROM (SELECT %s::text AS id, row_number() OVER (PARTITION BY lower(%s::text) ORDER BY %s) AS nth FROM %s WHERE %s IS NOT NULL) AS numbered
			WHERE nth > 1 LIMIT %d`, t.column("id"), t.column(name), t.column("id"), t.sql(), t.column(name), mostTwins)
		if err := r.steadily(ctx, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, sql)
			if err != nil {
				return err
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			for _, id := range ids {
				all[id] = name
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (r *reader) nameless(ctx context.Context, t *table) (n int, err error) {
	if a, _ := t.relation.find(t.columns[t.at["id"]]); !a.nullable {
		return 0, nil
	}
	err = r.steadily(ctx, func(tx *pgx.Conn) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+t.sql()+" WHERE "+t.column("id")+" IS NULL"+t.alive()).Scan(&n)
	})
	return n, err
}

// page reads the rows that come after an id, and what they are linked to.
func (r *reader) page(ctx context.Context, t *table, after string) (page []*row, err error) {
	err = r.steadily(ctx, func(conn *pgx.Conn) error {
		if page, err = r.rowsAfter(ctx, conn, t, after); err != nil || len(page) == 0 {
			return err
		}
		return r.link(ctx, conn, t, page)
	})
	return page, err
}

func (r *reader) rowsAfter(ctx context.Context, conn *pgx.Conn, t *table, after string) ([]*row, error) {
	names := make([]string, 0, len(t.columns))
	for _, c := range t.columns {
		names = append(names, pgx.Identifier{c}.Sanitize())
	}
	id := t.column("id")
	where, args := id+" IS NOT NULL", []any{pgx.QueryResultFormats{pgx.TextFormatCode}}
	if after != "" {
		where, args = id+" > CAST($1::text AS "+t.kind("id")+")", append(args, after)
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s%s ORDER BY %s LIMIT %d", strings.Join(names, ", "), t.sql(), where, t.alive(), id, r.rows)
	return r.collect(ctx, conn, t, sql, args...)
}

// collect reads the rows of a query for all columns of a table.
func (r *reader) collect(ctx context.Context, conn *pgx.Conn, t *table, sql string, args ...any) ([]*row, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]*row, 0, r.rows)
	for rows.Next() {
		one := &row{table: t, values: make([]string, len(t.columns)), null: make([]bool, len(t.columns))}
		for i, value := range rows.RawValues() {
			one.values[i], one.null[i] = string(value), value == nil
		}
		page = append(page, one)
	}
	return page, rows.Err()
}

// link gives the rows the names of what they are linked to.
func (r *reader) link(ctx context.Context, conn *pgx.Conn, t *table, page []*row) error {
	of, named := t.shape.linked()
	links := r.source.tables[of]
	if of == nil || links == nil || r.source.tables[named] == nil {
		return nil
	}
	names, err := r.namesOf(ctx, conn, r.source.tables[named])
	if err != nil {
		return err
	}
	byID := make(map[string]*row, len(page))
	ids := make([]string, 0, len(page))
	for _, one := range page {
		id, _ := one.value("id")
		byID[id] = one
		ids = append(ids, id)
	}
	owner, other := of.fields[0].name, of.fields[1].name
	condition := links.column(owner) + " = ANY (CAST($1::text[] AS " + links.kind(owner) + "[]))"
	if links.kind(owner) != t.kind("id") { // a text that is no id of theirs would end the query
		condition = links.column(owner) + "::text = ANY ($1::text[])"
	}
	sql := fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s ORDER BY 1, 2", links.column(owner), links.column(other), links.sql(), condition)
	rows, err := conn.Query(ctx, sql, pgx.QueryResultFormats{pgx.TextFormatCode}, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values := rows.RawValues()
		one := byID[string(values[0])]
		if one == nil {
			continue
		}
		if name, ok := names[string(values[1])]; ok {
			one.names = append(one.names, name)
		} else {
			one.unknown++
		}
	}
	return rows.Err()
}

// namesOf returns the names of all roles or scopes, of which there are few.
func (r *reader) namesOf(ctx context.Context, conn *pgx.Conn, t *table) (map[string]string, error) {
	if all, ok := r.names[t.shape]; ok {
		return all, nil
	}
	sql := fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s IS NOT NULL", t.column("id"), t.column("name"), t.sql(), t.column("name"))
	rows, err := conn.Query(ctx, sql, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		all[string(rows.RawValues()[0])] = string(rows.RawValues()[1])
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	r.names[t.shape] = all
	return all, nil
}

// steadily calls use with a connection in a snapshot. When the source goes away, it is asked again until the patience is
// at its end; what it says then is another snapshot, and goes on where the one before ended.
func (r *reader) steadily(ctx context.Context, use func(*pgx.Conn) error) error {
	var since time.Time
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := r.connect(ctx)
		if err == nil {
			err = use(r.conn)
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		r.disconnect(ctx)
		if since.IsZero() {
			since = time.Now()
			if lost(err) {
				r.say("The source does not answer; it is asked again.")
			}
		}
		if !lost(err) || time.Since(since) > r.patience {
			return r.source.explain(ctx, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connect opens a snapshot: all pages show the source at one moment.
func (r *reader) connect(ctx context.Context) error {
	if r.conn != nil {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, r.source.config)
	if err != nil {
		return err
	}
	r.conn, r.names = conn, map[*shape]map[string]string{}
	_, err = conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	return err
}

func (r *reader) disconnect(ctx context.Context) {
	if r.conn != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = r.conn.Close(ctx)
		r.conn = nil
	}
}
