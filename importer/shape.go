package importer

import (
	"slices"

	"github.com/keystone-auth/keystone/api"
)

// form says how the text of a value is read.
type form uint8

const (
	asText form = iota
	asID
	asBool
	asNumber
	asTime
)

// field is a column of the documented schema that an import uses.
type field struct {
	name      string
	form      form
	essential bool // without it the table means nothing
	most      int  // characters of a text
}

// shape is a table of the documented schema that an import uses.
type shape struct {
	name     string
	kind     string // of its rows, in the words of the API; "" for a table of links
	optional bool   // real databases lack it
	fields   []field
}

// The tables in the order in which they are imported: rows refer by name to rows that came before.
var (
	scopesShape = &shape{
		name: "scopes", kind: "scope",
		fields: []field{
			{name: "id", form: asID, essential: true},
			{name: "name", most: 100, essential: true},
			{name: "description", most: 10_000},
			{name: "resource", most: 50},
			{name: "created_at", form: asTime},
			{name: "updated_at", form: asTime},
		},
	}
	rolesShape = &shape{
		name: "roles", kind: "role",
		fields: []field{
			{name: "id", form: asID, essential: true},
			{name: "name", most: 50, essential: true},
			{name: "description", most: 10_000},
			{name: "created_at", form: asTime},
			{name: "updated_at", form: asTime},
		},
	}
	usersShape = &shape{
		name: "users", kind: "user",
		fields: []field{
			{name: "id", form: asID, essential: true},
			{name: "username", most: 50, essential: true},
			{name: "email", most: 255, essential: true},
			{name: "password_hash", most: maxHash, essential: true},
			{name: "first_name", most: 100},
			{name: "last_name", most: 100},
			{name: "display_name", most: 100},
			{name: "bio", most: 10_000},
			{name: "is_active", form: asBool},
			{name: "is_verified", form: asBool},
			{name: "is_superuser", form: asBool},
			{name: "last_login", form: asTime},
			{name: "locked_until", form: asTime},
			{name: "password_changed_at", form: asTime},
			{name: "created_at", form: asTime},
			{name: "updated_at", form: asTime},
		},
	}
	clientsShape = &shape{
		name: "service_clients", kind: "client",
		fields: []field{
			{name: "id", form: asID, essential: true},
			{name: "client_id", most: 255, essential: true},
			{name: "client_secret_hash", most: maxHash, essential: true},
			{name: "name", most: 100},
			{name: "description", most: 10_000},
			{name: "client_type", most: 20},
			{name: "is_active", form: asBool},
			{name: "is_trusted", form: asBool},
			{name: "access_token_lifetime", form: asNumber},
			{name: "refresh_token_lifetime", form: asNumber},
			{name: "rate_limit_per_minute", form: asNumber},
			{name: "rate_limit_per_hour", form: asNumber},
			{name: "allowed_ips", most: 10_000},
			{name: "contact_email", most: 255},
			{name: "website_url", most: 500},
			{name: "webhook_url", most: 500},
			{name: "last_used", form: asTime},
			{name: "total_requests", form: asNumber},
			{name: "created_at", form: asTime},
			{name: "updated_at", form: asTime},
		},
	}
	tokensShape = &shape{
		name: "refresh_tokens", kind: "session", optional: true,
		fields: []field{
			{name: "id", form: asID, essential: true},
			{name: "user_id", form: asID, essential: true},
			{name: "token_hash", most: maxHash, essential: true},
			{name: "expires_at", form: asTime, essential: true},
			{name: "issued_at", form: asTime},
			{name: "is_revoked", form: asBool},
			{name: "is_used", form: asBool},
			{name: "revoked_at", form: asTime},
			{name: "client_ip", most: 45},
			{name: "user_agent", most: 10_000},
		},
	}

	roleScopesShape = links("role_scopes", "role_id", "scope_id")
	userRolesShape  = links("user_roles", "user_id", "role_id")
	// clientScopesShape are the scopes of clients.
	clientScopesShape = links("service_client_scopes", "service_client_id", "scope_id")

	shapes = []*shape{
		scopesShape, rolesShape, roleScopesShape, usersShape, userRolesShape, clientsShape, clientScopesShape, tokensShape,
	}
)

// maxHash bounds the text of a password hash. The documented schema has room for 255 characters, but hashes
// of other systems, such as Keycloak's, are longer.
const maxHash = 1000

func links(name, owner, other string) *shape {
	return &shape{name: name, fields: []field{{name: owner, form: asID, essential: true}, {name: other, form: asID, essential: true}}}
}

// ofRows tells whether rows of the table go into a request by themselves; links go with their owners.
func (s *shape) ofRows() bool { return s.kind != "" }

func (s *shape) field(name string) (field, bool) {
	i := slices.IndexFunc(s.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return s.fields[i], true
}

// linked is the table of what a row of this one holds, and the table that the names of that are in.
func (s *shape) linked() (of, named *shape) {
	switch s {
	case rolesShape:
		return roleScopesShape, scopesShape
	case usersShape:
		return userRolesShape, rolesShape
	case clientsShape:
		return clientScopesShape, scopesShape
	}
	return nil, nil
}

// put adds a row to a request.
func (s *shape) put(into *api.ImportRequest, r *row) {
	switch s {
	case scopesShape:
		into.Scopes = append(into.Scopes, r.scope())
	case rolesShape:
		into.Roles = append(into.Roles, r.role())
	case usersShape:
		into.Users = append(into.Users, r.user())
	case clientsShape:
		into.Clients = append(into.Clients, r.client())
	case tokensShape:
		into.Sessions = append(into.Sessions, r.session())
	}
}
