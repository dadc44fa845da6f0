package api

import "time"

// CreateClientRequest makes a client.
type CreateClientRequest struct {
	ClientID             string   `json:"client_id,omitzero"` // absent: one is made
	Name                 string   `json:"name"`
	Description          string   `json:"description,omitzero"`
	ClientType           string   `json:"client_type,omitzero"` // "confidential", which is the default, or "public"
	IsActive             *bool    `json:"is_active,omitzero"`   // absent: true
	IsTrusted            bool     `json:"is_trusted,omitzero"`
	Scopes               []string `json:"scopes,omitzero"` // names
	Audiences            []string `json:"audiences,omitzero"`
	AccessTokenLifetime  int64    `json:"access_token_lifetime,omitzero"`  // seconds, 60 to 86400; absent: the cluster's setting
	RefreshTokenLifetime int64    `json:"refresh_token_lifetime,omitzero"` // seconds; absent: the cluster's setting
	RateLimitPerMinute   int64    `json:"rate_limit_per_minute,omitzero"`
	RateLimitPerHour     int64    `json:"rate_limit_per_hour,omitzero"`
	AllowedIPs           []string `json:"allowed_ips,omitzero"` // CIDR ranges; absent: from everywhere
	ContactEmail         string   `json:"contact_email,omitzero"`
	WebsiteURL           string   `json:"website_url,omitzero"`
	WebhookURL           string   `json:"webhook_url,omitzero"`
}

// Client is a program that obtains or introspects tokens.
type Client struct {
	ClientID string `json:"client_id"`
	// ClientSecret is shown once, in the answer that makes it; it is not kept anywhere.
	ClientSecret         string     `json:"client_secret,omitzero"`
	Name                 string     `json:"name"`
	Description          string     `json:"description"`
	ClientType           string     `json:"client_type"`
	IsActive             bool       `json:"is_active"`
	IsTrusted            bool       `json:"is_trusted"`
	Scopes               []string   `json:"scopes"`
	Audiences            []string   `json:"audiences"`
	AccessTokenLifetime  int64      `json:"access_token_lifetime"`
	RefreshTokenLifetime int64      `json:"refresh_token_lifetime"`
	RateLimitPerMinute   int64      `json:"rate_limit_per_minute"` // 0: no limit of its own
	RateLimitPerHour     int64      `json:"rate_limit_per_hour"`
	AllowedIPs           []string   `json:"allowed_ips"`
	ContactEmail         string     `json:"contact_email"`
	WebsiteURL           string     `json:"website_url"`
	WebhookURL           string     `json:"webhook_url"`
	LastUsed             *time.Time `json:"last_used"`
	TotalRequests        int64      `json:"total_requests"`
	CreatedAt            time.Time  `json:"created_at"`
	UpdatedAt            time.Time  `json:"updated_at"`
}
