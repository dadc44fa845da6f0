package login

import (
	"context"
	"errors"
	"slices"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// NewUser is an account to be made.
type NewUser struct {
	Username, Email, Password             string
	FirstName, LastName, DisplayName, Bio string
	Roles                                 []string // names; nil = the cluster's default role
}

// Register makes an account, and returns it with the log index at which it exists. What by does not
// hold it cannot give: by is nobody for those who register themselves. Whatever is wrong is said
// before anything is hashed or written.
func (s *Service) Register(ctx context.Context, origin fsm.Origin, n NewUser, by iam.Permissions) (iam.User, uint64, error) {
	given, err := s.roles(n.Roles, by)
	if err := together(append(s.check(n), err)...); err != nil {
		return iam.User{}, 0, err
	}
	hash, err := s.Hasher.Hash(ctx, n.Password)
	if err != nil {
		return iam.User{}, 0, err
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.CreateUser{User: iam.User{
		ID: iam.NewID(), Username: n.Username, Email: n.Email, PasswordHash: hash,
		FirstName: n.FirstName, LastName: n.LastName, DisplayName: n.DisplayName, Bio: n.Bio,
		Active: true, Roles: given,
	}})
	if err != nil {
		return iam.User{}, 0, err
	}
	var user iam.User
	if err = res.Decode(&user); err == nil {
		s.Welcome(origin, user)
	}
	return user, res.Index, err
}

// check says what is wrong with each field. The state machine looks at the texts once more; here they
// spare a request that cannot succeed the cost of a hash.
func (s *Service) check(n NewUser) []error {
	return []error{
		iam.CheckUsername(n.Username), iam.CheckEmail(n.Email),
		s.Policy.Check("password", n.Password, n.Username, n.Email),
		iam.CheckText("first_name", n.FirstName, 100), iam.CheckText("last_name", n.LastName, 100),
		iam.CheckText("display_name", n.DisplayName, 100), iam.CheckText("bio", n.Bio, 10_000),
	}
}

// together makes one refusal of all that say what is wrong with a field, or people would learn it one
// form at a time. An error of another kind comes before them.
func together(errs ...error) error {
	all := iam.Invalid("", "")
	all.Fields = nil
	for _, err := range errs {
		var refusal *iam.Error
		switch {
		case err == nil:
		case errors.As(err, &refusal) && refusal.Code == iam.ValidationError:
			all.Fields = append(all.Fields, refusal.Fields...)
		default:
			return err
		}
	}
	if all.Fields == nil {
		return nil
	}
	return all
}

// roles turns names into ids, if by may give what the roles hold. The default role is nobody's to
// withhold: whoever registers has it.
func (s *Service) roles(names []string, by iam.Permissions) (given []iam.ID, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		if names == nil {
			settings, _ := r.Settings()
			names = []string{settings.DefaultRole}
		}
		given, err = rolesNamed(r, names, nil, by)
		return err
	})
	return given, err
}

// rolesNamed is the ids of roles, of which by must be able to give those that are not had already.
func rolesNamed(r *store.Reader, names []string, had []iam.ID, by iam.Permissions) (given []iam.ID, err error) {
	settings, _ := r.Settings()
	for _, name := range names {
		role, ok := r.RoleByName(name)
		if !ok {
			return nil, iam.Invalid("roles", "names a role that does not exist")
		}
		if name != settings.DefaultRole && !slices.Contains(had, role.ID) {
			if err := by.MayGive(ScopeNames(r, role.Scopes)); err != nil {
				return nil, err
			}
		}
		given = append(given, role.ID)
	}
	return given, nil
}

// ScopeNames turns the ids of scopes into their names, sorted and each once.
func ScopeNames(r *store.Reader, ids []iam.ID) []string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		if scope, ok := r.Scope(id); ok {
			names = append(names, scope.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
