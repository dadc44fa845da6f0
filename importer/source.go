// Package importer brings people, roles and clients out of a PostgreSQL database into a cluster, through the API
// as everybody does, and writes them back into one.
//
// An import reads the catalogue of the source before it reads a row, and rows in the order of their ids: so
// that it needs little memory, and goes on after any crash behind the last row that the cluster says it has.
package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Source is a database that people come from.
type Source struct {
	config    *pgx.ConnConfig
	mapping   Mapping
	user      string
	catalogue map[string]*relation // by documented names; nil = there is none
	relations []string             // names of all tables of the schema
	tables    map[*shape]*table    // that are read
	counts    map[*shape]int64     // their rows
}

// sourceWithin bounds how long the source may take to answer at first, unless its URL says another time.
const sourceWithin = 15 * time.Second

// Inspect connects to a source and reads its catalogue, without a demand on what is there.
func Inspect(ctx context.Context, url string, m Mapping) (*Source, error) {
	return inspect(ctx, url, m, func(*Source, *pgx.Conn) error { return nil })
}

// Open is Inspect for a source that is to be imported. Its error says in one sentence what stands in the way.
func Open(ctx context.Context, url string, m Mapping) (*Source, error) {
	return inspect(ctx, url, m, func(s *Source, conn *pgx.Conn) error {
		if err := s.plan(ctx, conn); err != nil {
			return err
		}
		return s.count(ctx, conn)
	})
}

func inspect(ctx context.Context, address string, m Mapping, then func(*Source, *pgx.Conn) error) (*Source, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil { // the error repeats the URL
		return nil, errors.New("the URL of the database cannot be read: it must look like postgres://user:password@host:5432/name")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = sourceWithin
	}
	// What these are on the server by default decides how it writes texts and times.
	for name, value := range map[string]string{"client_encoding": "UTF8", "datestyle": "ISO", "timezone": "UTC"} {
		config.RuntimeParams[name] = value
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "keystone import"
	}
	s := &Source{config: config, mapping: m, user: config.User, counts: map[*shape]int64{}}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		if err = s.read(ctx, conn); err == nil {
			err = then(s, conn)
		}
	}
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return s, nil
}

// HasPassword tells whether there is a password in the URL or connection string of a database.
func HasPassword(address string) bool {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		_, has := u.User.Password()
		return has || u.Query().Has("password")
	}
	return strings.Contains(address, "password")
}

// Where names the database, without the password.
func (s *Source) Where() string {
	return fmt.Sprintf("the database %s at %s", s.config.Database, s.config.Host)
}

// Name is under what the cluster remembers how far an import of the source has come, unless it is told another name:
// two databases never have the same one.
func (s *Source) Name() string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %d %q %q", s.config.Host, s.config.Port, s.config.Database, s.mapping.Schema))
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, s.config.Database)
	return plain[:min(len(plain), 40)] + "-" + hex.EncodeToString(digest[:4])
}

// count counts the rows that there are to read, for those who wait.
func (s *Source) count(ctx context.Context, conn *pgx.Conn) error {
	for shape, t := range s.tables {
		if !shape.ofRows() {
			continue
		}
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+t.sql()+" WHERE true"+t.alive()).Scan(&n); err != nil {
			return err
		}
		s.counts[shape] = n
	}
	return nil
}

// explain turns an error of the source into a sentence that says what to do. What PostgreSQL adds as details
// may be values of rows, and stays out.
func (s *Source) explain(ctx context.Context, err error) error {
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return fmt.Errorf("%s %w", s.Where(), s.refusal(refused))
	case errors.As(err, &unreachable):
		return fmt.Errorf("%s does not answer: see that it runs, and that the URL names the right host and port", s.Where())
	case lost(err):
		return fmt.Errorf("the connection to %s was lost: run the command again when it answers", s.Where())
	}
	return err
}

func (s *Source) refusal(e *pgconn.PgError) error {
	switch e.Code {
	case "28P01", "28000":
		return fmt.Errorf("refuses the user %s: check the user and the password in the URL", s.user)
	case "3D000":
		return errors.New("does not exist: correct the name in the URL")
	case "42501":
		return fmt.Errorf("does not let the user %s read everything (%s): grant it the right, or name another user", s.user, e.Message)
	case "53300":
		return errors.New("has no connection left: end others, or raise max_connections")
	case "57P01", "57P02", "57P03":
		return errors.New("is being shut down or started: run the command again when it answers")
	case "57014":
		return errors.New("ended a query that took too long: raise statement_timeout for the user, or in the URL by options=-cstatement_timeout=0")
	}
	return fmt.Errorf("answers with the error %s (%s)", e.Code, e.Message)
}

// lost tells whether the source may answer again after a while: it was stopped, or the network to it broke.
func lost(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "57P01", "57P02", "57P03", "53300", "40001":
			return true // shut down, crashed, starting; no connection left; a standby that took a row away
		}
		return strings.HasPrefix(refused.Code, "08")
	}
	var unreachable *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &unreachable) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, pgx.ErrTxClosed) || strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "conn closed")
}

// HashOf returns the hash of a user's password as the source has it.
func (s *Source) HashOf(ctx context.Context, username string) (hash string, found bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return "", false, s.explain(ctx, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	users := s.tables[usersShape]
	sql := fmt.Sprintf("SELECT coalesce(%s::text, '') FROM %s WHERE %s::text = $1 LIMIT 1", users.column("password_hash"), users.sql(), users.column("username"))
	err = conn.QueryRow(ctx, sql, username).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, s.explain(ctx, err)
	}
	return hash, true, nil
}
