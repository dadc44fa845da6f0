package login

import (
	"context"
	"errors"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// NewUser is an account to be made.
type NewUser struct {
	Username, Email, Password             string
	FirstName, LastName, DisplayName, Bio string
}

// Register makes an account with the roles of these names; nil means the cluster's default role. An
// unknown role is refused before anything is written.
func (s *Service) Register(ctx context.Context, origin fsm.Origin, n NewUser, roles []string) (iam.User, error) {
	if err := s.check(n); err != nil {
		return iam.User{}, err
	}
	given, err := s.roles(roles)
	if err != nil {
		return iam.User{}, err
	}
	hash, err := s.Hasher.Hash(ctx, n.Password)
	if err != nil {
		return iam.User{}, err
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.CreateUser{User: iam.User{
		ID: iam.NewID(), Username: n.Username, Email: n.Email, PasswordHash: hash,
		FirstName: n.FirstName, LastName: n.LastName, DisplayName: n.DisplayName, Bio: n.Bio,
		Active: true, Roles: given,
	}})
	if err != nil {
		return iam.User{}, err
	}
	var user iam.User
	return user, res.Decode(&user)
}

// check names everything that is wrong at once, or people would learn it one form at a time.
func (s *Service) check(n NewUser) error {
	var wrong []iam.FieldError
	for _, err := range []error{
		iam.CheckUsername(n.Username), iam.CheckEmail(n.Email),
		s.Policy.Check("password", n.Password, n.Username, n.Email),
	} {
		var refusal *iam.Error
		if errors.As(err, &refusal) {
			wrong = append(wrong, refusal.Fields...)
		}
	}
	if wrong == nil {
		return nil
	}
	refusal := iam.Invalid("", "")
	refusal.Fields = wrong
	return refusal
}

// roles turns names into ids.
func (s *Service) roles(names []string) (given []iam.ID, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		if names == nil {
			settings, _ := r.Settings()
			names = []string{settings.DefaultRole}
		}
		for _, name := range names {
			role, ok := r.RoleByName(name)
			if !ok {
				return iam.Invalid("roles", "names a role that does not exist")
			}
			given = append(given, role.ID)
		}
		return nil
	})
	return given, err
}
