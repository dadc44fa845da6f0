package fsm

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// The parts of a user.
const (
	userName = iota
	userEmail
	userProfile
	userActive
	userVerified
	userSuper
	userRoles
	userPassword
	userRest
)

func partsOfUser(row ImportedUser) *parts {
	u, p := &row.User, &parts{marks: make([]byte, 0, (userRest+1)*markBytes)}
	p.add(u.Username)
	p.add(u.Email)
	p.add(u.FirstName, u.LastName, u.DisplayName, u.Bio)
	p.add(strconv.FormatBool(u.Active))
	p.add(strconv.FormatBool(u.Verified))
	p.add(strconv.FormatBool(u.Superuser))
	p.add(row.Roles...)
	p.add(string(row.Hash))
	p.add(moments(u.LockedUntil, u.LastLogin, u.PasswordChangedAt, u.CreatedAt, u.UpdatedAt)...)
	return p
}

// user takes a user. It waits if its name is another's and this is not the last chance.
func (b *importing) user(row ImportedUser, last bool) (waits bool, err error) {
	refuse := func(field, reason string) (bool, error) {
		b.refuse(iam.ImportUser, row.User.ID, field, reason)
		return false, nil
	}
	p, id := partsOfUser(row), row.User.ID
	rec, known := b.known(iam.ImportUser, id)
	old, exists := b.tx.User(id)
	switch {
	case exists && known && p.same(rec.Marks):
		b.done(iam.ImportUser, id, iam.ImportUnchanged)
		return false, nil
	case known && !exists:
		return refuse("id", goneHere)
	case (row.User.Superuser || old.Superuser) && !b.batch.Superusers:
		return refuse("is_superuser", "only a superuser or the operator may import superusers")
	}
	if _, taken := b.tx.ClientByClientID(id.String()); taken && !exists {
		// Whoever reads the subject of a token must not take a program for a person.
		return refuse("id", "is the client_id of a client")
	}
	rec.Kind, rec.ID = iam.ImportUser, id
	u := b.merged(row, old, exists, p, &rec)
	waits, refused, err := b.settleNames(&u, old, last)
	if waits || err != nil {
		return waits, err
	}
	if refused.Field != "" {
		return refuse(refused.Field, refused.Message)
	}
	if exists && keepAnAdmin(b.tx, old, u) != nil {
		return refuse("is_active", "this is the last active administrator here: appoint another one first")
	}
	outcome := b.putUser(old, u, exists)
	if u.PasswordHash == iam.UnusableHash && outcome != iam.ImportUnchanged {
		b.note("password_hash", "it cannot be verified: a new password must be set")
	}
	rec.Marks = p.marks
	b.remember(rec)
	b.done(iam.ImportUser, id, outcome)
	return false, nil
}

// merged is the user as the source has it, but for what is the same there as it was: of that the present
// value counts.
func (b *importing) merged(row ImportedUser, old iam.User, exists bool, p *parts, rec *iam.Imported) iam.User {
	u := row.User
	changed := func(part int) bool { return !exists || p.changed(rec.Marks, part) }
	roles, all := b.rolesNamed(row.Roles)
	u.Roles = roles
	if !exists {
		b.firstPassword(&u, rec)
	} else {
		b.keepUnchanged(&u, old, changed)
		b.password(&u, old, changed(userPassword), rec)
		u.LockedUntil, u.LastLogin = max(u.LockedUntil, old.LockedUntil), max(u.LastLogin, old.LastLogin)
		u.UpdatedAt = max(u.UpdatedAt, old.UpdatedAt)
		if u.CreatedAt == 0 {
			u.CreatedAt = old.CreatedAt
		}
	}
	if !all && changed(userRoles) {
		p.forget(userRoles) // the role may be there when the row comes again
	}
	if u.CreatedAt == 0 {
		u.CreatedAt = b.m.At
	}
	if u.UpdatedAt == 0 {
		u.UpdatedAt = b.m.At
	}
	return u
}

