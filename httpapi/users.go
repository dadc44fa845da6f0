package httpapi

import (
	"context"
	"slices"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

func (s *Server) register(ctx context.Context, x *exchange, r api.RegisterRequest) (api.User, error) {
	return s.makeUser(ctx, x, login.NewUser{
		Username: r.Username, Email: r.Email, Password: r.Password,
		FirstName: r.FirstName, LastName: r.LastName, DisplayName: r.DisplayName, Bio: r.Bio,
	})
}

func (s *Server) createUser(ctx context.Context, x *exchange, r api.CreateUserRequest) (api.User, error) {
	return s.makeUser(ctx, x, login.NewUser{
		Username: r.Username, Email: r.Email, Password: r.Password,
		FirstName: r.FirstName, LastName: r.LastName, DisplayName: r.DisplayName, Bio: r.Bio, Roles: r.Roles,
	})
}

func (s *Server) makeUser(ctx context.Context, x *exchange, n login.NewUser) (api.User, error) {
	user, index, err := s.Login.Register(ctx, x.origin(), n, x.caller.Permissions())
	if err != nil {
		return api.User{}, err
	}
	x.reflects(index)
	x.version(user.ID, user.Changed)
	return s.describeUser(user)
}

func (s *Server) profile(_ context.Context, x *exchange, _ nothing) (api.User, error) {
	id, _ := x.caller.User()
	var user iam.User
	known := false
	if err := s.Store.View(func(r *store.Reader) error {
		user, known = r.User(id)
		return nil
	}); err != nil {
		return api.User{}, err
	}
	if !known {
		return api.User{}, iam.Errorf(iam.NotFound, "There is no such user.")
	}
	x.version(user.ID, user.Changed)
	return s.describeUser(user)
}

// describeUser is a user as others may see them, with names instead of ids.
func (s *Server) describeUser(u iam.User) (api.User, error) {
	out := api.User{
		ID: u.ID.String(), Username: u.Username, Email: u.Email,
		FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayName, FullName: u.FullName(), Bio: u.Bio,
		IsActive: u.Active, IsVerified: u.Verified, IsSuperuser: u.Superuser,
		Roles: []string{}, Scopes: []string{}, LastLogin: timeOrNull(u.LastLogin),
		CreatedAt: u.CreatedAt.Std(), UpdatedAt: u.UpdatedAt.Std(),
	}
	if u.LockedAt(iam.Now()) {
		out.LockedUntil = timeOrNull(u.LockedUntil)
	}
	err := s.Store.View(func(r *store.Reader) error {
		var scopes []iam.ID
		for _, id := range u.Roles {
			if role, ok := r.Role(id); ok {
				out.Roles = append(out.Roles, role.Name)
				scopes = append(scopes, role.Scopes...)
			}
		}
		if u.Superuser {
			for _, scope := range r.Scopes(iam.ID{}, 10_000) {
				scopes = append(scopes, scope.ID)
			}
		}
		out.Scopes = login.ScopeNames(r, scopes)
		return nil
	})
	slices.Sort(out.Roles)
	return out, err
}

func timeOrNull(t iam.Time) *time.Time {
	if t == 0 {
		return nil
	}
	std := t.Std()
	return &std
}
