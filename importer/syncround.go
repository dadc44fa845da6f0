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
	"golang.org/x/sync/errgroup"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

const (
	// idleStep is how much of the log may pass that is about other tables before the cluster notes that it has: the
	// source keeps so much in vain.
	idleStep = 16 << 20
	// flushWithin is how soon the source writes to its log what others see already, with synchronous_commit=off.
	flushWithin = time.Second
	// roundPause is how often it is looked whether there is something to do.
	roundPause = 20 * time.Millisecond
)

// follow receives changes and sends them until the context ends, or until there are none if that is asked for.
func (y *syncer) follow(ctx context.Context) error {
	y.status.set(func(s *SyncStatus) { s.Phase = following })
	return y.steadily(ctx, func() error { return y.connected(ctx) })
}

// errIdle ends a sync that was to end when there is nothing left to do.
var errIdle = errors.New("idle")

// connected follows the source for as long as its connections last. What was received and not kept comes again with
// the next ones.
func (y *syncer) connected(ctx context.Context) error {
	f, err := y.source.openStream(ctx, y.o.Slot, y.o.Publication, y.kept.lsn, y.o.Sessions)
	if err != nil {
		return err
	}
	defer f.close(ctx)
	conn, err := pgx.ConnectConfig(ctx, y.source.config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.run(groupCtx) })
	group.Go(func() error {
		for {
			if err := y.round(groupCtx, f, conn); err != nil {
				return err
			}
		}
	})
	if err = group.Wait(); errors.Is(err, errIdle) {
		return nil
	}
	return err
}

// round brings the cluster from what the source was at one moment to what it is at a later one. The log tells which rows
// have changed between the two; what they are, with their roles and scopes, is read in a snapshot of the later moment. So
// whoever looks at the cluster between two rounds sees the source as it was after some transaction, whole, and no name
// is in the way of another that has left it. It does no harm to do a round twice: rows become what they are.
func (y *syncer) round(ctx context.Context, f *stream, conn *pgx.Conn) error {
	waiting, oldest, received := f.changes.waiting()
	y.status.behind(y.kept.lsn, oldest)
	if waiting == 0 && !y.o.UntilIdle {
		if received > y.kept.lsn+idleStep {
			return y.keep(ctx, f, received)
		}
		return pause(ctx, roundPause)
	}
	// First up to here, which may take long after a pause, and while which no snapshot should hold up the source.
	if err := y.reach(ctx, f, conn, 0); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), "ROLLBACK") }()
	var text, lsn string
	if err := conn.QueryRow(ctx, "SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text").Scan(&text, &lsn); err != nil {
		return err
	}
	at, err := pglogrepl.ParseLSN(lsn)
	if err != nil {
		return err
	}
	s, ok := parseSnapshot(text, at)
	if !ok {
		return errors.New("the source describes its snapshot in another way than PostgreSQL does")
	}
	if err := y.reach(ctx, f, conn, at); err != nil {
		return err
	}
	now := f.changes.take(s)
	y.worked = time.Now()
	if now.transactions == 0 && !now.everything {
		if y.o.UntilIdle {
			return errors.Join(y.keep(ctx, f, now.upTo), errIdle)
		}
		return pause(ctx, roundPause)
	}
	y.status.set(func(s *SyncStatus) { s.Transactions += int64(now.transactions) })
	if now.everything {
		y.o.Say("So many rows have changed that all of the source is read.")
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
		if err := y.everything(ctx, position{}); err != nil {
			return err
		}
	} else if err := y.apply(ctx, conn, now.rows); err != nil {
		return err
	}
	return y.keep(ctx, f, now.upTo)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reach waits until everything up to a place in the source's log has been received; 0 is its present end. What is not
