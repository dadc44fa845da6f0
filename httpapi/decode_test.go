package httpapi

import (
	"errors"
	"reflect"
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

// FuzzDecode: whatever is sent, the answer is a request or a refusal that repeats nothing of it.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"token":"x"}`, `{"token":"x","token":"y"}`, `{"audience":["a","b"],"client_id":"c"}`, `{"audience":1}`,
		`[`, "null", "\xff", `{"token":`, `{"a":{"b":[1,2,{"c":null}]}}`, "token=x&token=y", "token=%41+b&%ff=", "a=1&&=&b", "%",
		`{"grant_type":"\ud800"}`, "client_id=a;b&scope=read%3Ademo",
	} {
		for kind := range uint8(4) {
			f.Add([]byte(body), kind)
		}
	}
	shape := shapeOf(reflect.TypeFor[api.GrantRequest]())
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		var r api.GrantRequest
		var err error
		if kind%4 == uint8(bodyForm) {
			err = decodeForm(body, &r, shape)
		} else {
			err = decodeJSON(body, bodyKind(kind%4), &r)
		}
		if err == nil {
			checkDecoded(t, r)
			return
		}
		var refusal *iam.Error
		if !errors.As(err, &refusal) || refusal.Code != iam.InvalidRequest && refusal.Code != iam.ValidationError {
			t.Fatalf("the refusal is %v", err)
		}
	})
}

func checkDecoded(t *testing.T, r api.GrantRequest) {
	v := reflect.ValueOf(r)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String && !utf8.ValidString(f.String()) {
			t.Fatalf("%s is not UTF-8", v.Type().Field(i).Name)
		}
	}
	for _, a := range r.Audience {
		if !utf8.ValidString(a) {
			t.Fatal("an audience is not UTF-8")
		}
	}
}
