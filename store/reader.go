package store

import (
	"bytes"

	"github.com/keystone-auth/keystone/iam"
)

// Reader looks at one consistent state. Its answers are copies. A row that cannot be read counts as
// missing, and makes the surrounding View or Update fail.
type Reader struct {
	stack
	err error
}

// meta is how far the state has come that this Reader sees.
func (r *Reader) meta() (Meta, error) { return decodeMeta(r.bucket(metaBucket).get(metaKey)) }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// User returns the user with that id.
func (r *Reader) User(id iam.ID) (iam.User, bool) { return users.get(r, id[:]) }

// UserByUsername finds a user without regard to letter case.
func (r *Reader) UserByUsername(name string) (iam.User, bool) {
	return users.by(r, "users_by_username", []byte(iam.Fold(name)))
}

// UserByEmail finds a user without regard to letter case.
func (r *Reader) UserByEmail(email string) (iam.User, bool) {
	return users.by(r, "users_by_email", []byte(iam.Fold(email)))
}

// Users returns up to most users after the given id, in the order of ids; the zero id begins.
func (r *Reader) Users(after iam.ID, most int) []iam.User { return users.page(r, start(after), most) }

// UsersWithRole returns up to most holders of the role.
func (r *Reader) UsersWithRole(role iam.ID, most int) []iam.User {
	return users.under(r, "users_by_role", role[:], most)
}

// Superusers returns up to most of the users that hold every scope.
func (r *Reader) Superusers(most int) []iam.User {
	return users.under(r, "users_by_superuser", []byte{1}, most)
}

// Ticket returns the user's ticket for that purpose.
func (r *Reader) Ticket(purpose iam.TicketPurpose, user iam.ID) (iam.Ticket, bool) {
	return tickets.get(r, ticketKey(purpose, user))
}

// TicketByDigest returns the ticket of which that is the SHA-256.
func (r *Reader) TicketByDigest(digest []byte) (iam.Ticket, bool) {
	return tickets.by(r, "tickets_by_digest", digest)
}

// Role returns the role with that id.
func (r *Reader) Role(id iam.ID) (iam.Role, bool) { return roles.get(r, id[:]) }

// RoleByName returns the role of that name.
func (r *Reader) RoleByName(name string) (iam.Role, bool) {
	return roles.by(r, "roles_by_name", []byte(name))
}

// Roles returns up to most roles after the given id, in the order of ids.
func (r *Reader) Roles(after iam.ID, most int) []iam.Role { return roles.page(r, start(after), most) }

// RolesWithScope returns up to most roles that hold the scope.
func (r *Reader) RolesWithScope(scope iam.ID, most int) []iam.Role {
	return roles.under(r, "roles_by_scope", scope[:], most)
}

// Scope returns the scope with that id.
func (r *Reader) Scope(id iam.ID) (iam.Scope, bool) { return scopes.get(r, id[:]) }

// ScopeByName returns the scope of that name.
func (r *Reader) ScopeByName(name string) (iam.Scope, bool) {
	return scopes.by(r, "scopes_by_name", []byte(name))
}

// Scopes returns up to most scopes after the given id, in the order of ids.
func (r *Reader) Scopes(after iam.ID, most int) []iam.Scope {
	return scopes.page(r, start(after), most)
}

// Client returns the client with that id.
func (r *Reader) Client(id iam.ID) (iam.Client, bool) { return clients.get(r, id[:]) }

// ClientByClientID returns the client that presents that name.
func (r *Reader) ClientByClientID(name string) (iam.Client, bool) {
	return clients.by(r, "clients_by_client_id", []byte(name))
}

// Clients returns up to most clients after the given id, in the order of ids.
func (r *Reader) Clients(after iam.ID, most int) []iam.Client {
	return clients.page(r, start(after), most)
}

// ClientsWithScope returns up to most clients that hold the scope.
func (r *Reader) ClientsWithScope(scope iam.ID, most int) []iam.Client {
	return clients.under(r, "clients_by_scope", scope[:], most)
}

// Session returns the session with that id.
func (r *Reader) Session(id iam.ID) (iam.Session, bool) { return sessions.get(r, id[:]) }

// Sessions returns up to most sessions after the given id, in the order of ids.
func (r *Reader) Sessions(after iam.ID, most int) []iam.Session {
	return sessions.page(r, start(after), most)
}

// SessionsOf returns up to most sessions of the user, oldest first.
func (r *Reader) SessionsOf(user iam.ID, most int) []iam.Session {
	return sessions.under(r, "sessions_by_user", user[:], most)
}

