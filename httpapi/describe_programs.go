package httpapi

import (
	"reflect"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

const (
	inPathClient = "The `client_id`."
	inPathRole   = "The role's name or id."
	inPathScope  = "The scope's name or id."
)

// clientWithSecret is the one kind of answer that has the secret.
var clientWithSecret = []sample{{"client", "The secret is shown this once", example(reflect.TypeFor[api.Client]()).(object).with("client_secret", "ksc_5f0c9a")}}

// describedPrograms is the administration of clients.
var describedPrograms = map[string]described{
	"GET /api/v1/admin/clients": {tag: "Clients", summary: "List clients", id: "listClients", success: "One page of clients.", sorts: []string{"created_at", "client_id", "name"}, query: []queryParameter{
		{"is_active", "Only those that are, or are not.", isTrue},
		{"client_type", "Only those of this type.", object{{"type", "string"}, {"enum", []string{"confidential", "public"}}}},
	}},
	"POST /api/v1/admin/clients": {
		tag: "Clients", summary: "Make a client", id: "createClient", success: "The new client, with its secret.", versioned: true, answers: clientWithSecret,
		text: "The secret is shown this once and kept nowhere. Nobody gives a scope over Keystone that they do not hold.", fails: []iam.Code{iam.Forbidden},
	},
	"GET /api/v1/admin/clients/{}":   {tag: "Clients", summary: "Read a client", id: "readClient", success: "The client, without its secret.", inPath: inPathClient, versioned: true},
	"PUT /api/v1/admin/clients/{}":   {tag: "Clients", summary: "Change a client", id: "updateClient", success: "The client as it is now.", inPath: inPathClient, versioned: true, fails: []iam.Code{iam.Forbidden, iam.Conflict}},
	"PATCH /api/v1/admin/clients/{}": {tag: "Clients", summary: "Change some of a client", id: "patchClient", success: "The client as it is now.", inPath: inPathClient, versioned: true, text: "Members that are left out stay as they are.", fails: []iam.Code{iam.Forbidden, iam.Conflict}},
	"DELETE /api/v1/admin/clients/{}": {
		tag: "Clients", summary: "Remove a client", id: "deleteClient", success: "The client is gone, and its tokens are dead.", inPath: inPathClient, versioned: true,
	},
	"POST /api/v1/admin/clients/{}/lock-down": {
		tag: "Clients", summary: "Take everything from a client at once", id: "lockDownClient", success: "The client is disabled, and nothing that was issued to it or through it is good on any node.", inPath: inPathClient,
		text: "For a client in the wrong hands. Done again it changes nothing.", fails: []iam.Code{iam.Forbidden},
	},
	"POST /api/v1/admin/clients/{}/rotate-secret": {
		tag: "Clients", summary: "Give a client a new secret", id: "rotateClientSecret", success: "The client, with its new secret.", inPath: inPathClient, versioned: true, ifMatch: true, answers: clientWithSecret,
		text: "The new secret is shown this once. The old one lives on for the grace that is asked for.", fails: []iam.Code{iam.Conflict},
	},
}

// describedRights is the administration of roles and scopes, and the questions about them.
var describedRights = map[string]described{
	"GET /api/v1/admin/roles":       {tag: "Roles", summary: "List roles", id: "listRoles", success: "One page of roles.", sorts: []string{"name", "created_at"}, rising: true},
	"POST /api/v1/admin/roles":      {tag: "Roles", summary: "Make a role", id: "createRole", success: "The new role.", versioned: true, fails: []iam.Code{iam.Forbidden}},
	"GET /api/v1/admin/roles/{}":    {tag: "Roles", summary: "Read a role", id: "readRole", success: "The role.", inPath: inPathRole, versioned: true},
	"PUT /api/v1/admin/roles/{}":    {tag: "Roles", summary: "Change a role", id: "updateRole", success: "The role as it is now.", inPath: inPathRole, versioned: true, text: "It shows in the next token of those who have the role.", fails: []iam.Code{iam.Forbidden, iam.Conflict}},
	"PATCH /api/v1/admin/roles/{}":  {tag: "Roles", summary: "Change some of a role", id: "patchRole", success: "The role as it is now.", inPath: inPathRole, versioned: true, text: "It shows in the next token of those who have the role.", fails: []iam.Code{iam.Forbidden, iam.Conflict}},
	"DELETE /api/v1/admin/roles/{}": {tag: "Roles", summary: "Remove a role", id: "deleteRole", success: "The role is gone.", inPath: inPathRole, versioned: true, text: "A role that somebody has is not removed: 409.", fails: []iam.Code{iam.Conflict}},

	"GET /api/v1/admin/scopes": {tag: "Scopes", summary: "List scopes", id: "listScopes", success: "One page of scopes.", sorts: []string{"name", "created_at"}, rising: true},
	"POST /api/v1/admin/scopes": {
		tag: "Scopes", summary: "Make a scope", id: "createScope", success: "The new scope.", versioned: true, text: "By convention a scope is called `action:resource`.",
	},
	"GET /api/v1/admin/scopes/{}":    {tag: "Scopes", summary: "Read a scope", id: "readScope", success: "The scope.", inPath: inPathScope, versioned: true},
	"PUT /api/v1/admin/scopes/{}":    {tag: "Scopes", summary: "Change a scope", id: "updateScope", success: "The scope as it is now.", inPath: inPathScope, versioned: true, fails: []iam.Code{iam.Conflict}},
	"PATCH /api/v1/admin/scopes/{}":  {tag: "Scopes", summary: "Change some of a scope", id: "patchScope", success: "The scope as it is now.", inPath: inPathScope, versioned: true, fails: []iam.Code{iam.Conflict}},
	"DELETE /api/v1/admin/scopes/{}": {tag: "Scopes", summary: "Remove a scope", id: "deleteScope", success: "The scope is gone.", inPath: inPathScope, versioned: true, text: "A scope that a role or a client holds is not removed: 409.", fails: []iam.Code{iam.Conflict}},

	"POST /api/v1/authz/check": {
		tag: "Authorization", summary: "Ask whether somebody may do something", id: "checkPermission", success: "Whether, why, and through which roles.",
		text: "Callers ask about themselves; about others only with `admin:permissions`, or as a trusted client.", fails: []iam.Code{iam.Forbidden},
	},
	"POST /api/v1/authz/check-bulk": {
		tag: "Authorization", summary: "Ask many such questions at once", id: "checkPermissions", success: "The answers, in the order of the questions.", fails: []iam.Code{iam.Forbidden},
	},
}
