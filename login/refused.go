package login

import (
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

// refused tells the audit log of a login that failed. Of a name that nobody has, nothing is kept, not even
// a digest: people type passwords where names belong, and what the log holds it holds for ever.
func (s *Service) refused(o fsm.Origin, user iam.User, reason iam.Code) {
	if s.Refused == nil {
		return
	}
	e := iam.AuditEntry{Type: "login.failed", Reason: string(reason), IP: o.IP, UserAgent: o.UserAgent, RequestID: o.Trace}
	if !user.ID.IsZero() {
		e.Target = user.ID.String()
	}
	s.Refused(e)
}
