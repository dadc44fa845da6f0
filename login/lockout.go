package login

import (
	"fmt"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// Lockout keeps guessers out: after so many failures in a row the account is locked for a while.
// Zero attempts mean that nothing is ever locked.
type Lockout struct {
	Attempts int
	For      time.Duration
}

// oneTooMany counts a failed login, over all nodes, and tells whether the account must be locked now.
// Failures further apart than a lock is long do not add up. The lock itself goes through the log. For a
// name that nobody has, and for an account that is locked, the other nodes are asked as well, and count
// nothing.
func (s *Service) oneTooMany(name string, user iam.User, known bool) bool {
	switch l := s.Lockout; {
	case l.Attempts == 0:
		return false
	case !known || user.LockedAt(s.Now()):
		s.Tally.StrikeNobody(name)
		return false
	default:
		return s.Tally.Strike(streakOf(user), l.For) >= l.Attempts
	}
}

// streakOf names the failures since the last login. A login begins another streak by what it changes in
// the row, and nobody has to be told of it.
func streakOf(user iam.User) string { return fmt.Sprintf("logins %s %d", user.ID, user.LastLogin) }
