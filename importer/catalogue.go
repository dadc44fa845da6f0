package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// relation is a table or view of the source as its catalogue has it.
type relation struct {
	schema, name string
	isTable      bool // and no view or foreign table, of which the catalogue knows no keys
	columns      []attribute
	unique       []string // columns that have a unique index for themselves
}

// attribute is a column of the source.
type attribute struct {
	name     string
	kind     string // as PostgreSQL writes the type, without its length
	nullable bool
	readable bool
}

func (r *relation) find(name string) (attribute, bool) {
	i := slices.IndexFunc(r.columns, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return attribute{}, false
	}
	return r.columns[i], true
}

func (r *relation) has(name string) bool {
	_, ok := r.find(name)
	return ok
}

// free are the names of the columns that are not used.
func (r *relation) free(used map[string]bool) (names []string) {
	for _, a := range r.columns {
		if !used[a.name] {
			names = append(names, a.name)
		}
	}
	return names
}

// table is a table of the source that is read, with the columns that are.
type table struct {
	shape    *shape
	relation *relation
	columns  []string       // the source's names, in the order in which they are read
	at       map[string]int // where among them the column of a documented name is
	missing  []string       // documented names
}

// sql is the name of the table for a query, whatever characters it holds.
func (t *table) sql() string { return pgx.Identifier{t.relation.schema, t.relation.name}.Sanitize() }

// column is the name of a column for a query.
func (t *table) column(name string) string {
	return pgx.Identifier{t.columns[t.at[name]]}.Sanitize()
}

// kind is the type of a column for a query.
func (t *table) kind(name string) string {
	a, _ := t.relation.find(t.columns[t.at[name]])
	return a.kind
}