// SessionsOfClient returns up to most sessions that were opened through the client.
func (r *Reader) SessionsOfClient(clientID string, most int) []iam.Session {
	var rows []iam.Session
	for _, value := range digested(clientID) {
		rows = sessions.under(r, "sessions_by_client", value, most)
	}
	return rows
}

// LegacySession returns the refresh token of another system with that id.
func (r *Reader) LegacySession(id iam.ID) (iam.LegacySession, bool) { return legacy.get(r, id[:]) }

// LegacySessions returns up to most refresh tokens of another system after the given id, in the order of ids.
func (r *Reader) LegacySessions(after iam.ID, most int) []iam.LegacySession {
	return legacy.page(r, start(after), most)
}

// LegacySessionsOf returns up to most of the user's refresh tokens of another system.
func (r *Reader) LegacySessionsOf(user iam.ID, most int) []iam.LegacySession {
	return legacy.under(r, "legacy_by_user", user[:], most)
}

// Import returns how far the import of that name has come.
func (r *Reader) Import(source string) (iam.Import, bool) { return imports.get(r, []byte(source)) }

// Imported returns what the row with that id at its source was like when it was imported.
func (r *Reader) Imported(kind iam.ImportKind, id iam.ID) (iam.Imported, bool) {
	return imported.get(r, importedKey(kind, id))
}

// ImportedRows returns up to most rows of a kind that imports have brought, after the given id, in the order of ids.
func (r *Reader) ImportedRows(kind iam.ImportKind, after iam.ID, most int) []iam.Imported {
	rows := imported.page(r, importedKey(kind, after), most)
	for i := range rows {
		if rows[i].Kind != kind {
			return rows[:i]
		}
	}
	return rows
}

// ACMEItem returns what is kept for certificates under the key.
func (r *Reader) ACMEItem(key string) (iam.ACMEItem, bool) { return acme.get(r, []byte(key)) }

// ACMEItems returns up to most of what is kept for certificates under keys that begin so, in the order of keys.
func (r *Reader) ACMEItems(prefix string, most int) (items []iam.ACMEItem) {
	c := r.bucket(acme.bucket).cursor()
	for k, _ := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)) && len(items) < most; k, _ = c.Next() {
		if item, ok := acme.get(r, k); ok {
			items = append(items, item)
		}
	}
	return items
}

// Lock returns who holds the lock of that name, or held it last.
func (r *Reader) Lock(name string) (iam.Lock, bool) { return locks.get(r, []byte(name)) }

// Locks returns up to most locks.
func (r *Reader) Locks(most int) []iam.Lock { return locks.page(r, nil, most) }

// Revocation returns what was taken away under that kind and subject.
func (r *Reader) Revocation(kind iam.RevocationKind, subject string) (iam.Revocation, bool) {
	return revocations.get(r, revocationKey(kind, subject))
}

// Key returns the signing key with that kid.
func (r *Reader) Key(kid string) (iam.Key, bool) { return keys.get(r, []byte(kid)) }

// Keys returns every signing key, in the order of kids; there are never many.
func (r *Reader) Keys() []iam.Key { return keys.page(r, nil, 1000) }

// Settings returns the replicated settings, and false before a cluster was initialized.
func (r *Reader) Settings() (iam.Settings, bool) { return settings.get(r, []byte("settings")) }

// Audit returns up to most audit entries after that sequence number, in order.
func (r *Reader) Audit(after uint64, most int) []iam.AuditEntry {
	return audit.page(r, sequenceKey(after), most)
}

// Outcome returns what the command with that request id came to, if it is still remembered.
func (r *Reader) Outcome(request iam.ID) (Outcome, bool) { return outcomes.get(r, request[:]) }

// Epoch returns the present epoch, and false in the first one.
func (r *Reader) Epoch() (iam.Epoch, bool) { return epoch.get(r, []byte("epoch")) }

// EachHot calls fn with every row that the memory of a node is made of: revocations, keys, clients
// and settings, in this order.
func (r *Reader) EachHot(fn func(row any)) {
	for _, t := range []anyTable{&revocations, &keys, &clients, &settings, &epoch} {
		if err := t.each(r, fn); err != nil {
			r.fail(err)
		}
	}
}

// HasExpired tells whether a row's time ended before that instant.
func (r *Reader) HasExpired(before iam.Time) bool {
	for _, t := range tables {
		if t.expired(r, timeKey(before)) {
			return true
		}
	}
	return false
}

func start(after iam.ID) []byte {
	if after.IsZero() {
		return nil
	}
	return after[:]
}
