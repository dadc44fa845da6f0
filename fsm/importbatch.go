package fsm

import (
	"strings"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// ImportBatch takes over rows of another system together with how far the import has come. Invariant:
// the cursor moves exactly when the rows are kept, so that no crash loses one or takes it twice; and all
// that holds for the commands about single rows holds after it: names are unique, links lead somewhere,
// one administrator remains, and nobody holds a token that says more than the rows do.
//
// A row that is the same at its source as when it was imported last is left alone, and so is each part of
// a row: what was changed here meanwhile stays until the source changes the same. Its value is an ImportOutcome.
type ImportBatch struct {
	Source     string `cbor:"1,keyasint"`
	After      string `cbor:"2,keyasint"` // the cursor that the import has now
	Cursor     string `cbor:"3,keyasint"` // and once this batch is kept
	OnConflict string `cbor:"4,keyasint"` // iam.ConflictSkip, iam.ConflictRename or iam.ConflictFail
	// Superusers lets rows make superusers and change those that there are.
	Superusers bool `cbor:"5,keyasint,omitempty"`
	// Refused is how many rows the proposer had to leave out, for the counts.
	Refused int `cbor:"6,keyasint,omitempty"`

	Scopes   []iam.Scope         `cbor:"7,keyasint,omitempty"`
	Roles    []ImportedRole      `cbor:"8,keyasint,omitempty"`
	Users    []ImportedUser      `cbor:"9,keyasint,omitempty"`
	Clients  []ImportedClient    `cbor:"10,keyasint,omitempty"`
	Sessions []iam.LegacySession `cbor:"11,keyasint,omitempty"`
	Deleted  []ImportedKey       `cbor:"12,keyasint,omitempty"`

	// Rehearsal is of a batch that is only tried: it fits wherever the import stands.
	Rehearsal bool `cbor:"-"`
}

// ImportedRole is a role of another system, of which the scopes are known by their names.
type ImportedRole struct {
	Role   iam.Role `cbor:"1,keyasint"`
	Scopes []string `cbor:"2,keyasint,omitempty"`
}

// ImportedUser is a user of another system, of whom the roles are known by their names. The hash of the
// password is iam.UnusableHash where that of the source cannot be verified.
type ImportedUser struct {
	User  iam.User `cbor:"1,keyasint"`
	Roles []string `cbor:"2,keyasint,omitempty"`
	// Hash is the SHA-256 of the hash that the source has.
	Hash []byte `cbor:"3,keyasint"`
}

// ImportedClient is a client of another system, of which the scopes are known by their names. The hash
// of its secret is as of ImportedUser.
type ImportedClient struct {
	Client iam.Client `cbor:"1,keyasint"`
	Scopes []string   `cbor:"2,keyasint,omitempty"`
	Hash   []byte     `cbor:"3,keyasint,omitempty"`
}

// ImportedKey names a row by its id at the source.
type ImportedKey struct {
	Kind iam.ImportKind `cbor:"1,keyasint"`
	ID   iam.ID         `cbor:"2,keyasint"`
}

// ImportOutcome is what came of the rows of a batch.
type ImportOutcome struct {
	Created   int          `cbor:"1,keyasint,omitempty"`
	Updated   int          `cbor:"2,keyasint,omitempty"`
	Unchanged int          `cbor:"3,keyasint,omitempty"`
	Deleted   int          `cbor:"4,keyasint,omitempty"`
	Refused   int          `cbor:"5,keyasint,omitempty"`
	Notes     []ImportNote `cbor:"6,keyasint,omitempty"`
	// Denied says that something was taken away from somebody who may hold a token for it.
	Denied bool `cbor:"7,keyasint,omitempty"`
}

// ImportNote tells why a row was refused, or what is not as it came.
type ImportNote struct {
	Kind    iam.ImportKind `cbor:"1,keyasint"`
	ID      iam.ID         `cbor:"2,keyasint"`
	Outcome string         `cbor:"3,keyasint"` // iam.ImportCreated and so on
	Field   string         `cbor:"4,keyasint,omitempty"`
	Reason  string         `cbor:"5,keyasint"`
}

// Kind implements Command.
func (*ImportBatch) Kind() Kind { return kindImportBatch }

// Denies implements Command. Most batches take nothing away, and a million rows would take far longer if
// each batch waited for all nodes; ImportOutcome.Denied says of the others that they do.
func (*ImportBatch) Denies() bool { return false }

func (c *ImportBatch) event() Event { return Event{"import.batch", c.Source} }

// Rehearse tells what would come of a batch, and changes nothing. It looks at the batch alone: what
// batches before it would have brought is not there.
func Rehearse(s *store.Store, now iam.Time, c *ImportBatch) (out ImportOutcome, err error) {
	if _, err := Encode(Origin{}, now, c); err != nil {
		return out, err
	}
	tried := *c
	tried.Rehearsal = true
	err = s.Rehearse(func(tx *store.Tx) error {
		value, err := tried.apply(tx, Meta{Index: tx.Meta.Index + 1, At: max(now, tx.Meta.Time)})
		if err == nil {
			out = value.(ImportOutcome)
		}
		return err
	})
	return out, err
}

func (c *ImportBatch) apply(tx *store.Tx, m Meta) (any, error) {
	state, known := tx.Import(c.Source)
	if state.Cursor != c.After && !c.Rehearsal {
		refusal := iam.Errorf(iam.Conflict, "The import is at another place than this batch follows: read how far it has come and go on from there.")
		refusal.Fields = []iam.FieldError{{Field: "after", Message: "the cursor is " + state.Cursor}}
		return nil, refusal
	}
	b := &importing{batch: c, tx: tx, m: m, roles: map[string]iam.ID{}, scopes: map[string]iam.ID{}}
	take := b.take
	if c.OnConflict == iam.ConflictFail { // what is in the way of a row may be another one of this batch
		take = func() error { return tx.Attempt(b.take) }
	}
	if err := take(); err != nil {
		return nil, err
	}
	if !known {
		state.Source, state.StartedAt = c.Source, m.At
	}
	state.Cursor, state.UpdatedAt = c.Cursor, m.At
	state.Created += int64(b.out.Created)
	state.Updated += int64(b.out.Updated)
	state.Unchanged += int64(b.out.Unchanged)
	state.Deleted += int64(b.out.Deleted)
	state.Refused += int64(b.out.Refused + c.Refused)
	tx.PutImport(state)
	return b.out, nil
}

// importing is a batch on its way into the state.
type importing struct {
	batch *ImportBatch
	tx    *store.Tx
	m     Meta
	out   ImportOutcome
	// pending are notes about the row at hand, whose outcome is not known yet.
	pending []ImportNote
	// roles and scopes by name; the zero id is one that there is not.
	roles, scopes map[string]iam.ID
}

// take writes the rows, those at first that others refer to. What is deleted makes room for names. An error
// refuses the whole batch.
func (b *importing) take() error {
	for _, key := range b.batch.Deleted {
		b.delete(key)
	}
	for _, s := range b.batch.Scopes {
		b.scope(s)
	}
	for _, r := range b.batch.Roles {
		b.role(r)
	}
	if err := inTurn(b, b.batch.Users, b.user); err != nil {
		return err
	}
	if err := inTurn(b, b.batch.Clients, b.client); err != nil {
		return err
	}
	for _, s := range b.batch.Sessions {
		b.session(s)
	}
	return nil
}

// inTurn takes rows whose names may be in each other's way. One that finds its name taken waits until the
// others are done, for one of them may give the name up.
func inTurn[R any](b *importing, rows []R, take func(row R, last bool) (waits bool, err error)) error {
	var waiting []R
	for _, row := range rows {
		waits, err := take(row, false)
		if err != nil {
			return err
		}
		if waits {
			b.pending = nil
			waiting = append(waiting, row)
		}
	}
	for _, row := range waiting {
		if _, err := take(row, true); err != nil {
			return err
		}
	}
	return nil
}

// note says something about the row at hand.
func (b *importing) note(field, reason string) {
	b.pending = append(b.pending, ImportNote{Field: field, Reason: reason})
}

// done says what came of the row at hand.
func (b *importing) done(kind iam.ImportKind, id iam.ID, outcome string) {
	switch outcome {
	case iam.ImportCreated:
		b.out.Created++
	case iam.ImportUpdated:
		b.out.Updated++
	case iam.ImportUnchanged:
		b.out.Unchanged++
	case iam.ImportDeleted:
		b.out.Deleted++
	case iam.ImportRefused:
		b.out.Refused++
	}
	for _, n := range b.pending {
		n.Kind, n.ID, n.Outcome = kind, id, outcome
		b.out.Notes = append(b.out.Notes, n)
	}
	b.pending = nil
}

// refuse leaves the row at hand out, for a reason. What was noted of it before does not matter then.
func (b *importing) refuse(kind iam.ImportKind, id iam.ID, field, reason string) {
	b.pending = nil
	b.note(field, reason)
	b.done(kind, id, iam.ImportRefused)
}

// known is what is remembered of a row from this source.
func (b *importing) known(kind iam.ImportKind, id iam.ID) (rec iam.Imported, known bool) {
	rec, known = b.tx.Imported(kind, id)
	if !known || rec.Source != b.batch.Source {
		return iam.Imported{}, false // another import brought it: all of the row counts
	}
	return rec, true
}

// remember is the inverse of known. It writes only what is news.
func (b *importing) remember(rec iam.Imported) {
	rec.Source = b.batch.Source
	b.tx.PutImported(rec)
}

// goneHere is why a row is not made anew that was imported and deleted here since: an administrator
// who has removed an account must not find it again because the source touched its row.
const goneHere = "it was deleted here since it was imported: an import under another name brings it again"

// named finds the rows of those names, and says which there are not.
func (b *importing) named(field, what string, names []string, cache map[string]iam.ID, find func(string) (iam.ID, bool)) (found []iam.ID, all bool) {
	var missing []string
	for _, name := range names {
		id, asked := cache[name]
		if !asked {
			id, _ = find(name)
			cache[name] = id
		}
		if id.IsZero() {
			missing = append(missing, name)
		} else {
			found = append(found, id)
		}
	}
	if len(missing) > 0 {
		const most = 5 // an answer must not be many times as long as its question
		more := ""
		if len(missing) > most {
			missing, more = missing[:most], " and more"
		}
		b.note(field, "there is no "+what+" of the name "+strings.Join(missing, ", ")+more)
	}
	return distinct(found), len(missing) == 0
}

func (b *importing) scopesNamed(names []string) (found []iam.ID, all bool) {
	return b.named("scopes", "scope", names, b.scopes, func(name string) (iam.ID, bool) {
		s, ok := b.tx.ScopeByName(name)
		return s.ID, ok
	})
}

func (b *importing) rolesNamed(names []string) (found []iam.ID, all bool) {
	return b.named("roles", "role", names, b.roles, func(name string) (iam.ID, bool) {
		r, ok := b.tx.RoleByName(name)
		return r.ID, ok
	})
}

// ForgetImport forgets how far an import has come, so that it can begin again. What its rows were like stays
// remembered: they are compared, and not written anew.
type ForgetImport struct {
	Source string `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*ForgetImport) Kind() Kind { return kindForgetImport }

// Denies implements Command.
func (*ForgetImport) Denies() bool { return false }

func (c *ForgetImport) event() Event { return Event{"import.forgotten", c.Source} }

// Validate implements Command.
func (c *ForgetImport) Validate() error { return checkSource(c.Source) }

func (c *ForgetImport) apply(tx *store.Tx, _ Meta) (any, error) {
	if _, known := tx.Import(c.Source); !known {
		return nil, iam.Errorf(iam.NotFound, "There is no import of this name.")
	}
	tx.DeleteImport(c.Source)
	return nil, nil
}
