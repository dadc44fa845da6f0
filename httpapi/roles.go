package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/store"
)

// maxUserCount bounds how far the holders of a role are counted: each look at a role would cost a look at
// every user of a large cluster.
const maxUserCount = 10_000

func roleOf(r *store.Reader, role iam.Role) api.Role {
	return api.Role{
		ID: role.ID.String(), Name: role.Name, Description: role.Description,
		Scopes: login.ScopeNames(r, role.Scopes), UserCount: r.CountUsersWithRole(role.ID, maxUserCount),
	}
}

func (s *Server) describeRole(role iam.Role) (out api.Role, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		out = roleOf(r, role)
		return nil
	})
	return out, err
}

// roles lists the roles, by name unless another order is asked for.
func (s *Server) roles(_ context.Context, x *exchange, _ nothing) (out api.Roles, err error) {
	query, err := x.listUp("name", "created_at")
	if err != nil {
		return out, err
	}
	place := func(role iam.Role) place {
		return placeOf(query, role.ID, map[string]string{"name": iam.Fold(role.Name), "created_at": byTime(role.CreatedAt)})
	}
	err = s.Store.View(func(r *store.Reader) error {
		var shown []iam.Role
		shown, out.Page = pageOf(query, r.Roles, r.Role, place, func(role iam.Role) bool { return query.finds(role.Name, role.Description) })
		out.Roles = each(shown, func(role iam.Role) api.Role { return roleOf(r, role) })
		return nil
	})
	return out, err
}

func (s *Server) role(_ context.Context, x *exchange, _ nothing) (out api.Role, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		role, known := oauth.RoleByKey(r, x.key("id"))
		if !known {
			return errNothingThere()
		}
		x.version(role.Version())
		out = roleOf(r, role)
		return nil
	})
	return out, err
}

func (s *Server) createRole(ctx context.Context, x *exchange, r api.RoleRequest) (api.Role, error) {
	role := iam.Role{ID: iam.NewID(), Name: r.Name, Description: r.Description}
	made, index, err := s.OAuth.CreateRole(ctx, x.origin(), role, r.Scopes, x.caller.Permissions())
	return s.roleMade(x, made, index, err)
}

func (s *Server) replaceRole(ctx context.Context, x *exchange, r api.RoleRequest) (api.Role, error) {
	role, index, err := s.OAuth.UpdateRole(ctx, x.edit(), x.key("id"), func(d *oauth.RoleDraft) {
		d.Name, d.Description, d.ScopeNames = r.Name, r.Description, r.Scopes
	})
	return s.roleMade(x, role, index, err)
}

func (s *Server) patchRole(ctx context.Context, x *exchange, r api.PatchRoleRequest) (api.Role, error) {
	role, index, err := s.OAuth.UpdateRole(ctx, x.edit(), x.key("id"), func(d *oauth.RoleDraft) {
		r.Name.Apply(&d.Name)
		r.Description.Apply(&d.Description)
		r.Scopes.Apply(&d.ScopeNames)
	})
	return s.roleMade(x, role, index, err)
}

// roleMade answers with a role as a change has left it.
func (s *Server) roleMade(x *exchange, role iam.Role, index uint64, err error) (api.Role, error) {
	if err != nil {
		return api.Role{}, err
	}
	x.reflects(index)
	x.version(role.Version())
	return s.describeRole(role)
}

func (s *Server) deleteRole(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	index, err := s.OAuth.DeleteRole(ctx, x.edit(), x.key("id"))
	x.reflects(index)
	return api.Message{Message: "Role deleted successfully"}, err
}
