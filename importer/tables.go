package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// column is a column that an export writes.
type column struct {
	name string
	form string // uuid, text, boolean, integer, time, texts or bytes
}

// target is a table that an export writes. Columns that others added to it are left alone.
type target struct {
	name    string
	owner   string // the column with the id of the user, role … of whom a row tells
	key     []string
	unique  []string // columns of which no two rows may have the same value, beside the key
	once    []string // columns that are written with a new row alone
	columns []column
}

// The tables, in the order in which rows can refer to others that are there already.
var (
	scopesTable = &target{
		name: "scopes", owner: "id", key: []string{"id"}, unique: []string{"name"},
		columns: columns("id uuid", "name text", "description text", "resource text", "created_at time", "updated_at time"),
	}
	rolesTable = &target{
		name: "roles", owner: "id", key: []string{"id"}, unique: []string{"name"},
		columns: columns("id uuid", "name text", "description text", "created_at time", "updated_at time"),
	}
	usersTable = &target{
		name: "users", owner: "id", key: []string{"id"}, unique: []string{"username", "email"},
		columns: columns("id uuid", "username text", "email text", "password_hash text",
			"first_name text", "last_name text", "display_name text", "bio text",
			"is_active boolean", "is_verified boolean", "is_superuser boolean",
			"last_login time", "locked_until time", "password_changed_at time", "created_at time", "updated_at time"),
	}
	clientsTable = &target{
		name: "service_clients", owner: "id", key: []string{"id"}, unique: []string{"client_id"},
		columns: columns("id uuid", "client_id text", "client_secret_hash text", "name text", "description text",
			"client_type text", "is_active boolean", "is_trusted boolean",
			"access_token_lifetime integer", "refresh_token_lifetime integer", "rate_limit_per_minute integer", "rate_limit_per_hour integer",
			"last_used time", "total_requests integer", "contact_email text", "website_url text", "allowed_ips text", "webhook_url text",
			"created_at time", "updated_at time"),
	}
	roleScopesTable = &target{
		name: "role_scopes", owner: "role_id", key: []string{"role_id", "scope_id"},
		columns: columns("role_id uuid", "scope_id uuid"),
	}
	userRolesTable = &target{
		name: "user_roles", owner: "user_id", key: []string{"user_id", "role_id"},
		columns: columns("user_id uuid", "role_id uuid"),
	}
	clientScopesTable = &target{
		name: "service_client_scopes", owner: "service_client_id", key: []string{"service_client_id", "scope_id"},
		columns: columns("service_client_id uuid", "scope_id uuid"),
	}
	sessionsTable = &target{
		name: "user_sessions", owner: "id", key: []string{"id"}, unique: []string{"session_id"},
		columns: columns("id uuid", "session_id text", "created_at time", "last_activity time", "expires_at time",
			"ip_address text", "user_agent text", "is_active boolean", "access_token_jti text", "user_id uuid", "updated_at time"),
	}
	besideScopes = &target{
		name: "keystone_scopes", owner: "scope_id", key: []string{"scope_id"},
		columns: columns("scope_id uuid", "action text"),
	}
	besideUsers = &target{
		name: "keystone_users", owner: "user_id", key: []string{"user_id"},
		columns: columns("user_id uuid", "username text", "previous_hashes texts"),
	}
	besideClients = &target{
		name: "keystone_clients", owner: "service_client_id", key: []string{"service_client_id"},
		columns: columns("service_client_id uuid", "audiences texts", "default_lifetime boolean", "previous_secret_hash text", "previous_secret_until time"),
	}
	besideSessions = &target{
		name: "keystone_sessions", owner: "session_id", key: []string{"session_id"},
		columns: columns("session_id uuid", "client_id text", "scopes texts", "authenticated_at time"),
	}
	settingsTable = &target{
		name: "keystone_settings", owner: "name", key: []string{"name"},
		columns: columns("name text", "value text"),
	}
	auditTable = &target{
		name: "keystone_audit", owner: "sequence", key: []string{"sequence"},
		columns: columns("sequence integer", "at time", "type text", "actor text", "target text", "result text", "reason text",
			"ip_address text", "user_agent text", "request_id text", "count integer", "previous_hash bytes", "hash bytes"),
	}
	// Refresh tokens of the old system that are alive still. Keystone's own have no form there.
	refreshTable = &target{
		name: "refresh_tokens", owner: "id", key: []string{"id"}, once: []string{"token_id"},
		columns: columns("id uuid", "token_id text", "token_hash text", "expires_at time", "issued_at time", "is_revoked boolean", "is_used boolean",
			"client_ip text", "user_agent text", "user_id uuid", "created_at time", "updated_at time"),
	}
)

