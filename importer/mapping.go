package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mapping says how a database that differs from the documented schema is named.
type Mapping struct {
	Schema string                  `yaml:"schema"` // "" = as the search path has it
	Tables map[string]TableMapping `yaml:"tables"` // by documented names
}

// TableMapping is a table of the documented schema as the source has it. No table at all leaves it out.
type TableMapping struct {
	Table   *string            `yaml:"table"`   // the source's name; missing = the documented one, "" = there is none
	Columns map[string]*string `yaml:"columns"` // the source's names by documented ones; "" or null = there is none
}

// maxMapping bounds the file of a mapping: what is longer was named by mistake.
const maxMapping = 1 << 20

// ReadMapping reads a mapping and says what in it cannot be meant.
func ReadMapping(path string) (m Mapping, err error) {
	file, err := os.Open(path)
	if err != nil {
		return m, fmt.Errorf("the mapping cannot be read: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxMapping))
	if err != nil {
		return m, fmt.Errorf("the mapping cannot be read: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		return m, fmt.Errorf("the mapping %s cannot be read: %s", path, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", " "))
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("the mapping %s %w", path, err)
	}
	return m, nil
}

func (m Mapping) check() error {
	for _, name := range slices.Sorted(maps.Keys(m.Tables)) {
		s := shapeOf(name)
		if s == nil {
			return fmt.Errorf("names the table %q, which the documented schema does not have, or which is not imported: see keystone import mapping", name)
		}
		for _, column := range slices.Sorted(maps.Keys(m.Tables[name].Columns)) {
			if _, known := s.field(column); !known {
				return fmt.Errorf("names the column %q of %s, which the documented schema does not have, or which is not imported: see keystone import mapping", column, name)
			}
		}
	}
	return nil
}

func shapeOf(name string) *shape {
	i := slices.IndexFunc(shapes, func(s *shape) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return shapes[i]
}

// table is what the source calls a table; "" where it is left out.
func (m Mapping) table(s *shape) string {
	if t := m.Tables[s.name].Table; t != nil {
		return *t
	}
	return s.name
}

// column is what the source calls a column; "" where it is left out.
func (m Mapping) column(s *shape, name string) string {
	theirs, said := m.Tables[s.name].Columns[name]
	switch {
	case !said:
		return name
	case theirs == nil:
		return ""
	}
	return *theirs
}

// WriteMapping writes a mapping for a source to begin with: what is named as documented is commented out,
// and what is not is guessed where its name says enough.
func (s *Source) WriteMapping(out io.Writer) error {
	var w strings.Builder
	w.WriteString(`# How the database that people come from is named, for keystone import --mapping.
# On the left are the names of the documented schema, on the right those of the database. A line that is
# commented out is as the documented schema has it. table: "" leaves a table out, column: "" a column.

`)
	if s.mapping.Schema != "" {
		fmt.Fprintf(&w, "schema: %s\n\n", yamlText(s.mapping.Schema))
	} else {
		w.WriteString("# schema: public\n\n")
	}
	w.WriteString("tables:\n")
	for _, shape := range shapes {
		s.writeTable(&w, shape)
	}
	_, err := io.WriteString(out, w.String())
	return err
}

func (s *Source) writeTable(w *strings.Builder, shape *shape) {
	name, found := s.mapping.table(shape), s.catalogue[shape.name]
	if found == nil {
		if guess := nearest(shape.name, s.relations); guess != "" {
			fmt.Fprintf(w, "  %s:\n    table: %s # a guess; run this again with the line set, for its columns\n", shape.name, yamlText(guess))
		} else {
			fmt.Fprintf(w, "  %s:\n    table: \"\" # not found; there are %s\n", shape.name, listed(s.relations, 30))
		}
		return
	}
	fmt.Fprintf(w, "  %s:\n    %stable: %s\n    columns:\n", shape.name, comment(name == shape.name), yamlText(name))
	used := map[string]bool{}
	for _, f := range shape.fields {
		theirs := s.mapping.column(shape, f.name)
		if found.has(theirs) {
			used[theirs] = true
		}
	}
	for _, f := range shape.fields {
		theirs := s.mapping.column(shape, f.name)
		remark := ""
		if !found.has(theirs) {
			guess := nearest(f.name, found.free(used))
			used[guess] = true
			theirs, remark = guess, " # not found"
			if guess != "" {
				remark = " # a guess"
			}
			if f.essential {
				remark += "; there must be one"
			}
		}
		fmt.Fprintf(w, "      %s%s: %s%s\n", comment(theirs == f.name), f.name, yamlText(theirs), remark)
	}
	if rest := found.free(used); len(rest) > 0 {
		fmt.Fprintf(w, "      # not used: %s\n", listed(rest, 100))
	}
}

func comment(out bool) string {
	if out {
		return "# "
	}
	return ""
}

// yamlText writes a name so that YAML reads it as a text.
func yamlText(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil {
		return `""`
	}
	return strings.TrimSpace(string(text))
}

// listed names at most so many, on one line: a name may hold anything, and ends no comment.
func listed(names []string, most int) string {
	if len(names) == 0 {
		return "none"
	}
	var quoted []string
	for i, name := range names {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		quoted = append(quoted, strings.Map(func(r rune) rune {
			if r < ' ' {
				return '?'
			}
			return r
		}, name))
	}
	return strings.Join(quoted, ", ")
}

// synonyms are names that other systems use for what the documented schema has.
var synonyms = map[string][]string{
	"users":           {"accounts", "user", "people", "members", "authuser"},
	"roles":           {"role", "groups", "authgroup"},
	"scopes":          {"scope", "permissions", "authpermission"},
	"service_clients": {"clients", "oauthclients", "applications"},
	"user_roles":      {"usergroups", "authusergroups", "accountroles", "usersroles"},
	"role_scopes":     {"rolepermissions", "authgrouppermissions", "rolesscopes"},
	"username":        {"login", "loginname", "name", "handle"},
	"email":           {"mail", "emailaddress"},
	"password_hash":   {"password", "passwd", "hash", "passwordhash", "encryptedpassword", "hashedpassword", "passworddigest"},
	"first_name":      {"givenname"},
	"last_name":       {"surname", "familyname"},
	"display_name":    {"fullname", "nickname"},
	"is_active":       {"active", "enabled"},
	"is_verified":     {"verified", "emailverified", "emailconfirmed"},
	"is_superuser":    {"superuser", "isadmin", "admin"},
	"last_login":      {"lastloginat", "lastsigninat"},
	"created_at":      {"created", "createdon", "datejoined", "insertedat"},
	"updated_at":      {"updated", "updatedon", "modifiedat", "modified"},
	"user_id":         {"accountid"},
	"role_id":         {"groupid"},
	"scope_id":        {"permissionid"},
	"id":              {"uuid", "guid"},
}

// nearest is the name among those that means the same as a documented one, or "".
func nearest(documented string, among []string) string {
	plain := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
	}
	for _, want := range append([]string{plain(documented)}, synonyms[documented]...) {
		for _, name := range among {
			if plain(name) == want {
				return name
			}
		}
	}
	return ""
}
