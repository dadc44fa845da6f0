package api

// ReplaceClientRequest says everything about a client anew: what is missing is as in a client that was just
// made. What names it, its type and its secret stay.
type ReplaceClientRequest struct {
	ClientID             string   `json:"client_id,omitzero"`   // as in the path, or absent
	ClientType           string   `json:"client_type,omitzero"` // as it is, or absent
	Name                 string   `json:"name"`
	Description          string   `json:"description,omitzero"`
	IsActive             *bool    `json:"is_active,omitzero"` // absent: true
	IsTrusted            bool     `json:"is_trusted,omitzero"`
	Scopes               []string `json:"scopes,omitzero"`
	Audiences            []string `json:"audiences,omitzero"`
	AccessTokenLifetime  int64    `json:"access_token_lifetime,omitzero"`
	RefreshTokenLifetime int64    `json:"refresh_token_lifetime,omitzero"`
	RateLimitPerMinute   int64    `json:"rate_limit_per_minute,omitzero"`
	RateLimitPerHour     int64    `json:"rate_limit_per_hour,omitzero"`
	AllowedIPs           []string `json:"allowed_ips,omitzero"`
	ContactEmail         string   `json:"contact_email,omitzero"`
	WebsiteURL           string   `json:"website_url,omitzero"`
	WebhookURL           string   `json:"webhook_url,omitzero"`
}

// PatchClientRequest changes what it names of a client; null sets a member back.
type PatchClientRequest struct {
	Name                 Patch[string]   `json:"name,omitzero"`
	Description          Patch[string]   `json:"description,omitzero"`
	ClientType           Patch[string]   `json:"client_type,omitzero"` // as it is
	IsActive             Patch[*bool]    `json:"is_active,omitzero"`   // null: true
	IsTrusted            Patch[bool]     `json:"is_trusted,omitzero"`
	Scopes               Patch[[]string] `json:"scopes,omitzero"`
	Audiences            Patch[[]string] `json:"audiences,omitzero"`
	AccessTokenLifetime  Patch[int64]    `json:"access_token_lifetime,omitzero"`
	RefreshTokenLifetime Patch[int64]    `json:"refresh_token_lifetime,omitzero"`
	RateLimitPerMinute   Patch[int64]    `json:"rate_limit_per_minute,omitzero"`
	RateLimitPerHour     Patch[int64]    `json:"rate_limit_per_hour,omitzero"`
	AllowedIPs           Patch[[]string] `json:"allowed_ips,omitzero"`
	ContactEmail         Patch[string]   `json:"contact_email,omitzero"`
	WebsiteURL           Patch[string]   `json:"website_url,omitzero"`
	WebhookURL           Patch[string]   `json:"webhook_url,omitzero"`
}

// RotateSecretRequest gives a client a new secret.
type RotateSecretRequest struct {
	GraceSeconds int64 `json:"grace_seconds,omitzero"` // how long the old one is good still, 0 to 2592000
}

// Clients is one page of the clients.
type Clients struct {
	Clients []Client `json:"clients"`
	Page
}

// RoleRequest makes a role, or says everything about one anew.
type RoleRequest struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitzero"`
	Scopes      []string `json:"scopes,omitzero"` // names
}

// PatchRoleRequest changes what it names of a role; null sets a member back.
type PatchRoleRequest struct {
	Name        Patch[string]   `json:"name,omitzero"`
	Description Patch[string]   `json:"description,omitzero"`
	Scopes      Patch[[]string] `json:"scopes,omitzero"`
}

// Role is a set of scopes that users are given.
type Role struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Scopes      []string `json:"scopes"` // names
	// UserCount is how many users hold the role. It is counted up to 10000: that many may be more.
	UserCount int `json:"user_count"`
}

// Roles is one page of the roles.
type Roles struct {
	Roles []Role `json:"roles"`
	Page
}

// PatchScopeRequest changes what it names of a scope; null sets a member back. A scope keeps its name.
type PatchScopeRequest struct {
	Name        Patch[string] `json:"name,omitzero"`
	Description Patch[string] `json:"description,omitzero"`
	Resource    Patch[string] `json:"resource,omitzero"`
	Action      Patch[string] `json:"action,omitzero"`
}

// Scopes is one page of the scopes.
type Scopes struct {
	Scopes []Scope `json:"scopes"`
	Page
}
