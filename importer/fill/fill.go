// Package fill makes a database with the documented schema and people in it: as many as wanted, always the same ones,
// and with the mess of databases that have been in use for years. Tests and measurements import it.
package fill

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Schema is the documented schema.
//
//go:embed schema.sql
var Schema string

// Password is that of every user whose hash can be verified.
const Password = "Zx9!kestrel-Moor" //nolint:gosec // of people who do not exist

// hashes are of Password, in forms that systems use. Most users have the first one.
var hashes = []string{
	"$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4",
	"$2b$06$abcdefghijklmnopqrstuuUTZxn72n0QwArp5uDmpa3DNyUUP4nVO",
	"pbkdf2_sha256$10000$saltsaltsalt$c1Dq9ytJPBOXNqLYqbUkruWDvzPcqTNU67Hnt9VJW2o=",
	"$6$saltsaltsalt$l5lC1aJVodsZXBbhGEmDDxxV4fe2ETFH1KFY5OQCypRmxvBjDALMDkG79Jzr4QM3vLbi9ykJBN.AlFF911QCR1",
}

// What of a messy database is wrong with a row.
const (
	CaseTwins     = "a username that differs from another one in letter case alone"
	SharedEmail   = "an e-mail address of another user"
	LongName      = "a username that is too long"
	NullEmail     = "no e-mail address"
	UnknownRole   = "a role that does not exist"
	UnknownHash   = "a password hash of an unknown form"
	AbsurdHash    = "a password hash that would take hours"
	OddCharacters = "a username with a blank, which is kept"
	NullHash      = "no password hash"
)

// Faults are all of them, in their order.
var Faults = []string{CaseTwins, SharedEmail, LongName, NullEmail, UnknownRole, UnknownHash, AbsurdHash, OddCharacters, NullHash}

// EachFault is how many rows have each fault.
const EachFault = 10

// Options say what is made.
type Options struct {
	Users, Roles, Clients int
	Tokens                int // refresh tokens that are alive; as many again are not
	Messy                 bool
	Seed                  uint64
}

// Filled says what was made.
type Filled struct {
	Users int                 // those with faults among them
	Messy map[string][]string // ids of the users with each fault
}

// scopesOfRole and so on bound the links, of which real databases have few a row.
const (
	scopesOfRole, rolesOfUser, scopesOfClient = 8, 3, 4
	scopes                                    = 40
)

// generator makes rows. What it returns depends on the seed alone.
type generator struct {
	rand   *rand.Rand
	o      Options
	scopes [][16]byte
	roles  [][16]byte
	filled Filled
	links  [][]any // user_roles, until they are written
}

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Into makes the documented schema in an empty database, and fills it.
func Into(ctx context.Context, url string, o Options) (Filled, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return Filled{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, Schema); err != nil {
		return Filled{}, err
	}
	if o.Messy {
		if _, err := conn.Exec(ctx, relax); err != nil {
			return Filled{}, err
		}
	}
	g := &generator{rand: rand.New(rand.NewPCG(o.Seed, 6)), o: o, filled: Filled{Messy: map[string][]string{}}} //nolint:gosec // the same rows each time, and none of them secret
	for _, step := range []func(context.Context, *pgx.Conn) error{g.fillScopes, g.fillRoles, g.fillUsers, g.fillClients, g.fillTokens} {
		if err := step(ctx, conn); err != nil {
			return Filled{}, err
		}
	}
	_, err = conn.Exec(ctx, "ANALYZE")
	return g.filled, err
}

// relax takes away the rules that real databases lack.
const relax = `
DROP INDEX ix_users_email;
ALTER TABLE users ALTER username TYPE text, ALTER email DROP NOT NULL, ALTER password_hash DROP NOT NULL;
ALTER TABLE user_roles DROP CONSTRAINT user_roles_role_id_fkey;
ALTER TABLE users ADD COLUMN marketing_consent boolean;
DROP TABLE user_sessions;`

func (g *generator) id() (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], g.rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], g.rand.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

func (g *generator) time() time.Time {
	return epoch.Add(time.Duration(g.rand.IntN(600*86400)) * time.Second).Add(time.Duration(g.rand.IntN(1_000_000)) * time.Microsecond)
}

// some chooses up to most of the ids, each of them once.
func (g *generator) some(of [][16]byte, most int) (chosen [][16]byte) {
	if len(of) == 0 {
		return nil
	}
	first, step := g.rand.IntN(len(of)), 1+g.rand.IntN(3)
	for i := range min(1+g.rand.IntN(most), (len(of)+step-1)/step) {
		chosen = append(chosen, of[(first+i*step)%len(of)])
	}
	return chosen
}

