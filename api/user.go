package api

import "time"

// RegisterRequest makes an account for whoever asks. It has no members that give rights.
type RegisterRequest struct {
	Username    string `json:"username"` // 3 to 50 of A-Z a-z 0-9 . _ -
	Email       string `json:"email"`
	Password    string `json:"password"`
	FirstName   string `json:"first_name,omitzero"`
	LastName    string `json:"last_name,omitzero"`
	DisplayName string `json:"display_name,omitzero"`
	Bio         string `json:"bio,omitzero"`
}

// CreateUserRequest makes an account with roles.
type CreateUserRequest struct {
	Username    string   `json:"username"`
	Email       string   `json:"email"`
	Password    string   `json:"password"`
	FirstName   string   `json:"first_name,omitzero"`
	LastName    string   `json:"last_name,omitzero"`
	DisplayName string   `json:"display_name,omitzero"`
	Bio         string   `json:"bio,omitzero"`
	Roles       []string `json:"roles,omitzero"` // names; absent: the role of those who register
}

// User is a person. It never holds a password or its hash.
type User struct {
	ID          string     `json:"id"`
	Username    string     `json:"username"`
	Email       string     `json:"email"`
	FirstName   string     `json:"first_name"`
	LastName    string     `json:"last_name"`
	DisplayName string     `json:"display_name"`
	FullName    string     `json:"full_name"`
	Bio         string     `json:"bio"`
	IsActive    bool       `json:"is_active"`
	IsVerified  bool       `json:"is_verified"`
	IsSuperuser bool       `json:"is_superuser"`
	Roles       []string   `json:"roles"`      // names
	Scopes      []string   `json:"scopes"`     // names, through all roles
	LastLogin   *time.Time `json:"last_login"` // null before the first
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	LockedUntil *time.Time `json:"locked_until,omitzero"` // only while too many wrong passwords keep the person out
}

// Session is one login of a person.
type Session struct {
	ID           string    `json:"session_id"`
	IPAddress    string    `json:"ip_address"`
	UserAgent    string    `json:"user_agent"`
	CreatedAt    time.Time `json:"created_at"`
	LastActivity time.Time `json:"last_activity"`
	ExpiresAt    time.Time `json:"expires_at"`
	Current      bool      `json:"current"` // the one that the request's token belongs to
}

// Sessions is one page of a person's sessions, the newest first.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Page
}

// Page says which part of a list an answer holds.
type Page struct {
	Total   int `json:"total"`
	Number  int `json:"page"`
	PerPage int `json:"per_page"`
	Pages   int `json:"pages"`
	// NextCursor continues the list where this page ends; null at its end.
	NextCursor *string `json:"next_cursor"`
}

// SessionsEnded says how many sessions were ended.
type SessionsEnded struct {
	Message            string `json:"message"`
	SessionsTerminated int    `json:"sessions_terminated"`
}
