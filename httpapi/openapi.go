package httpapi

import (
	"maps"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

//go:generate go test -tags hashicorpmetrics -run ^TestAPIDoc$ . -update

// OpenAPI is the OpenAPI 3.1 document of this API, made of the table of routes, the types of their
// requests and answers with the comments on them, and describe.go. The same program always makes the
// same bytes.
func OpenAPI(version string) []byte {
	d := newDocument()
	paths := object{}
	for _, rt := range routes() {
		about, known := describedRoutes()[describedKey(rt.method, rt.path)]
		if !known || about.hidden {
			continue
		}
		item, _ := paths.get(rt.path).(object)
		paths = paths.with(rt.path, item.with(methodMember[rt.method], d.operation(&rt, about)))
	}
	whole := object{
		{"openapi", "3.1.0"},
		{"info", object{
			{"title", "Keystone"},
			{"version", version},
			{"summary", "Authentication and authorization for services"},
			{"description", aboutTheAPI},
			{"contact", object{{"name", "Keystone"}, {"url", "https://github.com/keystone-auth/keystone"}}},
			{"license", object{{"name", "MIT"}, {"identifier", "MIT"}}},
		}},
		{"servers", []any{object{{"url", "/"}, {"description", "The node that this document came from; every node answers everything."}}}},
		{"tags", d.usedTags()},
		{"paths", paths},
		{"components", d.components()},
	}
	text, err := json.Marshal(whole, jsontext.WithIndent(" "))
	if err != nil {
		panic("BUG: the OpenAPI document has no JSON form: " + err.Error())
	}
	return append(text, '\n')
}

var methodMember = map[string]string{"GET": "get", "PUT": "put", "POST": "post", "PATCH": "patch", "DELETE": "delete"}

// document collects what its operations share.
type document struct {
	schemas
	refusals   map[string]map[iam.Code]bool // by the name of the response
	parameters map[string]bool
	headers    map[string]bool
	ids, tags  map[string]bool

	permissions map[string]bool
}

func newDocument() *document {
	d := &document{
		schemas:  schemas{met: map[string]reflect.Type{}, strict: map[string]bool{}},
		refusals: map[string]map[iam.Code]bool{}, parameters: map[string]bool{}, headers: map[string]bool{},
		ids: map[string]bool{}, tags: map[string]bool{}, permissions: map[string]bool{},
	}
	d.of(reflect.TypeFor[api.Problem](), false)
	return d
}

func (d *document) usedTags() []any {
	var out []any
	for _, t := range tags {
		if d.tags[t.name] {
			out = append(out, object{{"name", t.name}, {"description", t.text}})
		}
	}
	return out
}

// components is everything that operations refer to, in the order of the alphabet.
func (d *document) components() object {
	responses, parameters := object{}, object{}
	for _, name := range slices.Sorted(maps.Keys(d.refusals)) {
		responses = append(responses, member{name, d.refusalResponse(name)})
	}
	for _, name := range slices.Sorted(maps.Keys(d.parameters)) {
		parameters = append(parameters, member{name, sharedParameters[name]})
	}
	headers := object{}
	for _, name := range slices.Sorted(maps.Keys(d.headers)) {
		headers = append(headers, member{name, sharedHeaders[name]})
	}
	described := object{}
	for _, name := range slices.Sorted(maps.Keys(d.met)) {
		described = append(described, member{name, d.describe(name)})
	}
	described = append(described, member{"OAuthProblem", d.oauthProblem()})
	described = described.with("Problem", problemSchema(described.get("Problem").(object)))
	return object{
		{"schemas", described},
		{"responses", responses},
		{"parameters", parameters},
		{"headers", headers},
		{"securitySchemes", securitySchemes(slices.Sorted(maps.Keys(d.permissions)))},
	}
}

// problemSchema names the words that a refusal can be.
func problemSchema(problem object) object {
	var codes []string
	for code := range statuses {
		codes = append(codes, string(code))
	}
	slices.Sort(codes)
	properties := problem.get("properties").(object)
	return problem.with("properties", properties.with("error", properties.get("error").(object).with("enum", codes)))
}

// oauthProblem is a Problem with the words that RFC 6749 knows, and the few that it has none for.
func (d *document) oauthProblem() object {
	known := map[string]bool{}
	for name, codes := range d.refusals {
		for code := range codes {
			if familyOf(name) == familyOAuth {
				known[string(standardCode(code))] = true
			}
		}
	}
	return object{
		{"description", "A refusal of the standard OAuth endpoints (RFC 6749 §5.2): a standard client needs `error` alone."},
		{"allOf", []any{
			ref("schemas", "Problem"),
			object{{"type", "object"}, {"properties", object{{"error", object{{"type", "string"}, {"enum", slices.Sorted(maps.Keys(known))}}}}}},
		}},
	}
}