// read reads the catalogue of the source: every table that the mapping may mean, and the names of all.
func (s *Source) read(ctx context.Context, conn *pgx.Conn) error {
	s.catalogue = map[string]*relation{}
	for _, shape := range shapes {
		name := s.mapping.table(shape)
		if name == "" {
			continue
		}
		found, err := relationOf(ctx, conn, s.mapping.Schema, name)
		if err != nil {
			return err
		}
		s.catalogue[shape.name] = found
	}
	rows, err := conn.Query(ctx, `
		SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
		  AND CASE WHEN $1 = '' THEN nspname = ANY (current_schemas(false)) ELSE nspname = $1 END
		ORDER BY 1 LIMIT 1000`, s.mapping.Schema)
	if err != nil {
		return err
	}
	s.relations, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

// relationOf looks a table up as a query would: in the schema, or else along the search path. There is
// none where it returns nil.
func relationOf(ctx context.Context, conn *pgx.Conn, schema, name string) (*relation, error) {
	var oid uint32
	r := &relation{}
	err := conn.QueryRow(ctx, `
		SELECT c.oid, n.nspname::text, c.relname::text, c.relkind IN ('r', 'p')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		  AND CASE WHEN $1 = '' THEN n.nspname = ANY (current_schemas(false)) ELSE n.nspname = $1 END
		ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1`, schema, name).Scan(&oid, &r.schema, &r.name, &r.isTable)
	if err != nil {
		if err == pgx.ErrNoRows { //nolint:errorlint // it is returned as it is
			return nil, nil
		}
		return nil, err
	}
	rows, err := conn.Query(ctx, `
		SELECT attname::text, format_type(atttypid, NULL), NOT attnotnull, has_column_privilege(attrelid, attnum, 'SELECT')
		FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, oid)
	if err != nil {
		return nil, err
	}
	if r.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a attribute, err error) {
		err = row.Scan(&a.name, &a.kind, &a.nullable, &a.readable)
		return a, err
	}); err != nil {
		return nil, err
	}
	rows, err = conn.Query(ctx, `
		SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL`, oid)
	if err != nil {
		return nil, err
	}
	r.unique, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return r, err
}

// plan decides which tables and columns are read. The error says what is missing that no import can do without.
func (s *Source) plan(ctx context.Context, conn *pgx.Conn) error {
	s.tables = map[*shape]*table{}
	for _, shape := range shapes {
		found, name := s.catalogue[shape.name], s.mapping.table(shape)
		switch {
		case name == "":
			if shape == usersShape {
				return fmt.Errorf("the mapping leaves out the table users, without which there is nothing to import")
			}
			continue
		case found == nil && shape.optional:
			continue
		case found == nil:
			return s.notFound(ctx, conn, shape, name)
		}
		t, err := s.tableOf(shape, found)
		if err != nil {
			return err
		}
		if t != nil {
			s.tables[shape] = t
		}
	}
	return nil
}

// notFound says where a table was looked for, and where there is one of its name.
func (s *Source) notFound(ctx context.Context, conn *pgx.Conn, shape *shape, name string) error {
	var elsewhere, path string
	err := conn.QueryRow(ctx, `
		SELECT coalesce((SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		         WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 1), ''),
		       array_to_string(current_schemas(false), ', ')`, name).Scan(&elsewhere, &path)
	if err != nil {
		return err
	}
	where := "the schema " + s.mapping.Schema
	if s.mapping.Schema == "" {
		where = "the search path (" + path + ")"
	}
	if elsewhere != "" {
		return fmt.Errorf("there is no table %s in %s, but one in the schema %s: name that with --schema", name, where, elsewhere)
	}
	advice := "name it in a mapping, see keystone import mapping"
	if shape != usersShape {
		advice += "; one with table: \"\" leaves it out"
	}
	return fmt.Errorf("there is no table %s in %s: %s", name, where, advice)
}

// tableOf chooses the columns of a table. There is none where one that is optional lacks what makes it useful.
func (s *Source) tableOf(shape *shape, found *relation) (*table, error) {
	t := &table{shape: shape, relation: found, at: map[string]int{}}
	var forbidden []string
	for _, f := range shape.fields {
		name := s.mapping.column(shape, f.name)
		a, ok := found.find(name)
		switch {
		case ok && !a.readable:
			forbidden = append(forbidden, name)
		case ok:
			t.at[f.name] = len(t.columns)
			t.columns = append(t.columns, name)
			continue
		case name != f.name && name != "":
			return nil, fmt.Errorf("there is no column %s in the table %s, which the mapping names for %s.%s", name, found.name, shape.name, f.name)
		}
		if f.essential && shape.optional && !ok {
			return nil, nil
		}
		if f.essential && !ok {
			return nil, fmt.Errorf("there is no column %s in the table %s, without which nobody can be imported: name the right one in a mapping, see keystone import mapping", f.name, found.name)
		}
		t.missing = append(t.missing, f.name)
	}
	if len(forbidden) > 0 {
		grant := fmt.Sprintf("GRANT SELECT ON %s TO %s", t.sql(), pgx.Identifier{s.user}.Sanitize())
		what := fmt.Sprintf("%s of the table %s", strings.Join(forbidden, ", "), found.name)
		if len(t.columns) == 0 {
			what = "the table " + found.name
		}
		return nil, fmt.Errorf("the user %s may not read %s: run %s as its owner, or name another user", s.user, what, grant)
	}
	if shape.ofRows() && found.isTable && !slices.Contains(found.unique, t.columns[t.at["id"]]) {
		return nil, fmt.Errorf("the column %s of the table %s has no unique index, by which rows are read in their order: make one",
			t.columns[t.at["id"]], found.name)
	}
	return t, nil
}

// PlannedTable is what an import does with a table.
type PlannedTable struct {
	Name    string   `json:"name"`           // in the documented schema
	Source  string   `json:"source"`         // in the database; "" = it has none
	Rows    int64    `json:"rows"`           // that are there
	Used    []string `json:"used"`           // columns, by the names of the database
	Ignored []string `json:"ignored"`        // columns that Keystone has no use for
	Missing []string `json:"missing"`        // columns of the documented schema that the database lacks
	Note    string   `json:"note,omitempty"` // why it is left out
}

// Plan returns what an import would read, in its order.
func (s *Source) Plan(sessions bool) (all []PlannedTable) {
	for _, shape := range shapes {
		t := s.tables[shape]
		p := PlannedTable{Name: shape.name}
		switch {
		case t == nil && s.mapping.table(shape) == "":
			p.Note = "left out by the mapping"
		case t == nil:
			p.Note = "not there, and not needed"
		case shape == tokensShape && !sessions:
			p.Source, p.Note = t.relation.schema+"."+t.relation.name, "left out: --sessions brings them in"
		default:
			p.Source, p.Rows, p.Used, p.Missing = t.relation.schema+"."+t.relation.name, s.counts[shape], t.columns, t.missing
			used := map[string]bool{}
			for _, c := range t.columns {
				used[c] = true
			}
			p.Ignored = t.relation.free(used)
		}
		all = append(all, p)
	}
	return all
}
