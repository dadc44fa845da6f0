package importer

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// row is a row of the source while it becomes one of the API. Values are text, whatever their type at the
// source, so that one that cannot be read costs its row and not the import.
type row struct {
	table   *table
	values  []string
	null    []bool
	names   []string // of what it is linked to
	unknown int      // links to what is not there

	field, reason string // why it cannot be represented; the first problem counts
}

// refuse notes why the row cannot be represented.
func (r *row) refuse(field, reason string) {
	if r.reason == "" {
		r.field, r.reason = field, reason
	}
}

// value returns what stands in a column; there is none where it is null, or where the source lacks the column.
func (r *row) value(name string) (text string, ok bool) {
	at, present := r.table.at[name]
	if !present || r.null[at] {
		return "", false
	}
	return r.values[at], true
}

// must is value where there must be one.
func (r *row) must(name string) string {
	text, ok := r.value(name)
	if !ok {
		r.refuse(name, "is null where there must be a value")
	}
	return text
}

func (r *row) text(name string) string {
	text, _ := r.value(name)
	return r.bounded(name, text)
}

func (r *row) mustText(name string) string { return r.bounded(name, r.must(name)) }

func (r *row) bounded(name, text string) string {
	f, _ := r.table.shape.field(name)
	switch {
	case !utf8.ValidString(text):
		r.refuse(name, "is not UTF-8")
	case f.most > 0 && len(text) > f.most && utf8.RuneCountInString(text) > f.most:
		r.refuse(name, fmt.Sprintf("is longer than %d characters", f.most))
	}
	return text
}

func (r *row) id(name string) string {
	text, ok := r.value(name)
	if !ok {
		r.refuse(name, "is null where there must be a value")
		return ""
	}
	id, err := iam.ParseID(text)
	if err != nil || id.IsZero() {
		r.refuse(name, "is not a UUID")
		return ""
	}
	return id.String()
}

// flag reads a truth value, which is otherwise where the source lacks the column.
func (r *row) flag(name string, otherwise bool) bool {
	if _, present := r.table.at[name]; !present {
		return otherwise
	}
	switch strings.ToLower(r.must(name)) {
	case "t", "true", "1", "y", "yes", "on":
		return true
	case "f", "false", "0", "n", "no", "off":
		return false
	}
	r.refuse(name, "is neither true nor false")
	return false
}

// number reads a whole number; 0 stands for none.
func (r *row) number(name string) int64 {
	text, ok := r.value(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		r.refuse(name, "is not a whole number")
	}
	return n
}

// layouts are how PostgreSQL writes instants under DateStyle ISO, with and without a zone.
var layouts = []string{"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", time.RFC3339Nano, time.DateOnly}

// time reads an instant; the zero time stands for none. One without a zone is one of UTC.
func (r *row) time(name string) time.Time {
	text, ok := r.value(name)
	if !ok {
		return time.Time{}
	}
	switch text {
	case "infinity":
		return farAway
	case "-infinity":
		return time.Time{}
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
			return t.UTC()
		}
	}
	r.refuse(name, "is not a time of the years 1 to 9999")
	return time.Time{}
}

// farAway is what PostgreSQL calls infinity, as in a lock without an end.
var farAway = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

func (r *row) scope() api.ImportScope {
	return api.ImportScope{
		ID: r.id("id"), Name: r.mustText("name"), Description: r.text("description"), Resource: r.text("resource"),
		CreatedAt: r.time("created_at"), UpdatedAt: r.time("updated_at"),
	}
}

func (r *row) role() api.ImportRole {
	return api.ImportRole{
		ID: r.id("id"), Name: r.mustText("name"), Description: r.text("description"), Scopes: r.names,
		CreatedAt: r.time("created_at"), UpdatedAt: r.time("updated_at"),
	}
}

func (r *row) user() api.ImportUser {
	return api.ImportUser{
		ID: r.id("id"), Username: r.mustText("username"), Email: r.mustText("email"), PasswordHash: r.text("password_hash"),
		FirstName: r.text("first_name"), LastName: r.text("last_name"), DisplayName: r.text("display_name"), Bio: r.text("bio"),
		Active: r.flag("is_active", true), Verified: r.flag("is_verified", false), Superuser: r.flag("is_superuser", false),
		Roles: r.names, LockedUntil: r.time("locked_until"), LastLogin: r.time("last_login"), PasswordChangedAt: r.time("password_changed_at"),
		CreatedAt: r.time("created_at"), UpdatedAt: r.time("updated_at"),
	}
}

func (r *row) client() api.ImportClient {
	c := api.ImportClient{
		ID: r.id("id"), ClientID: r.mustText("client_id"), SecretHash: r.text("client_secret_hash"),
		Name: r.text("name"), Description: r.text("description"), Type: r.text("client_type"),
		Active: r.flag("is_active", true), Trusted: r.flag("is_trusted", false), Scopes: r.names,
		AccessLifetime: r.number("access_token_lifetime"), RefreshLifetime: r.number("refresh_token_lifetime"),
		RatePerMinute: r.number("rate_limit_per_minute"), RatePerHour: r.number("rate_limit_per_hour"), AllowedIPs: ranges(r.text("allowed_ips")),
		ContactEmail: r.text("contact_email"), WebsiteURL: r.text("website_url"), WebhookURL: r.text("webhook_url"),
		LastUsed: r.time("last_used"), TotalRequests: r.number("total_requests"), CreatedAt: r.time("created_at"), UpdatedAt: r.time("updated_at"),
	}
	if c.Name == "" {
		c.Name = c.ClientID
	}
	if c.Type == "" {
		c.Type = string(iam.Confidential)
	}
	return c
}

func (r *row) session() api.ImportSession {
	return api.ImportSession{
		ID: r.id("id"), UserID: r.id("user_id"), TokenHash: r.mustText("token_hash"),
		IssuedAt: r.time("issued_at"), ExpiresAt: r.mustTime("expires_at"), IP: r.text("client_ip"), UserAgent: r.text("user_agent"),
	}
}

func (r *row) mustTime(name string) time.Time {
	r.must(name)
	return r.time(name)
}

// ranges reads addresses and ranges of them with commas between.
func ranges(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r' })
}

// size is at least what the row takes in a request.
func (r *row) size() int {
	n := 500 // the names of its members
	for _, texts := range [][]string{r.values, r.names} {
		for _, text := range texts {
			n += len(text) + 3
			for i := range len(text) {
				switch c := text[i]; {
				case c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f:
					n += 5 // as a \u001f
				case c == 0xe2:
					n += 3 // as a \u2028, which takes three bytes here
				}
			}
		}
	}
	return n
}

// name is the id of the row for notes: short, whatever stands in the column.
func (r *row) name() string {
	text, _ := r.value("id")
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "") + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
