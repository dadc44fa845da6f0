package httpapi

import (
	"github.com/keystone-auth/keystone/iam"
)

// refused tells the audit log of a refusal that is worth keeping: somebody asked for what is not theirs,
// or too often, or as a client that they did not prove to be. Failed logins are told by login, which
// knows whose they were. It is called once for each request that was refused, whatever refused it.
func (s *Server) refused(x *exchange, refusal iam.Code) {
	if s.Audit == nil {
		return
	}
	e := iam.AuditEntry{Actor: x.actor(), Target: x.route.method + " " + x.route.path, Reason: string(refusal), RequestID: x.id}
	switch {
	case refusal == iam.RateLimitExceeded:
		e.Type = "limit.exceeded"
	case refusal == iam.InvalidClient, refusal == iam.ClientDisabled, refusal == iam.Forbidden && x.presented != "" && e.Actor == "":
		e.Type, e.Target = "client.refused", s.knownClient(x.presented)
	case refusal == iam.InsufficientScope, refusal == iam.Forbidden:
		e.Type = "access.denied"
	default:
		return
	}
	if ip := x.ip(); ip.IsValid() {
		e.IP = ip.String()
	}
	e.UserAgent = string(x.http.UserAgent())
	s.Audit.Refused(e)
}

// knownClient is the name that a client gave itself if there is such a client. Any other may be a secret
// in the wrong place, which the log must not keep.
func (s *Server) knownClient(presented string) string {
	if _, known := s.View.Client(presented); !known {
		return ""
	}
	return presented
}
