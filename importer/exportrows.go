package importer

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// pageSize is how many rows are in memory at a time on their way from the store.
const pageSize = 500

// side is the state at one instant, and what of it rows of other kinds depend on.
type side struct {
	*store.Reader
	index    uint64 // of the log entry that was applied last
	now      iam.Time
	settings iam.Settings
}

// change is the state to be written, and the one that the database has; nil where that is not known.
type change struct {
	now, before *side
}

// group is the rows of one kind with what hangs on them: the first table has the rows themselves.
type group struct {
	name    string
	targets []*target
	// touched are the ids of all that differ between two states.
	touched func(c *change) iter.Seq[iam.ID]
	// rows are those of a table; where both states are known, of what differs alone.
	rows func(c *change, t *target) iter.Seq[[]any]
}

// kind is how to walk the rows of one type, and what they become.
type kind[T any] struct {
	table store.IDTable
	page  func(r *store.Reader, after iam.ID, most int) []T
	get   func(r *store.Reader, id iam.ID) (T, bool)
	id    func(*T) iam.ID
	rows  func(s *side, t *target, row *T) [][]any
}

func groupOf[T any](k kind[T], targets ...*target) group {
	return group{
		name: string(k.table), targets: targets,
		touched: func(c *change) iter.Seq[iam.ID] {
			return func(yield func(iam.ID) bool) {
				c.now.Differences(c.before.Reader, k.table, func(id iam.ID, _ bool) bool { return yield(id) })
			}
		},
		rows: func(c *change, t *target) iter.Seq[[]any] {
			return func(yield func([]any) bool) {
				for row := range k.wanted(c) {
					for _, values := range k.rows(c.now, t, &row) {
						if !yield(values) {
							return
						}
					}
				}
			}
		},
	}
}

// wanted yields the rows that are to be written.
func (k kind[T]) wanted(c *change) iter.Seq[T] {
	if c.before == nil {
		return k.all(c.now)
	}
	return func(yield func(T) bool) {
		c.now.Differences(c.before.Reader, k.table, func(id iam.ID, here bool) bool {
			row, ok := k.get(c.now.Reader, id)
			return !here || !ok || yield(row)
		})
	}
}

