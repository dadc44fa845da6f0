package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// streamTick is how soon a stream answers to what happens here, while it waits for the source.
	streamTick = 50 * time.Millisecond
	// streamSign is how often the source is told that somebody is there: it gives up after wal_sender_timeout, 60 s.
	streamSign = 10 * time.Second
)

// stream receives the changes of the source from its slot.
type stream struct {
	conn    *pgconn.PgConn
	changes *changes
	tables  map[[2]string]*table // by schema and name
	known   map[uint32]*streamed // relations by the ids of the protocol

	kept   atomic.Uint64 // place in the log up to which the cluster has everything
	wanted atomic.Uint64 // place in the log that somebody waits for

	open    bool // within a transaction
	tx      transaction
	touched []rowKey
}

// streamed is a table of the plan as the stream has it.
type streamed struct {
	table *table // nil: it is not of the plan
	owner *shape // of what its rows are or belong to
	at    int    // column that holds the id of that
	name  string
}

// openStream connects for replication and begins to receive behind a place in the log.
func (s *Source) openStream(ctx context.Context, slot, publication string, from pglogrepl.LSN, sessions bool) (*stream, error) {
	conn, err := s.replicate(ctx)
	if err != nil {
		return nil, err
	}
	f := &stream{conn: conn, changes: newChanges(from), tables: map[[2]string]*table{}, known: map[uint32]*streamed{}}
	for _, t := range s.followed(sessions) {
		f.tables[[2]string{t.relation.schema, t.relation.name}] = t
	}
	f.kept.Store(uint64(from))
	err = pglogrepl.StartReplication(ctx, conn, slot, from, pglogrepl.StartReplicationOptions{
		PluginArgs: []string{"proto_version '1'", "publication_names " + literal(`"`+strings.ReplaceAll(publication, `"`, `""`)+`"`)},
	})
	if err != nil {
		f.close(ctx)
		return nil, err
	}
	return f, nil
}

// replicate opens a connection that speaks the replication protocol.
func (s *Source) replicate(ctx context.Context) (*pgconn.PgConn, error) {
	config := s.config.Config.Copy()
	config.RuntimeParams["replication"] = "database"
	return pgconn.ConnectConfig(ctx, config)
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func (f *stream) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = f.conn.Close(ctx)
}

// run receives until the context ends or the connection breaks. It never waits for the cluster, since the source
// gives up on those who do not answer it.
func (f *stream) run(ctx context.Context) error {
	var told time.Time
	kept := uint64(0)
	for {
		_, _, received := f.changes.waiting()
		hurry := f.wanted.Load() > uint64(received)
		// A source that is asked where it is answers at once; it must have time for its log between two answers.
		hurry = hurry && time.Since(told) > streamTick
		if now := f.kept.Load(); hurry || now != kept || time.Since(told) > streamSign {
			if err := f.sign(ctx, pglogrepl.LSN(now), hurry); err != nil {
				return err
			}
			kept, told = now, time.Now()
		}
		limited, cancel := context.WithTimeout(ctx, streamTick)
		message, err := f.conn.ReceiveMessage(limited)
		cancel()
		if ctx.Err() != nil {
			// The last word to the source is how far the cluster has come.
			return errors.Join(ctx.Err(), f.sign(ctx, pglogrepl.LSN(f.kept.Load()), false))
		}
		if pgconn.Timeout(err) {
			continue
		}
		if err != nil {
			return err
		}
		asked, err := f.receive(message)
		if err != nil {
			return err
		}
		if asked {
			told = time.Time{}
		}
	}
}

// sign tells the source that we are there, and up to where it can forget its log.
func (f *stream) sign(ctx context.Context, kept pglogrepl.LSN, answer bool) error {
	return pglogrepl.SendStandbyStatusUpdate(ctx, f.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: kept, ReplyRequested: answer})
}

