package httpapi

import (
	"reflect"
	"time"
)

// sampleTime is when everything in the document happened.
var sampleTime = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

// leftOut is the sample of a member that most answers do not have.
type leftOut struct{}

// sampleOf is an example value of a field, of the field's own type.
func sampleOf(f field) (any, bool) {
	t := bare(f.Type)
	for _, name := range []string{f.owner + "." + f.json, f.json} {
		sample, ok := samples[name]
		if _, none := sample.(leftOut); none {
			return nil, false
		}
		if ok && sample == nil && f.Type != t {
			return nil, true
		}
		if v := reflect.ValueOf(sample); ok && v.IsValid() && (v.Kind() == t.Kind() || v.CanInt() && isInteger(t)) && v.CanConvert(t) {
			return v.Convert(t).Interface(), true
		}
	}
	if t == reflect.TypeFor[time.Time]() {
		return sampleTime, true
	}
	return nil, false
}

func isInteger(t reflect.Type) bool { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64 }

// example is a whole value of a type, made of what is known of its members.
func example(t reflect.Type) any {
	t = bare(t)
	switch t.Kind() {
	case reflect.Slice:
		return []any{example(t.Elem())}
	case reflect.Map:
		return object{{"name", example(t.Elem())}}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return sampleTime
		}
	case reflect.String:
		return "text"
	default:
		return reflect.Zero(t).Interface()
	}
	out := object{}
	for f := range travelling(t) {
		if _, none := samples[f.owner+"."+f.json].(leftOut); !none {
			out = append(out, member{f.json, exampleOf(f)})
		}
	}
	return out
}

func exampleOf(f field) any {
	if sample, ok := sampleOf(f); ok {
		return sample
	}
	isList := bare(f.Type).Kind() == reflect.Slice
	fromRules := sampleByRules(rulesOf(f, isList))
	switch {
	case fromRules != nil && isList:
		return []any{fromRules}
	case fromRules != nil:
		return fromRules
	}
	return example(f.Type)
}

// sampleByRules is a value that keeps the rules, if they are enough to tell one.
func sampleByRules(r object) any {
	if words, ok := r.get("enum").([]string); ok {
		return words[0]
	}
	if least := r.get("minimum"); least != nil {
		return least
	}
	format, _ := r.get("format").(string)
	switch format {
	case "uuid":
		return sampleID
	case "email":
		return "alice@example.com"
	case "uri":
		return "https://example.com"
	}
	return nil
}

// sampleID is everybody's id in the document.
const sampleID = "0192f0c1-7a3e-7c44-9d6b-2f1e8a5b3c4d"
