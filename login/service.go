package login

import (
	"context"
	"errors"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
)

// Service logs people in. Its fields are set once, before the first call.
type Service struct {
	Store    *store.Store
	Proposer fsm.Proposer
	Hasher   *secret.Hasher
	Policy   Policy
	Lockout  Lockout
	Tally    *tally.Tally // counts failed logins
	// CatchUp brings this node up to the cluster's state. A refusal must not come from an account or
	// a password that was changed on another node a moment ago.
	CatchUp func(context.Context) error
	Now     func() iam.Time
	// Refused is told of each failed login, for the audit log. Nil: nobody is.
	Refused func(iam.AuditEntry)
	Mailer  *Mailer // nil: nothing is sent
	Links   Links
}

// Attempt is a password that somebody claims to be theirs.
type Attempt struct {
	Name     string // username or e-mail, in any letter case
	Password string
	Origin   fsm.Origin
}

// Proof is a password that was right, for an account that may log in.
type Proof struct {
	User     iam.User
	Rehashed string // the password's hash under today's policy, where the stored one is weaker
}

// Password checks a password. Unknown names and wrong passwords are refused with the same words
// after the same work, or whoever asks could list the accounts. That an account is disabled or
// locked is told only to those who know its password.
func (s *Service) Password(ctx context.Context, a Attempt) (Proof, error) {
	user, known, err := s.find(a.Name)
	if err != nil {
		return Proof{}, err
	}
	right, err := s.verify(ctx, user, known, a.Password)
	if err == nil && !right {
		user, known, right, err = s.verifyAgain(ctx, user, a)
	}
	switch {
	case err != nil:
		return Proof{}, err
	case !right:
		s.refused(a.Origin, user, iam.InvalidGrant)
		return Proof{}, s.failed(ctx, a, user, known)
	case !user.Active:
		s.refused(a.Origin, user, iam.AccountDisabled)
		return Proof{}, iam.Errorf(iam.AccountDisabled, "The account is disabled.")
	case user.LockedAt(s.Now()):
		s.refused(a.Origin, user, iam.AccountLocked)
		refusal := iam.Errorf(iam.AccountLocked, "The account is locked after too many failed logins.")
		refusal.LockedUntil = user.LockedUntil
		return Proof{}, refusal
	case s.Policy.outdated(user, s.Now()):
		return Proof{}, iam.Errorf(iam.PasswordExpired, "The password is older than is allowed: reset it, by the link that a password reset sends or by an administrator.")
	}
	proof := Proof{User: user}
	if s.Hasher.Weak(user.PasswordHash) && secret.Whole(user.PasswordHash, a.Password) {
		proof.Rehashed, err = s.Hasher.Hash(ctx, a.Password)
	}
	return proof, err
}

// verify does the same work whether there is such a user or not.
func (s *Service) verify(ctx context.Context, user iam.User, known bool, password string) (bool, error) {
	if !known {
		return false, s.Hasher.VerifyNobody(ctx, password)
	}
	right, err := s.Hasher.Verify(ctx, user.PasswordHash, password)
	if errors.Is(err, secret.ErrUnusableHash) {
		return false, nil // an imported hash that cannot be verified fits no password
	}
	return right, err
}

// verifyAgain makes sure that it was not this node's old state that spoke against the password.
func (s *Service) verifyAgain(ctx context.Context, was iam.User, a Attempt) (user iam.User, known, right bool, err error) {
	if err := s.CatchUp(ctx); err != nil {
		return user, false, false, err
	}
	user, known, err = s.find(a.Name)
	if err != nil || !known || user.PasswordHash == was.PasswordHash {
		return user, known, false, err
	}
	right, err = s.verify(ctx, user, known, a.Password)
	return user, known, right, err
}

// find looks for a username first: one user's name may be spelled like another's e-mail, and names
// are what was chosen.
func (s *Service) find(name string) (user iam.User, known bool, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		if user, known = r.UserByUsername(name); !known {
			user, known = r.UserByEmail(name)
		}
		return nil
	})
	return user, known, err
}

// failed counts a wrong password, locks the account when it was one too many, and returns the
// refusal. A lock that cannot be written does not change the answer: it would tell the two apart.
func (s *Service) failed(ctx context.Context, a Attempt, user iam.User, known bool) error {
	if s.oneTooMany(a.Name, user, known) {
		origin := a.Origin
		origin.RequestID = iam.ID{} // the caller's idempotency key belongs to the login
		until := s.Now().Add(s.Lockout.For)
		if _, err := s.Proposer.Propose(ctx, origin, &fsm.LockUser{ID: user.ID, Until: until}); err == nil {
			s.Tally.Forget(streakOf(user))
		}
	}
	return iam.Errorf(iam.InvalidGrant, "The credentials are not valid.")
}
