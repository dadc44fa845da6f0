package login

import (
	"context"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// tries is how often a change is made anew that somebody else was faster than, where the caller did not
// say which version was meant.
const tries = 8

func contended() *iam.Error {
	return iam.Errorf(iam.PreconditionFailed, "Others change this at the same moment: try again.")
}

// By is who asks for a change of somebody's account.
type By struct {
	iam.Permissions
	User iam.ID // zero for programs and the operator
}

// UserChange is what is to be different about a user; nil stays as it is.
type UserChange struct {
	Username, Email                       *string
	FirstName, LastName, DisplayName, Bio *string
	Active, Verified, Superuser           *bool
	Roles                                 *[]string // names
}

// Target is an account that a request is about.
type Target struct {
	Ref     string // an id, a username or an e-mail address
	Version uint64 // the Changed that the caller has seen; 0 = whatever it is
	By      By
	Origin  fsm.Origin
}

// Person finds a user by id, by username or by e-mail address.
func (s *Service) Person(ctx context.Context, ref string) (iam.User, error) {
	user, err := s.person(ref)
	if iam.CodeOf(err) == iam.NotFound && err != nil { // perhaps this node has not heard of it yet
		if err := s.CatchUp(ctx); err != nil {
			return user, err
		}
		return s.person(ref)
	}
	return user, err
}

func (s *Service) person(ref string) (user iam.User, err error) {
	if id, bad := iam.ParseID(ref); bad == nil {
		if user, err = s.byID(id); iam.CodeOf(err) != iam.NotFound || err == nil {
			return user, err
		}
	}
	user, known, err := s.find(ref)
	if err == nil && !known {
		err = noUser()
	}
	return user, err
}

// UpdateUser changes an account on behalf of an administrator.
func (s *Service) UpdateUser(ctx context.Context, t Target, c UserChange) (iam.User, uint64, error) {
	var changed iam.User
	res, err := s.on(ctx, t, func(u iam.User) (fsm.Command, error) {
		if err := s.Store.View(func(r *store.Reader) error { return c.administer(r, &u, t.By) }); err != nil {
			return nil, err
		}
		return &fsm.UpdateUser{User: u, If: u.Changed}, nil
	})
	if err == nil {
		err = res.Decode(&changed)
	}
	return changed, res.Index, err
}

// UpdateProfile changes what people may change about themselves. A new e-mail address is not verified,
// and the old one is told: whoever has stolen a token could else take the account over unseen.
func (s *Service) UpdateProfile(ctx context.Context, t Target, c UserChange) (iam.User, uint64, error) {
	own := UserChange{Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, DisplayName: c.DisplayName, Bio: c.Bio}
	var was, changed iam.User
	res, err := s.onAny(ctx, t, func(u iam.User) (fsm.Command, error) {
		was = u
		if err := own.apply(&u); err != nil {
			return nil, err
		}
		return &fsm.UpdateUser{User: u, If: u.Changed}, nil
	})
	if err == nil {
		err = res.Decode(&changed)
	}
	if err == nil && iam.Fold(was.Email) != iam.Fold(changed.Email) {
		s.tellOldAddress(was)
		s.Welcome(t.Origin, changed)
	}
	return changed, res.Index, err
}

// DeleteUser removes an account.
func (s *Service) DeleteUser(ctx context.Context, t Target) (uint64, error) {
	res, err := s.on(ctx, t, func(u iam.User) (fsm.Command, error) {
		return &fsm.DeleteUser{ID: u.ID, If: u.Changed}, nil
	})
	return res.Index, err
}

// LockDown takes everything from a user whose account is in the wrong hands, and returns how many sessions
// that ended.
func (s *Service) LockDown(ctx context.Context, t Target) (ended int, index uint64, err error) {
	res, err := s.on(ctx, t, func(u iam.User) (fsm.Command, error) { return &fsm.LockDownUser{ID: u.ID}, nil })
	if err == nil {
		err = res.Decode(&ended)
	}
	return ended, res.Index, err
}

// Unlock lets a user try again who was locked out, and returns the user.
func (s *Service) Unlock(ctx context.Context, t Target) (iam.User, uint64, error) {
	var was iam.User
	res, err := s.on(ctx, t, func(u iam.User) (fsm.Command, error) {
		was = u
		return &fsm.LockUser{ID: u.ID}, nil
	})
	if err != nil {
		return iam.User{}, 0, err
	}
	s.Tally.Forget(streakOf(was))
	user, err := s.byID(was.ID)
	return user, res.Index, err
}

// EndSessions logs a user out everywhere, and returns how many sessions that ended.
func (s *Service) EndSessions(ctx context.Context, t Target) (ended int, index uint64, err error) {
	res, err := s.on(ctx, t, func(u iam.User) (fsm.Command, error) { return &fsm.EndSessions{User: u.ID}, nil })
	if err == nil {
		err = res.Decode(&ended)
	}
	return ended, res.Index, err
}

// SetPassword gives a user another password, unlocks the account and ends its sessions. Without a
// password one is made, which the answer tells this once.
func (s *Service) SetPassword(ctx context.Context, t Target, password string) (made string, ended int, index uint64, err error) {
	if password == "" {
		made = s.generate()
		password = made
	}
	res, err := s.on(ctx, t, func(u iam.User) (fsm.Command, error) {
		hashed, err := s.newPassword(ctx, "new_password", u, password)
		return &fsm.SetPassword{ID: u.ID, New: hashed, If: u.Changed}, err
	})
	if err != nil {
		return "", 0, 0, err
	}
	return made, ended, res.Index, res.Decode(&ended)
}

// generate makes a password, as long as a policy asks for that wants more than usual.
func (s *Service) generate() string {
	password := secret.GeneratePassword()
	for len(password) < s.Policy.MinLength {
		password += "-" + secret.GeneratePassword()
	}
	return password[:min(len(password), s.Policy.MaxLength)]
}

// on makes a change to the target by a command that build makes of its row, if the caller may. When
// somebody else was faster it reads the row again, unless the caller said which version was meant.
func (s *Service) on(ctx context.Context, t Target, build func(iam.User) (fsm.Command, error)) (fsm.Result, error) {
	return s.onAny(ctx, t, func(u iam.User) (fsm.Command, error) {
		if err := s.Store.View(func(r *store.Reader) error { return mayManage(r, u, t.By) }); err != nil {
			return nil, err
		}
		return build(u)
	})
}

// onAny is on for whoever may: people change their own account whatever they hold.
func (s *Service) onAny(ctx context.Context, t Target, build func(iam.User) (fsm.Command, error)) (fsm.Result, error) {
	for range tries {
		user, err := s.Person(ctx, t.Ref)
		if err == nil && t.Version != 0 && user.Changed != t.Version {
			user, err = s.seen(ctx, t)
		}
		if err != nil {
			return fsm.Result{}, err
		}
		cmd, err := build(user)
		if err != nil {
			return fsm.Result{}, err
		}
		res, err := s.Proposer.Propose(ctx, t.Origin, cmd)
		if err == nil || iam.CodeOf(err) != iam.PreconditionFailed || t.Version != 0 {
			return res, err
		}
		if err := s.CatchUp(ctx); err != nil {
			return fsm.Result{}, err
		}
		t.Origin.RequestID = iam.ID{} // the refusal is the outcome of the first one
	}
	return fsm.Result{}, contended()
}

// seen reads the row again, for this node may be behind the version that the caller has seen.
func (s *Service) seen(ctx context.Context, t Target) (iam.User, error) {
	if err := s.CatchUp(ctx); err != nil {
		return iam.User{}, err
	}
	user, err := s.person(t.Ref)
	if err == nil && user.Changed != t.Version {
		err = iam.Errorf(iam.PreconditionFailed, "It was changed by somebody else meanwhile: read it again.")
	}
	return user, err
}

// mayManage refuses a caller who holds less than the user. A superuser holds everything there is.
func mayManage(r *store.Reader, u iam.User, by By) error {
	if u.Superuser {
		return maySuperuser(r, by)
	}
	var held []string
	for _, id := range u.Roles {
		if role, ok := r.Role(id); ok {
			held = append(held, ScopeNames(r, role.Scopes)...)
		}
	}
	return by.MayAlter(held)
}

// maySuperuser refuses everybody but the operator and superusers whose token was not narrowed.
func maySuperuser(r *store.Reader, by By) error {
	caller, known := r.User(by.User)
	if by.All || known && caller.Superuser && caller.Active && by.Everything() {
		return nil
	}
	return iam.Errorf(iam.Forbidden, "Only a superuser or the operator may do this to or for a superuser.")
}

// administer makes the changes that administrators may make.
func (c UserChange) administer(r *store.Reader, u *iam.User, by By) error {
	if c.Username != nil && *c.Username != u.Username {
		if err := iam.CheckUsername(*c.Username); err != nil {
			return err
		}
		u.Username = *c.Username
	}
	if c.Superuser != nil && *c.Superuser != u.Superuser {
		if err := maySuperuser(r, by); err != nil {
			return err
		}
		u.Superuser = *c.Superuser
	}
	if c.Roles != nil {
		given, err := rolesNamed(r, *c.Roles, u.Roles, by.Permissions)
		if err != nil {
			return err
		}
		u.Roles = given
	}
	if c.Active != nil {
		u.Active = *c.Active
	}
	if err := c.apply(u); err != nil {
		return err
	}
	if c.Verified != nil {
		u.Verified = *c.Verified
	}
	return nil
}

// apply makes the changes that people may make themselves, and says everything that is wrong with them.
func (c UserChange) apply(u *iam.User) error {
	var wrong []error
	if c.Email != nil && *c.Email != u.Email {
		wrong = append(wrong, iam.CheckEmail(*c.Email))
		u.Verified = u.Verified && iam.Fold(*c.Email) == iam.Fold(u.Email)
		u.Email = *c.Email
	}
	for _, text := range []struct {
		field    string
		from, to *string
		most     int
	}{
		{"first_name", c.FirstName, &u.FirstName, 100},
		{"last_name", c.LastName, &u.LastName, 100},
		{"display_name", c.DisplayName, &u.DisplayName, 100},
		{"bio", c.Bio, &u.Bio, 10_000},
	} {
		if text.from != nil {
			wrong = append(wrong, iam.CheckText(text.field, *text.from, text.most))
			*text.to = *text.from
		}
	}
	return together(wrong...)
}
