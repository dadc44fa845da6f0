package fsm

import (
	"crypto/sha256"
	"errors"
	"regexp"
	"slices"

	"github.com/keystone-auth/keystone/iam"
)

var sourceForm = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func checkSource(s string) error {
	if len(s) > iam.MaxSourceName || !sourceForm.MatchString(s) {
		return iam.Invalid("source", "must be 1 to %d letters, digits, dots, underscores or hyphens", iam.MaxSourceName)
	}
	return nil
}

func checkCursor(field, s string) error {
	if len(s) > iam.MaxCursor {
		return iam.Invalid(field, "must be at most %d bytes", iam.MaxCursor)
	}
	return iam.CheckText(field, s, iam.MaxCursor)
}

// Validate implements Command.
func (c *ImportBatch) Validate() error {
	for _, err := range []error{checkSource(c.Source), checkCursor("after", c.After), checkCursor("cursor", c.Cursor)} {
		if err != nil {
			return err
		}
	}
	switch {
	case c.Cursor == "":
		return iam.Invalid("cursor", "must not be empty")
	case c.OnConflict != iam.ConflictSkip && c.OnConflict != iam.ConflictRename && c.OnConflict != iam.ConflictFail:
		return iam.Invalid("on_conflict", "must be skip, rename or fail")
	case c.Refused < 0 || c.Refused+c.rows() > iam.MaxImportRows:
		return iam.Errorf(iam.PayloadTooLarge, "A batch has at most %d rows: split it.", iam.MaxImportRows)
	}
	if wrong := (&ImportBatch{Scopes: c.Scopes, Roles: c.Roles, Users: c.Users, Clients: c.Clients, Sessions: c.Sessions, Deleted: c.Deleted}).Sift(); len(wrong) > 0 {
		return iam.Invalid(wrong[0].Field, "%s", wrong[0].Reason)
	}
	return nil
}

func (c *ImportBatch) rows() int {
	return len(c.Scopes) + len(c.Roles) + len(c.Users) + len(c.Clients) + len(c.Sessions) + len(c.Deleted)
}

// Sift leaves out the rows that no state could take, counts them as refused and says what is wrong with
// them: one bad row in a million must not stop the others.
func (c *ImportBatch) Sift() (notes []ImportNote) {
	s := sieve{seen: map[ImportedKey]bool{}, notes: &notes}
	c.Scopes = sift(s, iam.ImportScope, c.Scopes, func(r iam.Scope) iam.ID { return r.ID }, checkImportedScope)
	c.Roles = sift(s, iam.ImportRole, c.Roles, func(r ImportedRole) iam.ID { return r.Role.ID }, checkImportedRole)
	c.Users = sift(s, iam.ImportUser, c.Users, func(r ImportedUser) iam.ID { return r.User.ID }, checkImportedUser)
	c.Clients = sift(s, iam.ImportClient, c.Clients, func(r ImportedClient) iam.ID { return r.Client.ID }, checkImportedClient)
	c.Sessions = sift(s, iam.ImportSession, c.Sessions, func(r iam.LegacySession) iam.ID { return r.ID }, checkLegacySession)
	c.Deleted = slices.DeleteFunc(slices.Clone(c.Deleted), func(key ImportedKey) bool {
		return s.refuses(key, checkKey(key))
	})
	c.Refused += len(notes)
	return notes
}

// sieve refuses rows one by one.
type sieve struct {
	seen  map[ImportedKey]bool
	notes *[]ImportNote
}

func sift[R any](s sieve, kind iam.ImportKind, rows []R, id func(R) iam.ID, check func(R) error) []R {
	return slices.DeleteFunc(slices.Clone(rows), func(row R) bool {
		err := check(row)
		if id(row).IsZero() {
			err = iam.Invalid("id", "must be a UUID")
		}
		return s.refuses(ImportedKey{kind, id(row)}, err)
	})
}

func (s sieve) refuses(key ImportedKey, err error) bool {
	if err == nil && s.seen[key] {
		err = iam.Invalid("id", "is that of another row of the batch")
	}
	s.seen[key] = true
	if err == nil {
		return false
	}
	note := ImportNote{Kind: key.Kind, ID: key.ID, Outcome: iam.ImportRefused, Reason: "is not valid"}
	var refusal *iam.Error
	if errors.As(err, &refusal) {
		note.Reason = refusal.Message
		if len(refusal.Fields) > 0 {
			note.Field, note.Reason = refusal.Fields[0].Field, refusal.Fields[0].Message
		}
	}
	*s.notes = append(*s.notes, note)
	return true
}

