package store

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/keystone-auth/keystone/iam"
)

// The bucket tree. Every bucket is at the top; a test compares this list with a real file.
//
//	meta                     "state" → Meta
//	users                    id → iam.User
//	users_by_username        folded username → id
//	users_by_email           folded e-mail → id
//	users_by_role            role id, user id → user id
//	users_by_created         time, user id → user id
//	users_by_superuser       1, user id → user id, of superusers alone
//	tickets                  purpose, user id → iam.Ticket
//	tickets_by_digest        SHA-256 of the ticket → purpose, user id
//	tickets_by_expiry        time, purpose, user id → purpose, user id
//	roles                    id → iam.Role
//	roles_by_name            name → id
//	roles_by_scope           scope id, role id → role id
//	scopes                   id → iam.Scope
//	scopes_by_name           name → id
//	clients                  id → iam.Client
//	clients_by_client_id     client_id → id
//	clients_by_scope         scope id, client id → id
//	sessions                 id → iam.Session
//	sessions_by_user         user id, session id → session id
//	sessions_by_client       SHA-256 of the client_id, session id → session id
//	sessions_by_expiry       time, session id → session id
//	legacy                   id → iam.LegacySession
//	legacy_by_user           user id, legacy session id → legacy session id
//	legacy_by_expiry         time, legacy session id → legacy session id
//	revocations              kind, subject → iam.Revocation
//	revocations_by_expiry    time, kind, subject → kind, subject
//	keys                     kid → iam.Key
//	keys_by_expiry           time, kid → kid
//	settings                 "settings" → iam.Settings
//	epoch                    "epoch" → iam.Epoch
//	audit                    sequence → iam.AuditEntry
//	checkpoints              sequence → iam.AuditCheckpoint
//	outcomes                 request id → Outcome
//	outcomes_by_expiry       time, request id → request id
//	imports                  source → iam.Import
//	imported                 kind, id at the source → iam.Imported
//	imported_by_expiry       time, kind, id at the source → kind, id at the source
//	acme                     key → iam.ACMEItem
//	locks                    name → iam.Lock
//	locks_by_expiry          time, name → name
var (
	users = table[iam.User]{
		bucket: "users",
		key:    func(u *iam.User) []byte { return u.ID[:] },
		indexes: []index[iam.User]{
			{bucket: "users_by_username", unique: true, keys: func(u *iam.User) [][]byte { return folded(u.Username) }},
			{bucket: "users_by_email", unique: true, keys: func(u *iam.User) [][]byte { return folded(u.Email) }},
			{bucket: "users_by_role", keys: func(u *iam.User) [][]byte { return ids(u.Roles) }},
			{bucket: "users_by_created", keys: func(u *iam.User) [][]byte { return [][]byte{timeKey(u.CreatedAt)} }},
			{bucket: "users_by_superuser", keys: func(u *iam.User) [][]byte { return flagged(u.Superuser) }},
		},
	}
	tickets = table[iam.Ticket]{
		bucket: "tickets",
		key:    func(t *iam.Ticket) []byte { return ticketKey(t.Purpose, t.User) },
		indexes: []index[iam.Ticket]{
			{bucket: "tickets_by_digest", unique: true, keys: func(t *iam.Ticket) [][]byte { return [][]byte{t.Digest} }},
			{bucket: "tickets_by_expiry", keys: func(t *iam.Ticket) [][]byte { return instant(t.ExpiresAt) }},
		},
	}
	roles = table[iam.Role]{
		bucket: "roles",
		key:    func(r *iam.Role) []byte { return r.ID[:] },
		indexes: []index[iam.Role]{
			{bucket: "roles_by_name", unique: true, keys: func(r *iam.Role) [][]byte { return plain(r.Name) }},
			{bucket: "roles_by_scope", keys: func(r *iam.Role) [][]byte { return ids(r.Scopes) }},
		},
	}
	scopes = table[iam.Scope]{
		bucket: "scopes",
		key:    func(s *iam.Scope) []byte { return s.ID[:] },
		indexes: []index[iam.Scope]{
			{bucket: "scopes_by_name", unique: true, keys: func(s *iam.Scope) [][]byte { return plain(s.Name) }},
		},
	}
	clients = table[iam.Client]{
		bucket: "clients",
		key:    func(c *iam.Client) []byte { return c.ID[:] },
		indexes: []index[iam.Client]{
			{bucket: "clients_by_client_id", unique: true, keys: func(c *iam.Client) [][]byte { return plain(c.ClientID) }},
			{bucket: "clients_by_scope", keys: func(c *iam.Client) [][]byte { return ids(c.Scopes) }},
		},
	}
	sessions = table[iam.Session]{
		bucket: "sessions",
		key:    func(s *iam.Session) []byte { return s.ID[:] },
		indexes: []index[iam.Session]{
			{bucket: "sessions_by_user", keys: func(s *iam.Session) [][]byte { return [][]byte{s.UserID[:]} }},
			{bucket: "sessions_by_client", keys: func(s *iam.Session) [][]byte { return digested(s.ClientID) }},
			{bucket: "sessions_by_expiry", keys: func(s *iam.Session) [][]byte { return instant(s.ExpiresAt) }},
		},
	}
	legacy = table[iam.LegacySession]{
		bucket: "legacy",
		key:    func(s *iam.LegacySession) []byte { return s.ID[:] },
		indexes: []index[iam.LegacySession]{
			{bucket: "legacy_by_user", keys: func(s *iam.LegacySession) [][]byte { return [][]byte{s.UserID[:]} }},
			{bucket: "legacy_by_expiry", keys: func(s *iam.LegacySession) [][]byte { return instant(s.ExpiresAt) }},
		},
	}
	revocations = table[iam.Revocation]{
		bucket: "revocations",
		key:    func(r *iam.Revocation) []byte { return revocationKey(r.Kind, r.Subject) },
		indexes: []index[iam.Revocation]{
			{bucket: "revocations_by_expiry", keys: func(r *iam.Revocation) [][]byte { return instant(r.ExpiresAt) }},
		},
	}
	keys = table[iam.Key]{
		bucket: "keys",
		key:    func(k *iam.Key) []byte { return []byte(k.ID) },
		indexes: []index[iam.Key]{
			{bucket: "keys_by_expiry", keys: func(k *iam.Key) [][]byte { return instant(k.VerifyUntil) }},
		},
	}
	settings = table[iam.Settings]{
		bucket: "settings",
		key:    func(*iam.Settings) []byte { return []byte("settings") },
	}
	epoch = table[iam.Epoch]{
		bucket: "epoch",
		key:    func(*iam.Epoch) []byte { return []byte("epoch") },
	}
	audit = table[iam.AuditEntry]{
		bucket: "audit",
		key:    func(e *iam.AuditEntry) []byte { return sequenceKey(e.Sequence) },
	}
	checkpoints = table[iam.AuditCheckpoint]{
		bucket: "checkpoints",
		key:    func(c *iam.AuditCheckpoint) []byte { return sequenceKey(c.Sequence) },
	}
	outcomes = table[Outcome]{
		bucket: "outcomes",
		key:    func(o *Outcome) []byte { return o.RequestID[:] },
		indexes: []index[Outcome]{
			{bucket: "outcomes_by_expiry", keys: func(o *Outcome) [][]byte { return instant(o.ExpiresAt) }},
		},
	}
	imports = table[iam.Import]{
		bucket: "imports",
		key:    func(i *iam.Import) []byte { return []byte(i.Source) },
	}
	imported = table[iam.Imported]{
		bucket: "imported",
		key:    func(i *iam.Imported) []byte { return importedKey(i.Kind, i.ID) },
		indexes: []index[iam.Imported]{
			{bucket: "imported_by_expiry", keys: func(i *iam.Imported) [][]byte { return instant(i.Expires) }},
		},
	}
	acme = table[iam.ACMEItem]{
		bucket: "acme",
		key:    func(i *iam.ACMEItem) []byte { return []byte(i.Key) },
	}
	locks = table[iam.Lock]{
		bucket: "locks",
		key:    func(l *iam.Lock) []byte { return []byte(l.Name) },
		indexes: []index[iam.Lock]{
			{bucket: "locks_by_expiry", keys: func(l *iam.Lock) [][]byte { return instant(l.ExpiresAt) }},
		},
	}

	// tables in the order in which Check and Load walk them.
	tables = []anyTable{&users, &roles, &scopes, &clients, &sessions, &revocations, &keys, &settings, &epoch, &audit, &outcomes, &checkpoints, &tickets, &legacy, &imports, &imported, &acme, &locks}
)

