package httpapi

import (
	"bytes"
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// maxBody bounds what a request may carry.
const maxBody = 1 << 20

// bodyKind says what a route takes.
type bodyKind uint8

const (
	bodyNone  bodyKind = iota
	bodyJSON           // JSON whose every member is known
	bodyOAuth          // JSON or a form; unknown members and parameters are passed over (RFC 6749 §3.2)
	bodyForm           // a form alone, as the standard OAuth endpoints
)

// decode reads the request's body into the struct that into points to. No body at all is the empty
// request: what is missing then is said by name.
func (x *exchange) decode(into any, shape formShape) error {
	kind, body := x.route.body, x.http.PostBody()
	if kind == bodyNone || len(body) == 0 {
		return nil
	}
	isForm, err := x.contentType()
	switch {
	case err != nil:
		return err
	case isForm:
		if err := x.form.read(body); err != nil {
			return err
		}
		return x.form.fill(into, shape)
	}
	return decodeJSON(body, kind, into)
}

// contentType tells whether the body is a form, and refuses what the route does not take.
func (x *exchange) contentType() (isForm bool, err error) {
	h := &x.http.Request.Header
	media, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	media = bytes.TrimSpace(media)
	isForm = bytes.EqualFold(media, []byte("application/x-www-form-urlencoded"))
	isJSON := bytes.EqualFold(media, []byte(contentJSON))
	encoding := h.ContentEncoding()
	plain := len(encoding) == 0 || bytes.EqualFold(encoding, []byte("identity"))
	switch kind := x.route.body; {
	case !plain:
		return false, iam.Errorf(iam.UnsupportedMediaType, "The body must not be compressed.")
	case isForm && kind != bodyJSON, isJSON && kind != bodyForm:
		return isForm, nil
	case kind == bodyForm:
		return false, iam.Errorf(iam.UnsupportedMediaType, "The body must be application/x-www-form-urlencoded.")
	case kind == bodyJSON:
		return false, iam.Errorf(iam.UnsupportedMediaType, "The body must be application/json.")
	}
	return false, iam.Errorf(iam.UnsupportedMediaType, "The body must be application/json or application/x-www-form-urlencoded.")
}

// decodeJSON is strict about the text: a member given twice, another letter case or broken UTF-8 let
// two readers of one request see two different things.
func decodeJSON(body []byte, kind bodyKind, into any) error {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return iam.Errorf(iam.InvalidRequest, "The body must be one JSON object.")
	}
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(kind == bodyJSON))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) || !jsontext.Value(body).IsValid() {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return iam.Errorf(iam.InvalidRequest, "The body names a member twice.")
		}
		return iam.Errorf(iam.InvalidRequest, "The body is not valid JSON in UTF-8.")
	}
	field := fieldOf(semantic.JSONPointer)
	if errors.Is(err, json.ErrUnknownName) {
		return iam.Invalid(field, "is not a member that this call takes")
	}
	refusal := iam.Invalid(field, "must be %s", kindName(semantic.GoType))
	if kind != bodyJSON {
		refusal.Code = iam.InvalidRequest // the word of RFC 6749 §5.2 for a malformed parameter
	}
	return refusal
}

// fieldOf names the member at fault, if it looks like the name of one and not like a value.
func fieldOf(pointer jsontext.Pointer) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(string(pointer), "/"), "/")
	if first == "" || len(first) > 40 || strings.Trim(first, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "body"
	}
	return first
}

func kindName(t reflect.Type) string {
	if t == reflect.TypeFor[api.StringList]() {
		return "a string or a list of strings"
	}
	if t != nil {
		if patch, ok := reflect.Zero(t).Interface().(interface{ Inner() reflect.Type }); ok {
			t = patch.Inner()
		}
	}
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil:
		return "of another type"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int64, t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "a list of objects"
	case t.Kind() == reflect.Slice:
		return "a list of strings"
	}
	return "of another type"
}