func copyRows(ctx context.Context, conn *pgx.Conn, table, columns string, n int, row func(i int) []any) error {
	i := 0
	_, err := conn.CopyFrom(ctx, pgx.Identifier{table}, strings.Fields(columns), pgx.CopyFromFunc(func() ([]any, error) {
		if i == n {
			return nil, nil
		}
		i++
		return row(i - 1), nil
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	return nil
}

func (g *generator) fillScopes(ctx context.Context, conn *pgx.Conn) error {
	return copyRows(ctx, conn, "scopes", "id name description resource", scopes, func(i int) []any {
		id := g.id()
		g.scopes = append(g.scopes, id)
		resource := fmt.Sprintf("thing%d", i/2)
		return []any{id, []string{"read:", "write:"}[i%2] + resource, "What the scope is for", resource}
	})
}

func (g *generator) fillRoles(ctx context.Context, conn *pgx.Conn) error {
	var links [][]any
	if err := copyRows(ctx, conn, "roles", "id name description created_at", g.o.Roles, func(i int) []any {
		id := g.id()
		g.roles = append(g.roles, id)
		for _, scope := range g.some(g.scopes, scopesOfRole) {
			links = append(links, []any{id, scope})
		}
		return []any{id, fmt.Sprintf("role-%03d", i), nil, g.time()}
	}); err != nil {
		return err
	}
	return copyRows(ctx, conn, "role_scopes", "role_id scope_id", len(links), func(i int) []any { return links[i] })
}

// userColumns are in the order of what user returns.
const userColumns = "id username email password_hash first_name last_name display_name bio is_active is_verified is_superuser last_login created_at updated_at"

func (g *generator) fillUsers(ctx context.Context, conn *pgx.Conn) error {
	messy := 0
	if g.o.Messy {
		messy = len(Faults) * EachFault
	}
	g.filled.Users = g.o.Users + messy
	// In pieces, between which the links are written: those of a million users would fill the memory.
	const piece = 50_000
	for at := 0; at < g.filled.Users; at += piece {
		n := min(piece, g.filled.Users-at)
		if err := copyRows(ctx, conn, "users", userColumns, n, func(i int) []any { return g.user(at + i) }); err != nil {
			return err
		}
		if err := copyRows(ctx, conn, "user_roles", "user_id role_id", len(g.links), func(i int) []any { return g.links[i] }); err != nil {
			return err
		}
		g.links = g.links[:0]
	}
	return nil
}

func (g *generator) user(i int) []any {
	id, name := g.id(), fmt.Sprintf("person%07d", i)
	hash := hashes[0]
	if i%10 == 9 {
		hash = hashes[1+i/10%(len(hashes)-1)]
	}
	row := []any{
		id, name, name + "@example.org", hash, "Ada", "Łovelace", "Ada Ł. \"the\" Countess\t№ " + name, nil,
		i%50 != 7, i%3 != 0, false, nil, g.time(), g.time(),
	}
	if i%2 == 0 {
		row[7], row[11] = "Two lines\nof a life, with a \\ and an emoji 🦆.", g.time()
	}
	links := g.some(g.roles, rolesOfUser)
	if i >= g.o.Users {
		links = g.spoil(Faults[(i-g.o.Users)/EachFault], (i-g.o.Users)%EachFault, row, links)
	}
	for _, role := range links {
		g.links = append(g.links, []any{id, role})
	}
	return row
}

// spoil gives a row a fault. Its twin is the user with that number.
func (g *generator) spoil(fault string, twin int, row []any, links [][16]byte) [][16]byte {
	switch fault {
	case CaseTwins:
		row[1] = fmt.Sprintf("PERSON%07d", twin)
	case SharedEmail:
		row[2] = fmt.Sprintf("person%07d@example.org", twin+EachFault) // other twins than those above
	case LongName:
		row[1] = row[1].(string) + strings.Repeat("o", 60)
	case NullEmail:
		row[2] = nil
	case UnknownRole:
		links = append(links, g.id())
	case UnknownHash:
		row[3] = "md5:0123456789abcdef0123456789abcdef"
	case AbsurdHash:
		row[3] = "$argon2id$v=19$m=4194304,t=1000,p=255$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4"
	case OddCharacters:
		row[1] = strings.Replace(row[1].(string), "person", "per son", 1)
	case NullHash:
		row[3] = nil
	}
	id := row[0].([16]byte)
	g.filled.Messy[fault] = append(g.filled.Messy[fault], text(id))
	return links
}

func text(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func (g *generator) fillClients(ctx context.Context, conn *pgx.Conn) error {
	const columns = "id client_id client_secret_hash name client_type is_active is_trusted access_token_lifetime rate_limit_per_minute rate_limit_per_hour total_requests allowed_ips created_at"
	var links [][]any
	if err := copyRows(ctx, conn, "service_clients", columns, g.o.Clients, func(i int) []any {
		id, allowed := g.id(), any(nil)
		if i%10 == 0 {
			allowed = "10.0.0.0/8, 192.0.2.7,2001:db8::1"
		}
		for _, scope := range g.some(g.scopes, scopesOfClient) {
			links = append(links, []any{id, scope})
		}
		return []any{
			id, fmt.Sprintf("service-%05d", i), hashes[0], fmt.Sprintf("Service %d", i), "confidential", i%20 != 0, i%100 == 1,
			3600, 60, 1000, g.rand.IntN(100_000), allowed, g.time(),
		}
	}); err != nil {
		return err
	}
	return copyRows(ctx, conn, "service_client_scopes", "service_client_id scope_id", len(links), func(i int) []any { return links[i] })
}

// fillTokens makes refresh tokens of the users: every other one is over.
func (g *generator) fillTokens(ctx context.Context, conn *pgx.Conn) error {
	if g.o.Tokens == 0 {
		return nil
	}
	_, err := conn.Exec(ctx, `
		INSERT INTO refresh_tokens (id, token_id, token_hash, expires_at, issued_at, is_revoked, is_used, user_id)
		SELECT md5('token ' || n)::uuid, 'token-' || n, $2, now() + CASE n % 2 WHEN 0 THEN interval '7 days' ELSE interval '-1 day' END,
		       now() - interval '1 hour', false, false, u.id
		FROM (SELECT id, row_number() OVER (ORDER BY id) AS k, count(*) OVER () AS all_of FROM users WHERE email LIKE 'person%@example.org' AND username LIKE 'person%') u
		JOIN generate_series(1, 2 * $1::bigint) n ON u.k = 1 + (n - 1) / 2 % u.all_of`, g.o.Tokens, hashes[0])
	return err
}
