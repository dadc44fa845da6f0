package httpapi

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

const formType = "application/x-www-form-urlencoded"

// operation is what the document says of a route.
func (d *document) operation(rt *route, about described) object {
	if about.request == nil && rt.handle.request != reflect.TypeFor[nothing]() {
		about.request = rt.handle.request
	}
	if about.response == nil {
		about.response = rt.handle.response
	}
	d.tags[about.tag] = true
	out := object{{"tags", []string{about.tag}}, {"summary", about.summary}}
	if text := about.fullText(rt); text != "" {
		out = append(out, member{"description", text})
	}
	out = append(out, member{"operationId", d.operationID(rt, about)})
	if parameters := d.parametersOf(rt, about); len(parameters) > 0 {
		out = append(out, member{"parameters", parameters})
	}
	if rt.body != bodyNone && about.request != nil {
		out = append(out, member{"requestBody", d.requestBody(rt, about)})
	}
	allowed := about.security
	if allowed == nil {
		allowed = d.security(rt)
	}
	return append(out, member{"responses", d.responses(rt, about)}, member{"security", allowed})
}

// fullText adds what follows from the row to what is said of the route.
func (about described) fullText(rt *route) string {
	parts := []string{about.text}
	if about.text == "" {
		parts[0] = about.summary + "."
	}
	if rt.permission != "" {
		parts = append(parts, "Needs the scope `"+rt.permission+"`.")
	}
	if rt.auth == person {
		parts = append(parts, "For people: a service token is refused.")
	}
	return strings.Join(parts, "\n\n")
}

