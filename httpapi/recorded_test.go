//go:build !race

package httpapi_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/errors"

	"github.com/keystone-auth/keystone/httpapi"
)

// contract holds requests and answers against the OpenAPI document.
type contract struct {
	requests, answers validator.Validator
}

// theContract is made once, for all tests: the document is the same for all servers.
var theContract = sync.OnceValues(func() (*contract, error) {
	doc, err := libopenapi.NewDocument(httpapi.OpenAPI("v0-test"))
	if err != nil {
		return nil, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return nil, err
	}
	common := []config.Option{
		config.WithFormatAssertions(), config.WithURLEncodedBodyValidation(), config.WithStrictMode(),
		config.WithBodyDecoder("application/x-ndjson", content.TextDecoder()),
	}
	return &contract{
		// Query parameters that the document does not name are found; members are, where they are refused.
		requests: validator.NewValidatorFromV3Model(&model.Model, append(common, config.WithStrictIgnorePaths("$.body.**", "$.headers.*",
			"$.query.access_token"))...), // TestLogHoldsNoSecrets sends it to see that it is not written down
		// Members and headers that the document does not name are found, but for what all answers have.
		answers: validator.NewValidatorFromV3Model(&model.Model, append(common, config.WithStrictIgnoredHeadersExtra(
			"x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy", "content-security-policy",
			"access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers", "content-encoding"))...),
	}, nil
})

// record holds a request and its answer against the document. A request that was refused may be as wrong
// as the test wants it; one that was accepted must be what the document allows. The operator's socket asks
// for no credentials, of which the document does not speak.
func record(t testing.TB, byOperator bool, c call, req *http.Request, a answer) {
	t.Helper()
	if req.Method == http.MethodHead || req.Method == http.MethodOptions || isPage(req.URL.Path) || req.URL.Path == "/openapi.json" ||
		strings.Contains(req.URL.Path, "//") {
		return // the validator takes two slashes for one; TestPages and TestDocumentIsServed look at those byte by byte
	}
	against, err := theContract()
	must(t, err)
	again := req.Clone(req.Context())
	again.URL.Path = strings.TrimSuffix(again.URL.Path, "/")
	if strings.HasPrefix(again.URL.Path, v1+"/auth/verify/") { // as a proxy asks; see asGet
		again.Method, again.URL.Path, again.URL.RawQuery = "GET", v1+"/auth/verify", ""
	}
	resp := &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: again}
	_, wrong := against.answers.ValidateHttpResponse(again, resp)
	if a.status >= 400 && isNowhere(wrong) { // TestOpenAPIDescribesEveryRoute misses what should be there
		problem(t, a)
		return
	}
	report(t, c, a, "the answer", wrong)
	if a.status > 299 {
		return
	}
	again.Body = io.NopCloser(strings.NewReader(c.json + c.form))
	if c.json+c.form == "" {
		again.Body, again.ContentLength = http.NoBody, 0
	}
	_, wrong = against.requests.ValidateHttpRequestSync(again)
	wrong = without(wrong, "urlEncodedValidation") // it looks for reserved characters once they are decoded
	if byOperator {
		wrong = without(wrong, "security")
	}
	report(t, c, a, "the request", wrong)
}

// isNowhere tells whether the document has no such path or method.
func isNowhere(wrong []*errors.ValidationError) bool {
	return len(wrong) > 0 && wrong[0].ValidationType == "path"
}

func without(wrong []*errors.ValidationError, kind string) (rest []*errors.ValidationError) {
	for _, w := range wrong {
		if w.ValidationType != kind {
			rest = append(rest, w)
		}
	}
	return rest
}

func report(t testing.TB, c call, a answer, what string, wrong []*errors.ValidationError) {
	t.Helper()
	for _, w := range wrong {
		var details []string
		for _, f := range w.SchemaValidationErrors {
			details = append(details, f.FieldPath+": "+f.Reason)
		}
		t.Errorf("%s to %s %s (%d) is not what the OpenAPI document says: %s (%s; %s): %s. If the API is right, "+
			"correct the types in package api, or the route's entry in httpapi/describe_*.go", what, c.method, c.path, a.status,
			w.Message, w.ValidationType, w.Reason, strings.Join(details, "; "))
	}
}

// TestRecordedAnswersCanBeWrong makes sure that what every other test relies on finds anything at all.
func TestRecordedAnswersCanBeWrong(t *testing.T) {
	against, err := theContract()
	must(t, err)
	const profile = `{"id":"0192f0c1-7a3e-7c44-9d6b-2f1e8a5b3c4d","username":"alice","email":"a@example.com","first_name":"","last_name":"","display_name":"",` +
		`"full_name":"","bio":"","is_active":true,"is_verified":true,"is_superuser":false,"roles":[],"scopes":[],"last_login":null,` +
		`"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`
	f := func(name string, good bool, status int, header, body string) {
		t.Helper()
		req := &http.Request{Method: "GET", URL: &url.URL{Path: v1 + "/users/me"}, Header: http.Header{}}
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
		if header != "" {
			resp.Header.Set(header, "x")
		}
		if ok, wrong := against.answers.ValidateHttpResponse(req, resp); ok != good {
			t.Errorf("%s: %v, %v", name, ok, wrong)
		}
	}
	f("as it is", true, 200, "", profile)
	f("a member too few", false, 200, "", strings.Replace(profile, `"bio":"",`, "", 1))
	f("a member too many", false, 200, "", strings.Replace(profile, `"bio"`, `"password_hash":"x","bio"`, 1))
	f("another kind", false, 200, "", strings.Replace(profile, `"bio":""`, `"bio":1`, 1))
	f("no UUID", false, 200, "", strings.Replace(profile, "0192f0c1", "zzz", 1))
	f("no time", false, 200, "", strings.Replace(profile, "2026-01-01T00:00:00Z", "yesterday", 1))
	f("null where it cannot be", false, 200, "", strings.Replace(profile, `"bio":""`, `"bio":null`, 1))
	f("another status", false, 202, "", profile)
	f("an unknown header", false, 200, "X-Secret", profile)

	ask := func(name string, good bool, method, path, contentType, body string) {
		t.Helper()
		at, err := url.Parse(v1 + path)
		must(t, err)
		req := &http.Request{
			Method: method, URL: at, Header: http.Header{"Authorization": {"Bearer x"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		if ok, wrong := against.requests.ValidateHttpRequestSync(req); ok != good {
			t.Errorf("%s: %v, %v", name, ok, wrong)
		}
	}
	const isJSON, isForm = "application/json", "application/x-www-form-urlencoded"
	ask("a login", true, "POST", "/auth/token", isJSON, `{"username":"a","password":"b","device":"x"}`)
	ask("a login as a form", true, "POST", "/auth/token", isForm, "username=a&password=b")
	ask("without a password", false, "POST", "/auth/token", isJSON, `{"username":"a"}`)
	ask("as a form without a password", false, "POST", "/auth/token", isForm, "username=a")
	ask("a form where none is taken", false, "POST", "/admin/scopes", isForm, "name=a")
	ask("a scope", true, "POST", "/admin/scopes", isJSON, `{"name":"a"}`)
	ask("an unknown member", false, "POST", "/admin/scopes", isJSON, `{"name":"a","x":1}`)
	ask("a list", true, "GET", "/sessions?page=2&sort=created_at,asc", "", "")
	ask("an unknown parameter", false, "GET", "/sessions?color=red", "", "")
	ask("a bad parameter", false, "GET", "/sessions?per_page=1000", "", "")
	ask("a bad order", false, "GET", "/sessions?sort=color,asc", "", "")
}
