package httpapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
)

// Refusals with the same status are one response of the document, but for who may call and how: a grant
// is not refused in the words in which a token is.
const (
	familyGrant  = "Grant"
	familyClient = "Client"
	familyOAuth  = "OAuth"
)

// refusalNames are the names of the shared responses.
var refusalNames = map[int]struct{ name, text string }{
	400: {"BadRequest", "The request cannot be read, or asks for what there is not."},
	401: {"Unauthorized", "Nothing usable was presented, or what was is not good. `WWW-Authenticate` says what is taken."},
	403: {"Forbidden", "The caller is known and may not do this."},
	404: {"NotFound", "There is no such thing, or none that the caller may see."},
	409: {"Conflict", "What is there already stands against it."},
	412: {"PreconditionFailed", "`If-Match` names a version that is not the present one: read it again."},
	413: {"PayloadTooLarge", "The body is larger than is allowed."},
	415: {"UnsupportedMediaType", "The body is of a kind that this call does not take, or compressed."},
	422: {"Invalid", "The request can be read and breaks rules: `details` names each field."},
	423: {"Locked", "The account is locked after too many failures: `locked_until` says how long."},
	429: {"TooManyRequests", "The caller made too many requests: `Retry-After` says when to go on."},
	500: {"InternalError", "The server met an error that it did not expect."},
	503: {"Unavailable", "This node cannot answer now, or there is no majority for a change: try again, or ask another node."},
}

// refusalsOf are the codes that a caller of the route must reckon with.
func refusalsOf(rt *route, about described) []iam.Code {
	// What is no HTTP is a bad request wherever it is sent.
	out := slices.Concat([]iam.Code{iam.InvalidRequest, iam.InternalError}, about.fails)
	add := func(when bool, codes ...iam.Code) {
		if when {
			out = append(out, codes...)
		}
	}
	add(rt.body != bodyNone, iam.PayloadTooLarge, iam.UnsupportedMediaType)
	add(rt.body == bodyJSON || isList(about.response), iam.ValidationError)
	add(rt.auth != anyone, iam.Unauthorized, iam.InvalidToken)
	add(rt.auth == clientOrBearer, iam.InvalidClient, iam.ClientDisabled)
	add(rt.auth == clientOrBearer || rt.auth == person, iam.Forbidden)
	add(rt.permission != "", iam.InsufficientScope)
	add(strings.Contains(rt.path, "{"), iam.NotFound)
	add(rt.created, iam.Conflict)
	add(about.conditional(rt), iam.PreconditionFailed)
	add(rt.limit != unlimited, iam.RateLimitExceeded)
	add(!rt.always || rt.auth != anyone, iam.TemporarilyUnavailable)
	add(rt.limit == limitByGrant, iam.InvalidGrant, iam.InvalidClient, iam.UnsupportedGrantType, iam.InvalidScope,
		iam.ClientDisabled, iam.Forbidden)
	return out
}

// refusalName is the status of a refusal on a route, and the name of the response that describes it.
func refusalName(rt *route, code iam.Code) (status int, name string) {
	family := ""
	switch {
	case rt.standard:
		family, code = familyOAuth, standardCode(code)
	case rt.limit == limitByGrant:
		family = familyGrant
	case rt.auth == clientOrBearer:
		family = familyClient
	}
	status = statusOf(code, rt.standard)
	if status != fasthttp.StatusBadRequest && status != fasthttp.StatusUnauthorized && status != fasthttp.StatusForbidden && family != familyOAuth {
		family = ""
	}
	return status, family + refusalNames[status].name
}

func standardCode(code iam.Code) iam.Code {
	if standard, ok := standardCodes[code]; ok {
		return standard
	}
	return code
}

// familyOf is the family of a shared response.
func familyOf(name string) string {
	for _, family := range []string{familyGrant, familyClient, familyOAuth} {
		if strings.HasPrefix(name, family) {
			return family
		}
	}
	return ""
}

// refusalResponse is a shared response, with one example for each code.
func (d *document) refusalResponse(name string) object {
	family, text, status := familyOf(name), "", 0
	for s, r := range refusalNames {
		if family+r.name == name {
			text, status = r.text, s
		}
	}
	headers := []string{"X-Request-ID", "Keystone-Index", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
	switch status {
	case fasthttp.StatusUnauthorized, fasthttp.StatusForbidden:
		headers = append(headers, "WWW-Authenticate")
	case fasthttp.StatusTooManyRequests, fasthttp.StatusServiceUnavailable:
		headers = append(headers, "Retry-After")
	}
	schema, examples := "Problem", object{}
	if family == familyOAuth {
		schema = "OAuthProblem"
	}
	for _, code := range slices.Sorted(maps.Keys(d.refusals[name])) {
		said := code
		if family == familyOAuth {
			said = standardCode(code)
		}
		if examples.get(string(said)) == nil {
			examples = append(examples, member{string(said), object{{"value", problemSample(said, code)}}})
		}
	}
	return object{
		{"description", text},
		{"headers", d.headersOf(headers)},
		{"content", object{{contentJSON, object{{"schema", ref("schemas", schema)}, {"examples", examples}}}}},
	}
}

// problemSample is the body of a refusal.
func problemSample(said, code iam.Code) object {
	text := refusalSamples[code]
	if text == "" {
		text = "The request was refused."
	}
	out := object{
		{"error", string(said)},
		{"error_description", text},
		{"timestamp", sampleTime},
		{"path", base + "/…"},
		{"request_id", sampleID},
	}
	switch said {
	case iam.ValidationError:
		out = append(out, member{"details", []any{object{{"field", "email"}, {"message", "must be an e-mail address"}}}})
	case iam.RateLimitExceeded, iam.TemporarilyUnavailable:
		out = append(out, member{"retry_after", 12})
	case iam.AccountLocked:
		out = append(out, member{"locked_until", sampleTime})
	}
	return out
}
