package steward

import (
	"strings"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// seededScopes are what Keystone's own routes ask for.
var seededScopes = []struct{ name, description string }{
	{iam.ScopeAdminUsers, "Manage users"},
	{iam.ScopeAdminClients, "Manage clients"},
	{iam.ScopeAdminRoles, "Manage roles"},
	{iam.ScopeAdminScopes, "Manage scopes"},
	{iam.ScopeAdminTokens, "Introspect and revoke the tokens of others"},
	{iam.ScopeAdminPermissions, "Ask what others may do"},
	{iam.ScopeAdminAudit, "Read the audit log"},
	{iam.ScopeAdminKeys, "Manage signing keys"},
	{iam.ScopeAdminCluster, "See and manage the cluster"},
	{iam.ScopeAdminImport, "Bring in users, roles and clients of another system"},
	{iam.ScopeAdminBackup, "Copy the whole state"},
	{iam.ScopeReadProfile, "Read one's own profile"},
	{iam.ScopeWriteProfile, "Change one's own profile"},
}

// seed is the command that fills a new cluster: admin holds everything, user its own profile, and
// service nothing yet.
func seed(settings iam.Settings) *fsm.Initialize {
	cmd := &fsm.Initialize{Settings: settings}
	admin := iam.Role{ID: iam.NewID(), Name: iam.RoleAdmin, Description: "Administrators"}
	user := iam.Role{ID: iam.NewID(), Name: iam.RoleUser, Description: "People with an account"}
	service := iam.Role{ID: iam.NewID(), Name: iam.RoleService, Description: "Programs"}
	for _, s := range seededScopes {
		action, resource, _ := strings.Cut(s.name, ":")
		scope := iam.Scope{ID: iam.NewID(), Name: s.name, Description: s.description, Action: action, Resource: resource}
		cmd.Scopes = append(cmd.Scopes, scope)
		admin.Scopes = append(admin.Scopes, scope.ID)
		if resource == "profile" {
			user.Scopes = append(user.Scopes, scope.ID)
		}
	}
	cmd.Roles = []iam.Role{admin, user, service}
	if settings.DefaultRole != iam.RoleUser && settings.DefaultRole != iam.RoleAdmin && settings.DefaultRole != iam.RoleService {
		cmd.Roles = append(cmd.Roles, iam.Role{ID: iam.NewID(), Name: settings.DefaultRole, Description: "Given to those who register", Scopes: user.Scopes})
	}
	return cmd
}
