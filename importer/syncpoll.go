package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/api"
)

// seen remembers what the rows of a source were like when they were sent, when polling: a digest of each, so that what is
// read again and again is sent only when it has changed. It is nil where the log tells what has.
type seen struct {
	seed maphash.Seed
	rows map[seenKey]uint64
	sent int // rows, since somebody asked
}

type seenKey struct{ kind, id string }

// sift leaves in a request what is not known yet, and returns the digests of that.
func (s *seen) sift(r *api.ImportRequest) map[seenKey]uint64 {
	if s == nil {
		return nil
	}
	news := map[seenKey]uint64{}
	r.Scopes = unseen(s, news, scopesShape.kind, r.Scopes, func(r *api.ImportScope) string { return r.ID })
	r.Roles = unseen(s, news, rolesShape.kind, r.Roles, func(r *api.ImportRole) string { return r.ID })
	r.Users = unseen(s, news, usersShape.kind, r.Users, func(r *api.ImportUser) string { return r.ID })
	r.Clients = unseen(s, news, clientsShape.kind, r.Clients, func(r *api.ImportClient) string { return r.ID })
	r.Sessions = unseen(s, news, tokensShape.kind, r.Sessions, func(r *api.ImportSession) string { return r.ID })
	if rowsIn(r) == 0 {
		r.Cursor = ""
	}
	s.sent += rowsIn(r)
	return news
}

func unseen[R any](s *seen, news map[seenKey]uint64, kind string, rows []R, id func(*R) string) (left []R) {
	for i := range rows {
		text, err := json.Marshal(&rows[i])
		digest := maphash.Bytes(s.seed, text)
		key := seenKey{kind, id(&rows[i])}
		if was, known := s.rows[key]; err != nil || !known || was != digest {
			news[key] = digest
			left = append(left, rows[i])
		}
	}
	return left
}

// learn takes the digests of rows that the cluster has.
func (s *seen) learn(news map[seenKey]uint64) {
	for key, digest := range news {
		s.rows[key] = digest
	}
}

// forget is for rows that are deleted: one that comes again is sent again.
func (s *seen) forget(kind, id string) {
	if s != nil {
		delete(s.rows, seenKey{kind, id})
	}
}

// restShare is what of its time the source is left alone: polls of a large one take long, and must not become its load.
const restShare = 9

// poll follows a source that tells of no changes: every few seconds by updated_at, and now and then by looking at all rows,
// since links have no updated_at and a deleted row has nothing at all.
func (y *syncer) poll(ctx context.Context) error {
	y.seen = &seen{seed: maphash.MakeSeed(), rows: map[seenKey]uint64{}}
	y.kept, y.part = syncPlace{phase: polling}, y.part+1
	y.status.set(func(s *SyncStatus) { s.Method, s.Phase = SyncPolling, copying })
	var since time.Time // of the source's clock, up to which everything is known
	var nextFull time.Time
	for {
		began := time.Now()
		full := !began.Before(nextFull)
		y.seen.sent = 0
		if err := y.steadily(ctx, func() error { return y.cycle(ctx, full, &since) }); err != nil {
			return err
		}
		y.worked = time.Now()
		took := y.worked.Sub(began)
		if full {
			nextFull = y.worked.Add(max(y.o.FullEvery, restShare*took))
			y.status.set(func(s *SyncStatus) { s.Phase = following })
		}
		y.polled(began)
		if y.o.UntilIdle && !full && y.seen.sent == 0 {
			return nil
		}
		if y.o.UntilIdle && full {
			continue
		}
		if err := y.rest(ctx, began, max(y.o.Every, restShare*took)); err != nil {
			return err
		}
	}
}

// rest waits, and says every second how old what the cluster has is.
func (y *syncer) rest(ctx context.Context, polled time.Time, d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if err := pause(ctx, min(left, guardEvery)); err != nil {
			return err
		}
		y.polled(polled)
	}
}

func (y *syncer) polled(at time.Time) {
	y.status.set(func(s *SyncStatus) { s.LagSeconds = time.Since(at).Seconds() })
	y.tell()
}

