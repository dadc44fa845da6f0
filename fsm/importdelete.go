package fsm

import (
	"slices"

	"github.com/keystone-auth/keystone/iam"
)

// maxDetached bounds from how many rows one deletion takes what is deleted.
const maxDetached = 100

// delete removes a row that is gone at its source. The source may remove only what it has brought: whoever
// writes to it must not be able to remove the accounts that were made here.
func (b *importing) delete(key ImportedKey) {
	rec, known := b.tx.Imported(key.Kind, key.ID)
	if !known || rec.Source != b.batch.Source {
		if b.exists(key) {
			b.refuse(key.Kind, key.ID, "id", "this import has not brought it")
		} else {
			b.done(key.Kind, key.ID, iam.ImportUnchanged)
		}
		return
	}
	outcome, reason := iam.ImportUnchanged, ""
	local := ImportedKey{key.Kind, rec.Local()}
	switch {
	case rec.Adopted:
		b.note("id", "it was here before the import and stays")
	case b.exists(local):
		outcome, reason = iam.ImportDeleted, b.remove(local)
	}
	if reason != "" {
		b.refuse(key.Kind, key.ID, "id", reason)
		return
	}
	b.tx.DeleteImported(key.Kind, key.ID)
	b.done(key.Kind, key.ID, outcome)
}

func (b *importing) exists(key ImportedKey) (exists bool) {
	switch key.Kind {
	case iam.ImportScope:
		_, exists = b.tx.Scope(key.ID)
	case iam.ImportRole:
		_, exists = b.tx.Role(key.ID)
	case iam.ImportUser:
		_, exists = b.tx.User(key.ID)
	case iam.ImportClient:
		_, exists = b.tx.Client(key.ID)
	case iam.ImportSession:
		_, exists = b.tx.LegacySession(key.ID)
	}
	return exists
}

// remove deletes a row that there is, with the links to it as the source's database does, or says why not.
func (b *importing) remove(key ImportedKey) (reason string) {
	switch key.Kind {
	case iam.ImportScope:
		reason = b.removeScope(key.ID)
	case iam.ImportRole:
		reason = b.removeRole(key.ID)
	case iam.ImportUser:
		u, _ := b.tx.User(key.ID)
		if u.Superuser && !b.batch.Superusers {
			return "only a superuser or the operator may delete superusers"
		}
		if removeUser(b.tx, b.m, u) != nil {
			return "this is the last active administrator here: appoint another one first"
		}
	case iam.ImportClient:
		c, _ := b.tx.Client(key.ID)
		removeClient(b.tx, b.m, c)
	case iam.ImportSession:
		b.tx.DeleteLegacySession(key.ID)
	}
	b.out.Denied = b.out.Denied || reason == ""
	return reason
}

func (b *importing) removeScope(id iam.ID) (reason string) {
	s, _ := b.tx.Scope(id)
	roles, clients := b.tx.RolesWithScope(id, maxDetached+1), b.tx.ClientsWithScope(id, maxDetached+1)
	switch {
	case iam.Administered(s.Name):
		return "it is a scope of Keystone's own administration"
	case len(roles) > maxDetached || len(clients) > maxDetached:
		return "it is held by more than 100 roles or clients: take it from them first"
	}
	for _, r := range roles {
		r.Scopes = without(r.Scopes, id)
		r.Changed = b.m.Index
		b.tx.PutRole(r)
	}
	for _, c := range clients {
		c.Scopes = without(c.Scopes, id)
		c.Generation, c.Changed = b.m.Index, b.m.Index
		revokeIssued(b.tx, b.m, iam.RevokedClient, c.ClientID)
		b.tx.PutClient(c)
	}
	b.tx.DeleteScope(id)
	return ""
}

func (b *importing) removeRole(id iam.ID) (reason string) {
	r, _ := b.tx.Role(id)
	holders := b.tx.UsersWithRole(id, maxDetached+1)
	switch {
	case fixed(b.tx, r.Name):
		return "it is a role that Keystone needs"
	case len(holders) > maxDetached:
		return "it is held by more than 100 users: take it from them first"
	}
	for _, u := range holders {
		endSessionsOf(b.tx, b.m, u.ID)
		revokeIssued(b.tx, b.m, iam.RevokedUser, u.ID.String())
		u.Roles = without(u.Roles, id)
		u.Changed = b.m.Index
		b.tx.PutUser(u)
	}
	b.tx.DeleteRole(id)
	return ""
}

func without(all []iam.ID, gone iam.ID) []iam.ID {
	return slices.DeleteFunc(slices.Clone(all), func(id iam.ID) bool { return id == gone })
}