// documented are the tables of the reference's schema.
var documented = []*target{
	scopesTable, rolesTable, usersTable, clientsTable, roleScopesTable, userRolesTable, clientScopesTable, sessionsTable, refreshTable,
}

// forms are the types of PostgreSQL that hold what an export writes.
var forms = map[string][]string{
	"uuid": {"uuid"}, "text": {"varchar", "text"}, "boolean": {"bool"}, "integer": {"int4", "int8"}, "time": {"timestamptz"},
}

func columns(list ...string) (all []column) {
	for _, text := range list {
		name, form, _ := strings.Cut(text, " ")
		all = append(all, column{name: name, form: form})
	}
	return all
}

// list is the names of the columns as SQL, each behind the prefix.
func (t *target) list(prefix string) string {
	names := t.names()
	for i := range names {
		names[i] = prefix + quoted(names[i])
	}
	return strings.Join(names, ", ")
}

func (t *target) names() (all []string) {
	for _, c := range t.columns {
		all = append(all, c.name)
	}
	return all
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// present is a column as the catalogue has it.
type present struct {
	name, kind  string
	mustBeGiven bool // no default, and not null
}

// checkTables says what keeps the tables that are there from being written to: those of the old system
// may differ from the documented schema. A table that is missing is right, for it will be made.
func checkTables(ctx context.Context, conn *pgx.Conn) error {
	for _, t := range documented {
		found, kind, err := describe(ctx, conn, t.name)
		switch {
		case err != nil:
			return err
		case kind == "":
			continue
		case kind != "r" && kind != "p":
			return fmt.Errorf("%s is a view or something else in this database and not a table: name an empty database, or one with the documented schema", t.name)
		}
		if err := t.fits(found); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) fits(found []present) error {
	for _, want := range t.columns {
		i := slices.IndexFunc(found, func(p present) bool { return p.name == want.name })
		if i < 0 {
			return fmt.Errorf("the table %s of this database has no column %s: name an empty database, or one with the documented schema", t.name, want.name)
		}
		if !slices.Contains(forms[want.form], found[i].kind) {
			return fmt.Errorf("the column %s.%s of this database is of the type %s where %s is wanted: name an empty database, or one with the documented schema",
				t.name, want.name, found[i].kind, forms[want.form][0])
		}
	}
	for _, p := range found {
		if p.mustBeGiven && !slices.Contains(t.names(), p.name) {
			return fmt.Errorf("the table %s of this database has the column %s, which wants a value that Keystone does not have: give it a default", t.name, p.name)
		}
	}
	return nil
}

// describe returns the columns of a table and what it is, "" where there is no such table.
func describe(ctx context.Context, conn *pgx.Conn, name string) (found []present, kind string, err error) {
	err = conn.QueryRow(ctx, `SELECT coalesce((SELECT relkind::text FROM pg_class WHERE oid = to_regclass($1)), '')`, name).Scan(&kind)
	if err != nil || kind == "" {
		return nil, "", err
	}
	rows, err := conn.Query(ctx, `
		SELECT a.attname, t.typname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
		FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, name)
	if err != nil {
		return nil, "", err
	}
	found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p present, err error) {
		err = row.Scan(&p.name, &p.kind, &p.mustBeGiven)
		return p, err
	})
	return found, kind, err
}
