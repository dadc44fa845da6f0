package httpapi

import (
	"slices"
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
	timeless    bool // nothing in the answer can be revoked, so no lease is needed
	bearsLate   bool // it is about others, and a caller may bear to hear what was true a while ago
	denies      bool // it may take something away, and its answer says where that is so; see receipt.go
	quiet       bool // too many and too alike for a log line each, unless the log is set to debug
}

// routes returns the table, in the order in which the document tells of it.
func routes() []route {
	return slices.Concat(tokenRoutes(), peopleRoutes(), adminRoutes(), platformRoutes())
}

// tokenRoutes issue tokens and tell about them.
func tokenRoutes() []route {
	return []route{
		{method: "POST", path: base + "/auth/token", handle: handle((*Server).login), limit: limitByGrant, body: bodyOAuth, noStore: true},
		{method: "POST", path: base + "/auth/refresh", handle: handle((*Server).refresh), limit: limitByGrant, body: bodyOAuth, noStore: true, idempotent: true},
		{method: "POST", path: base + "/auth/service-token", handle: handle((*Server).serviceToken), limit: limitByGrant, body: bodyOAuth, noStore: true},
		{method: "POST", path: base + "/auth/revoke", handle: handle((*Server).revoke), auth: clientOrBearer, anyAudience: true, limit: limitAPI, body: bodyOAuth, noStore: true, idempotent: true, denies: true},
		{method: "POST", path: base + "/auth/introspect", handle: raw((*Server).introspect), auth: clientOrBearer, anyAudience: true, limit: limitByClient, body: bodyOAuth, noStore: true, quiet: true, bearsLate: true},
		{method: "POST", path: base + "/auth/logout", handle: handle((*Server).logout), auth: bearer, anyAudience: true, limit: limitAPI, body: bodyOAuth, noStore: true, idempotent: true, denies: true},

		{method: "GET", path: verifyPath, handle: handle((*Server).verify), auth: bearer, anyAudience: true, limit: limitRefused, noStore: true, quiet: true},

		// The same under standard names.
		{method: "POST", path: "/oauth2/token", handle: handle((*Server).grant), limit: limitByGrant, body: bodyForm, noStore: true, idempotent: true, standard: true},
		{method: "POST", path: "/oauth2/introspect", handle: raw((*Server).introspect), auth: clientOrBearer, anyAudience: true, limit: limitByClient, body: bodyForm, noStore: true, standard: true, quiet: true, bearsLate: true},
		{method: "POST", path: "/oauth2/revoke", handle: handle((*Server).revoke), auth: clientOrBearer, anyAudience: true, limit: limitAPI, body: bodyForm, noStore: true, idempotent: true, standard: true, denies: true},
		{method: "GET", path: "/.well-known/jwks.json", handle: raw((*Server).jwks), quiet: true},
		{method: "GET", path: "/.well-known/oauth-authorization-server", handle: handle((*Server).metadata), noStore: true, timeless: true},
	}
}