const metaBucket = "meta"

// Outcome is what a command came to, kept for a while under its request id so that a retry is
// answered and not applied a second time.
type Outcome struct {
	RequestID iam.ID     `cbor:"1,keyasint"`
	Index     uint64     `cbor:"2,keyasint"`
	Kind      uint64     `cbor:"3,keyasint"`
	Value     []byte     `cbor:"4,keyasint,omitempty"`
	Refusal   *iam.Error `cbor:"5,keyasint,omitempty"`
	ExpiresAt iam.Time   `cbor:"6,keyasint"`
	Actor     string     `cbor:"7,keyasint,omitempty"` // who asked: nobody else is told
}

func plain(s string) [][]byte { return [][]byte{[]byte(s)} }

// digested gives texts of any length the one length that a non-unique index needs; "" is in none.
func digested(s string) [][]byte {
	if s == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(s))
	return [][]byte{sum[:]}
}

func folded(s string) [][]byte { return plain(iam.Fold(s)) }

func ids(all []iam.ID) [][]byte {
	out := make([][]byte, len(all))
	for i := range all {
		out[i] = all[i][:]
	}
	return out
}

// instant is the sortable form of a time; the unset time is in no index.
func instant(t iam.Time) [][]byte {
	if t == 0 {
		return nil
	}
	return [][]byte{timeKey(t)}
}

func timeKey(t iam.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t)) }

func sequenceKey(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// flagged puts the rows that have a mark into an index, and no others.
func flagged(marked bool) [][]byte {
	if !marked {
		return nil
	}
	return [][]byte{{1}}
}

func ticketKey(purpose iam.TicketPurpose, user iam.ID) []byte {
	return append([]byte{byte(purpose)}, user[:]...)
}

func revocationKey(kind iam.RevocationKind, subject string) []byte {
	return append([]byte{byte(kind)}, subject...)
}

func importedKey(kind iam.ImportKind, id iam.ID) []byte { return append([]byte{byte(kind)}, id[:]...) }
