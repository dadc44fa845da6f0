package iam

import (
	"slices"
	"strings"
)

// Permissions that routes ask for. A role or client holds the scope of the same name.
const (
	ScopeAdminUsers       = "admin:users"
	ScopeAdminClients     = "admin:clients"
	ScopeAdminRoles       = "admin:roles"
	ScopeAdminScopes      = "admin:scopes"
	ScopeAdminTokens      = "admin:tokens"
	ScopeAdminPermissions = "admin:permissions"
	ScopeAdminAudit       = "admin:audit"
	ScopeAdminKeys        = "admin:keys"
	ScopeAdminCluster     = "admin:cluster"
	ScopeAdminImport      = "admin:import"
	ScopeAdminBackup      = "admin:backup" // to have a copy of everything there is
	ScopeReadProfile      = "read:profile"
	ScopeWriteProfile     = "write:profile"
	ScopeReadAudit        = "read:audit" // what reading the audit log takes; ScopeAdminAudit implies it
)

// ParseScopes splits the space-separated form of RFC 6749 §3.3 into sorted, distinct names. It
// refuses characters that the grammar does not allow, so that a name can never be forged by quoting.
func ParseScopes(s string) ([]string, error) {
	names := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }) // no other white space separates
	for _, name := range names {
		if err := CheckScopeName(name); err != nil {
			return nil, Errorf(InvalidScope, "The scope has a character that is not allowed, or a name of over 100 characters.")
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// JoinScopes is the inverse of ParseScopes.
func JoinScopes(names []string) string { return strings.Join(names, " ") }

// Grants tells whether holding these scopes permits what the wanted one names: the scope itself, or
// admin:x where read:x or write:x is wanted.
func Grants(held []string, want string) bool {
	if slices.Contains(held, want) {
		return true
	}
	action, resource, ok := strings.Cut(want, ":")
	return ok && (action == "read" || action == "write") && slices.Contains(held, "admin:"+resource)
}

// Narrow returns what of the wanted scopes the held ones grant, sorted. Nothing wanted means all
// that is held. An empty answer to a non-empty wish is InvalidScope: a token without any permission
// would surprise its owner later and elsewhere.
func Narrow(want, held []string) ([]string, error) {
	if len(want) == 0 {
		return slices.Sorted(slices.Values(held)), nil
	}
	granted := make([]string, 0, len(want))
	for _, name := range want {
		if Grants(held, name) {
			granted = append(granted, name)
		}
	}
	if len(granted) == 0 {
		return nil, Errorf(InvalidScope, "None of the scopes asked for is held.")
	}
	slices.Sort(granted)
	return slices.Compact(granted), nil
}
