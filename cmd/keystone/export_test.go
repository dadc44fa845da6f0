package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keystone-auth/keystone/internal/testpostgres"
)

// emptydatabase NAME makes an empty PostgreSQL database and puts its URL into the variable.
func emptyDatabase(ts *testscript.TestScript, t *testing.T, args []string) {
	ts.Setenv(args[0], testpostgres.Database(t))
}

// waitSQL URL QUERY VALUE waits until the query returns that value.
func waitSQL(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := pgx.Connect(ctx, args[0])
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }()
	for {
		var got any
		ts.Check(conn.QueryRow(ctx, args[1]).Scan(&got)) // fails when the time is over
		if fmt.Sprint(got) == args[2] {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sql URL STATEMENT runs a statement and prints the rows that it returns.
func runSQL(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, args[0])
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, args[1], pgx.QueryExecModeSimpleProtocol)
	ts.Check(err)
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return strings.Trim(fmt.Sprint(values), "[]"), err
	})
	ts.Check(err)
	_, err = fmt.Fprintln(ts.Stdout(), strings.Join(lines, "\n"))
	ts.Check(err)
}
