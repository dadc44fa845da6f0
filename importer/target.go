package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connectWithin bounds how long a database may take to answer at first, unless its URL says another time.
const connectWithin = 15 * time.Second

// withTarget connects to a database that is written to. The error that it returns is one sentence for people,
// without the password of the URL and without values of rows.
func withTarget(ctx context.Context, url string, use func(*pgx.Conn) error) error {
	config, err := pgx.ParseConfig(url)
	if err != nil { // the error repeats the URL
		return errors.New("the URL of the database cannot be read: it must look like postgres://user:password@host:5432/name")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "keystone"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		err = use(conn)
	}
	return targetError(ctx, config, err)
}

// targetError turns an error of the database into a sentence that says what to do. What PostgreSQL adds as details
// may be a row's values, and stays out.
func targetError(ctx context.Context, config *pgx.ConnConfig, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("it was stopped, and nothing was written: %w", ctx.Err())
	}
	where := place(config)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s %w", where, refusalOf(refused, config.User))
	}
	var unreachable *pgconn.ConnectError
	if errors.As(err, &unreachable) {
		return fmt.Errorf("%s does not answer: see that it runs and that the URL names the right host and port", where)
	}
	var lost net.Error
	if errors.As(err, &lost) || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the connection to %s was lost, and nothing was written: try again when it answers", where)
	}
	return err
}

// refusalOf is what to do about an error that PostgreSQL sent.
func refusalOf(e *pgconn.PgError, user string) error {
	switch e.Code {
	case "28P01", "28000":
		return fmt.Errorf("refuses the user %s: check the user and the password in the URL", user)
	case "3D000":
		return errors.New("does not exist: create it, or correct the name in the URL")
	case "42501":
		return fmt.Errorf("does not let the user %s do this (%s): grant it the right, or name another user", user, e.Message)
	case "25006":
		return errors.New("can only be read: name the primary, and not a standby of it")
	case "53100":
		return errors.New("has no room left on its disk, and nothing was written: make room and try again")
	case "53300":
		return errors.New("has no connection left: end others, or raise max_connections")
	case "55P03":
		return errors.New("has tables that another program holds, and nothing was written: try again when that one is done")
	case "57P01", "57P02", "57P03":
		return errors.New("is being shut down or started, and nothing was written: try again when it answers")
	case "KS001":
		return fmt.Errorf("holds rows in the table %s, which this would delete: nothing was changed; with --drop-rows they are deleted", e.Message)
	case "23505", "23514", "23502", "23503":
		return fmt.Errorf("has a rule that a row of the cluster breaks (%s of the table %s), and nothing was written: drop the rule, or change the row", e.ConstraintName, e.TableName)
	case "22001":
		return errors.New("has a column that is too short for a value of the cluster, and nothing was written: name an empty database, or one with the documented schema")
	}
	return fmt.Errorf("answers with the error %s (%s), and nothing was written", e.Code, e.Message)
}

// oldest is the first version of PostgreSQL that the export is tested with, in its own numbers.
const oldest = 15_00_00

// writable says what keeps a database from being migrated. PostgreSQL would tell as well, but goose takes its refusal for
// the trace of somebody who migrates at the same time, and tries again for a while.
func writable(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var schema string
	var readOnly, migrated, allowed bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('transaction_read_only') = 'on',
		coalesce(current_schema(), ''), to_regclass($1) IS NOT NULL, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)`,
		migrationsTable).Scan(&version, &readOnly, &schema, &migrated, &allowed)
	switch where := place(conn.Config()); {
	case err != nil:
		return err
	case version < oldest:
		return fmt.Errorf("%s is of PostgreSQL %d: Keystone wants 15 or newer", where, version/10_000)
	case readOnly:
		return fmt.Errorf("%s can only be read: name the primary, and not a standby of it", where)
	case schema == "":
		return fmt.Errorf("%s has no schema on the search path of the user %s: make one, or set search_path", where, conn.Config().User)
	case !migrated && !allowed:
		return fmt.Errorf("%s does not let the user %s make tables in the schema %s: grant it CREATE on the schema, or name another user", where, conn.Config().User, schema)
	}
	return nil
}

func place(config *pgx.ConnConfig) string {
	return fmt.Sprintf("the database %s at %s", config.Database, config.Host)
}
