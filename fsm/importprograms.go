package fsm

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// The parts of a scope and of a role.
const (
	partName = iota
	partText
	partScopes // of a role
)

// scope takes a scope. One of its name that is here already is the same one, for tokens and links know
// scopes by their names.
func (b *importing) scope(s iam.Scope) {
	p := &parts{}
	p.add(s.Name)
	p.add(s.Description, s.Resource)
	p.add(moments(s.CreatedAt, s.UpdatedAt)...)
	rec, known := b.known(iam.ImportScope, s.ID)
	here, exists := b.tx.ScopeByName(s.Name)
	if known && exists && here.ID == rec.Local() && p.same(rec.Marks) {
		b.done(iam.ImportScope, s.ID, iam.ImportUnchanged)
		return
	}
	if !exists {
		local := s.ID
		if known {
			local = rec.Local()
		}
		if _, other := b.tx.Scope(local); other {
			b.refuse(iam.ImportScope, s.ID, "name", "a scope keeps its name, for tokens carry it: make a new scope instead")
			return
		}
		if known {
			b.refuse(iam.ImportScope, s.ID, "id", goneHere)
			return
		}
	}
	n := s
	if exists {
		n = here
		if p.changed(rec.Marks, partText) {
			n.Description, n.Resource = worded(s.Description, here.Description, known), worded(s.Resource, here.Resource, known)
		}
	}
	rec = adopt(rec, iam.ImportScope, s.ID, here.ID, known, exists)
	n.CreatedAt, n.UpdatedAt = b.times(s.CreatedAt, s.UpdatedAt, here.CreatedAt, here.UpdatedAt)
	outcome := outcomeOf(exists, bytes.Equal(store.Encode(&here), store.Encode(&n)))
	if outcome != iam.ImportUnchanged {
		n.Changed = b.m.Index
		b.tx.PutScope(n)
		b.scopes[n.Name] = n.ID
	}
	rec.Marks = p.marks
	b.remember(rec)
	b.done(iam.ImportScope, s.ID, outcome)
}

// adopt says which row here belongs to that of the source. One that was here before the import is not its to delete.
func adopt(rec iam.Imported, kind iam.ImportKind, id, here iam.ID, known, exists bool) iam.Imported {
	if !known || exists && rec.Local() != here {
		rec = iam.Imported{Adopted: exists}
	}
	rec.Kind, rec.ID = kind, id
	if exists && here != id {
		rec.Here = here
	}
	return rec
}

// worded is a text of the source, of which none at all does not take the place of one that was here before.
func worded(theirs, here string, known bool) string {
	if theirs == "" && !known {
		return here
	}
	return theirs
}

func outcomeOf(exists, same bool) string {
	switch {
	case !exists:
		return iam.ImportCreated
	case same:
		return iam.ImportUnchanged
	}
	return iam.ImportUpdated
}

// times are those of the source where it has any, and never earlier than a change that was made here.
func (b *importing) times(created, updated, hereCreated, hereUpdated iam.Time) (iam.Time, iam.Time) {
	switch {
	case hereCreated != 0:
		created = hereCreated
	case created == 0:
		created = b.m.At
	}
	if updated == 0 && hereUpdated == 0 {
		updated = b.m.At
	}
	return created, max(updated, hereUpdated)
}

// role takes a role. One of its name that is here already is the same one. The list of the source decides
// which scopes it has, except that the roles which every cluster begins with lose none: nobody could
// administer the cluster that took the role admin of a system that knows nothing of Keystone's scopes.
func (b *importing) role(row ImportedRole) {
	r := row.Role
	p := &parts{}
	p.add(r.Name)
	p.add(r.Description)
	p.add(row.Scopes...)
	p.add(moments(r.CreatedAt, r.UpdatedAt)...)
	rec, known := b.known(iam.ImportRole, r.ID)
	here, exists := b.roleHere(r, rec, known)
	switch {
	case known && exists && here.ID == rec.Local() && p.same(rec.Marks):
		b.done(iam.ImportRole, r.ID, iam.ImportUnchanged)
		return
	case known && !exists:
		b.refuse(iam.ImportRole, r.ID, "id", goneHere)
		return
	case exists && here.Name != r.Name && (fixed(b.tx, here.Name) || !known || rec.Adopted):
		b.refuse(iam.ImportRole, r.ID, "name", "the role keeps the name that it has here")
		return
	}
	n := r
	n.CreatedAt, n.UpdatedAt = b.times(r.CreatedAt, r.UpdatedAt, here.CreatedAt, here.UpdatedAt)
	n.Scopes = b.scopesOf(row, here, exists, rec, p)
	if exists {
		n.ID, n.Changed = here.ID, here.Changed
		n.Description = here.Description
		if p.changed(rec.Marks, partText) {
			n.Description = worded(r.Description, here.Description, known)
		}
	}
	rec = adopt(rec, iam.ImportRole, r.ID, here.ID, known, exists)
	outcome := outcomeOf(exists, bytes.Equal(store.Encode(&here), store.Encode(&n)))
	if outcome != iam.ImportUnchanged {
		n.Changed = b.m.Index
		b.tx.PutRole(n)
		b.roles[here.Name], b.roles[n.Name] = iam.ID{}, n.ID
		b.out.Denied = b.out.Denied || lacks(n.Scopes, here.Scopes)
	}
	rec.Marks = p.marks
	b.remember(rec)
	b.done(iam.ImportRole, r.ID, outcome)
}