// keepUnchanged leaves as it is here whatever the source has not changed.
func (b *importing) keepUnchanged(u *iam.User, old iam.User, changed func(part int) bool) {
	if !changed(userName) {
		u.Username = old.Username
	}
	if !changed(userEmail) {
		u.Email = old.Email
	}
	if !changed(userProfile) {
		u.FirstName, u.LastName, u.DisplayName, u.Bio = old.FirstName, old.LastName, old.DisplayName, old.Bio
	}
	if !changed(userActive) {
		u.Active = old.Active
	}
	if !changed(userVerified) {
		u.Verified = old.Verified
	}
	if !changed(userSuper) {
		u.Superuser = old.Superuser
	}
	if !changed(userRoles) {
		u.Roles = old.Roles
		b.pending = nil // of roles that there are not, which was said when they came
	}
}

// firstPassword keeps when the password of a new user was set.
func (b *importing) firstPassword(u *iam.User, rec *iam.Imported) {
	u.PreviousHashes = nil
	if u.PasswordChangedAt == 0 {
		u.PasswordChangedAt, rec.PasswordSet = b.m.At, b.m.At
	}
}

// password decides between the password that the source has and the one here, which stays where it is the
// newer one, and where the source has not changed its own: a login may have made another hash of the same.
func (b *importing) password(u *iam.User, old iam.User, changed bool, rec *iam.Imported) {
	theirs, when := u.PasswordHash, u.PasswordChangedAt
	u.PasswordHash, u.PasswordChangedAt, u.PreviousHashes = old.PasswordHash, old.PasswordChangedAt, old.PreviousHashes
	if !changed || theirs == old.PasswordHash {
		return
	}
	newer := old.PasswordChangedAt > when
	if when == 0 {
		newer, when = old.PasswordChangedAt != rec.PasswordSet, b.m.At
	}
	switch {
	case newer:
		b.note("password_hash", "a password that is newer was set here and stays")
	case theirs == iam.UnusableHash:
		b.note("password_hash", "the password that is set here stays")
	default:
		if u.PasswordChangedAt = when; rec.PasswordSet != 0 {
			rec.PasswordSet = when
		}
		u.PasswordHash = theirs
	}
}

// settleNames makes sure that the user's names are nobody else's, or says what is to be done about it.
func (b *importing) settleNames(u *iam.User, old iam.User, last bool) (waits bool, refused iam.FieldError, err error) {
	for _, name := range []struct {
		field, what string
		now         *string
		was         string
		find        func(string) (iam.User, bool)
		other       func(name string, id iam.ID, taken func(string) bool) string
	}{
		{"username", "username", &u.Username, old.Username, b.tx.UserByUsername, otherUsername},
		{"email", "e-mail address", &u.Email, old.Email, b.tx.UserByEmail, otherEmail},
	} {
		taken := func(candidate string) bool {
			holder, found := name.find(candidate)
			return found && holder.ID != u.ID
		}
		if iam.Fold(*name.now) == iam.Fold(name.was) || !taken(*name.now) {
			continue
		}
		if !last {
			return true, refused, nil
		}
		renamed, refused, err := b.conflict(iam.ImportUser, u.ID, name.field, name.what, func() string { return name.other(*name.now, u.ID, taken) })
		if renamed == "" {
			return false, refused, err
		}
		*name.now = renamed
		u.Verified = u.Verified && name.field != "email" // nobody has proven to own that one
	}
	return false, refused, nil
}