// cycle is one poll, or one look at everything.
func (y *syncer) cycle(ctx context.Context, full bool, since *time.Time) error {
	y.read.disconnect(ctx) // a snapshot of now
	now, err := y.clock(ctx)
	if err != nil {
		return err
	}
	if full {
		err = y.everything(ctx, position{})
	} else {
		err = y.updated(ctx, since.Add(-y.o.Overlap))
	}
	if err == nil {
		*since = now
	}
	return err
}

// clock returns when the snapshot was taken, by the source's clock.
func (y *syncer) clock(ctx context.Context) (now time.Time, err error) {
	err = y.read.steadily(ctx, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, "SELECT now()").Scan(&now) })
	return now, err
}

// updated sends the rows whose updated_at is later. It is that of the beginning of a transaction, or of the application's
// clock, and others see it when the transaction ends: so polls overlap, and what was seen is not sent again.
func (y *syncer) updated(ctx context.Context, since time.Time) error {
	p := &parcel{y: y}
	for _, s := range sendOrder {
		t := y.source.tables[s]
		if t == nil || s == tokensShape && !y.o.Sessions {
			continue
		}
		if _, ok := t.at["updated_at"]; !ok {
			continue // it is known when everything is looked at
		}
		after := [2]string{since.UTC().Format("2006-01-02 15:04:05.999999"), ""}
		for {
			var page []*row
			if err := y.read.steadily(ctx, func(conn *pgx.Conn) (err error) {
				page, err = y.read.updatedAfter(ctx, conn, t, after)
				return err
			}); err != nil {
				return err
			}
			for _, one := range page {
				after[0], _ = one.value("updated_at")
				after[1], _ = one.value("id")
				if err := p.add(ctx, one); err != nil {
					return err
				}
			}
			if len(page) < y.read.rows {
				break
			}
		}
	}
	if err := p.flush(ctx); err != nil || len(p.waits) == 0 {
		return err
	}
	return y.read.steadily(ctx, func(conn *pgx.Conn) error { return y.settle(ctx, conn, p.waits) })
}

// updatedAfter reads the rows behind a time and an id, in that order.
func (r *reader) updatedAfter(ctx context.Context, conn *pgx.Conn, t *table, after [2]string) ([]*row, error) {
	names := make([]string, 0, len(t.columns))
	for _, c := range t.columns {
		names = append(names, pgx.Identifier{c}.Sanitize())
	}
	at, id := t.column("updated_at"), t.column("id")
	where, args := at+" > CAST($1::text AS "+t.kind("updated_at")+")", []any{pgx.QueryResultFormats{pgx.TextFormatCode}, after[0]}
	if after[1] != "" {
		where = fmt.Sprintf("(%s, %s) > (CAST($1::text AS %s), CAST($2::text AS %s))", at, id, t.kind("updated_at"), t.kind("id"))
		args = append(args, after[1])
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s AND %s IS NOT NULL%s ORDER BY %s, %s LIMIT %d", strings.Join(names, ", "), t.sql(), where, id, t.alive(), at, id, r.rows)
	page, err := r.collect(ctx, conn, t, sql, args...)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	return page, r.link(ctx, conn, t, page)
}

// DropSync removes what a sync has left at the source, which keeps its log for it otherwise.
func (s *Source) DropSync(ctx context.Context, slot, publication string) (slotDropped, publicationDropped bool, err error) {
	if slotDropped, err = s.dropSlot(ctx, slot); err != nil || publication != DefaultPublication {
		return slotDropped, false, err // another publication was made by others
	}
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return slotDropped, false, s.explain(ctx, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)", publication).Scan(&exists)
	if err == nil && exists {
		_, err = conn.Exec(ctx, "DROP PUBLICATION "+pgx.Identifier{publication}.Sanitize())
	}
	if err != nil {
		return slotDropped, false, errors.Join(fmt.Errorf("the publication %s is left", publication), s.explain(ctx, err))
	}
	return slotDropped, exists, nil
}
