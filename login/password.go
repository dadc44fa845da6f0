package login

import (
	"context"
	"errors"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// PasswordChange is a person's wish for another password.
type PasswordChange struct {
	User         iam.ID
	Session      iam.ID // that goes on; all others end
	Current, New string
	Origin       fsm.Origin
}

// ChangePassword gives a person another password, and returns how many other sessions ended and the log
// index of the change. Wrong present passwords count like failed logins: else whoever finds a token
// could guess the password with it.
func (s *Service) ChangePassword(ctx context.Context, c PasswordChange) (ended int, index uint64, err error) {
	if c.Current == "" { // no guess, and not to be counted as one
		return 0, 0, iam.Invalid("current_password", "must not be empty")
	}
	for range tries {
		user, err := s.proven(ctx, c)
		if err != nil {
			return 0, 0, err
		}
		made, err := s.newPassword(ctx, "new_password", user, c.New)
		if err != nil {
			return 0, 0, err
		}
		res, err := s.Proposer.Propose(ctx, c.Origin, &fsm.ChangePassword{ID: user.ID, New: made, Keep: c.Session})
		if iam.CodeOf(err) == iam.PreconditionFailed {
			continue // a login may have replaced a weak hash: what was proven has to be proven again
		}
		if err == nil {
			err = res.Decode(&ended)
		}
		return ended, res.Index, err
	}
	return 0, 0, contended()
}

// proven returns the user if the present password is right.
func (s *Service) proven(ctx context.Context, c PasswordChange) (iam.User, error) {
	user, err := s.byID(c.User)
	if err != nil {
		return user, err
	}
	if user.LockedAt(s.Now()) {
		refusal := iam.Errorf(iam.AccountLocked, "The account is locked after too many wrong passwords.")
		refusal.LockedUntil = user.LockedUntil
		return user, refusal
	}
	right, err := s.verify(ctx, user, true, c.Current)
	if err == nil && !right {
		user, _, right, err = s.verifyAgain(ctx, user, Attempt{Name: user.Username, Password: c.Current})
	}
	if err != nil {
		return user, err
	}
	if !right {
		s.refused(c.Origin, user, iam.InvalidGrant)
		_ = s.failed(ctx, Attempt{Name: user.Username, Origin: c.Origin}, user, true) // whose words are those of a login
		refusal := iam.Invalid("current_password", "is not the present password")
		refusal.Code = iam.InvalidRequest
		return user, refusal
	}
	s.Tally.Forget(streakOf(user))
	return user, nil
}

// newPassword hashes what a user wants as the new password, if the policy allows it.
func (s *Service) newPassword(ctx context.Context, field string, user iam.User, password string) (fsm.NewPassword, error) {
	if err := s.Policy.Check(field, password, user.Username, user.Email); err != nil {
		return fsm.NewPassword{}, err
	}
	used, err := s.usedBefore(ctx, user, password)
	if err != nil {
		return fsm.NewPassword{}, err
	}
	if used {
		return fsm.NewPassword{}, iam.Invalid(field, "must not be one of the last %d passwords", s.Policy.PreventReuse)
	}
	hash, err := s.Hasher.Hash(ctx, password)
	return fsm.NewPassword{Hash: hash, Was: user.PasswordHash, Remember: s.Policy.remember()}, err
}

// usedBefore compares a password with the last ones, one after another: each costs a hash, and one
// person must not take all workers.
func (s *Service) usedBefore(ctx context.Context, user iam.User, password string) (bool, error) {
	last := append([]string{user.PasswordHash}, user.PreviousHashes...)
	for _, hash := range last[:min(s.Policy.PreventReuse, len(last))] {
		same, err := s.Hasher.Verify(ctx, hash, password)
		if errors.Is(err, secret.ErrUnusableHash) {
			continue
		}
		if err != nil || same {
			return same, err
		}
	}
	return false, nil
}

func (s *Service) byID(id iam.ID) (user iam.User, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		var known bool
		if user, known = r.User(id); !known {
			return noUser()
		}
		return nil
	})
	return user, err
}

func noUser() *iam.Error { return iam.Errorf(iam.NotFound, "There is no such user.") }