func (f *stream) receive(message pgproto3.BackendMessage) (asked bool, err error) {
	switch m := message.(type) {
	case *pgproto3.ErrorResponse:
		return false, pgconn.ErrorResponseToPgError(m)
	case *pgproto3.CopyDone:
		return false, errors.New("conn closed")
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return false, nil
		}
		switch m.Data[0] {
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(m.Data[1:])
			if err == nil && !f.open {
				f.changes.passed(alive.ServerWALEnd)
			}
			return alive.ReplyRequested, err
		case pglogrepl.XLogDataByteID:
			data, err := pglogrepl.ParseXLogData(m.Data[1:])
			if err != nil {
				return false, err
			}
			return false, f.decode(data.WALData)
		}
	}
	return false, nil
}

// decode takes one message of pgoutput.
func (f *stream) decode(data []byte) error {
	message, err := pglogrepl.Parse(data)
	if err != nil {
		return fmt.Errorf("the source sent a change that cannot be read: %w", err)
	}
	switch m := message.(type) {
	case *pglogrepl.BeginMessage:
		f.open, f.touched = true, nil
		f.tx = transaction{xid: m.Xid, commit: m.FinalLSN, at: m.CommitTime}
	case *pglogrepl.CommitMessage:
		f.tx.commit, f.tx.end = m.CommitLSN, m.TransactionEndLSN
		f.changes.add(f.tx, f.touched)
		f.open, f.touched = false, nil
	case *pglogrepl.RelationMessage:
		return f.relation(m)
	case *pglogrepl.InsertMessage:
		return f.touch(m.RelationID, m.Tuple)
	case *pglogrepl.UpdateMessage: // the old row comes where its id is another one
		return f.touch(m.RelationID, m.OldTuple, m.NewTuple)
	case *pglogrepl.DeleteMessage:
		return f.touch(m.RelationID, m.OldTuple)
	case *pglogrepl.TruncateMessage:
		for _, id := range m.RelationIDs {
			if r := f.known[id]; r != nil && r.table != nil {
				return &truncatedError{r.name}
			}
		}
	}
	return nil
}

// relation learns what the columns of a table are, as the source says before the first change of it.
func (f *stream) relation(m *pglogrepl.RelationMessage) error {
	t := f.tables[[2]string{m.Namespace, m.RelationName}]
	r := &streamed{table: t, name: m.RelationName}
	f.known[m.RelationID] = r
	if t == nil {
		return nil
	}
	var column string
	r.owner, column = t.owner()
	r.at = slices.IndexFunc(m.Columns, func(c *pglogrepl.RelationMessageColumn) bool { return c.Name == column })
	if r.at < 0 {
		return fmt.Errorf("the source does not tell of the column %s of %s: take it into the publication, or correct the mapping", column, m.RelationName)
	}
	return nil
}

// touch notes which rows a change is about.
func (f *stream) touch(relation uint32, tuples ...*pglogrepl.TupleData) error {
	r := f.known[relation]
	if r == nil || r.table == nil {
		return nil
	}
	for _, tuple := range tuples {
		if tuple == nil {
			continue
		}
		if r.at >= len(tuple.Columns) {
			return fmt.Errorf("the source sent a row of %s with other columns than it told of: run the command again", r.name)
		}
		if c := tuple.Columns[r.at]; c.DataType == pglogrepl.TupleDataTypeText {
			f.touched = append(f.touched, rowKey{r.owner, string(c.Data)})
		}
	}
	return nil
}

// owner is what a row of the table is sent as, and the column with the id of that: a link belongs to the row that holds it.
func (t *table) owner() (s *shape, column string) {
	field := "id"
	s = t.shape
	switch t.shape {
	case roleScopesShape:
		s, field = rolesShape, "role_id"
	case userRolesShape:
		s, field = usersShape, "user_id"
	case clientScopesShape:
		s, field = clientsShape, "service_client_id"
	}
	return s, t.columns[t.at[field]]
}

// truncatedError says that the source has emptied a table at once. It may be a mistake there, and is never repeated here.
type truncatedError struct{ table string }

// Error implements error.
func (e *truncatedError) Error() string {
	return fmt.Sprintf("the table %s was emptied by TRUNCATE at the source, which is not repeated here: nothing was deleted; if that was meant, run keystone sync --drop, then keystone import and keystone sync, and see keystone verify", e.table)
}
