package importer

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationsTable remembers which migrations a database has. The name that goose would give it may be in use.
const migrationsTable = "keystone_migrations"

// Migration is one step of the schema.
type Migration struct {
	Version int64      `json:"version"`
	Name    string     `json:"name"`
	Applied bool       `json:"applied"`
	At      *time.Time `json:"applied_at,omitempty"`
}

// MigrateUp brings the schema of a database up to date, and returns what it did. Tables of the documented schema
// that are there are taken as they are, once it is clear that Keystone can write to them.
func MigrateUp(ctx context.Context, url string) ([]Migration, error) {
	var done []Migration
	err := withTarget(ctx, url, func(conn *pgx.Conn) error {
		if err := writable(ctx, conn); err != nil {
			return err
		}
		if err := checkTables(ctx, conn); err != nil {
			return err
		}
		return withMigrations(conn.Config(), func(p *goose.Provider) error {
			results, err := p.Up(ctx)
			done = applied(results, true)
			return err
		})
	})
	return done, err
}

// MigrateDown takes back the migration that was applied last. Tables that hold rows are dropped only with dropRows,
// and those that were there before Keystone never.
func MigrateDown(ctx context.Context, url string, dropRows bool) ([]Migration, error) {
	var done []Migration
	err := withTarget(ctx, url, func(conn *pgx.Conn) error {
		config := conn.Config()
		if dropRows {
			config.RuntimeParams["keystone.drop_rows"] = "yes"
		}
		return withMigrations(config, func(p *goose.Provider) error {
			result, err := p.Down(ctx)
			if errors.Is(err, goose.ErrNoNextVersion) {
				return errors.New("this database has no migration of Keystone that could be taken back")
			}
			if result != nil {
				done = applied([]*goose.MigrationResult{result}, false)
			}
			return err
		})
	})
	return done, err
}

// MigrateStatus returns all migrations, the first at first.
func MigrateStatus(ctx context.Context, url string) ([]Migration, error) {
	var all []Migration
	err := withTarget(ctx, url, func(conn *pgx.Conn) error {
		if err := writable(ctx, conn); err != nil {
			return err
		}
		return withMigrations(conn.Config(), func(p *goose.Provider) error {
			states, err := p.Status(ctx)
			for _, s := range states {
				m := migration(s.Source)
				if m.Applied = s.State == goose.StateApplied; m.Applied {
					at := s.AppliedAt.UTC()
					m.At = &at
				}
				all = append(all, m)
			}
			return err
		})
	})
	return all, err
}

// withMigrations calls use with the migrations of a database. Of several that run at the same time, the others wait.
func withMigrations(config *pgx.ConnConfig, use func(*goose.Provider) error) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 5))
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(migrationsTable), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	err = use(provider)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return partial.Err // the rest of it are words about goose
	}
	return err
}

func applied(results []*goose.MigrationResult, up bool) (all []Migration) {
	for _, r := range results {
		if r.Error == nil {
			m := migration(r.Source)
			m.Applied = up
			all = append(all, m)
		}
	}
	return all
}

func migration(s *goose.Source) Migration {
	_, name, _ := strings.Cut(strings.TrimSuffix(path.Base(s.Path), ".sql"), "_")
	return Migration{Version: s.Version, Name: strings.ReplaceAll(name, "_", " ")}
}

// foreignVersion refuses a database that a newer Keystone migrated: what it means by its tables is not known here.
func foreignVersion(ctx context.Context, conn *pgx.Conn) error {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	var newest int64
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+migrationsTable+" WHERE is_applied").Scan(&newest)
	if err == nil && newest > int64(len(entries)) {
		return fmt.Errorf("the schema of this database was made by a newer Keystone: use that version, nothing was changed")
	}
	return err
}
