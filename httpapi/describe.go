package httpapi

import (
	"maps"
	"reflect"
	"sync"

	"github.com/keystone-auth/keystone/iam"
)

// described is what the OpenAPI document says of a route beyond what follows from its row and its types.
type described struct {
	tag     string // one of tags
	summary string // a few words without a full stop
	text    string // what there is to know beyond that, in sentences
	success string // of the good answer; empty: nothing to add
	id      string // the operationId; empty: the name of the handler, for which it must be the only route
	inPath  string // of the parameter in the path

	query     []queryParameter // beyond those that every list has
	sorts     []string         // fields by which the list can be sorted, the one by which it is unasked first
	rising    bool             // unasked the list is in rising order
	versioned bool             // the answer has an ETag, and a change takes If-Match
	ifMatch   bool             // a POST that takes If-Match
	fails     []iam.Code       // refusals beyond those that follow from the row

	bodies, answers []sample // examples; none: one that is made of the type

	// For handlers without types.
	request, response reflect.Type
	media             string // of the answer; empty: application/json
	schema            object // of the answer, where no type has it

	security []any // where it does not follow from the row

	unwell       reflect.Type // the body of a 503 that says more than a refusal
	unwellSample any

	hidden bool // not in the document: a page for people
}

// sample is an example of a body.
type sample struct {
	name, summary string
	value         any
}

// queryParameter is a parameter of one route.
type queryParameter struct {
	name, text string
	schema     object
}

func (q queryParameter) object() object {
	return object{{"name", q.name}, {"in", "query"}, {"description", q.text}, {"schema", q.schema}}
}

// describedKey leads from a route to its description. How a parameter is called does not matter.
func describedKey(method, path string) string {
	return method + " " + inBraces.ReplaceAllLiteralString(path, "{}")
}

// describedRoutes are all descriptions. A test fails for a route that has none. A description may be there
// before its route.
var describedRoutes = sync.OnceValue(func() map[string]described {
	all := map[string]described{}
	for _, some := range []map[string]described{describedAuth, describedPeople, describedUsers, describedPrograms, describedRights, describedPlatform, describedImports} {
		maps.Copy(all, some)
	}
	return all
})

// tag groups calls.
type tag struct{ name, text string }

var tags = []tag{
	{"Authentication", "Obtain, refresh, check and revoke tokens. Bodies may be JSON or forms."},
	{"OAuth 2.0", "The same under standard names, with forms and the errors of RFC 6749."},
	{"Account", "Register, and what a person may do with the own account."},
	{"Sessions", "The own logins."},
	{"Users", "Administration of people."},
	{"Clients", "Administration of programs that obtain or introspect tokens."},
	{"Roles", "Administration of roles, through which people hold scopes."},
	{"Scopes", "Administration of scopes, the permissions themselves."},
	{"Authorization", "May somebody do something, and through which roles?"},
	{"Import", "Bring in users, roles and clients of another system, in batches that no crash can lose or double."},
	{"Audit", "What happened, in a chain in which nothing can be changed unseen."},
	{"Keys", "The keys that sign tokens."},
	{"Cluster", "The nodes, and how much there is of everything."},
	{"Platform", "For monitors and tools."},
}

const aboutTheAPI = `Log people and programs in, and tell services whether a token is good.

**Paths** work with and without a slash at the end; what can be read with GET can be asked for with HEAD. **Bodies** are JSON in
UTF-8, at most 1 MiB; the calls under ` + "`/api/v1/auth`" + ` take forms as well, those under ` + "`/oauth2`" + ` forms alone. Members that a
call does not know are refused, except by the token endpoints, which pass over them.

**Errors** all have one shape, on unknown paths (404) and for wrong methods (405, with ` + "`Allow`" + `) too. ` + "`error`" + ` is for programs
and never changes its meaning, ` + "`error_description`" + ` is for people.

**Credentials**: an access token in ` + "`Authorization: Bearer`" + `. Clients present ` + "`client_id` and `client_secret`" + ` by HTTP Basic or in
the body, never both. ` + "`admin:x` implies `read:x` and `write:x`" + `.

**Headers**: every answer has an ` + "`X-Request-ID`" + `, which is the caller's where it sent one of at most 64 letters, digits, dots,
hyphens and underscores, and a ` + "`Keystone-Index`" + `, the log index that the answer reflects at least. Where a call has a limit,
` + "`X-RateLimit-*`" + ` say what is left of it. Single resources have an ` + "`ETag`" + `; a change with a stale ` + "`If-Match`" + ` is a 412. A POST that takes
an ` + "`Idempotency-Key`" + ` can be sent again under it within ten minutes, to any node, and gets the outcome of the first.
`

// scopeTexts are the scopes that calls need.
var scopeTexts = map[string]string{
	iam.ScopeAdminUsers: "Manage users", iam.ScopeAdminClients: "Manage clients", iam.ScopeAdminRoles: "Manage roles",
	iam.ScopeAdminScopes: "Manage scopes", iam.ScopeAdminTokens: "Introspect and revoke the tokens of others",
	iam.ScopeAdminPermissions: "Ask what others may do", iam.ScopeAdminAudit: "Read the audit log", iam.ScopeAdminKeys: "Manage signing keys",
	iam.ScopeAdminCluster: "See and manage the cluster", iam.ScopeAdminImport: "Bring in users, roles and clients of another system", iam.ScopeAdminBackup: "Copy the whole state",
	iam.ScopeReadProfile: "Read one's own profile", iam.ScopeWriteProfile: "Change one's own profile",
}