// roleHere finds the role of that name, or the one that was imported under the id and had another.
func (b *importing) roleHere(r iam.Role, rec iam.Imported, known bool) (iam.Role, bool) {
	if here, found := b.tx.RoleByName(r.Name); found {
		return here, true
	}
	if known {
		return b.tx.Role(rec.Local())
	}
	return b.tx.Role(r.ID)
}

func (b *importing) scopesOf(row ImportedRole, here iam.Role, exists bool, rec iam.Imported, p *parts) []iam.ID {
	if exists && !p.changed(rec.Marks, partScopes) {
		return here.Scopes
	}
	scopes, all := b.scopesNamed(row.Scopes)
	if !all {
		p.forget(partScopes)
	}
	if exists && fixed(b.tx, here.Name) {
		scopes = distinct(append(scopes, here.Scopes...))
	}
	return scopes
}

// lacks tells whether something of the old ids is not among the new ones.
func lacks(now, was []iam.ID) bool {
	return slices.ContainsFunc(was, func(id iam.ID) bool { return !slices.Contains(now, id) })
}

// The parts of a client.
const (
	clientName = iota
	clientSecret
	clientActive
	clientTrusted
	clientScopes
	clientLimits
	clientText
	clientRest
)

func partsOfClient(row ImportedClient) *parts {
	c, p := &row.Client, &parts{marks: make([]byte, 0, (clientRest+1)*markBytes)}
	p.add(c.ClientID, string(c.Type))
	p.add(string(row.Hash))
	p.add(strconv.FormatBool(c.Active))
	p.add(strconv.FormatBool(c.Trusted))
	p.add(row.Scopes...)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	p.add(append([]string{number(c.AccessLifetime), number(c.RefreshLifetime), number(c.RatePerMinute), number(c.RatePerHour)}, c.AllowedIPs...)...)
	p.add(c.Name, c.Description, c.ContactEmail, c.WebsiteURL, c.WebhookURL)
	p.add(append(moments(c.LastUsed, c.CreatedAt, c.UpdatedAt), number(c.TotalRequests))...)
	return p
}

// client takes a client. It waits if its client_id is another's and this is not the last chance.
func (b *importing) client(row ImportedClient, last bool) (waits bool, err error) {
	p, id := partsOfClient(row), row.Client.ID
	rec, known := b.known(iam.ImportClient, id)
	old, exists := b.tx.Client(id)
	switch {
	case exists && known && p.same(rec.Marks):
		b.done(iam.ImportClient, id, iam.ImportUnchanged)
		return false, nil
	case known && !exists:
		b.refuse(iam.ImportClient, id, "id", goneHere)
		return false, nil
	}
	c := b.mergedClient(row, old, exists, p, rec)
	if c.ClientID != old.ClientID && b.clientIDTaken(c) {
		if !last {
			return true, nil
		}
		renamed, refused, err := b.conflict(iam.ImportClient, id, "client_id", "client_id", func() string { return b.otherClientID(c) })
		if err != nil {
			return false, err
		}
		if renamed == "" {
			b.refuse(iam.ImportClient, id, refused.Field, refused.Message)
			return false, nil
		}
		c.ClientID = renamed
	}
	outcome := b.putClient(old, c, exists)
	if c.SecretHash == iam.UnusableHash && outcome != iam.ImportUnchanged {
		b.note("client_secret_hash", "it cannot be verified: a new secret must be made")
	}
	b.remember(iam.Imported{Kind: iam.ImportClient, ID: id, Marks: p.marks})
	b.done(iam.ImportClient, id, outcome)
	return false, nil
}