// all yields the rows of a state in the order of ids.
func (k kind[T]) all(s *side) iter.Seq[T] {
	return func(yield func(T) bool) {
		var after iam.ID
		for {
			page := k.page(s.Reader, after, pageSize)
			for i := range page {
				if after = k.id(&page[i]); !yield(page[i]) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

func less(a, b iam.ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// The rows that both an export and a comparison walk.
var (
	scopeKind = kind[iam.Scope]{
		table: store.ScopeTable, page: (*store.Reader).Scopes, get: (*store.Reader).Scope, id: func(s *iam.Scope) iam.ID { return s.ID }, rows: scopeRows,
	}
	roleKind = kind[iam.Role]{
		table: store.RoleTable, page: (*store.Reader).Roles, get: (*store.Reader).Role, id: func(r *iam.Role) iam.ID { return r.ID }, rows: roleRows,
	}
	userKind = kind[iam.User]{
		table: store.UserTable, page: (*store.Reader).Users, get: (*store.Reader).User, id: func(u *iam.User) iam.ID { return u.ID }, rows: userRows,
	}
	clientKind = kind[iam.Client]{
		table: store.ClientTable, page: (*store.Reader).Clients, get: (*store.Reader).Client, id: func(c *iam.Client) iam.ID { return c.ID }, rows: clientRows,
	}
	sessionKind = kind[iam.Session]{
		table: store.SessionTable, page: (*store.Reader).Sessions, get: (*store.Reader).Session, id: func(s *iam.Session) iam.ID { return s.ID }, rows: sessionRows,
	}
	legacyKind = kind[iam.LegacySession]{
		table: store.LegacySessionTable, page: (*store.Reader).LegacySessions, get: (*store.Reader).LegacySession,
		id: func(s *iam.LegacySession) iam.ID { return s.ID }, rows: legacyRows,
	}
)

// groups are in the order in which rows can refer to others. Sessions that are over stay until the cluster drops them: a
// row must not become another one while nothing is written, or what differs between two states would not tell.
var groups = []group{
	groupOf(scopeKind, scopesTable, besideScopes),
	groupOf(roleKind, rolesTable, roleScopesTable),
	groupOf(userKind, usersTable, userRolesTable, besideUsers),
	groupOf(clientKind, clientsTable, clientScopesTable, besideClients),
	groupOf(sessionKind, sessionsTable, besideSessions),
	groupOf(legacyKind, refreshTable),
}

func scopeRows(_ *side, t *target, s *iam.Scope) [][]any {
	switch {
	case t == scopesTable:
		return one(s.ID, s.Name, text(s.Description), text(s.Resource), always(s.CreatedAt), always(s.UpdatedAt))
	case s.Action != "":
		return one(s.ID, s.Action)
	}
	return nil
}

func roleRows(_ *side, t *target, r *iam.Role) [][]any {
	if t == rolesTable {
		return one(r.ID, r.Name, text(r.Description), always(r.CreatedAt), always(r.UpdatedAt))
	}
	return linkRows(r.ID, r.Scopes)
}

func userRows(_ *side, t *target, u *iam.User) [][]any {
	name := iam.Fold(u.Username)
	switch t {
	case usersTable:
		return one(u.ID, name, lowerDomain(u.Email), u.PasswordHash, text(u.FirstName), text(u.LastName), text(u.DisplayName), text(u.Bio),
			u.Active, u.Verified, u.Superuser, moment(u.LastLogin), moment(u.LockedUntil),
			always(max(u.PasswordChangedAt, u.CreatedAt)), always(u.CreatedAt), always(u.UpdatedAt))
	case userRolesTable:
		return linkRows(u.ID, u.Roles)
	}
	var typed any
	if name != u.Username {
		typed = u.Username
	}
	if typed == nil && len(u.PreviousHashes) == 0 {
		return nil
	}
	return one(u.ID, typed, texts(u.PreviousHashes))
}

func clientRows(s *side, t *target, c *iam.Client) [][]any {
	switch t {
	case clientsTable:
		lifetime := c.AccessLifetime
		if lifetime == 0 {
			lifetime = s.settings.ServiceSeconds
		}
		var refresh any
		if c.RefreshLifetime != 0 {
			refresh = c.RefreshLifetime
		}
		return one(c.ID, c.ClientID, iam.SecretForm(c.SecretHash, c.SecretDigest), c.Name, text(c.Description), string(c.Type), c.Active, c.Trusted,
			lifetime, refresh, c.RatePerMinute, c.RatePerHour, moment(c.LastUsed), c.TotalRequests,
			text(c.ContactEmail), text(c.WebsiteURL), text(strings.Join(c.AllowedIPs, ",")), text(c.WebhookURL),
			always(c.CreatedAt), always(c.UpdatedAt))
	case clientScopesTable:
		return linkRows(c.ID, c.Scopes)
	}
	var previous, until any
	if c.PreviousHash != "" || len(c.PreviousDigest) > 0 {
		previous, until = iam.SecretForm(c.PreviousHash, c.PreviousDigest), moment(c.PreviousUntil)
	}
	if previous == nil && len(c.Audiences) == 0 && c.AccessLifetime != 0 {
		return nil
	}
	return one(c.ID, texts(c.Audiences), c.AccessLifetime == 0, previous, until)
}

func sessionRows(_ *side, t *target, s *iam.Session) [][]any {
	if t == sessionsTable {
		return one(s.ID, s.ID.String(), always(s.CreatedAt), always(s.LastActivity), always(s.ExpiresAt),
			s.IP, text(s.UserAgent), true, text(s.TokenID), [16]byte(s.UserID), always(s.LastActivity))
	}
	return one(s.ID, text(s.ClientID), texts(s.Scope), always(s.AuthTime))
}

// legacyRows has no token_id, which is no part of the token: any one that nobody else has will do.
func legacyRows(_ *side, _ *target, s *iam.LegacySession) [][]any {
	issued := always(s.IssuedAt)
	return one(s.ID, s.ID.String(), s.TokenHash, always(s.ExpiresAt), issued, false, false,
		text(s.IP), text(s.UserAgent), [16]byte(s.UserID), issued, issued)
}

// settingRows are what is the same for the whole cluster.
func settingRows(s iam.Settings) [][]any {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return [][]any{
		{"access_token_seconds", number(s.AccessSeconds)},
		{"audit_keep_count", number(s.AuditKeepCount)},
		{"audit_keep_days", number(s.AuditKeepDays)},
		{"default_role", s.DefaultRole},
		{"issuer", s.Issuer},
		{"refresh_token_seconds", number(s.RefreshSeconds)},
		{"service_token_seconds", number(s.ServiceSeconds)},
		{"signing_algorithm", s.Algorithm},
	}
}

func auditRow(e iam.AuditEntry) []any {
	return []any{
		int64(e.Sequence), always(e.At), e.Type, text(e.Actor), text(e.Target), e.Result, text(e.Reason),
		text(e.IP), text(e.UserAgent), text(e.RequestID), int64(max(1, e.Count)), e.Previous[:], e.Hash[:],
	}
}

func one(values ...any) [][]any {
	if id, ok := values[0].(iam.ID); ok {
		values[0] = [16]byte(id)
	}
	return [][]any{values}
}

func linkRows(id iam.ID, to []iam.ID) [][]any {
	rows := make([][]any, len(to))
	for i := range to {
		rows[i] = []any{[16]byte(id), [16]byte(to[i])}
	}
	return rows
}

// text is a text for a column that may be null. What came from outside, such as a user agent, may hold a zero byte,
// which PostgreSQL does not take.
func text(s string) any {
	if s == "" {
		return nil
	}
	return strings.ReplaceAll(s, "\x00", "\ufffd")
}

// texts is an array that is never null.
func texts(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

func moment(t iam.Time) any {
	if t == 0 {
		return nil
	}
	return t.Std()
}

// always is an instant for a column that must have one. One that is not set is 1970, which an import takes for none.
func always(t iam.Time) time.Time { return time.UnixMicro(int64(t)).UTC() }

// lowerDomain is an e-mail address as the documented schema wants it: the part before the @ may mean another
// mailbox in another letter case, the domain never does (RFC 5321 §2.4).
func lowerDomain(address string) string {
	at := strings.LastIndexByte(address, '@')
	return address[:at+1] + strings.ToLower(address[at+1:])
}