// written to the disk of the source is not sent either, and may never be, as the changes of a transaction that is still
// open: after a while, what is written is enough.
func (y *syncer) reach(ctx context.Context, f *stream, conn *pgx.Conn, to pglogrepl.LSN) error {
	end := func(which string) (pglogrepl.LSN, error) {
		var text string
		if err := conn.QueryRow(ctx, "SELECT pg_current_wal_"+which+"_lsn()::text").Scan(&text); err != nil {
			return 0, err
		}
		return pglogrepl.ParseLSN(text)
	}
	var err error
	if to == 0 {
		if to, err = end("flush"); err != nil {
			return err
		}
	}
	f.wanted.Store(uint64(to))
	for began, asked := time.Now(), time.Now(); ; {
		if _, _, received := f.changes.waiting(); received >= to {
			return nil
		}
		if time.Since(began) > flushWithin && time.Since(asked) > flushWithin/4 {
			asked = time.Now()
			flushed, err := end("flush")
			if err != nil {
				return err
			}
			to = min(to, flushed)
		}
		if err := pause(ctx, roundPause/4); err != nil {
			return err
		}
	}
}

// keep notes in the cluster how far it has come, and lets the source forget its log up to there: in this order, so that
// what is lost in a crash is never gone at both.
func (y *syncer) keep(ctx context.Context, f *stream, lsn pglogrepl.LSN) error {
	if lsn <= y.kept.lsn && y.part == 0 {
		return nil
	}
	y.kept = syncPlace{phase: following, lsn: max(lsn, y.kept.lsn), slot: y.o.Slot, system: y.system}
	y.part = 0
	if _, err := y.request(ctx, api.ImportRequest{}, y.o.OnConflict, true); err != nil {
		return err
	}
	_, oldest, _ := f.changes.waiting()
	y.status.behind(y.kept.lsn, oldest)
	f.kept.Store(uint64(y.kept.lsn))
	y.tell()
	return nil
}

// request has rows kept. Those of one round need not fit into one request: its cursor stays where the round began, with
// the number of the request, until the last one. The answer's notes are passed on.
func (y *syncer) request(ctx context.Context, r api.ImportRequest, onConflict string, last bool) (answer api.ImportResponse, err error) {
	if !last {
		y.part++
	}
	r.Cursor = y.kept.cursor(y.part)
	y.send.o.OnConflict = onConflict
	if answer, err = y.send.send(ctx, r); err != nil {
		return answer, &clusterError{err}
	}
	y.count(answer, 0)
	return answer, nil
}

// clusterError is what the cluster said, or why it did not: asking the source again does not help.
type clusterError struct{ error }

// Unwrap returns the error itself.
func (e *clusterError) Unwrap() error { return e.error }

// note tells of a row.
func (y *syncer) note(n api.ImportNote) error {
	if y.o.Note == nil {
		return nil
	}
	return y.o.Note(n)
}

// The orders in which rows are sent: what others refer to goes first, and is deleted last.
var (
	sendOrder   = []*shape{scopesShape, rolesShape, usersShape, clientsShape, tokensShape}
	deleteOrder = []*shape{tokensShape, usersShape, clientsShape, rolesShape, scopesShape}
)

// apply makes rows in the cluster what they are in a snapshot of the source, those that are not there any more among them.
func (y *syncer) apply(ctx context.Context, conn *pgx.Conn, rows []rowKey) error {
	y.read.names = map[*shape]map[string]string{} // of this snapshot
	ids := map[*shape][]string{}
	for _, row := range rows {
		ids[row.shape] = append(ids[row.shape], row.id)
	}
	named := len(rows)
	for row := range y.retry { // their names may be free by now
		if !slices.Contains(rows, row) {
			ids[row.shape] = append(ids[row.shape], row.id)
			named++
		}
	}
	gone := map[*shape][]string{}
	for _, shape := range deleteOrder {
		there, err := y.present(ctx, conn, shape, ids[shape])
		if err != nil {
			return err
		}
		for _, id := range ids[shape] {
			if !there[id] {
				gone[shape] = append(gone[shape], id)
			}
		}
		ids[shape] = slices.DeleteFunc(ids[shape], func(id string) bool { return !there[id] })
	}
	p := &parcel{y: y, single: named <= y.o.Batch}
	for _, shape := range deleteOrder {
		for _, id := range gone[shape] {
			if err := p.delete(ctx, shape, id); err != nil {
				return err
			}
		}
	}
	for _, shape := range sendOrder {
		for chunk := range slices.Chunk(ids[shape], y.o.Batch) {
			found, err := y.read.rowsOf(ctx, conn, y.source.tables[shape], chunk)
			if err != nil {
				return err
			}
			for _, row := range found {
				if err := p.add(ctx, row); err != nil {
					return err
				}
			}
		}
	}
	if err := p.end(ctx, conn); err != nil {
		return err
	}
	return y.deleteHeld(ctx, conn)
}

