//go:build !race

package httpapi_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/keystone-auth/keystone/httpapi"
)

func parsedDocument(t *testing.T) (libopenapi.Document, *v3.Document) {
	t.Helper()
	doc, err := libopenapi.NewDocument(httpapi.OpenAPI("v0-test"))
	must(t, err)
	model, err := doc.BuildV3Model()
	must(t, err)
	return doc, &model.Model
}

func TestOpenAPIIsValid(t *testing.T) {
	doc, model := parsedDocument(t)
	check, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, wrong := check.ValidateDocument(); !ok {
		for _, w := range wrong {
			t.Error(w)
		}
	}
	if model.Version != "3.1.0" || model.Info.Version != "v0-test" || model.Servers[0].URL != "/" {
		t.Errorf("OpenAPI %s, version %s, server %s", model.Version, model.Info.Version, model.Servers[0].URL)
	}
}

func TestOpenAPIIsDeterministic(t *testing.T) {
	first := httpapi.OpenAPI("v1")
	for range 20 {
		if !bytes.Equal(first, httpapi.OpenAPI("v1")) {
			t.Fatal("two calls made two documents")
		}
	}
}

// TestOpenAPIDescribesEveryRoute goes through the table, so that a new route cannot be left out.
func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	_, model := parsedDocument(t)
	ids := map[string]string{}
	for _, r := range httpapi.Routes() {
		line := r.Method + " " + r.Path
		if r.Undescribed {
			t.Errorf("%[1]s is not in the OpenAPI document. Add a line to the table in httpapi/describe_*.go that it belongs to:\n"+
				"\t%[2]q: {tag: \"<one of tags in describe.go>\", summary: \"<a few words>\", id: \"<operationId, such as %[3]s>\", success: \"<what the good answer means>.\"},\n"+
				"and fails: []iam.Code{…} for refusals that do not follow from the row, versioned: true if the answer has an ETag, "+
				"sorts and query for a list, text for what else there is to know.", line, r.DescribedAs, r.Handler)
			continue
		}
		if r.Hidden {
			continue
		}
		item, ok := model.Paths.PathItems.Get(r.Path)
		if !ok {
			t.Errorf("%s: the document lacks the path", line)
			continue
		}
		op, ok := item.GetOperations().Get(strings.ToLower(r.Method))
		if !ok {
			t.Errorf("%s: the document lacks the method", line)
			continue
		}
		if op.Summary == "" || strings.HasSuffix(op.Summary, ".") || len(op.Tags) != 1 || !slices.ContainsFunc(model.Tags, func(t *base.Tag) bool { return t.Name == op.Tags[0] }) {
			t.Errorf("%s: its entry in httpapi/describe_*.go needs a tag out of tags in describe.go and a summary without a full stop", line)
		}
		if other := ids[op.OperationId]; other != "" || !regexp.MustCompile(`^[a-z][A-Za-z]+$`).MatchString(op.OperationId) {
			t.Errorf("%s and %q share the operationId %q, or it is no name: give the entry in httpapi/describe_*.go an id", line, other, op.OperationId)
		}
		ids[op.OperationId] = line
		if r.Anyone != (len(op.Security) == 0 || op.Security[0].ContainsEmptyRequirement) {
			t.Errorf("%s: the document is wrong about who may call", line)
		}
	}
}

// TestOpenAPINamesEveryCode: whoever writes a client finds every word that a refusal can be, with an
// example. A wrong method has no operation to stand beside, and nothing can be stale where nothing takes If-Match.
func TestOpenAPINamesEveryCode(t *testing.T) {
	document := string(httpapi.OpenAPI("v1"))
	for _, code := range httpapi.Codes() {
		if code == "method_not_allowed" || code == "precondition_failed" && !strings.Contains(document, `"IfMatch"`) {
			continue
		}
		if !strings.Contains(document, fmt.Sprintf("%q: {", code)) {
			t.Errorf("no response has an example of %s: add the code to fails of the entries in httpapi/describe_*.go whose routes answer with it", code)
		}
	}
}

