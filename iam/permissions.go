package iam

import (
	"slices"
	"strings"
)

// Permissions is what somebody may do who changes what others may do.
type Permissions struct {
	Scopes []string
	All    bool // the operator
}

// Grants tells whether what the wanted scope names is permitted.
func (p Permissions) Grants(want string) bool { return p.All || Grants(p.Scopes, want) }

// MayGive refuses to hand out scopes that the giver does not hold. Else whoever may make users or
// clients could make one with more rights, log in as that one, and hold them after all. Who makes the
// scopes of applications may also give them, or nobody could: a new scope is held by no one.
func (p Permissions) MayGive(scopes []string) error {
	makesScopes := p.Grants(ScopeAdminScopes)
	for _, scope := range scopes {
		if !p.Grants(scope) && (!makesScopes || administers(scope)) {
			return Errorf(Forbidden, "This would give rights that the caller does not hold: ask somebody who holds them, or use the operator's socket.")
		}
	}
	return nil
}

// MayAlter refuses to change, or to speak in the name of, somebody who holds rights over Keystone that the
// caller does not. Else whoever may manage clients could give an administrator's program a new secret, and
// be the administrator with it.
func (p Permissions) MayAlter(scopes []string) error {
	for _, scope := range scopes {
		if administers(scope) && !p.Grants(scope) {
			return Errorf(Forbidden, "This concerns rights over Keystone that the caller does not hold: ask somebody who holds them, or use the operator's socket.")
		}
	}
	return nil
}

// Everything tells whether all rights over Keystone are held, as a superuser's token does that was not
// narrowed.
func (p Permissions) Everything() bool {
	return !slices.ContainsFunc(administered, func(scope string) bool { return !p.Grants(scope) })
}

// Administered tells whether the scope is one of Keystone's own administration, which the role admin keeps.
func Administered(scope string) bool { return slices.Contains(administered, scope) }

// administers tells whether a scope gives rights over Keystone itself.
func administers(scope string) bool {
	action, resource, _ := strings.Cut(scope, ":")
	switch action {
	case "admin":
		return true
	case "read", "write":
		return slices.Contains(administered, "admin:"+resource)
	}
	return false
}

// administered are the scopes of Keystone's own administration, each of which implies the reading and
// the writing one of its resource.
var administered = []string{
	ScopeAdminUsers, ScopeAdminClients, ScopeAdminRoles, ScopeAdminScopes, ScopeAdminTokens,
	ScopeAdminPermissions, ScopeAdminAudit, ScopeAdminKeys, ScopeAdminCluster, ScopeAdminImport,
}