// peopleRoutes are for people and their own accounts.
func peopleRoutes() []route {
	return []route{
		{method: "POST", path: base + "/users/register", handle: handle((*Server).register), limit: limitRegister, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "GET", path: base + "/users/profile", handle: handle((*Server).profile), auth: person, permission: iam.ScopeReadProfile, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/users/me", handle: handle((*Server).profile), auth: person, permission: iam.ScopeReadProfile, limit: limitAPI, noStore: true},
		{method: "PUT", path: base + "/users/profile", handle: handle((*Server).updateProfile), auth: person, permission: iam.ScopeWriteProfile, limit: limitAPI, body: bodyJSON, noStore: true},
		{method: "PATCH", path: base + "/users/profile", handle: handle((*Server).updateProfile), auth: person, permission: iam.ScopeWriteProfile, limit: limitAPI, body: bodyJSON, noStore: true},
		{method: "PUT", path: base + "/users/me", handle: handle((*Server).updateProfile), auth: person, permission: iam.ScopeWriteProfile, limit: limitAPI, body: bodyJSON, noStore: true},
		{method: "PATCH", path: base + "/users/me", handle: handle((*Server).updateProfile), auth: person, permission: iam.ScopeWriteProfile, limit: limitAPI, body: bodyJSON, noStore: true},
		{method: "POST", path: base + "/users/change-password", handle: handle((*Server).changePassword), auth: person, limit: limitPassword, body: bodyJSON, noStore: true, denies: true},
		{method: "POST", path: base + "/users/password-reset/request", handle: handle((*Server).requestReset), limit: limitMail, body: bodyJSON, noStore: true},
		{method: "POST", path: base + "/users/password-reset/confirm", handle: handle((*Server).confirmReset), limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "POST", path: base + "/users/email-verification/request", handle: handle((*Server).requestVerification), limit: limitMail, body: bodyJSON, noStore: true},
		{method: "POST", path: base + "/users/email-verification/confirm", handle: handle((*Server).confirmEmail), limit: limitAPI, body: bodyJSON, noStore: true},
		{method: "GET", path: base + "/sessions", handle: handle((*Server).sessions), auth: person, limit: limitAPI, noStore: true},
		{method: "DELETE", path: base + "/sessions/{id}", handle: handle((*Server).endSession), auth: person, limit: limitAPI, noStore: true, denies: true},
		{method: "DELETE", path: base + "/sessions", handle: handle((*Server).endSessions), auth: person, limit: limitAPI, noStore: true, denies: true},
	}
}

// adminRoutes are for administrators, and for those who ask what somebody may do.
func adminRoutes() []route {
	return []route{
		{method: "POST", path: base + "/admin/users", handle: handle((*Server).createUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "GET", path: base + "/admin/users", handle: handle((*Server).users), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/users/{id}", handle: handle((*Server).getUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true},
		{method: "PUT", path: base + "/admin/users/{id}", handle: handle((*Server).updateUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "PATCH", path: base + "/admin/users/{id}", handle: handle((*Server).updateUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "DELETE", path: base + "/admin/users/{id}", handle: handle((*Server).deleteUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true, denies: true},
		{method: "POST", path: base + "/admin/users/{id}/unlock", handle: handle((*Server).unlockUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true, idempotent: true},
		{method: "POST", path: base + "/admin/users/{id}/lock-down", handle: handle((*Server).lockDownUser), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true, idempotent: true, denies: true},
		{method: "PUT", path: base + "/admin/users/{id}/roles", handle: handle((*Server).setRoles), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "POST", path: base + "/admin/users/{id}/reset-password", handle: handle((*Server).setPassword), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "GET", path: base + "/admin/users/{id}/sessions", handle: handle((*Server).userSessions), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true},
		{method: "DELETE", path: base + "/admin/users/{id}/sessions", handle: handle((*Server).endUserSessions), auth: bearer, permission: iam.ScopeAdminUsers, limit: limitAPI, noStore: true, denies: true},
		{method: "POST", path: base + "/admin/scopes", handle: handle((*Server).createScope), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "POST", path: base + "/admin/clients", handle: handle((*Server).createClient), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, body: bodyJSON, created: true, noStore: true},
		{method: "GET", path: base + "/admin/audit", handle: handle((*Server).auditEvents), auth: bearer, permission: iam.ScopeReadAudit, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/audit/export", handle: raw((*Server).exportAudit), auth: bearer, permission: iam.ScopeReadAudit, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/audit/checkpoints", handle: handle((*Server).auditCheckpoints), auth: bearer, permission: iam.ScopeReadAudit, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/cluster", handle: handle((*Server).cluster), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, noStore: true, always: true},
		{method: "GET", path: base + "/admin/backup", handle: raw((*Server).backup), auth: bearer, permission: iam.ScopeAdminBackup, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/log", handle: raw((*Server).copyLog), auth: bearer, permission: iam.ScopeAdminBackup, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/cluster/epoch", handle: handle((*Server).raiseEpoch), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, body: bodyJSON, created: true, noStore: true, idempotent: true, denies: true},
		{method: "DELETE", path: base + "/admin/cluster/nodes/{id}", handle: handle((*Server).removeNode), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/cluster/nodes/{id}/promote", handle: handle((*Server).promoteNode), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/cluster/nodes/{id}/demote", handle: handle((*Server).demoteNode), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/cluster/transfer", handle: handle((*Server).transferLeadership), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, body: bodyJSON, noStore: true},
		{method: "GET", path: base + "/admin/clients", handle: handle((*Server).clients), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/clients/{id}", handle: handle((*Server).client), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, noStore: true},
		{method: "PUT", path: base + "/admin/clients/{id}", handle: handle((*Server).replaceClient), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "PATCH", path: base + "/admin/clients/{id}", handle: handle((*Server).patchClient), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "DELETE", path: base + "/admin/clients/{id}", handle: handle((*Server).deleteClient), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, noStore: true, denies: true},
		{method: "POST", path: base + "/admin/clients/{id}/lock-down", handle: handle((*Server).lockDownClient), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, noStore: true, idempotent: true, denies: true},
		{method: "POST", path: base + "/admin/clients/{id}/rotate-secret", handle: handle((*Server).rotateSecret), auth: bearer, permission: iam.ScopeAdminClients, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "GET", path: base + "/admin/roles", handle: handle((*Server).roles), auth: bearer, permission: iam.ScopeAdminRoles, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/roles", handle: handle((*Server).createRole), auth: bearer, permission: iam.ScopeAdminRoles, limit: limitAPI, body: bodyJSON, created: true, noStore: true, idempotent: true},
		{method: "GET", path: base + "/admin/roles/{id}", handle: handle((*Server).role), auth: bearer, permission: iam.ScopeAdminRoles, limit: limitAPI, noStore: true},
		{method: "PUT", path: base + "/admin/roles/{id}", handle: handle((*Server).replaceRole), auth: bearer, permission: iam.ScopeAdminRoles, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "PATCH", path: base + "/admin/roles/{id}", handle: handle((*Server).patchRole), auth: bearer, permission: iam.ScopeAdminRoles, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "DELETE", path: base + "/admin/roles/{id}", handle: handle((*Server).deleteRole), auth: bearer, permission: iam.ScopeAdminRoles, limit: limitAPI, noStore: true, denies: true},
		{method: "GET", path: base + "/admin/scopes", handle: handle((*Server).scopes), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/scopes/{id}", handle: handle((*Server).scope), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, noStore: true},
		{method: "PUT", path: base + "/admin/scopes/{id}", handle: handle((*Server).replaceScope), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "PATCH", path: base + "/admin/scopes/{id}", handle: handle((*Server).patchScope), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, body: bodyJSON, noStore: true, denies: true},
		{method: "DELETE", path: base + "/admin/scopes/{id}", handle: handle((*Server).deleteScope), auth: bearer, permission: iam.ScopeAdminScopes, limit: limitAPI, noStore: true, denies: true},
		{method: "GET", path: base + "/admin/keys", handle: handle((*Server).keys), auth: bearer, permission: iam.ScopeAdminKeys, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/keys/rotate", handle: handle((*Server).rotateKey), auth: bearer, permission: iam.ScopeAdminKeys, limit: limitAPI, body: bodyJSON, created: true, noStore: true, denies: true},
		{method: "GET", path: base + "/admin/stats", handle: handle((*Server).stats), auth: bearer, permission: iam.ScopeAdminCluster, limit: limitAPI, noStore: true},
		{method: "POST", path: base + "/admin/import", handle: handle((*Server).importBatch), auth: bearer, permission: iam.ScopeAdminImport, body: bodyJSON, noStore: true, idempotent: true, denies: true},
		{method: "GET", path: base + "/admin/imports/{id}", handle: handle((*Server).importState), auth: bearer, permission: iam.ScopeAdminImport, limit: limitAPI, noStore: true},
		{method: "GET", path: base + "/admin/imports/{id}/rows", handle: handle((*Server).importedRows), auth: bearer, permission: iam.ScopeAdminImport, noStore: true},
		{method: "DELETE", path: base + "/admin/imports/{id}", handle: handle((*Server).forgetImport), auth: bearer, permission: iam.ScopeAdminImport, limit: limitAPI, noStore: true},

		// What somebody may do.
		{method: "POST", path: base + "/authz/check", handle: handle((*Server).authzCheck), auth: clientOrBearer, limit: limitAPI, body: bodyJSON, noStore: true, bearsLate: true},
		{method: "POST", path: base + "/authz/check-bulk", handle: handle((*Server).authzCheckBulk), auth: clientOrBearer, limit: limitAPI, body: bodyJSON, noStore: true, bearsLate: true},
	}
}

// platformRoutes are for monitors, tools and readers.
func platformRoutes() []route {
	return []route{
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
	unknownPath = route{path: "unknown", timeless: true, handle: raw(func(*Server, *exchange) error {
		return iam.Errorf(iam.NotFound, "There is nothing at this path.")
	})}
	wrongMethod = route{path: "unknown", timeless: true}
	unreadable  = route{path: "unreadable", timeless: true}
)

// refuseMethod answers requests for a path that takes other methods, those of the table and no more.
func refuseMethod(allowed []string) handler {
	list := strings.Join(allowed, ", ")
	return func(_ *Server, x *exchange) error {
		x.http.Response.Header.Set(fasthttp.HeaderAllow, list)
		return iam.Errorf(iam.MethodNotAllowed, "This path does not take this method: the Allow header lists those that it takes.")
	}
}
