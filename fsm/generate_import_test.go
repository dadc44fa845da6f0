package fsm

import (
	"crypto/sha256"
	"time"

	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

func genSource(t *rapid.T) string { return one(t, "source", []string{"s1", "s1", "s1", "s2"}) }

// genImportBatch draws rows out of the universe of the other commands, so that a batch meets what they have made.
func genImportBatch(t *rapid.T, h *hints) Command {
	c := &ImportBatch{
		Source: genSource(t), After: one(t, "after", []string{"", "a", "b"}), Cursor: one(t, "cursor", []string{"a", "b"}),
		OnConflict: one(t, "policy", []string{iam.ConflictSkip, iam.ConflictRename, iam.ConflictFail}), Superusers: mostly(t, "superusers"),
	}
	if between(t, "as left", 0, 2) > 0 {
		c.After = h.cursors[c.Source]
	}
	h.cursors[c.Source] = c.Cursor
	for range between(t, "rows", 1, 5) {
		genImportedRow(t, h, c)
	}
	c.Sift() // of rows that came twice
	return c
}

func genImportedRow(t *rapid.T, h *hints, c *ImportBatch) {
	switch between(t, "what", 0, 11) {
	case 0:
		s := genPutScope(t, h).(*PutScope).Scope
		s.ID = one(t, "old id", []iam.ID{s.ID, id('P', 1), id('P', 2)})
		c.Scopes = append(c.Scopes, s)
	case 1:
		r := genPutRole(t, h).(*PutRole).Role
		r.ID, r.Scopes = one(t, "old id", []iam.ID{r.ID, id('R', 1), id('R', 2)}), nil
		c.Roles = append(c.Roles, ImportedRole{Role: r, Scopes: genNames(t, "read:demo", "write:demo", "s1", "s2", "none")})
	case 2, 3, 4:
		u := h.user(t)
		u.Roles, u.PasswordChangedAt = nil, one(t, "changed", []iam.Time{0, epoch, h.now})
		sum := sha256.Sum256([]byte(u.PasswordHash))
		c.Users = append(c.Users, ImportedUser{User: u, Roles: genNames(t, "admin", "user", "r1", "r2", "none"), Hash: sum[:]})
	case 5, 6:
		n := genClient(t)
		n.SecretDigest, n.SecretHash, n.Audiences, n.Scopes = nil, genHash(t), nil, nil
		sum := sha256.Sum256([]byte(n.SecretHash))
		c.Clients = append(c.Clients, ImportedClient{Client: n, Scopes: genNames(t, "read:demo", "write:demo", "s1", "none"), Hash: sum[:]})
	case 7, 8, 9:
		s := iam.LegacySession{
			ID: genLegacyID(t), UserID: h.latest(t, h.people, []iam.ID{ann, bob}), TokenHash: "token",
			IssuedAt: h.now.Add(one(t, "age", []time.Duration{0, 0, time.Hour})), ExpiresAt: h.now.Add(2 * time.Hour),
		}
		c.Sessions = append(c.Sessions, s)
		h.legacy = append(h.legacy, s)
	default:
		c.Deleted = append(c.Deleted, one(t, "gone", []ImportedKey{
			{iam.ImportScope, id('P', 1)},
			{iam.ImportScope, one(t, "scope", own.scopes)},
			{iam.ImportRole, id('R', 1)},
			{iam.ImportRole, one(t, "role", own.roles)},
			{iam.ImportUser, genID(t, 'u', 3)},
			{iam.ImportUser, genID(t, 'u', 3)},
			{iam.ImportClient, genID(t, 'c', 2)},
			{iam.ImportSession, genLegacyID(t)},
		}))
	}
}

func genNames(t *rapid.T, of ...string) []string {
	names := make([]string, between(t, "names", 0, 2))
	for i := range names {
		names[i] = one(t, "name", of)
	}
	return names
}

func genForgetImport(t *rapid.T, h *hints) Command {
	c := &ForgetImport{Source: genSource(t)}
	delete(h.cursors, c.Source)
	return c
}
