package httpapi

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// TestStatuses holds the codes and statuses of the public contract.
func TestStatuses(t *testing.T) {
	const contract = `validation_error 422 · invalid_request 400 · unsupported_grant_type 400 · invalid_scope 400 · invalid_target 400 · invalid_grant 401 · invalid_client 401 · unauthorized 401 · invalid_token 401 · insufficient_scope 403 · forbidden 403 · account_disabled 403 · client_disabled 403 · password_expired 403 · not_found 404 · method_not_allowed 405 · conflict 409 · precondition_failed 412 · payload_too_large 413 · unsupported_media_type 415 · account_locked 423 · rate_limit_exceeded 429 · internal_error 500 · temporarily_unavailable 503`
	lines := strings.Split(contract, " · ")
	for _, line := range lines {
		code, status, _ := strings.Cut(line, " ")
		if got := statusOf(iam.Code(code), false); string(fasthttp.AppendUint(nil, got)) != status {
			t.Errorf("%s is %d, want %s", code, got, status)
		}
	}
	if len(lines) != len(statuses) {
		t.Errorf("%d codes have a status, want %d", len(statuses), len(lines))
	}
	if got := statusOf(iam.InvalidGrant, true); got != 400 {
		t.Errorf("invalid_grant on a standard endpoint is %d", got)
	}
}

// TestFormsCanFillTheirRequests: every field of a request that may come as a form can be filled by
// one.
func TestFormsCanFillTheirRequests(t *testing.T) {
	for _, request := range []reflect.Type{
		reflect.TypeFor[api.TokenRequest](), reflect.TypeFor[api.RefreshRequest](), reflect.TypeFor[api.ServiceTokenRequest](),
		reflect.TypeFor[api.GrantRequest](), reflect.TypeFor[api.RevokeRequest](), reflect.TypeFor[api.IntrospectRequest](),
		reflect.TypeFor[api.LogoutRequest](),
	} {
		if got := len(shapeOf(request)); got != request.NumField() {
			t.Errorf("a form can fill %d of the %d fields of %v", got, request.NumField(), request)
		}
	}
}

func TestParseBasic(t *testing.T) {
	f := func(value, id, secret string, ok bool) {
		t.Helper()
		gotID, gotSecret, gotOK := parseBasic([]byte(value))
		if gotID != id || gotSecret != secret || gotOK != ok {
			t.Errorf("parseBasic(%q) = %q, %q, %v", value, gotID, gotSecret, gotOK)
		}
	}
	f("ZGVtbzpzZWNyZXQ=", "demo", "secret", true)   // demo:secret
	f("ZGVtbzphK2I=", "demo", "a+b", true)          // demo:a+b, not encoded
	f("YSUzQWI6YyUyQmQrZQ==", "a:b", "c+d e", true) // a%3Ab:c%2Bd+e, encoded
	f("ZGVtbzoxMDAl", "demo", "100%", true)         // demo:100%, which is no encoding
	f("ZGVtbzphOmI=", "demo", "a:b", true)          // demo:a:b
	f("ZGVtbzo=", "demo", "", true)                 // demo:
	f("OnNlY3JldA==", "", "", false)                // :secret
	f("ZGVtbw==", "", "", false)                    // demo
	f("", "", "", false)
	f("not base64", "", "", false)
}

// bodies are the request types of the table, each once, in its order: one decoder each.
func bodies() (all []reflect.Type) {
	all = append(all, reflect.TypeFor[api.IntrospectRequest]()) // whose handler decodes by itself
	for _, r := range routes() {
		if t := r.handle.request; r.body != bodyNone && t != nil && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// FuzzDecode: whatever is sent to whichever route, the answer is a request or a refusal that repeats
// nothing of it.
func FuzzDecode(f *testing.F) {
	types := bodies()
	for i, body := range []string{
		`{}`, `{"token":"x"}`, `{"token":"x","token":"y"}`, `{"audience":["a","b"],"client_id":"c"}`, `{"audience":1}`,
		`[`, "null", "\xff", `{"token":`, `{"a":{"b":[1,2,{"c":null}]}}`, "token=x&token=y", "token=%41+b&%ff=", "a=1&&=&b", "%",
		`{"grant_type":"\ud800"}`, "client_id=a;b&scope=read%3Ademo", `{"bio":null,"roles":["a"],"is_active":false}`,
		`{"checks":[{"subject":"a","scope":"b"}]}`, `{"grace_seconds":-1e99}`, `{"name":"a","scopes":null,"allowed_ips":["::/0"]}`,
	} {
		for kind := range uint8(4) {
			f.Add([]byte(body), kind, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind, which uint8) {
		request := reflect.New(types[int(which)%len(types)])
		var err error
		if kind%4 == uint8(bodyForm) {
			f := new(form)
			if err = f.read(body); err == nil {
				err = f.fill(request.Interface(), shapeOf(request.Elem().Type()))
			}
		} else {
			err = decodeJSON(body, bodyKind(kind%4), request.Interface())
		}
		if err == nil {
			checkDecoded(t, request.Elem())
			return
		}
		var refusal *iam.Error
		if !errors.As(err, &refusal) || refusal.Code != iam.InvalidRequest && refusal.Code != iam.ValidationError {
			t.Fatalf("the refusal is %v", err)
		}
	})
}

// checkDecoded looks at every text that was read, however deep it lies.
func checkDecoded(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			t.Fatalf("a %s is not UTF-8", v.Type())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			checkDecoded(t, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkDecoded(t, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			checkDecoded(t, v.Field(i))
		}
	}
}
