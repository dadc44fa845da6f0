package httpapi

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// form is the parameters of a body, which die with the request.
type form struct {
	parameters []parameter
	decoded    fasthttp.Args // holds those of a form with escapes
}

type parameter struct{ key, value []byte }

// read takes a form to pieces. A parameter that is given twice is refused, known or not (RFC 6749 §3.2); one
// without a value counts as not given (the same section).
func (f *form) read(body []byte) error {
	f.parameters = f.parameters[:0]
	if bytes.IndexByte(body, '%') < 0 && bytes.IndexByte(body, '+') < 0 {
		f.split(body)
	} else if err := f.decode(body); err != nil {
		return err
	}
	for _, p := range f.parameters {
		if !utf8.Valid(p.key) || !utf8.Valid(p.value) {
			return iam.Errorf(iam.InvalidRequest, "The form is not UTF-8.")
		}
	}
	if f.repeats() {
		return iam.Errorf(iam.InvalidRequest, "The form has a parameter twice.")
	}
	return nil
}

// split reads a form without escapes, as nearly all are that ask about a token. What it finds lies in the
// body: the library looks at each byte and copies it, which took a tenth of an introspection.
func (f *form) split(body []byte) {
	for len(body) > 0 {
		var pair []byte
		pair, body, _ = bytes.Cut(body, []byte("&"))
		if key, value, _ := bytes.Cut(pair, []byte("=")); len(key)+len(value) > 0 {
			f.parameters = append(f.parameters, parameter{key, value})
		}
	}
}

func (f *form) decode(body []byte) error {
	if err := checkForm(body); err != nil {
		return err
	}
	f.decoded.ParseBytes(body)
	for key, value := range f.decoded.All() {
		f.parameters = append(f.parameters, parameter{key, value})
	}
	return nil
}

// fewParameters are compared with each other, which for as many as a request needs is quicker than a map.
const fewParameters = 8

func (f *form) repeats() bool {
	if len(f.parameters) > fewParameters {
		seen := make(map[string]bool, len(f.parameters))
		for _, p := range f.parameters {
			if seen[string(p.key)] {
				return true
			}
			seen[string(p.key)] = true
		}
		return false
	}
	for i, p := range f.parameters {
		for _, other := range f.parameters[:i] {
			if bytes.Equal(p.key, other.key) {
				return true
			}
		}
	}
	return false
}

// get returns the value of a parameter, nothing if it is not given.
func (f *form) get(key string) []byte {
	for _, p := range f.parameters {
		if string(p.key) == key {
			return p.value
		}
	}
	return nil
}

// formShape leads from a form's parameter to the field of a request struct.
type formShape map[string]int

// shapeOf reads the JSON names of a request struct, which are its parameters' names too. Fields that a
// form cannot fill are left out; a test makes sure that no route that takes forms has any.
func shapeOf(t reflect.Type) formShape {
	shape := formShape{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch f.Type {
		case reflect.TypeFor[string](), reflect.TypeFor[bool](), reflect.TypeFor[api.StringList]():
			shape[name] = i
		}
	}
	return shape
}

// fill fills the struct that into points to. What has no field is passed over.
func (f *form) fill(into any, shape formShape) error {
	target := reflect.ValueOf(into).Elem()
	for _, p := range f.parameters {
		i, known := shape[string(p.key)]
		if !known || len(p.value) == 0 {
			continue
		}
		if err := setField(target.Field(i), string(p.key), string(p.value)); err != nil {
			return err
		}
	}
	return nil
}

func setField(field reflect.Value, name, value string) error {
	switch field.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			refusal := iam.Invalid(name, "must be true or false")
			refusal.Code = iam.InvalidRequest
			return refusal
		}
		field.SetBool(b)
	case reflect.Slice:
		field.Set(reflect.ValueOf(api.StringList(strings.Fields(value))))
	default:
		field.SetString(value)
	}
	return nil
}

// checkForm refuses broken percent escapes, which fasthttp would pass on as they are: two readers of
// one form would then see two values.
func checkForm(body []byte) error {
	for i := 0; i < len(body); i++ {
		if body[i] != '%' {
			continue
		}
		if i+2 >= len(body) || !isHex(body[i+1]) || !isHex(body[i+2]) {
			return iam.Errorf(iam.InvalidRequest, "The form has a broken percent escape.")
		}
		i += 2
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
