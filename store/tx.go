package store

import "github.com/keystone-auth/keystone/iam"

// Tx is one transaction of the state machine: it reads its own writes, collects what changed, and
// carries the Meta that is committed with them. Errors of the disk are kept and returned by Update.
type Tx struct {
	Reader
	Meta    Meta
	hash    stateHash
	changes []Change
}

// Err returns the first error of this transaction. A caller that applies many commands in one
// transaction asks after each, so that nothing is built on rows that could not be read.
func (tx *Tx) Err() error { return tx.err }

// StateHash returns the hash of all rows as this transaction has left them so far.
func (tx *Tx) StateHash() [32]byte { return tx.hash }

// Attempt calls fn and takes back whatever it has written if it returns an error. It is for commands of
// many steps whose later ones depend on what the earlier ones wrote: a refusal does not roll back by itself.
func (tx *Tx) Attempt(fn func() error) error {
	meta, hash, changes, layer := tx.Meta, tx.hash, len(tx.changes), tx.layers[0].copy()
	tx.Meta.Rows = make(map[string]uint64, len(meta.Rows))
	for _, t := range tables {
		name := t.buckets()[0]
		if n, counted := meta.Rows[name]; counted {
			tx.Meta.Rows[name] = n
		}
	}
	err := fn()
	if err != nil {
		tx.Meta, tx.hash, tx.changes, tx.layers[0] = meta, hash, tx.changes[:changes], layer
	}
	return err
}

// counted keeps the number of a table's rows.
func (tx *Tx) counted(bucket string, more int) {
	if tx.Meta.Rows == nil {
		tx.Meta.Rows = map[string]uint64{}
	}
	tx.Meta.Rows[bucket] += uint64(more) // two's complement: -1 counts down
}

// PutUser writes a user.
func (tx *Tx) PutUser(u iam.User) { users.put(tx, u) }

// DeleteUser removes a user's row; sessions and revocations are the caller's business.
func (tx *Tx) DeleteUser(id iam.ID) { users.remove(tx, id[:]) }

// PutTicket writes a ticket, in the place of the user's one for the same purpose.
func (tx *Tx) PutTicket(t iam.Ticket) { tickets.put(tx, t) }

// DeleteTicket removes a user's ticket, if there is one.
func (tx *Tx) DeleteTicket(purpose iam.TicketPurpose, user iam.ID) {
	tickets.remove(tx, ticketKey(purpose, user))
}

// PutRole writes a role.
func (tx *Tx) PutRole(r iam.Role) { roles.put(tx, r) }

// DeleteRole removes a role.
func (tx *Tx) DeleteRole(id iam.ID) { roles.remove(tx, id[:]) }

// PutScope writes a scope.
func (tx *Tx) PutScope(s iam.Scope) { scopes.put(tx, s) }

// DeleteScope removes a scope.
func (tx *Tx) DeleteScope(id iam.ID) { scopes.remove(tx, id[:]) }

// PutClient writes a client.
func (tx *Tx) PutClient(c iam.Client) { clients.put(tx, c) }

// DeleteClient removes a client.
func (tx *Tx) DeleteClient(id iam.ID) { clients.remove(tx, id[:]) }

// PutSession writes a session.
func (tx *Tx) PutSession(s iam.Session) { sessions.put(tx, s) }

// DeleteSession removes a session.
func (tx *Tx) DeleteSession(id iam.ID) { sessions.remove(tx, id[:]) }

// PutRevocation writes a revocation.
func (tx *Tx) PutRevocation(r iam.Revocation) { revocations.put(tx, r) }

// PutKey writes a signing key.
func (tx *Tx) PutKey(k iam.Key) { keys.put(tx, k) }

// DeleteKey forgets a signing key.
func (tx *Tx) DeleteKey(kid string) { keys.remove(tx, []byte(kid)) }

// PutSettings writes the settings.
func (tx *Tx) PutSettings(s iam.Settings) { settings.put(tx, s) }

// PutEpoch writes the epoch.
func (tx *Tx) PutEpoch(e iam.Epoch) { epoch.put(tx, e) }

// DropSessions removes every session.
func (tx *Tx) DropSessions() { sessions.clear(tx) }

// DropTickets removes every ticket.
func (tx *Tx) DropTickets() { tickets.clear(tx) }

// PutLegacySession writes a refresh token of another system.
func (tx *Tx) PutLegacySession(s iam.LegacySession) { legacy.put(tx, s) }

// DeleteLegacySession removes a refresh token of another system.
func (tx *Tx) DeleteLegacySession(id iam.ID) { legacy.remove(tx, id[:]) }

// DropLegacySessions removes every refresh token of another system.
func (tx *Tx) DropLegacySessions() { legacy.clear(tx) }

// PutImport writes how far an import has come.
func (tx *Tx) PutImport(i iam.Import) { imports.put(tx, i) }

// DeleteImport forgets how far an import has come.
func (tx *Tx) DeleteImport(source string) { imports.remove(tx, []byte(source)) }

// PutImported remembers what a row was like at its source.
func (tx *Tx) PutImported(i iam.Imported) { imported.put(tx, i) }

// DeleteImported forgets a row of an import.
func (tx *Tx) DeleteImported(kind iam.ImportKind, id iam.ID) {
	imported.remove(tx, importedKey(kind, id))
}

// PutACMEItem writes what belongs to certificates.
func (tx *Tx) PutACMEItem(i iam.ACMEItem) { acme.put(tx, i) }

// DeleteACMEItem forgets what belongs to certificates.
func (tx *Tx) DeleteACMEItem(key string) { acme.remove(tx, []byte(key)) }

// PutLock writes who holds a lock.
func (tx *Tx) PutLock(l iam.Lock) { locks.put(tx, l) }

// DeleteLock gives a lock back.
func (tx *Tx) DeleteLock(name string) { locks.remove(tx, []byte(name)) }

// AppendAudit adds an entry under the next sequence number, chained to the one before.
func (tx *Tx) AppendAudit(e iam.AuditEntry) {
	tx.Meta.AuditSequence++
	e.Sequence, e.Previous = tx.Meta.AuditSequence, tx.Meta.AuditHash
	e.Hash = e.Sum()
	tx.Meta.AuditHash = e.Hash
	audit.put(tx, e)
}

// PutOutcome remembers what a command came to.
func (tx *Tx) PutOutcome(o Outcome) { outcomes.put(tx, o) }

// Expire removes up to most rows of each table whose time ended before that instant, and returns how
// many it removed. Audit entries do not expire here.
func (tx *Tx) Expire(before iam.Time, most int) int {
	n := 0
	for _, t := range tables {
		n += t.expire(tx, timeKey(before), most)
	}
	return n
}
