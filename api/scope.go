package api

// CreateScopeRequest makes a scope, which roles and clients can then be given.
type CreateScopeRequest struct {
	Name        string `json:"name"` // by convention action:resource
	Description string `json:"description,omitzero"`
	Resource    string `json:"resource,omitzero"`
	Action      string `json:"action,omitzero"`
}

// Scope is one permission.
type Scope struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Resource    string `json:"resource"`
	Action      string `json:"action"`
}
