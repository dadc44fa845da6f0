package httpapi

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

// importIn is a batch as it came in, with what there is to say about rows that cannot go on.
type importIn struct {
	batch fsm.ImportBatch
	notes []api.ImportNote
	// reasons are why hashes cannot be verified, which the state machine does not know.
	reasons map[rowField]string
}

// rowField is a member of one row.
type rowField struct {
	kind  iam.ImportKind
	id    iam.ID
	field string
}

// readImport makes the command of a request. Rows without an id that can be read are left out.
func readImport(r api.ImportRequest) *importIn {
	in := &importIn{
		batch:   fsm.ImportBatch{Source: r.Source, After: r.After, Cursor: r.Cursor, OnConflict: r.OnConflict},
		reasons: map[rowField]string{},
	}
	for _, s := range r.Scopes {
		if id, ok := in.id("scope", s.ID); ok {
			in.batch.Scopes = append(in.batch.Scopes, iam.Scope{
				ID: id, Name: s.Name, Description: s.Description, Resource: s.Resource,
				CreatedAt: iam.TimeOf(s.CreatedAt), UpdatedAt: iam.TimeOf(s.UpdatedAt),
			})
		}
	}
	for _, role := range r.Roles {
		if id, ok := in.id("role", role.ID); ok {
			in.batch.Roles = append(in.batch.Roles, fsm.ImportedRole{Scopes: role.Scopes, Role: iam.Role{
				ID: id, Name: role.Name, Description: role.Description,
				CreatedAt: iam.TimeOf(role.CreatedAt), UpdatedAt: iam.TimeOf(role.UpdatedAt),
			}})
		}
	}
	for _, u := range r.Users {
		if id, ok := in.id("user", u.ID); ok {
			in.batch.Users = append(in.batch.Users, in.user(id, u))
		}
	}
	for _, c := range r.Clients {
		if id, ok := in.id("client", c.ID); ok {
			in.batch.Clients = append(in.batch.Clients, in.client(id, c))
		}
	}
	for _, s := range r.Sessions {
		in.session(s)
	}
	for _, d := range r.Deleted {
		in.deleted(d)
	}
	in.batch.Refused = len(in.notes)
	return in
}

// id reads the id of a row. A bad one is told of by as much of it as is harmless.
func (in *importIn) id(kind, text string) (iam.ID, bool) {
	id, err := iam.ParseID(text)
	if err != nil {
		in.refuse(kind, text, "id", "must be a UUID")
	}
	return id, err == nil
}

func (in *importIn) refuse(kind, id, field, reason string) {
	id = strings.ToValidUTF8(id[:min(len(id), 64)], "?")
	in.notes = append(in.notes, api.ImportNote{Kind: kind, ID: id, Outcome: api.ImportRefused, Field: field, Reason: reason})
}

// hash is what is kept of a hash: itself if its form is known here, and never else. A hash that nobody can
// verify would only lie there to be stolen.
func (in *importIn) hash(kind iam.ImportKind, id iam.ID, field, hash string) (kept string, digest []byte) {
	sum := sha256.Sum256([]byte(hash))
	if hash == "" {
		in.reasons[rowField{kind, id, field}] = "there is none, so a new one must be set"
		return iam.UnusableHash, sum[:]
	}
	if _, err := secret.Recognize(hash); err != nil {
		in.reasons[rowField{kind, id, field}] = err.Error() + "; a new one must be set"
		return iam.UnusableHash, sum[:]
	}
	return hash, sum[:]
}

func (in *importIn) user(id iam.ID, u api.ImportUser) fsm.ImportedUser {
	hash, digest := in.hash(iam.ImportUser, id, "password_hash", u.PasswordHash)
	return fsm.ImportedUser{Roles: u.Roles, Hash: digest, User: iam.User{
		ID: id, Username: u.Username, Email: u.Email, PasswordHash: hash,
		FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayName, Bio: u.Bio,
		Active: u.Active, Verified: u.Verified, Superuser: u.Superuser,
		LockedUntil: iam.TimeOf(u.LockedUntil), LastLogin: iam.TimeOf(u.LastLogin), PasswordChangedAt: iam.TimeOf(u.PasswordChangedAt),
		CreatedAt: iam.TimeOf(u.CreatedAt), UpdatedAt: iam.TimeOf(u.UpdatedAt),
	}}
}

func (in *importIn) client(id iam.ID, c api.ImportClient) fsm.ImportedClient {
	out := fsm.ImportedClient{Scopes: c.Scopes, Client: iam.Client{
		ID: id, ClientID: c.ClientID, Name: c.Name, Description: c.Description, Type: iam.ClientType(c.Type), Active: c.Active, Trusted: c.Trusted,
		AccessLifetime: c.AccessLifetime, RefreshLifetime: c.RefreshLifetime, RatePerMinute: c.RatePerMinute, RatePerHour: c.RatePerHour,
		AllowedIPs: each(c.AllowedIPs, rangeOf), ContactEmail: c.ContactEmail, WebsiteURL: c.WebsiteURL, WebhookURL: c.WebhookURL,
		LastUsed: iam.TimeOf(c.LastUsed), TotalRequests: c.TotalRequests, CreatedAt: iam.TimeOf(c.CreatedAt), UpdatedAt: iam.TimeOf(c.UpdatedAt),
	}}
	if len(c.AllowedIPs) == 0 {
		out.Client.AllowedIPs = nil
	}
	if _, digest := iam.ParseSecretForm(c.SecretHash); out.Client.Type == iam.Confidential && digest != nil {
		sum := sha256.Sum256([]byte(c.SecretHash))
		out.Client.SecretDigest, out.Hash = digest, sum[:] // a secret that another cluster made
	} else if out.Client.Type == iam.Confidential {
		out.Client.SecretHash, out.Hash = in.hash(iam.ImportClient, id, "client_secret_hash", c.SecretHash)
	}
	return out
}

// rangeOf is the range of a single address, and anything else as it is.
func rangeOf(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return text
	}
	return netip.PrefixFrom(ip, ip.BitLen()).String()
}

func (in *importIn) session(s api.ImportSession) {
	id, ok := in.id("session", s.ID)
	if !ok {
		return
	}
	user, err := iam.ParseID(s.UserID)
	if err != nil {
		in.refuse("session", s.ID, "user_id", "must be a UUID")
		return
	}
	if _, err := secret.Recognize(s.TokenHash); err != nil {
		in.refuse("session", s.ID, "token_hash", err.Error())
		return
	}
	agent := strings.ToValidUTF8(s.UserAgent[:min(len(s.UserAgent), 256)], "?")
	in.batch.Sessions = append(in.batch.Sessions, iam.LegacySession{
		ID: id, UserID: user, TokenHash: s.TokenHash, IssuedAt: iam.TimeOf(s.IssuedAt), ExpiresAt: iam.TimeOf(s.ExpiresAt), IP: s.IP, UserAgent: agent,
	})
}

func (in *importIn) deleted(d api.ImportDeleted) {
	kind := slices.Index(iam.ImportKinds[:], d.Kind)
	if kind < int(iam.ImportScope) {
		in.refuse("row", d.ID, "kind", "must be scope, role, user, client or session")
		return
	}
	if id, ok := in.id(d.Kind, d.ID); ok {
		in.batch.Deleted = append(in.batch.Deleted, fsm.ImportedKey{Kind: iam.ImportKind(kind), ID: id})
	}
}
