package httpapi

import (
	"github.com/keystone-auth/keystone/iam"
)

var isTrue = object{{"type", "boolean"}}

// describedPeople is what people do with their own accounts.
var describedPeople = map[string]described{
	"POST /api/v1/users/register": {
		tag: "Account", summary: "Register", id: "register", success: "The new account, with the role that everybody has.", versioned: true,
		text: "Names and e-mail addresses are taken whatever their letter case. Every rule that the password breaks is named.",
	},
	"GET /api/v1/users/profile": {tag: "Account", summary: "Read the own profile", id: "profile", success: "The own account.", versioned: true, fails: []iam.Code{iam.NotFound}},
	"PUT /api/v1/users/profile": {
		tag: "Account", summary: "Change the own profile", id: "updateProfile", success: "The account as it is now.", versioned: true, fails: []iam.Code{iam.NotFound, iam.Conflict},
		text: "A new e-mail address is not verified. Members that are left out stay as they are.",
	},
	"PATCH /api/v1/users/profile": {tag: "Account", summary: "Change some of the own profile", id: "patchProfile", success: "The account as it is now.", versioned: true, fails: []iam.Code{iam.NotFound, iam.Conflict}},
	"GET /api/v1/users/me":        {tag: "Account", summary: "Read the own profile by its other name", id: "me", success: "The own account.", versioned: true, fails: []iam.Code{iam.NotFound}},
	"PUT /api/v1/users/me":        {tag: "Account", summary: "Change the own profile by its other name", id: "updateMe", success: "The account as it is now.", versioned: true, fails: []iam.Code{iam.NotFound, iam.Conflict}},
	"PATCH /api/v1/users/me":      {tag: "Account", summary: "Change some of the own profile by its other name", id: "patchMe", success: "The account as it is now.", versioned: true, fails: []iam.Code{iam.NotFound, iam.Conflict}},
	"POST /api/v1/users/change-password": {
		tag: "Account", summary: "Change the own password", id: "changePassword", success: "The password is changed, and all other sessions have ended.",
		text: "A wrong present password is a 400. Every rule that the new one breaks is named.", fails: []iam.Code{iam.AccountLocked},
	},
	"POST /api/v1/users/password-reset/request": {
		tag: "Account", summary: "Ask for a link to set a new password", id: "requestPasswordReset", success: "Always the same, whether there is such an account or not.",
	},
	"POST /api/v1/users/password-reset/confirm": {
		tag: "Account", summary: "Set a new password by the link", id: "confirmPasswordReset", success: "The password is changed, and all sessions have ended.",
		text: "The token of the link is good once.",
	},
	"POST /api/v1/users/email-verification/request": {
		tag: "Account", summary: "Ask for a link to prove the e-mail address", id: "requestEmailVerification", success: "Always the same.",
	},
	"POST /api/v1/users/email-verification/confirm": {
		tag: "Account", summary: "Prove the e-mail address by the link", id: "confirmEmailVerification", success: "The address is verified.",
		text: "The token of the link is good once.",
	},

	"GET /api/v1/sessions": {
		tag: "Sessions", summary: "List the own sessions", id: "sessions", success: "One page of sessions.", sorts: []string{"created_at", "last_activity", "expires_at"},
		text: "`search` looks at addresses and user agents.",
	},
	"DELETE /api/v1/sessions/{}": {
		tag: "Sessions", summary: "End one of the own sessions", id: "endSession", success: "Its tokens are dead.", inPath: "The `session_id`.",
		text: "Another's session is not found, like one that never was.",
	},
	"DELETE /api/v1/sessions": {tag: "Sessions", summary: "End all of the own sessions", id: "endSessions", success: "All tokens are dead, the present one included."},
}

// describedUsers is the administration of people.
var describedUsers = map[string]described{
	"GET /api/v1/admin/users": {
		tag: "Users", summary: "List users", id: "listUsers", success: "One page of users.", sorts: []string{"created_at", "username", "email"}, query: []queryParameter{
			{"role", "Only those with this role.", object{{"type", "string"}}},
			{"is_active", "Only those that are, or are not.", isTrue},
			{"is_verified", "Only those whose e-mail address is proved, or is not.", isTrue},
			{"is_locked", "Only those that are locked now, or are not.", isTrue},
		},
	},
	"POST /api/v1/admin/users": {
		tag: "Users", summary: "Make a user", id: "createUser", success: "The new user.", versioned: true,
		text: "Nobody gives a role that holds more than they do. An unknown role is a 422, and nothing is written.",
	},
	"GET /api/v1/admin/users/{}":   {tag: "Users", summary: "Read a user", id: "readUser", success: "The user.", inPath: "The user's id.", versioned: true},
	"PUT /api/v1/admin/users/{}":   {tag: "Users", summary: "Change a user", id: "updateUser", success: "The user as it is now.", inPath: "The user's id.", versioned: true, text: lastAdmin, fails: []iam.Code{iam.Conflict}},
	"PATCH /api/v1/admin/users/{}": {tag: "Users", summary: "Change some of a user", id: "patchUser", success: "The user as it is now.", inPath: "The user's id.", versioned: true, text: "Members that are left out stay as they are. " + lastAdmin, fails: []iam.Code{iam.Conflict}},
	"DELETE /api/v1/admin/users/{}": {
		tag: "Users", summary: "Remove a user", id: "deleteUser", success: "The user is gone, and all tokens are dead.", inPath: "The user's id.", versioned: true, text: lastAdmin, fails: []iam.Code{iam.Conflict},
	},
	"POST /api/v1/admin/users/{}/lock-down": {
		tag: "Users", summary: "Take everything from a user at once", id: "lockDownUser", success: "The account is disabled, its sessions have ended, and nothing that was issued to it is good on any node.", inPath: "The user's id.",
		text: "For an account in the wrong hands. Done again it changes nothing.", fails: []iam.Code{iam.Conflict, iam.Forbidden},
	},
	"POST /api/v1/admin/users/{}/unlock": {tag: "Users", summary: "Unlock a user", id: "unlockUser", success: "The user can log in again.", inPath: "The user's id.", versioned: true},
	"PUT /api/v1/admin/users/{}/roles": {
		tag: "Users", summary: "Replace the roles of a user", id: "setUserRoles", success: "The user as it is now.", inPath: "The user's id.", versioned: true, text: "It shows in the next token. " + lastAdmin, fails: []iam.Code{iam.Conflict},
	},
	"POST /api/v1/admin/users/{}/reset-password": {
		tag: "Users", summary: "Reset the password of a user", id: "resetPassword", success: "The password is another one, and all sessions have ended.", inPath: "The user's id.", ifMatch: true,
	},
	"GET /api/v1/admin/users/{}/sessions": {
		tag: "Sessions", summary: "List the sessions of a user", id: "userSessions", success: "One page of sessions.", inPath: "The user's id.", sorts: []string{"created_at", "last_activity", "expires_at"},
	},
	"DELETE /api/v1/admin/users/{}/sessions": {tag: "Sessions", summary: "End all sessions of a user", id: "endUserSessions", success: "All tokens of the user are dead.", inPath: "The user's id."},
}

const lastAdmin = "The last administrator cannot be removed, disabled or demoted: 409."
