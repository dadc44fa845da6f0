package httpapi

import (
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/token"
)

// admitOwn holds a client to its own limits, where it has some. What one of them refuses does not use up
// the other.
func (s *Server) admitOwn(x *exchange) error {
	client, calls := s.callingClient(x)
	if !calls || client.RatePerMinute == 0 && client.RatePerHour == 0 {
		return nil
	}
	return s.admit(
		x, "client "+client.ClientID,
		limit.Limit{Name: "client", Count: ownCount(client.RatePerMinute), Per: time.Minute},
		limit.Limit{Name: "client_hour", Count: ownCount(client.RatePerHour), Per: time.Hour},
	)
}

// callingClient is the client that calls, by its credentials or with a token for itself.
func (s *Server) callingClient(x *exchange) (*iam.Client, bool) {
	switch c := x.caller; {
	case c.Client != nil:
		return c.Client, true
	case c.Claims != nil && c.Claims.Type == token.TypeService:
		return s.View.Client(c.Claims.ClientID)
	}
	return nil, false
}

func ownCount(n int64) int { return int(min(n, limit.MaxCount)) }
