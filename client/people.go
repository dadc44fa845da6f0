package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/keystone-auth/keystone/api"
)

// WithIfMatch returns a client whose changes are refused with precondition_failed unless the resource
// still has the version that an ETag named.
func (c *Client) WithIfMatch(tag string) *Client { return c.with("If-Match", tag) }

// UserQuery says which users are listed; the zero value means the first page of all.
type UserQuery struct {
	Search, Role             string
	Active, Verified, Locked *bool
	Sort                     string // such as username,asc
	Cursor                   string // of the page before
	Number, PerPage          int
}

func (q UserQuery) encode() string {
	v := url.Values{}
	for name, text := range map[string]string{"search": q.Search, "role": q.Role, "sort": q.Sort, "cursor": q.Cursor} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, flag := range map[string]*bool{"is_active": q.Active, "is_verified": q.Verified, "is_locked": q.Locked} {
		if flag != nil {
			v.Set(name, strconv.FormatBool(*flag))
		}
	}
	for name, n := range map[string]int{"page": q.Number, "per_page": q.PerPage} {
		if n != 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	return v.Encode()
}

func userPath(ref string) string { return base + "/admin/users/" + url.PathEscape(ref) }

// Users returns one page of the list of users.
func (c *Client) Users(ctx context.Context, q UserQuery) (out api.Users, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/users?"+q.encode(), nil, &out)
	return out, err
}

// User returns the user of that id, username or e-mail address.
func (c *Client) User(ctx context.Context, ref string) (out api.User, err error) {
	err = c.call(ctx, http.MethodGet, userPath(ref), nil, &out)
	return out, err
}

// UserVersion is User, and its version for WithIfMatch.
func (c *Client) UserVersion(ctx context.Context, ref string) (out api.User, tag string, err error) {
	tag, err = c.tagged(ctx, http.MethodGet, userPath(ref), nil, &out)
	return out, tag, err
}

// UpdateUser changes a user.
func (c *Client) UpdateUser(ctx context.Context, ref string, r api.UpdateUserRequest) (out api.User, err error) {
	err = c.call(ctx, http.MethodPatch, userPath(ref), r, &out)
	return out, err
}

// SetRoles says which roles a user is to have.
func (c *Client) SetRoles(ctx context.Context, ref string, roles []string) (out api.User, err error) {
	err = c.call(ctx, http.MethodPut, userPath(ref)+"/roles", api.RolesRequest{Roles: roles}, &out)
	return out, err
}

// DeleteUser removes a user.
func (c *Client) DeleteUser(ctx context.Context, ref string) error {
	return c.call(ctx, http.MethodDelete, userPath(ref), nil, nil)
}

// LockDownUser takes everything from a user whose account is in the wrong hands.
func (c *Client) LockDownUser(ctx context.Context, ref string) (out api.SessionsEnded, err error) {
	err = c.call(ctx, http.MethodPost, userPath(ref)+"/lock-down", nil, &out)
	return out, err
}

// UnlockUser lets a user try again who was locked out.
func (c *Client) UnlockUser(ctx context.Context, ref string) (out api.User, err error) {
	err = c.call(ctx, http.MethodPost, userPath(ref)+"/unlock", nil, &out)
	return out, err
}

// SetPassword gives a user another password; without one it is made, and in the answer this once.
func (c *Client) SetPassword(ctx context.Context, ref, password string) (out api.PasswordSet, err error) {
	err = c.call(ctx, http.MethodPost, userPath(ref)+"/reset-password", api.SetPasswordRequest{NewPassword: password}, &out)
	return out, err
}

// UserSessions returns the first page of a user's sessions.
func (c *Client) UserSessions(ctx context.Context, ref string) (out api.Sessions, err error) {
	err = c.call(ctx, http.MethodGet, userPath(ref)+"/sessions?per_page=100", nil, &out)
	return out, err
}

// EndUserSessions logs a user out everywhere, and returns how many sessions that ended.
func (c *Client) EndUserSessions(ctx context.Context, ref string) (int, error) {
	var out api.SessionsEnded
	err := c.call(ctx, http.MethodDelete, userPath(ref)+"/sessions", nil, &out)
	return out.SessionsTerminated, err
}

// UpdateProfile changes the person whose token the client presents.
func (c *Client) UpdateProfile(ctx context.Context, r api.UpdateProfileRequest) (out api.User, err error) {
	err = c.call(ctx, http.MethodPatch, base+"/users/profile", r, &out)
	return out, err
}

// ChangePassword gives the person whose token the client presents another password, and returns how many
// other sessions that ended.
func (c *Client) ChangePassword(ctx context.Context, current, next string) (int, error) {
	var out api.SessionsEnded
	err := c.call(ctx, http.MethodPost, base+"/users/change-password", api.ChangePasswordRequest{CurrentPassword: current, NewPassword: next}, &out)
	return out.SessionsTerminated, err
}

// RequestPasswordReset has a token sent to the address, if it is a user's.
func (c *Client) RequestPasswordReset(ctx context.Context, email string) error {
	return c.call(ctx, http.MethodPost, base+"/users/password-reset/request", api.EmailRequest{Email: email}, nil)
}

// ConfirmPasswordReset exchanges that token for a new password.
func (c *Client) ConfirmPasswordReset(ctx context.Context, token, password string) error {
	return c.call(ctx, http.MethodPost, base+"/users/password-reset/confirm", api.ConfirmResetRequest{Token: token, NewPassword: password}, nil)
}

// RequestEmailVerification has a token sent to the address, if it is a user's and not verified.
func (c *Client) RequestEmailVerification(ctx context.Context, email string) error {
	return c.call(ctx, http.MethodPost, base+"/users/email-verification/request", api.EmailRequest{Email: email}, nil)
}

// ConfirmEmail exchanges that token for the mark that the address is its user's.
func (c *Client) ConfirmEmail(ctx context.Context, token string) error {
	return c.call(ctx, http.MethodPost, base+"/users/email-verification/confirm", api.ConfirmEmailRequest{Token: token}, nil)
}
