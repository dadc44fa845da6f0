package importer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

// copy reads all of the source once, after its slot was made and before it is followed. What changes meanwhile is in the log
// behind the slot, so that nothing is lost between the two; and rows that an import has brought are the same, and cost
// little. A copy that was broken off goes on behind the last row that the cluster has.
func (y *syncer) copy(ctx context.Context) error {
	y.status.set(func(s *SyncStatus) { s.Phase = copying })
	if err := y.everything(ctx, y.kept.copied); err != nil {
		return err
	}
	y.kept = syncPlace{phase: following, lsn: y.kept.lsn, slot: y.o.Slot, system: y.system}
	y.part = 0
	_, err := y.request(ctx, api.ImportRequest{}, y.o.OnConflict, true)
	return err
}

// everything makes the cluster what the source is now, behind a position: rows that are gone, then all that are there.
func (y *syncer) everything(ctx context.Context, from position) error {
	y.read.disconnect(ctx) // a snapshot of now
	if err := y.gone(ctx); err != nil {
		return err
	}
	batches := make(chan *batch, 2)
	var waits []rowKey
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return y.read.run(groupCtx, from, batches)
	})
	group.Go(func() error {
		for b := range batches {
			if b.request.Cursor == ended || groupCtx.Err() != nil {
				continue
			}
			if y.kept.phase == copying {
				if at, err := parsePosition(b.request.Cursor); err == nil && at.table != "" {
					y.kept.copied = at
				}
			}
			more, err := y.ship(groupCtx, b, y.keysOf(&b.request), api.ConflictSkip, true)
			if err != nil {
				return err
			}
			waits = append(waits, more...)
		}
		return groupCtx.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return y.read.steadily(ctx, func(conn *pgx.Conn) error {
		if err := y.settle(ctx, conn, waits); err != nil {
			return err
		}
		return y.deleteHeld(ctx, conn)
	})
}

// deleteHeld deletes roles and scopes that could not be deleted while many held them, now that these have come as well.
// One whose name the source has again, under another id, has been taken over by that, and stays.
func (y *syncer) deleteHeld(ctx context.Context, conn *pgx.Conn) error {
	held := y.held
	y.held = nil // what is refused now is told
	defer func() { y.held = map[api.ImportDeleted]bool{} }()
	p := &parcel{y: y}
	for _, s := range []*shape{rolesShape, scopesShape} {
		for one := range held {
			if one.Kind != s.kind {
				continue
			}
			again, err := y.namedAgain(ctx, conn, s, one.ID)
			if err != nil {
				return err
			}
			if again {
				continue
			}
			if err := p.delete(ctx, s, one.ID); err != nil {
				return err
			}
		}
	}
	return p.flush(ctx)
}

// namedAgain tells whether the source has a row of the name that a row has in the cluster.
func (y *syncer) namedAgain(ctx context.Context, conn *pgx.Conn, s *shape, id string) (again bool, err error) {
	name := ""
	err = y.send.steadily(ctx, func(ctx context.Context, c *client.Client) error {
		if s == rolesShape {
			role, err := c.Role(ctx, id)
			name = role.Name
			return err
		}
		scope, err := c.Scope(ctx, id)
		name = scope.Name
		return err
	})
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return false, nil // it has another id here
	}
	if err != nil {
		return false, &clusterError{y.send.refusal(err)}
	}
	t := y.source.tables[s]
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.sql()+" WHERE "+t.column("name")+"::text = $1)", name).Scan(&again)
	return again, err
}

// keysOf are the rows of a request whose ids the source writes as the cluster does. Another one is not tried again.
func (y *syncer) keysOf(r *api.ImportRequest) map[string]rowKey {
	keys := map[string]rowKey{}
	add := func(s *shape, id string) { keys[s.kind+" "+id] = rowKey{s, id} }
	for _, s := range r.Scopes {
		add(scopesShape, s.ID)
	}
	for _, r := range r.Roles {
		add(rolesShape, r.ID)
	}
	for _, u := range r.Users {
		add(usersShape, u.ID)
	}
	for _, c := range r.Clients {
		add(clientsShape, c.ID)
	}
	return keys
}

// mostGone is how many rows of a kind may be gone before that is taken for a mistake, such as a database that was emptied
// or a URL that names another one: a twentieth, or a hundred.
func (y *syncer) mostGone(brought int) int {
	if y.o.MostDeleted > 0 {
		return y.o.MostDeleted
	}
	return max(100, brought/20)
}

// gone deletes the rows that an import brought and that the source has no more. None is deleted if there are too many.
func (y *syncer) gone(ctx context.Context) error {
	missing := map[*shape][]string{}
	for _, s := range deleteOrder {
		if y.source.tables[s] == nil || s == tokensShape && !y.o.Sessions {
			continue // nothing of that kind is followed
		}
		brought := 0
		for after := ""; ; {
			page, err := y.brought(ctx, s.kind, after)
			if err != nil {
				return err
			}
			brought += len(page.IDs)
			var there map[string]bool
			if err := y.read.steadily(ctx, func(conn *pgx.Conn) (err error) {
				there, err = y.there(ctx, conn, s, page.IDs)
				return err
			}); err != nil {
				return err
			}
			for _, id := range page.IDs {
				if !there[id] {
					missing[s] = append(missing[s], id)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		// Tokens end all the time, and whoever held one logs in again.
		if n := len(missing[s]); s != tokensShape && n > y.mostGone(brought) {
			return fmt.Errorf("%d of %d rows that came from %s are not there any more, which looks like a mistake: nothing was deleted; see that the database is the right one, and allow it with --most-deleted %d if it was meant", n, brought, s.name, n)
		}
	}
	p := &parcel{y: y}
	for _, s := range deleteOrder {
		for _, id := range missing[s] {
			if err := p.delete(ctx, s, id); err != nil {
				return err
			}
		}
	}
	return p.flush(ctx)
}

// brought asks the cluster for the ids of rows that came from the source.
func (y *syncer) brought(ctx context.Context, kind, after string) (page api.ImportedRows, err error) {
	err = y.send.steadily(ctx, func(ctx context.Context, c *client.Client) (err error) {
		page, err = c.ImportedRows(ctx, y.o.Name, kind, after)
		return err
	})
	if err != nil {
		err = &clusterError{y.send.refusal(err)}
	}
	return page, err
}

// there is present for ids as the cluster writes them, which the source may hold as texts in capitals.
func (y *syncer) there(ctx context.Context, conn *pgx.Conn, s *shape, ids []string) (map[string]bool, error) {
	found, err := y.present(ctx, conn, s, ids)
	t := y.source.tables[s]
	if err != nil || len(found) == len(ids) || t.kind("id") == "uuid" {
		return found, err
	}
	rows, err := conn.Query(ctx, "SELECT lower("+t.column("id")+"::text) FROM "+t.sql()+" WHERE lower("+t.column("id")+"::text) = ANY ($1::text[])"+t.alive(),
		pgx.QueryResultFormats{pgx.TextFormatCode}, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return found[id] }))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		found[strings.TrimSpace(string(rows.RawValues()[0]))] = true
	}
	return found, rows.Err()
}