func checkKey(key ImportedKey) error {
	if key.Kind < iam.ImportScope || key.Kind > iam.ImportSession {
		return iam.Invalid("kind", "must be scope, role, user, client or session")
	}
	if key.ID.IsZero() {
		return iam.Invalid("id", "must be a UUID")
	}
	return nil
}

func checkImportedScope(s iam.Scope) error {
	if err := (&PutScope{Scope: s}).Validate(); err != nil {
		return err
	}
	return checkMoments(moment{"created_at", s.CreatedAt}, moment{"updated_at", s.UpdatedAt})
}

func checkImportedRole(r ImportedRole) error {
	if err := (&PutRole{Role: r.Role}).Validate(); err != nil {
		return err
	}
	if err := checkLinks("scopes", r.Scopes); err != nil {
		return err
	}
	return checkMoments(moment{"created_at", r.Role.CreatedAt}, moment{"updated_at", r.Role.UpdatedAt})
}

func checkImportedUser(r ImportedUser) error {
	u := r.User
	if err := checkUser(u); err != nil {
		return err
	}
	if err := checkImportedHash("password_hash", u.PasswordHash, r.Hash); err != nil {
		return err
	}
	if err := checkLinks("roles", r.Roles); err != nil {
		return err
	}
	return checkMoments(moment{"created_at", u.CreatedAt}, moment{"updated_at", u.UpdatedAt}, moment{"locked_until", u.LockedUntil},
		moment{"last_login", u.LastLogin}, moment{"password_changed_at", u.PasswordChangedAt})
}

func checkImportedClient(r ImportedClient) error {
	c := r.Client
	if err := c.Check(); err != nil {
		return err
	}
	if c.Type == iam.Confidential && !(len(c.SecretDigest) == sha256.Size && c.SecretHash == "" && len(r.Hash) == sha256.Size) {
		if err := checkImportedHash("client_secret_hash", c.SecretHash, r.Hash); err != nil {
			return err
		}
	}
	if c.TotalRequests < 0 {
		return iam.Invalid("total_requests", "must not be negative")
	}
	if err := checkLinks("scopes", r.Scopes); err != nil {
		return err
	}
	return checkMoments(moment{"created_at", c.CreatedAt}, moment{"updated_at", c.UpdatedAt}, moment{"last_used", c.LastUsed})
}

func checkLegacySession(s iam.LegacySession) error {
	switch {
	case s.UserID.IsZero():
		return iam.Invalid("user_id", "must be a UUID")
	case s.TokenHash == "" || len(s.TokenHash) > iam.MaxHashLength:
		return iam.Invalid("token_hash", "must be 1 to %d bytes", iam.MaxHashLength)
	case s.ExpiresAt == 0:
		return iam.Invalid("expires_at", "must be there")
	}
	for _, err := range []error{
		iam.CheckText("client_ip", s.IP, 64),
		iam.CheckText("user_agent", s.UserAgent, 256),
	} {
		if err != nil {
			return err
		}
	}
	return checkMoments(moment{"issued_at", s.IssuedAt}, moment{"expires_at", s.ExpiresAt})
}

func checkImportedHash(field, hash string, digest []byte) error {
	if hash == "" || len(hash) > iam.MaxHashLength || len(digest) != sha256.Size {
		return iam.Invalid(field, "must be 1 to %d bytes", iam.MaxHashLength)
	}
	return iam.CheckText(field, hash, iam.MaxHashLength)
}

// checkLinks bounds names. One that nothing here can have leads nowhere, which is noted and no reason to
// leave the row out.
func checkLinks(field string, names []string) error {
	for _, name := range names {
		if err := iam.CheckText(field, name, 100); err != nil {
			return err
		}
	}
	return nil
}

// moment is a time with the name of its member.
type moment struct {
	field string
	at    iam.Time
}

// checkMoments refuses times before 1970, which an index could not hold in their order.
func checkMoments(all ...moment) error {
	for _, m := range all {
		if m.at < 0 {
			return iam.Invalid(m.field, "must not be before 1970")
		}
	}
	return nil
}