// parcel fills requests with rows. As long as there is more to come, a row whose name is another's waits for the end:
// the other may be one of those that come, and give the name up.
type parcel struct {
	y      *syncer
	single bool // all fits into one request, within which the cluster sorts names out
	b      batch
	keys   map[string]rowKey // what the source calls the rows of b, by kind and id
	waits  []rowKey
}

func (p *parcel) delete(ctx context.Context, s *shape, id string) error {
	delete(p.y.retry, rowKey{s, id})
	parsed, err := iam.ParseID(id)
	if err != nil || parsed.IsZero() {
		return nil // nothing of that id can have been imported
	}
	if err := p.room(ctx, 100); err != nil {
		return err
	}
	p.y.seen.forget(s.kind, parsed.String())
	p.b.request.Deleted = append(p.b.request.Deleted, api.ImportDeleted{Kind: s.kind, ID: parsed.String()})
	p.b.rows++
	p.b.size += 100
	return nil
}

func (p *parcel) add(ctx context.Context, r *row) error {
	size := r.size()
	if err := p.room(ctx, size); err != nil {
		return err
	}
	if p.keys == nil {
		p.keys = map[string]rowKey{}
	}
	id, _ := r.value("id")
	p.keys[r.table.shape.kind+" "+strings.ToLower(id)] = rowKey{r.table.shape, id}
	p.b.kind = r.table.shape.kind
	p.b.add(r, size, nil)
	return nil
}

// room sends what there is if one more row of that size would be too much for a request.
func (p *parcel) room(ctx context.Context, size int) error {
	if p.b.rows < p.y.o.Batch && p.b.size+size <= maxBatch {
		return nil
	}
	p.single = false
	return p.flush(ctx)
}

func (p *parcel) flush(ctx context.Context) error {
	if p.b.rows == 0 {
		return nil
	}
	onConflict := api.ConflictSkip
	if p.single {
		onConflict = p.y.o.OnConflict
	}
	waits, err := p.y.ship(ctx, &p.b, p.keys, onConflict, !p.single)
	p.b, p.keys = batch{}, nil
	p.waits = append(p.waits, waits...)
	return err
}

// end sends what is left, and then once more the rows that were in each other's way.
func (p *parcel) end(ctx context.Context, conn *pgx.Conn) error {
	if err := p.flush(ctx); err != nil {
		return err
	}
	if p.single || len(p.waits) == 0 {
		p.y.remember(p.waits)
		return nil
	}
	return p.y.settle(ctx, conn, p.waits)
}

// settle sends rows again whose names were another's when they came.
func (y *syncer) settle(ctx context.Context, conn *pgx.Conn, waits []rowKey) error {
	for chunk := range slices.Chunk(waits, y.o.Batch) {
		last := &parcel{y: y, single: true}
		for _, shape := range sendOrder {
			found, err := y.read.rowsOf(ctx, conn, y.source.tables[shape], idsOf(shape, chunk))
			if err != nil {
				return err
			}
			for _, row := range found {
				if err := last.add(ctx, row); err != nil {
					return err
				}
				last.single = true
			}
		}
		if err := last.flush(ctx); err != nil {
			return err
		}
		y.remember(last.waits)
	}
	return nil
}

func idsOf(s *shape, rows []rowKey) (ids []string) {
	for _, row := range rows {
		if row.shape == s {
			ids = append(ids, row.id)
		}
	}
	return ids
}

// maxRetry bounds the rows whose names were another's, and that are tried again with later ones.
const maxRetry = 1000

