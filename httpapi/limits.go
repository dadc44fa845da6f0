package httpapi

import (
	"strconv"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// limitKind names the limit of a route.
type limitKind uint8

const (
	unlimited     limitKind = iota
	limitAPI                // by caller
	limitRegister           // by address
	limitByGrant            // login, refresh or service token: the handler knows which
	limitByClient           // the calling client's own: the handler knows which
	limitMail               // by address: it ends in a message
	limitPassword           // by person: it tries a password
)

// admit counts a request, under all of the limits or none, and refuses it when its caller made too many.
// The answer says how many are left either way, of the limit that is the nearest.
func (s *Server) admit(x *exchange, caller string, limits ...limit.Limit) error {
	if s.Limiter == nil || x.operator {
		return nil
	}
	a := s.Limiter.Admit(caller, limits...)
	if a.Limit == 0 {
		return nil
	}
	h := &x.http.Response.Header
	h.Set("X-RateLimit-Limit", strconv.Itoa(a.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(a.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(a.ResetAt.Add(time.Second-time.Microsecond).Unix(), 10))
	if a.Allowed {
		return nil
	}
	refusal := iam.Errorf(iam.RateLimitExceeded, "Too many requests: at most %d are allowed in %s.", a.Limit, a.Rule.Per)
	refusal.RetryAfter = a.RetryAfter
	return refusal
}

// admitRoute counts a request under the limit that its route names.
func (s *Server) admitRoute(x *exchange) error {
	switch x.route.limit {
	case limitAPI:
		if err := s.admit(x, x.limitKey(), s.Limits.API); err != nil {
			return err
		}
		return s.admitOwn(x)
	case limitRegister:
		return s.admit(x, limit.AddressKey(x.ip()), s.Limits.Register)
	case limitMail:
		return s.admit(x, limit.AddressKey(x.ip()), s.Limits.Mail)
	case limitPassword:
		return s.admit(x, x.limitKey(), s.Limits.Login)
	}
	return nil
}

// limitKey names the caller: the client, the person, else the address.
func (x *exchange) limitKey() string {
	switch c := x.caller; {
	case c.Client != nil:
		return "client " + c.Client.ClientID
	case c.Claims != nil && c.Claims.Type == token.TypeService:
		return "client " + c.Claims.Subject
	case c.Claims != nil:
		return "user " + c.Claims.Subject
	}
	return limit.AddressKey(x.ip())
}

// admitGrant counts a token request before any costly work is done for it.
func (s *Server) admitGrant(x *exchange, r *oauth.Request) error {
	address := limit.AddressKey(x.ip())
	switch r.Grant {
	case oauth.GrantPassword:
		return s.admit(x, address, s.Limits.Login)
	case oauth.GrantRefreshToken:
		return s.admit(x, s.refresher(r.RefreshToken, address), s.Limits.Refresh)
	case oauth.GrantClientCredentials:
		caller := address
		if _, known := s.View.Client(r.Client.ID); known {
			// Not the client alone: the secret is not checked yet, and whoever knows a client_id could
			// use up the client's requests. Names that are made up share the window of their address.
			caller = "client " + r.Client.ID + " from " + address
		}
		return s.admit(x, caller, s.Limits.ServiceToken)
	}
	return s.admit(x, address, s.Limits.API)
}

// refresher is the person whose refresh token is presented, if it belongs to the chain of a session
// that this node knows or is a genuine one of the old system, else the address: many people may share one.
func (s *Server) refresher(presented, address string) string {
	if s.Limiter == nil {
		return address
	}
	refresh, err := token.ParseRefreshToken(presented)
	if err != nil {
		old, err := s.View.Keys().VerifyLegacyRefresh(presented, token.Expect{Issuer: s.View.Issuer(), Now: iam.Now()})
		if err != nil {
			return address
		}
		return "user " + old.User.String()
	}
	caller := address
	_ = s.Store.View(func(r *store.Reader) error {
		if session, ok := r.Session(refresh.Session()); ok && sameDigest(session.Family, refresh.Family()) {
			caller = "user " + session.UserID.String()
		}
		return nil
	})
	return caller
}

// admitIntrospection holds a client to its own limit, where it has one.
func (s *Server) admitIntrospection(x *exchange) error {
	return s.admitOwn(x)
}

// sameDigest compares two digests in constant time.
func sameDigest(a, b []byte) bool {
	return len(a) == len(secret.Digest{}) && secret.Digest(a).Equal(b)
}