// securitySchemes are the ways to say who calls. The token of the first and of the second is the same:
// OpenAPI knows scopes for the second alone, and viewers can log in by it.
func securitySchemes(permissions []string) object {
	scopes := object{}
	for _, name := range permissions {
		scopes = append(scopes, member{name, scopeTexts[name]})
	}
	flow := object{{"tokenUrl", "/oauth2/token"}, {"refreshUrl", "/oauth2/token"}, {"scopes", scopes}}
	return object{
		{"bearer", object{
			{"type", "http"},
			{"scheme", "bearer"},
			{"bearerFormat", "JWT"},
			{"description", "An access token of a person, or a service token of a client, in the Authorization header."},
		}},
		{"oauth2", object{
			{"type", "oauth2"},
			{"description", "The same token, obtained from the standard token endpoint. The scope that a call needs is named beside it."},
			{"flows", object{{"password", flow}, {"clientCredentials", flow}}},
		}},
		{"clientBasic", object{
			{"type", "http"},
			{"scheme", "basic"},
			{"description", "`client_id` and `client_secret` of a client (RFC 6749 §2.3.1). They may be sent in the body instead."},
		}},
		{"metricsToken", object{
			{"type", "http"},
			{"scheme", "bearer"},
			{"description", "The token for the metrics alone, where `KEYSTONE_METRICS_TOKEN` sets one."},
		}},
	}
}

var sharedParameters = map[string]object{
	"page":     {{"name", "page"}, {"in", "query"}, {"description", "Which page, from 1."}, {"schema", object{{"type", "integer"}, {"minimum", 1}, {"default", 1}}}},
	"per_page": {{"name", "per_page"}, {"in", "query"}, {"description", "How many on a page."}, {"schema", object{{"type", "integer"}, {"minimum", 1}, {"maximum", 100}, {"default", 20}}}},
	"search":   {{"name", "search"}, {"in", "query"}, {"description", "Only what holds this text, in any letter case. `%` and `_` are ordinary letters."}, {"schema", object{{"type", "string"}}}},
	"cursor":   {{"name", "cursor"}, {"in", "query"}, {"description", "The `next_cursor` of the page before: goes on after it without skipping or repeating, however the list changes meanwhile. `page` is not looked at then."}, {"schema", object{{"type", "string"}, {"maxLength", maxCursor}}}},
	"IdempotencyKey": {
		{"name", "Idempotency-Key"},
		{"in", "header"},
		{"description", "Under the same key and with the same body the call is made once in ten minutes, however often it is sent."},
		{"schema", object{{"type", "string"}}},
		{"example", "b1f7c0de-retry-1"},
	},
	"Consistency": {
		{"name", headerConsistency},
		{"in", "header"},
		{"description", "How true the answer has to be: `strict` reflects every change that was acknowledged before the call; `bounded; ms=` may be so many milliseconds late; `local` may be however late. Absent: whatever was taken away before the call is gone. Late answers are for callers with client credentials alone, and are marked by `Keystone-Staleness-Ms`."},
		{"schema", object{{"type", "string"}, {"pattern", `^\s*([Ss]trict|[Ll]ocal|[Bb]ounded\s*;\s*ms=[0-9]{1,7})\s*$`}}},
		{"example", "bounded; ms=500"},
	},
	"Strict": {
		{"name", headerConsistency},
		{"in", "header"},
		{"description", "`strict`: the answer reflects every change that was acknowledged before the call. Absent: whatever was taken away before the call is gone."},
		{"schema", object{{"type", "string"}, {"pattern", `^\s*[Ss]trict\s*$`}}},
		{"example", "strict"},
	},
	"IfMatch": {
		{"name", "If-Match"},
		{"in", "header"},
		{"description", "The `ETag` of the version that the caller has seen. If it is not the present one, nothing is changed and the answer is 412."},
		{"schema", object{{"type", "string"}}},
		{"example", `"` + sampleID + `-2s"`},
	},
}

var sharedHeaders = map[string]object{
	"X-Request-ID":          {{"description", "Finds the request in the server's log."}, {"schema", object{{"type", "string"}}}, {"example", sampleID}},
	"Keystone-Index":        {{"description", "The log index that the answer reflects at least. The one to a change reflects the change."}, {"schema", object{{"type", "integer"}, {"minimum", 0}}}, {"example", 1042}},
	headerStaleness:         {{"description", "The answer is so many milliseconds late at most. Absent: it is not."}, {"schema", object{{"type", "integer"}, {"minimum", 1}}}, {"example", 120}},
	"X-RateLimit-Limit":     {{"description", "How many requests are admitted in the window, where the call has a limit."}, {"schema", object{{"type", "integer"}, {"minimum", 0}}}, {"example", 100}},
	"X-RateLimit-Remaining": {{"description", "How many are left."}, {"schema", object{{"type", "integer"}, {"minimum", 0}}}, {"example", 99}},
	"X-RateLimit-Reset":     {{"description", "When the next one is free again, in seconds since 1970."}, {"schema", object{{"type", "integer"}, {"minimum", 0}}}, {"example", sampleTime.Unix()}},
	"Retry-After":           {{"description", "Seconds after which trying again may help."}, {"schema", object{{"type", "integer"}, {"minimum", 1}}}, {"example", 12}},
	"ETag":                  {{"description", "The version of the resource, for `If-Match`."}, {"schema", object{{"type", "string"}}}, {"example", `"` + sampleID + `-2s"`}},
	"WWW-Authenticate":      {{"description", "Which credentials are taken, on every 401; which scope is missing, on a 403."}, {"schema", object{{"type", "string"}}}, {"example", `Bearer realm="keystone"`}},
}