// clientIDTaken tells whether the name is another client's, or would be taken for a person.
func (b *importing) clientIDTaken(c iam.Client) bool {
	if other, taken := b.tx.ClientByClientID(c.ClientID); taken && other.ID != c.ID {
		return true
	}
	user, err := iam.ParseID(c.ClientID)
	if err != nil {
		return false
	}
	_, taken := b.tx.User(user)
	return taken
}

func (b *importing) otherClientID(c iam.Client) string {
	name := c.ClientID
	for _, end := range suffixes(c.ID) {
		if c.ClientID = name[:min(len(name), 255-1-len(end))] + "-" + end; !b.clientIDTaken(c) {
			return c.ClientID
		}
	}
	return ""
}

// mergedClient is as merged, for clients.
func (b *importing) mergedClient(row ImportedClient, old iam.Client, exists bool, p *parts, rec iam.Imported) iam.Client {
	c := row.Client
	c.CreatedAt, c.UpdatedAt = b.times(c.CreatedAt, c.UpdatedAt, old.CreatedAt, old.UpdatedAt)
	if !exists || p.changed(rec.Marks, clientScopes) {
		scopes, all := b.scopesNamed(row.Scopes)
		if c.Scopes = scopes; !all {
			p.forget(clientScopes)
		}
	} else {
		c.Scopes = old.Scopes
	}
	if !exists {
		return c
	}
	c.Audiences, c.Generation, c.SessionsFrom = old.Audiences, old.Generation, old.SessionsFrom
	c.LastUsed, c.TotalRequests = max(c.LastUsed, old.LastUsed), max(c.TotalRequests, old.TotalRequests)
	b.keepSecret(&c, old, p.changed(rec.Marks, clientSecret))
	if !p.changed(rec.Marks, clientName) {
		c.ClientID, c.Type = old.ClientID, old.Type
	}
	if !p.changed(rec.Marks, clientActive) {
		c.Active = old.Active
	}
	if !p.changed(rec.Marks, clientTrusted) {
		c.Trusted = old.Trusted
	}
	if !p.changed(rec.Marks, clientLimits) {
		c.AccessLifetime, c.RefreshLifetime, c.RatePerMinute, c.RatePerHour = old.AccessLifetime, old.RefreshLifetime, old.RatePerMinute, old.RatePerHour
		c.AllowedIPs = old.AllowedIPs
	}
	if !p.changed(rec.Marks, clientText) {
		c.Name, c.Description, c.ContactEmail, c.WebsiteURL, c.WebhookURL = old.Name, old.Description, old.ContactEmail, old.WebsiteURL, old.WebhookURL
	}
	return c
}

// keepSecret leaves the secret as it is here unless the source has another one that is of use. One that
// Keystone made stays: programs present it already.
func (b *importing) keepSecret(c *iam.Client, old iam.Client, changed bool) {
	switch {
	case !changed || c.SecretHash == old.SecretHash && bytes.Equal(c.SecretDigest, old.SecretDigest):
	case old.SecretDigest != nil:
		b.note("client_secret_hash", "a secret was made here and stays")
	case c.SecretHash == iam.UnusableHash:
		b.note("client_secret_hash", "the secret that is set here stays")
	default:
		return
	}
	c.SecretDigest, c.SecretHash = old.SecretDigest, old.SecretHash
	c.PreviousDigest, c.PreviousHash, c.PreviousUntil = old.PreviousDigest, old.PreviousHash, old.PreviousUntil
}

// putClient writes the client and takes back what the old one held and this one does not.
func (b *importing) putClient(old, c iam.Client, exists bool) (outcome string) {
	c.Changed = old.Changed
	outcome = outcomeOf(exists, bytes.Equal(store.Encode(&old), store.Encode(&c)))
	switch {
	case outcome == iam.ImportUnchanged:
		return outcome
	case !exists:
		c.Generation, c.SessionsFrom = b.m.Index, b.m.Index // as of CreateClient
	case c.ClientID != old.ClientID: // tokens know the client by that name
		removeClient(b.tx, b.m, old)
		c.Generation, c.SessionsFrom = b.m.Index, b.m.Index
		b.out.Denied = true
	case restricted(old, c):
		c.Generation = b.m.Index
		revokeIssued(b.tx, b.m, iam.RevokedClient, c.ClientID)
		b.out.Denied = true
	}
	c.Changed = b.m.Index
	b.tx.PutClient(c)
	return outcome
}
