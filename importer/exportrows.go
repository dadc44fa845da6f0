package importer

import (
	"bytes"
	"iter"
	"reflect"
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
	// touched are the ids of all that differ between the two states.
	touched func(c *change) iter.Seq[iam.ID]
	// rows are those of a table, of the ones that differ where both states are known.
	rows func(c *change, t *target) iter.Seq[[]any]
}

// kind is how to make a group of rows of one type.
type kind[T any] struct {
	page func(r *store.Reader, after iam.ID, most int) []T
	id   func(*T) iam.ID
	live func(s *side, row *T) bool // nil: all are
	rows func(s *side, t *target, row *T) [][]any
}

func groupOf[T any](name string, k kind[T], targets ...*target) group {
	return group{
		name: name, targets: targets,
		touched: func(c *change) iter.Seq[iam.ID] {
			return func(yield func(iam.ID) bool) {
				for row := range k.differing(c) {
					if !yield(k.id(&row)) {
						return
					}
				}
			}
		},
		rows: func(c *change, t *target) iter.Seq[[]any] {
			return func(yield func([]any) bool) {
				for row, there := range k.differing(c) {
					if !there {
						continue
					}
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

// all yields the rows of one state that count, in the order of ids.
func (k kind[T]) all(s *side) iter.Seq[T] {
	return func(yield func(T) bool) {
		if s == nil {
			return
		}
		var after iam.ID
		for {
			page := k.page(s.Reader, after, pageSize)
			for i := range page {
				after = k.id(&page[i])
				if (k.live == nil || k.live(s, &page[i])) && !yield(page[i]) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// differing yields the rows that are not the same in both states, each with whether it is there now. It walks both
// in the order of ids at the same time, and so needs no memory for what it has seen.
func (k kind[T]) differing(c *change) iter.Seq2[T, bool] {
	return func(yield func(T, bool) bool) {
		before, stop := iter.Pull(k.all(c.before))
		defer stop()
		old, more := before()
		for row := range k.all(c.now) {
			id := k.id(&row)
			for more && less(k.id(&old), id) {
				if !yield(old, false) {
					return
				}
				old, more = before()
			}
			if more && k.id(&old) == id {
				same := reflect.DeepEqual(old, row)
				old, more = before()
				if same {
					continue
				}
			}
			if !yield(row, true) {
				return
			}
		}
		for ; more; old, more = before() {
			if !yield(old, false) {
				return
			}
		}
	}
}

func less(a, b iam.ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// groups are in the order in which rows can refer to others.
var groups = []group{
	groupOf("scopes", kind[iam.Scope]{
		page: (*store.Reader).Scopes, id: func(s *iam.Scope) iam.ID { return s.ID }, rows: scopeRows,
	}, scopesTable, besideScopes),
	groupOf("roles", kind[iam.Role]{
		page: (*store.Reader).Roles, id: func(r *iam.Role) iam.ID { return r.ID }, rows: roleRows,
	}, rolesTable, roleScopesTable),
	groupOf("users", kind[iam.User]{
		page: (*store.Reader).Users, id: func(u *iam.User) iam.ID { return u.ID }, rows: userRows,
	}, usersTable, userRolesTable, besideUsers),
	groupOf("clients", kind[iam.Client]{
		page: (*store.Reader).Clients, id: func(c *iam.Client) iam.ID { return c.ID }, rows: clientRows,
	}, clientsTable, clientScopesTable, besideClients),
	groupOf("sessions", kind[iam.Session]{
		page: (*store.Reader).Sessions, id: func(s *iam.Session) iam.ID { return s.ID },
		live: func(s *side, row *iam.Session) bool { return row.ExpiresAt > s.now }, rows: sessionRows,
	}, sessionsTable, besideSessions),
	groupOf("refresh_tokens", kind[iam.LegacySession]{
		page: (*store.Reader).LegacySessions, id: func(s *iam.LegacySession) iam.ID { return s.ID },
		live: func(s *side, row *iam.LegacySession) bool { return row.ExpiresAt > s.now }, rows: legacyRows,
	}, refreshTable),
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
	if c.PreviousUntil > s.now && (c.PreviousHash != "" || len(c.PreviousDigest) > 0) {
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