// conflict does with a row whose name is another's what the import was told to do with such rows: it returns
// another name, or why the row is left out, or the error that refuses the batch.
func (b *importing) conflict(kind iam.ImportKind, id iam.ID, field, what string, other func() string) (renamed string, refused iam.FieldError, err error) {
	switch b.batch.OnConflict {
	case iam.ConflictFail:
		refusal := iam.Errorf(iam.Conflict, "A row has the name of another one: nothing of the batch was kept.")
		refusal.Fields = []iam.FieldError{{Field: field, Message: "the " + what + " of the " + kind.String() + " " + id.String() + " belongs to another one"}}
		return "", refused, refusal
	case iam.ConflictRename:
		if renamed = other(); renamed != "" {
			b.note(field, "the "+what+" belongs to another "+kind.String()+": this one has "+renamed+" instead")
			return renamed, refused, nil
		}
	}
	return "", iam.FieldError{Field: field, Message: "the " + what + " belongs to another " + kind.String()}, nil
}

// suffixes are endings that make a name of its own for a row, from the short to the one that is unique. The
// end of an id tells rows apart also where ids begin with a time.
func suffixes(id iam.ID) []string {
	digits := strings.ReplaceAll(id.String(), "-", "")
	return []string{digits[24:], digits[20:], digits}
}

func otherUsername(name string, id iam.ID, taken func(string) bool) string {
	for _, end := range suffixes(id) {
		if other := cutRunes(name, 50-1-len(end)) + "-" + end; !taken(other) {
			return other
		}
	}
	return ""
}

// otherEmail makes an address that reaches the same mailbox where subaddressing is in use (RFC 5233).
func otherEmail(address string, id iam.ID, taken func(string) bool) string {
	at := strings.LastIndexByte(address, '@')
	for _, end := range suffixes(id) {
		other := address[:at] + "+" + end + address[at:]
		if iam.CheckEmail(other) == nil && !taken(other) {
			return other
		}
	}
	return ""
}

func cutRunes(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}

// putUser writes the user and takes back what the old one held and this one does not.
func (b *importing) putUser(old, u iam.User, exists bool) (outcome string) {
	outcome = iam.ImportCreated
	if exists {
		outcome = iam.ImportUpdated
		u.Changed = old.Changed
		if bytes.Equal(store.Encode(&old), store.Encode(&u)) {
			return iam.ImportUnchanged
		}
		if demoted(old, u) || u.PasswordChangedAt > old.PasswordChangedAt {
			endSessionsOf(b.tx, b.m, u.ID)
			revokeIssued(b.tx, b.m, iam.RevokedUser, u.ID.String())
			b.out.Denied = true
		}
		if iam.Fold(u.Email) != iam.Fold(old.Email) {
			dropTickets(b.tx, u.ID)
		}
		if u.PasswordHash != old.PasswordHash {
			b.tx.DeleteTicket(iam.ResetPassword, u.ID)
		}
	}
	u.Changed = b.m.Index
	b.tx.PutUser(u)
	return outcome
}

// session takes a refresh token of the other system. One that was used or ended here does not come back.
func (b *importing) session(s iam.LegacySession) {
	p := &parts{}
	p.add(s.UserID.String(), s.TokenHash)
	p.add(moments(s.IssuedAt, s.ExpiresAt)...)
	rec, known := b.known(iam.ImportSession, s.ID)
	_, exists := b.tx.LegacySession(s.ID)
	switch {
	case known && (!exists || p.same(rec.Marks)):
		b.done(iam.ImportSession, s.ID, iam.ImportUnchanged)
		return
	case s.ExpiresAt <= b.m.At:
		b.refuse(iam.ImportSession, s.ID, "expires_at", "it has expired")
		return
	case outlived(b.tx, s):
		b.refuse(iam.ImportSession, s.ID, "issued_at", "everything that its user held at that time was taken back here")
		return
	}
	if u, ok := b.tx.User(s.UserID); !ok || !u.Active {
		b.refuse(iam.ImportSession, s.ID, "user_id", "its user is not here or is disabled")
		return
	}
	outcome := iam.ImportCreated
	if exists {
		outcome = iam.ImportUpdated
	}
	b.tx.PutLegacySession(s)
	b.remember(iam.Imported{Kind: iam.ImportSession, ID: s.ID, Marks: p.marks, Expires: s.ExpiresAt})
	b.done(iam.ImportSession, s.ID, outcome)
}