func (y *syncer) remember(refused []rowKey) {
	for _, row := range refused {
		if len(y.retry) < maxRetry {
			y.retry[row] = true
		}
	}
}

// ship has a batch kept and returns the rows that were refused because of others. Where these are on hold, they come once
// more, and what is to be said of them is said then.
func (y *syncer) ship(ctx context.Context, b *batch, keys map[string]rowKey, onConflict string, hold bool) (waits []rowKey, err error) {
	news := y.seen.sift(&b.request)
	y.count(api.ImportResponse{}, b.refused)
	for _, n := range b.notes {
		if err := y.note(n); err != nil {
			return nil, err
		}
	}
	if rowsIn(&b.request) == 0 && b.request.Cursor == "" {
		return nil, nil
	}
	answer, err := y.request(ctx, b.request, onConflict, false)
	if err != nil {
		return nil, err
	}
	later := 0 // rows that were refused for now
	defer func() { y.status.set(func(s *SyncStatus) { s.Refused -= int64(later) }) }()
	for _, n := range answer.Notes {
		if y.held != nil && slices.Contains(b.request.Deleted, api.ImportDeleted{Kind: n.Kind, ID: n.ID}) && n.Outcome == api.ImportRefused && (n.Kind == rolesShape.kind || n.Kind == scopesShape.kind) {
			y.held[api.ImportDeleted{Kind: n.Kind, ID: n.ID}] = true
			later++
			continue // which is decided when those who hold it have come
		}
		if n.Outcome == api.ImportRefused {
			delete(news, seenKey{n.Kind, n.ID})
		}
		if key, known := keys[n.Kind+" "+n.ID]; known && conflicting(n) {
			waits = append(waits, key)
			if y.retry[key] || hold {
				later++
				continue // which was said when it came, or is when it is decided
			}
		}
		if err := y.note(n); err != nil {
			return nil, err
		}
	}
	y.seen.learn(news)
	return waits, nil
}

func rowsIn(r *api.ImportRequest) int {
	return len(r.Scopes) + len(r.Roles) + len(r.Users) + len(r.Clients) + len(r.Sessions) + len(r.Deleted)
}

// conflicting tells whether a row was refused because of another one, so that it may be taken later.
func conflicting(n api.ImportNote) bool {
	if n.Outcome != api.ImportRefused {
		return false
	}
	switch n.Field {
	case "username", "email", "client_id", "name", "user_id":
		return true
	}
	return false
}

// present are those of the ids that there are rows of.
func (y *syncer) present(ctx context.Context, conn *pgx.Conn, s *shape, ids []string) (map[string]bool, error) {
	there := map[string]bool{}
	t := y.source.tables[s]
	if t == nil {
		return there, nil
	}
	for chunk := range slices.Chunk(ids, 10*y.o.Batch) {
		rows, err := conn.Query(ctx, "SELECT "+t.column("id")+" FROM "+t.sql()+" WHERE "+t.among("id")+t.alive(), pgx.QueryResultFormats{pgx.TextFormatCode}, chunk)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			there[string(rows.RawValues()[0])] = true
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// among is the condition that a column holds one of the texts that are the first argument. They come from the source.
func (t *table) among(column string) string {
	return t.column(column) + " = ANY (CAST($1::text[] AS " + t.kind(column) + "[]))"
}

// rowsOf reads rows by their ids, and what they are linked to.
func (r *reader) rowsOf(ctx context.Context, conn *pgx.Conn, t *table, ids []string) ([]*row, error) {
	if t == nil || len(ids) == 0 {
		return nil, nil
	}
	names := make([]string, 0, len(t.columns))
	for _, c := range t.columns {
		names = append(names, pgx.Identifier{c}.Sanitize())
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s%s ORDER BY %s", strings.Join(names, ", "), t.sql(), t.among("id"), t.alive(), t.column("id"))
	found, err := r.collect(ctx, conn, t, sql, pgx.QueryResultFormats{pgx.TextFormatCode}, ids)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found, r.link(ctx, conn, t, found)
}