// operationID is the name of the method that serves the route, unless that serves another as well.
func (d *document) operationID(rt *route, about described) string {
	id := about.id
	if id == "" {
		id = rt.handle.name
	}
	if d.ids[id] { // TestOpenAPIDescribesEveryRoute asks for one
		id += strings.ToUpper(rt.method[:1]) + strings.ToLower(rt.method[1:]) + strconv.Itoa(len(d.ids))
	}
	d.ids[id] = true
	return id
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

func (d *document) parametersOf(rt *route, about described) []any {
	var out []any
	shared := func(name string) {
		d.parameters[name] = true
		out = append(out, ref("parameters", name))
	}
	for _, found := range inBraces.FindAllStringSubmatch(rt.path, -1) {
		text := about.inPath
		if text == "" {
			text = "The `" + found[1] + "` of what the call is about."
		}
		out = append(out, object{
			{"name", found[1]},
			{"in", "path"},
			{"required", true},
			{"description", text},
			{"schema", object{{"type", "string"}, {"minLength", 1}}},
			{"example", about.pathExample(rt)},
		})
	}
	if isList(about.response) {
		for _, name := range []string{"page", "per_page", "search", "cursor"} {
			shared(name)
		}
		out = append(out, sortParameter(about.sorts, about.rising))
	}
	for _, q := range about.query {
		out = append(out, q.object())
	}
	if rt.idempotent {
		shared("IdempotencyKey")
	}
	switch {
	case rt.bearsLate:
		shared("Consistency")
	case !rt.timeless && !rt.always:
		shared("Strict")
	}
	if about.conditional(rt) {
		shared("IfMatch")
	}
	return out
}

func (about described) pathExample(rt *route) string {
	switch {
	case strings.Contains(rt.path, "/clients/"):
		return "billing"
	case strings.Contains(rt.path, "/roles/"):
		return "editor"
	case strings.Contains(rt.path, "/scopes/"):
		return "read:reports"
	case strings.Contains(rt.path, "/imports/"):
		return "postgres"
	}
	return sampleID
}

// conditional tells whether the route changes something whose version the caller may have seen.
func (about described) conditional(rt *route) bool {
	writes := rt.method == fasthttp.MethodPut || rt.method == fasthttp.MethodPatch || rt.method == fasthttp.MethodDelete
	return about.ifMatch || about.versioned && writes
}

// isList tells whether an answer is a page of a list.
func isList(t reflect.Type) bool {
	if t == nil || t.Kind() != reflect.Struct {
		return false
	}
	f, found := t.FieldByName("Page")
	return found && f.Anonymous && f.Type == reflect.TypeFor[api.Page]()
}

func sortParameter(fields []string, rising bool) object {
	schema := object{{"type", "string"}, {"pattern", "^[a-z_]+,(asc|desc)$"}}
	text := "A field, then a comma, then `asc` or `desc`."
	if len(fields) > 0 {
		var words []string
		for _, f := range fields {
			words = append(words, f+",asc", f+",desc")
		}
		unasked := fields[0] + ",desc"
		if rising {
			unasked = fields[0] + ",asc"
		}
		schema = object{{"type", "string"}, {"enum", words}, {"default", unasked}}
	}
	return object{{"name", "sort"}, {"in", "query"}, {"description", text}, {"schema", schema}}
}

// requestBody is what the route takes. It may be missing where everything in it may.
func (d *document) requestBody(rt *route, about described) object {
	schema := d.of(about.request, rt.body == bodyJSON)
	examples := about.bodies
	if len(examples) == 0 {
		examples = []sample{{"request", "A request", example(about.request)}}
	}
	media := object{{"schema", schema}, {"examples", samplesObject(examples)}}
	content := object{}
	if rt.body != bodyForm {
		content = append(content, member{contentJSON, media})
	}
	if rt.body != bodyJSON {
		content = append(content, member{formType, media})
	}
	needed := false
	for f := range travelling(about.request) {
		needed = needed || !f.optional
	}
	return object{{"required", needed}, {"content", content}}
}

func samplesObject(samples []sample) object {
	out := object{}
	for _, s := range samples {
		out = append(out, member{s.name, object{{"summary", s.summary}, {"value", s.value}}})
	}
	return out
}

// responses are the success and every refusal that follows from the row or from what is said of it.
func (d *document) responses(rt *route, about described) object {
	status := fasthttp.StatusOK
	if rt.created {
		status = fasthttp.StatusCreated
	}
	out := object{{strconv.Itoa(status), d.success(rt, about)}}
	byStatus := map[int]string{}
	for _, code := range refusalsOf(rt, about) {
		status, name := refusalName(rt, code)
		if d.refusals[name] == nil {
			d.refusals[name] = map[iam.Code]bool{}
		}
		d.refusals[name][code] = true
		byStatus[status] = name
	}
	if about.unwell != nil {
		out = append(out, member{"503", d.unwell(about)})
		delete(byStatus, 503)
	}
	var rest []int
	for status := range byStatus {
		rest = append(rest, status)
	}
	slices.Sort(rest)
	for _, status := range rest {
		out = append(out, member{strconv.Itoa(status), ref("responses", byStatus[status])})
	}
	return out
}

func (d *document) success(rt *route, about described) object {
	text := about.success
	if text == "" {
		text = "Success."
	}
	names := []string{"X-Request-ID", "Keystone-Index"}
	if rt.limit != unlimited {
		names = append(names, "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
	}
	if about.versioned && rt.method != fasthttp.MethodDelete {
		names = append(names, "ETag")
	}
	if !rt.timeless && !rt.always {
		names = append(names, headerStaleness)
	}
	out := object{{"description", text}, {"headers", d.headersOf(names)}}
	if media := d.successMedia(rt, about); media != nil {
		out = append(out, member{"content", media})
	}
	return out
}

func (d *document) successMedia(rt *route, about described) object {
	examples := about.answers
	switch {
	case about.response != nil && len(examples) == 0:
		examples = []sample{{"answer", "An answer", example(about.response)}}
	case about.response == nil && about.media == "":
		return nil
	}
	kind, schema := about.media, object{{"type", "string"}}
	if kind == "" {
		kind = contentJSON
	}
	if about.response != nil {
		schema = d.of(about.response, false)
	}
	if about.schema != nil {
		schema = about.schema
	}
	if rt.denies {
		receipt := object{{"type", "object"}, {"properties", object{{"effective", d.of(reflect.TypeFor[api.Effective](), false)}}}}
		schema = object{{"allOf", []any{schema, receipt}}}
	}
	media := object{{"schema", schema}}
	if len(examples) > 0 {
		media = append(media, member{"examples", samplesObject(examples)})
	}
	return object{{kind, media}}
}

// unwell is the answer of a node that cannot do its work, where that answer says more than a refusal.
func (d *document) unwell(about described) object {
	return object{
		{"description", "This node cannot answer correctly now."},
		{"headers", d.headersOf([]string{"X-Request-ID", "Keystone-Index", "Retry-After"})},
		{"content", object{{contentJSON, object{
			{"schema", d.of(about.unwell, false)},
			{"examples", samplesObject([]sample{{"answer", "Without a leader", about.unwellSample}})},
		}}}},
	}
}

func (d *document) headersOf(names []string) object {
	out := object{}
	for _, name := range names {
		d.headers[name] = true
		out = append(out, member{name, ref("headers", name)})
	}
	return out
}

// security is who may call. Client credentials in the body are no scheme that OpenAPI knows, so routes
// that take them can do without any; their description says so.
func (d *document) security(rt *route) []any {
	scopes := []string{}
	if rt.permission != "" {
		scopes = append(scopes, rt.permission)
		d.permissions[rt.permission] = true
	}
	token, same := object{{"bearer", []string{}}}, object{{"oauth2", scopes}}
	basic, none := object{{"clientBasic", []string{}}}, object{}
	switch {
	case rt.limit == limitByGrant:
		return []any{none, basic}
	case rt.auth == anyone:
		return []any{}
	case rt.auth == clientOrBearer:
		return []any{token, same, basic, none}
	}
	return []any{token, same}
}
