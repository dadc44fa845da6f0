package api

// UpdateProfileRequest changes one's own account. What is absent stays as it is.
type UpdateProfileRequest struct {
	Email       *string `json:"email,omitzero"` // another one has to be verified again
	FirstName   *string `json:"first_name,omitzero"`
	LastName    *string `json:"last_name,omitzero"`
	DisplayName *string `json:"display_name,omitzero"`
	Bio         *string `json:"bio,omitzero"`
}

// UpdateUserRequest changes somebody's account. What is absent stays as it is.
type UpdateUserRequest struct {
	Username    *string   `json:"username,omitzero"`
	Email       *string   `json:"email,omitzero"` // another one has to be verified again, unless is_verified says otherwise
	FirstName   *string   `json:"first_name,omitzero"`
	LastName    *string   `json:"last_name,omitzero"`
	DisplayName *string   `json:"display_name,omitzero"`
	Bio         *string   `json:"bio,omitzero"`
	IsActive    *bool     `json:"is_active,omitzero"`
	IsVerified  *bool     `json:"is_verified,omitzero"`
	IsSuperuser *bool     `json:"is_superuser,omitzero"` // by superusers and the operator alone
	Roles       *[]string `json:"roles,omitzero"`        // names; all that the user is to have
}

// RolesRequest says which roles a user is to have.
type RolesRequest struct {
	Roles []string `json:"roles"` // names
}

// Users is one page of the list of users.
type Users struct {
	Users []User `json:"users"`
	Page
}

// ChangePasswordRequest is a person's wish for another password.
type ChangePasswordRequest struct {
	CurrentPassword string `json:"current_password"`
	NewPassword     string `json:"new_password"`
}

// EmailRequest asks for a message to an address.
type EmailRequest struct {
	Email string `json:"email"`
}

// ConfirmResetRequest exchanges the token of a message for a new password.
type ConfirmResetRequest struct {
	Token       string `json:"token"`
	NewPassword string `json:"new_password"`
}

// ConfirmEmailRequest exchanges the token of a message for the mark that the address is one's own.
type ConfirmEmailRequest struct {
	Token string `json:"token"`
}

// SetPasswordRequest gives somebody another password.
type SetPasswordRequest struct {
	NewPassword string `json:"new_password,omitzero"` // absent: one is made
}

// PasswordSet is the answer to that.
type PasswordSet struct {
	Message string `json:"message"`
	// TemporaryPassword is the one that was made. It is shown this once, for only its hash is kept.
	TemporaryPassword  string `json:"temporary_password,omitzero"`
	SessionsTerminated int    `json:"sessions_terminated"`
}