// TestOpenAPIReferences: each leads somewhere, and nothing is there that nobody refers to.
func TestOpenAPIReferences(t *testing.T) {
	document := httpapi.OpenAPI("v1")
	var whole struct {
		Components map[string]map[string]any `json:"components"`
	}
	must(t, json.Unmarshal(document, &whole))
	used := map[string]bool{}
	for _, found := range regexp.MustCompile(`"#/components/(\w+)/([\w-]+)"`).FindAllSubmatch(document, -1) {
		kind, name := string(found[1]), string(found[2])
		used[kind+"/"+name] = true
		if whole.Components[kind][name] == nil {
			t.Errorf("%s leads nowhere", found[0])
		}
	}
	for kind, all := range whole.Components {
		for name := range all {
			if kind != "securitySchemes" && !used[kind+"/"+name] {
				t.Errorf("nobody refers to %s/%s", kind, name)
			}
		}
	}
}

// TestOpenAPIExamples: every example of a body is one that its schema allows.
func TestOpenAPIExamples(t *testing.T) {
	_, model := parsedDocument(t)
	check := schema_validation.NewSchemaValidator(config.WithFormatAssertions(), config.WithStrictMode())
	seen := 0
	media := func(where string, m *v3.MediaType) {
		for name, example := range m.Examples.FromOldest() {
			seen++
			var value any
			must(t, example.Value.Decode(&value))
			if ok, wrong := check.ValidateSchemaObject(m.Schema.Schema(), value); !ok {
				for _, w := range wrong {
					t.Errorf("%s, example %s: %v. An example that is made of a type gets its values from samples in httpapi/describe_members.go.", where, name, w)
				}
			}
		}
	}
	for path, item := range model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			where := method + " " + path
			if op.RequestBody != nil {
				for kind, m := range op.RequestBody.Content.FromOldest() {
					media(where+" "+kind, m)
				}
			}
			for status, resp := range op.Responses.Codes.FromOldest() {
				for kind, m := range resp.Content.FromOldest() {
					media(where+" "+status+" "+kind, m)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d examples", seen)
	}
}

// TestDescribedMembers: rules, samples and comments about a type's member fail when the type loses it.
func TestDescribedMembers(t *testing.T) {
	for _, name := range httpapi.StrayMembers() {
		t.Errorf("httpapi/describe_members.go speaks of %s, which its type does not have", name)
	}
}

// TestSchemas holds the rules by which Go types become schemas.
func TestSchemas(t *testing.T) {
	var whole struct {
		Components struct {
			Schemas map[string]struct {
				Required             []string `json:"required"`
				AdditionalProperties *bool    `json:"additionalProperties"`
				Properties           map[string]struct {
					Type   any    `json:"type"`
					Format string `json:"format"`
				} `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	must(t, json.Unmarshal(httpapi.OpenAPI("v1"), &whole))
	all := whole.Components.Schemas
	f := func(schema, member, kind, format string, required bool) {
		t.Helper()
		s := all[schema]
		if p := s.Properties[member]; fmt.Sprint(p.Type) != kind || p.Format != format || slices.Contains(s.Required, member) != required {
			t.Errorf("%s.%s is %v %q, required %v", schema, member, p.Type, p.Format, slices.Contains(s.Required, member))
		}
	}
	f("User", "id", "string", "uuid", true)
	f("User", "email", "string", "email", true)
	f("User", "created_at", "string", "date-time", true)
	f("User", "last_login", "[string null]", "date-time", true)
	f("User", "roles", "array", "", true)
	f("Sessions", "next_cursor", "[string null]", "", true) // of an embedded struct
	f("Node", "agrees", "[boolean null]", "", true)
	f("Client", "client_secret", "string", "password", false)
	f("CreateClientRequest", "is_active", "boolean", "", false)
	f("CreateClientRequest", "name", "string", "", true)
	closed := func(schema string, want bool) {
		t.Helper()
		if got := all[schema].AdditionalProperties != nil && !*all[schema].AdditionalProperties; got != want {
			t.Errorf("%s: closed %v", schema, got)
		}
	}
	closed("CreateClientRequest", true) // unknown members are refused
	closed("TokenRequest", false)       // and passed over here
	closed("Client", false)             // answers may grow
}
