package api

import "time"

// What an import does with a row whose username, e-mail address or client_id belongs to another row already.
const (
	ConflictSkip   = "skip"   // leave the row out and say so
	ConflictRename = "rename" // give the row a name of its own and say so
	ConflictFail   = "fail"   // refuse the whole batch, of which nothing is kept
)

// ImportRequest is a batch of rows from another system, all of which are kept in one step together with
// how far the import has come. Rows refer to roles and scopes by name, which is what they have in common
// with this cluster: its own may have other ids. Rows that exist here under their id are replaced.
type ImportRequest struct {
	Source     string `json:"source"`      // name of the import, of which the cluster keeps the cursor
	After      string `json:"after"`       // the cursor as the caller knows it; another one means that somebody else imports as well
	Cursor     string `json:"cursor"`      // the cursor once this batch is kept
	OnConflict string `json:"on_conflict"` // skip, rename or fail
	// DryRun tells what would come of the batch, wherever the import stands, and keeps nothing. It does not know of
	// rows that only other batches would have brought.
	DryRun bool `json:"dry_run,omitempty"`

	Scopes   []ImportScope   `json:"scopes,omitempty"`
	Roles    []ImportRole    `json:"roles,omitempty"`
	Users    []ImportUser    `json:"users,omitempty"`
	Clients  []ImportClient  `json:"clients,omitempty"`
	Sessions []ImportSession `json:"sessions,omitempty"`
	Deleted  []ImportDeleted `json:"deleted,omitempty"`
}

// ImportScope is a scope of another system.
type ImportScope struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Resource    string    `json:"resource,omitempty"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
}

// ImportRole is a role of another system.
type ImportRole struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Scopes      []string  `json:"scopes,omitempty"` // names
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
}

// ImportUser is a user of another system.
type ImportUser struct {
	ID                string    `json:"id"`
	Username          string    `json:"username"`
	Email             string    `json:"email"`
	PasswordHash      string    `json:"password_hash"` // as it is there; one of an unknown form means that the password must be reset
	FirstName         string    `json:"first_name,omitempty"`
	LastName          string    `json:"last_name,omitempty"`
	DisplayName       string    `json:"display_name,omitempty"`
	Bio               string    `json:"bio,omitempty"`
	Active            bool      `json:"is_active"`
	Verified          bool      `json:"is_verified"`
	Superuser         bool      `json:"is_superuser"`
	Roles             []string  `json:"roles,omitempty"` // names
	LockedUntil       time.Time `json:"locked_until,omitzero"`
	LastLogin         time.Time `json:"last_login,omitzero"`
	PasswordChangedAt time.Time `json:"password_changed_at,omitzero"`
	CreatedAt         time.Time `json:"created_at,omitzero"`
	UpdatedAt         time.Time `json:"updated_at,omitzero"`
}

// ImportClient is a service client of another system.
type ImportClient struct {
	ID              string    `json:"id"`
	ClientID        string    `json:"client_id"`
	SecretHash      string    `json:"client_secret_hash"`
	Name            string    `json:"name"`
	Description     string    `json:"description,omitempty"`
	Type            string    `json:"client_type"`
	Active          bool      `json:"is_active"`
	Trusted         bool      `json:"is_trusted"`
	Scopes          []string  `json:"scopes,omitempty"` // names
	AccessLifetime  int64     `json:"access_token_lifetime,omitempty"`
	RefreshLifetime int64     `json:"refresh_token_lifetime,omitempty"`
	RatePerMinute   int64     `json:"rate_limit_per_minute,omitempty"`
	RatePerHour     int64     `json:"rate_limit_per_hour,omitempty"`
	AllowedIPs      []string  `json:"allowed_ips,omitempty"`
	ContactEmail    string    `json:"contact_email,omitempty"`
	WebsiteURL      string    `json:"website_url,omitempty"`
	WebhookURL      string    `json:"webhook_url,omitempty"`
	LastUsed        time.Time `json:"last_used,omitzero"`
	TotalRequests   int64     `json:"total_requests,omitempty"`
	CreatedAt       time.Time `json:"created_at,omitzero"`
	UpdatedAt       time.Time `json:"updated_at,omitzero"`
}

// ImportSession is a refresh token of the old system that is still alive. The first refresh with it, where
// the cluster accepts tokens of that system, makes a session of this one.
type ImportSession struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	TokenHash string    `json:"token_hash"` // Argon2id of the whole token
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	IP        string    `json:"client_ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

// ImportDeleted is a row that is gone in the other system.
type ImportDeleted struct {
	Kind string `json:"kind"` // scope, role, user, client or session
	ID   string `json:"id"`
}

// What came of a row.
const (
	ImportCreated   = "created"
	ImportUpdated   = "updated"
	ImportUnchanged = "unchanged"
	ImportDeletion  = "deleted"
	ImportRefused   = "refused"
)

// ImportResponse says what came of a batch.
type ImportResponse struct {
	Cursor    string `json:"cursor"`
	Created   int    `json:"created"`
	Updated   int    `json:"updated"`
	Unchanged int    `json:"unchanged"`
	Deleted   int    `json:"deleted"`
	Refused   int    `json:"refused"`
	// Notes tell of every row that was refused, or was kept in another form than it came.
	Notes []ImportNote `json:"notes,omitempty"`
}

// ImportNote tells what was done with one row, and why.
type ImportNote struct {
	Kind    string `json:"kind"` // scope, role, user, client or session
	ID      string `json:"id"`
	Outcome string `json:"outcome"` // created, updated, unchanged, deleted or refused
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
}

// ImportState is how far an import has come. Its counts are those of all batches together.
type ImportState struct {
	Source    string    `json:"source"`
	Cursor    string    `json:"cursor"`
	Created   int64     `json:"created"`
	Updated   int64     `json:"updated"`
	Unchanged int64     `json:"unchanged"`
	Deleted   int64     `json:"deleted"`
	Refused   int64     `json:"refused"`
	StartedAt time.Time `json:"started_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ImportedRows are ids of rows that an import has brought and that its source may delete.
type ImportedRows struct {
	IDs  []string `json:"ids"`
	Next string   `json:"next,omitempty"` // for after, to go on; none at the end
}
