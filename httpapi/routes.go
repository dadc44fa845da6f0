package httpapi

import (
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
)

// base is where the product's own API begins. The standard names lie outside of it.
const base = "/api/v1"

// route is one line of the table below, which is the API: the router, the refusals and the metrics
// come from it.
type route struct {
	method string
	path   string // parameters in braces
	handle endpoint

	auth        authKind
	anyAudience bool   // takes tokens that were made for others too: it is about the token's own life
	permission  string // the scope that the caller must hold, if any
	limit       limitKind
	body        bodyKind
	created     bool // success is 201
	noStore     bool // the answer must not be kept by any cache
	idempotent  bool // an Idempotency-Key is honoured; see idempotencyID for why not everywhere
	standard    bool // a standard OAuth endpoint, with the errors of RFC 6749 §5.2
	always      bool // answered even before this node has caught up with the cluster
	quiet       bool // too many and too alike for a log line each, unless the log is set to debug
}

// routes returns the table.
func routes() []route {
	return []route{
		// Authentication.
		{method: "POST", path: base + "/auth/token", handle: handle((*Server).login), limit: limitByGrant, body: bodyOAuth, noStore: true},
		{method: "POST", path: base + "/auth/refresh", handle: handle((*Server).refresh), limit: limitByGrant, body: bodyOAuth, noStore: true, idempotent: true},
		{method: "POST", path: base + "/auth/service-token", handle: handle((*Server).serviceToken), limit: limitByGrant, body: bodyOAuth, noStore: true},
		{method: "POST", path: base + "/auth/revoke", handle: handle((*Server).revoke), auth: clientOrBearer, anyAudience: true, limit: limitAPI, body: bodyOAuth, noStore: true, idempotent: true},
		{method: "POST", path: base + "/auth/introspect", handle: raw((*Server).introspect), auth: clientOrBearer, anyAudience: true, limit: limitByClient, body: bodyOAuth, noStore: true, quiet: true},
		{method: "POST", path: base + "/auth/logout", handle: handle((*Server).logout), auth: bearer, anyAudience: true, limit: limitAPI, body: bodyOAuth, noStore: true, idempotent: true},

		// The same under standard names.
		{method: "POST", path: "/oauth2/token", handle: handle((*Server).grant), limit: limitByGrant, body: bodyForm, noStore: true, idempotent: true, standard: true},
		{method: "POST", path: "/oauth2/introspect", handle: raw((*Server).introspect), auth: clientOrBearer, anyAudience: true, limit: limitByClient, body: bodyForm, noStore: true, standard: true, quiet: true},
		{method: "POST", path: "/oauth2/revoke", handle: handle((*Server).revoke), auth: clientOrBearer, anyAudience: true, limit: limitAPI, body: bodyForm, noStore: true, idempotent: true, standard: true},
		{method: "GET", path: "/.well-known/jwks.json", handle: raw((*Server).jwks), quiet: true},
		{method: "GET", path: "/.well-known/oauth-authorization-server", handle: handle((*Server).metadata), noStore: true},

		// People.
		{method: "POST", path: base + "/users/register", handle: handle((*Server).register), limit: limitRegister, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "GET", path: base + "/users/profile", handle: handle((*Server).profile), auth: person, permission: iam.ScopeReadProfile, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/users/me", handle: handle((*Server).profile), auth: person, permission: iam.ScopeReadProfile, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/sessions", handle: handle((*Server).sessions), auth: person, limit: limitAPI, noStore: true},
		{method: "DELETE", path: base + "/sessions/{id}", handle: handle((*Server).endSession), auth: person, limit: limitAPI, noStore: true},
		{method: "DELETE", path: base + "/sessions", handle: handle((*Server).endSessions), auth: person, limit: limitAPI, noStore: true},

		// Administration.
		{method: "POST", path: base + "/admin/users", handle: handle((*Server).createUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "POST", path: base + "/admin/scopes", handle: handle((*Server).createScope), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "POST", path: base + "/admin/clients", handle: handle((*Server).createClient), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, body: bodyJSON, created: true, noStore: true},
		{method: "GET", path: base + "/admin/cluster", handle: handle((*Server).cluster), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, noStore: true, always: true},

		// The platform.
		{method: "GET", path: "/health", handle: raw((*Server).health), noStore: true, quiet: true, always: true},
		{method: "GET", path: "/health/ready", handle: raw((*Server).health), noStore: true, quiet: true, always: true},
		{method: "GET", path: "/health/live", handle: handle((*Server).live), noStore: true, quiet: true, always: true},
		{method: "GET", path: "/metrics", handle: raw((*Server).scrape), noStore: true, quiet: true, always: true},

		// The documentation of all this.
		{method: "GET", path: "/openapi.json", handle: raw((*Server).openapi), limit: limitAPI, quiet: true, always: true},
		{method: "GET", path: "/docs", handle: raw((*Server).swagger), limit: limitAPI, noStore: true, quiet: true, always: true},
		{method: "GET", path: "/redoc", handle: raw((*Server).redoc), limit: limitAPI, noStore: true, quiet: true, always: true},
		{method: "GET", path: "/docs/{file}", handle: raw((*Server).asset), limit: limitAPI, quiet: true, always: true},
	}
}

// methods are those that the route takes: whatever can be read can be asked for without its body.
func (rt *route) methods() []string {
	if rt.method == fasthttp.MethodGet {
		return []string{fasthttp.MethodGet, fasthttp.MethodHead}
	}
	return []string{rt.method}
}

// The routes of requests that match none.
var (
	unknownPath = route{path: "unknown", handle: raw(func(*Server, *exchange) error {
		return iam.Errorf(iam.NotFound, "There is nothing at this path.")
	})}
	wrongMethod = route{path: "unknown"}
	unreadable  = route{path: "unreadable"}
)

// refuseMethod answers requests for a path that takes other methods, those of the table and no more.
func refuseMethod(allowed []string) handler {
	list := strings.Join(allowed, ", ")
	return func(_ *Server, x *exchange) error {
		x.http.Response.Header.Set(fasthttp.HeaderAllow, list)
		return iam.Errorf(iam.MethodNotAllowed, "This path does not take this method: the Allow header lists those that it takes.")
	}
}
