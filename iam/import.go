package iam

import "strconv"

// ImportKind says what a row of an import is.
type ImportKind uint8

// The kinds.
const (
	ImportScope   ImportKind = 1
	ImportRole    ImportKind = 2
	ImportUser    ImportKind = 3
	ImportClient  ImportKind = 4
	ImportSession ImportKind = 5
)

// ImportKinds are the names of the kinds.
var ImportKinds = [...]string{ImportScope: "scope", ImportRole: "role", ImportUser: "user", ImportClient: "client", ImportSession: "session"}

// String is the name of the kind.
func (k ImportKind) String() string {
	if k >= ImportScope && int(k) < len(ImportKinds) {
		return ImportKinds[k]
	}
	return strconv.Itoa(int(k))
}

// Import is how far an import from another system has come. It is written together with the rows that
// it counts, so that no crash can bring the two apart.
type Import struct {
	Source    string `cbor:"1,keyasint"`
	Cursor    string `cbor:"2,keyasint"` // a word of the importer's
	Created   int64  `cbor:"3,keyasint,omitempty"`
	Updated   int64  `cbor:"4,keyasint,omitempty"`
	Unchanged int64  `cbor:"5,keyasint,omitempty"`
	Deleted   int64  `cbor:"6,keyasint,omitempty"`
	Refused   int64  `cbor:"7,keyasint,omitempty"`
	StartedAt Time   `cbor:"8,keyasint"`
	UpdatedAt Time   `cbor:"9,keyasint"`
}

// Imported remembers what a row was like at its source when it was imported last. What is the same
// there is not written again, so that what was changed here since stays; and the source may delete
// only what it has brought.
type Imported struct {
	Kind    ImportKind `cbor:"1,keyasint"`
	ID      ID         `cbor:"2,keyasint"` // at the source
	Source  string     `cbor:"3,keyasint"`
	Marks   []byte     `cbor:"4,keyasint"`           // a few bytes of the digest of each part of the row
	Here    ID         `cbor:"5,keyasint,omitzero"`  // the id here, where it is another one: a role or scope of the same name
	Adopted bool       `cbor:"6,keyasint,omitempty"` // it was here before the import, which must not delete it
	// Expires is when a session is over and nothing needs to be remembered of it.
	Expires Time `cbor:"7,keyasint,omitempty"`
	// PasswordSet is when the import set the password, of a source that does not tell when it was changed.
	PasswordSet Time `cbor:"8,keyasint,omitempty"`
}

// Local is the id of the row here.
func (i Imported) Local() ID {
	if i.Here.IsZero() {
		return i.ID
	}
	return i.Here
}

// LegacySession is a refresh token of another system. The first refresh with it makes a [Session] of it.
type LegacySession struct {
	ID        ID     `cbor:"1,keyasint"`
	UserID    ID     `cbor:"2,keyasint"`
	TokenHash string `cbor:"3,keyasint"` // PHC string of the whole token
	IssuedAt  Time   `cbor:"4,keyasint"`
	ExpiresAt Time   `cbor:"5,keyasint"`
	IP        string `cbor:"6,keyasint,omitempty"`
	UserAgent string `cbor:"7,keyasint,omitempty"`
}

// UnusableHash stands in the place of a password hash that nobody can verify: no password fits it,
// and a new one can be set as always.
const UnusableHash = "!"

// What an import does with a row whose name is another row's already.
const (
	ConflictSkip   = "skip"
	ConflictRename = "rename"
	ConflictFail   = "fail"
)

// What came of a row of an import.
const (
	ImportCreated   = "created"
	ImportUpdated   = "updated"
	ImportUnchanged = "unchanged"
	ImportDeleted   = "deleted"
	ImportRefused   = "refused"
)

// Limits of an import.
const (
	MaxSourceName = 50   // bytes of the name of an import
	MaxCursor     = 1000 // bytes of its cursor
	MaxImportRows = 2000 // of one batch, of all kinds together
	// MaxHashLength bounds a password hash of another system, in bytes.
	MaxHashLength = 2048
)
