package httpapi

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keystone-auth/keystone/api"
)

// object is a JSON object that keeps the order of its members, so that the document reads in the order
// in which the API was written, and is the same at every start.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSONTo implements json.MarshalerTo.
func (o object) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, m := range o {
		if err := enc.WriteToken(jsontext.String(m.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, m.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// get returns a member's value, or nil.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// with replaces a member in its place, or adds it.
func (o object) with(name string, value any) object {
	out := slices.Clone(o)
	for i := range out {
		if out[i].name == name {
			out[i].value = value
			return out
		}
	}
	return append(out, member{name, value})
}

func ref(kind, name string) object { return object{{"$ref", "#/components/" + kind + "/" + name}} }

// schemas makes JSON schemas of the structs that travel, and remembers which ones it met.
type schemas struct {
	met    map[string]reflect.Type
	strict map[string]bool // those whose unknown members are refused
}

// of is the schema of a type: a reference where it has a name.
func (b *schemas) of(t reflect.Type, strict bool) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{{"type", "string"}, {"format", "date-time"}}
	case t == reflect.TypeFor[api.StringList]():
		return object{{"anyOf", []any{object{{"type", "string"}}, b.of(reflect.TypeFor[[]string](), strict)}}}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return object{{"type", "string"}}
	}
	if inner, ok := wrapped(t); ok {
		return orNull(b.of(inner, strict))
	}
	switch t.Kind() {
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int, reflect.Int64:
		return object{{"type", "integer"}, {"format", "int64"}}
	case reflect.Int32, reflect.Int16, reflect.Int8, reflect.Uint8, reflect.Uint16:
		return object{{"type", "integer"}, {"format", "int32"}}
	case reflect.Uint, reflect.Uint64, reflect.Uint32:
		return object{{"type", "integer"}, {"format", "int64"}, {"minimum", 0}}
	case reflect.Float64, reflect.Float32:
		return object{{"type", "number"}}
	case reflect.Pointer:
		return b.of(t.Elem(), strict)
	case reflect.Slice, reflect.Array:
		return object{{"type", "array"}, {"items", b.of(t.Elem(), strict)}}
	case reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", b.of(t.Elem(), strict)}}
	case reflect.Struct:
		return b.reference(t, strict)
	}
	return object{} // anything
}

// wrapped is the type of the value in one that tells null from nothing, such as a member of a PATCH.
func wrapped(t reflect.Type) (reflect.Type, bool) {
	if w, ok := reflect.Zero(t).Interface().(interface{ Inner() reflect.Type }); ok {
		return bare(w.Inner()), true
	}
	return nil, false
}

// bare is a type without what is around its value.
func bare(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return bare(t.Elem())
	}
	if inner, ok := wrapped(t); ok {
		return inner
	}
	return t
}

// orNull is the schema that allows null as well.
func orNull(schema object) object {
	if kind, plain := schema.get("type").(string); plain {
		return schema.with("type", []string{kind, "null"})
	}
	return object{{"anyOf", []any{schema, object{{"type", "null"}}}}}
}

// reference is for a struct, whose schema stands among the components.
func (b *schemas) reference(t reflect.Type, strict bool) object {
	name := schemaName(t)
	if _, known := b.met[name]; !known || strict && !b.strict[name] {
		b.met[name], b.strict[name] = t, strict || b.strict[name]
		for f := range travelling(t) {
			b.of(f.Type, strict)
		}
	}
	return ref("schemas", name)
}

// schemaName is the type's own name; those of this package begin with a small letter.
func schemaName(t reflect.Type) string {
	first, size := utf8.DecodeRuneInString(t.Name())
	return string(unicode.ToUpper(first)) + t.Name()[size:]
}

// field is what the wire knows of a struct's field.
type field struct {
	reflect.StructField
	owner    string // the struct that names it, which may be embedded
	json     string
	optional bool // left out where it is empty
}

// travelling goes through the fields that are members on the wire, those of embedded structs among them.
func travelling(t reflect.Type) func(yield func(field) bool) {
	return func(yield func(field) bool) { walkFields(t, yield) }
}

func walkFields(t reflect.Type, yield func(field) bool) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-", !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			if !walkFields(f.Type, yield) {
				return false
			}
			continue
		case name == "":
			name = f.Name
		}
		optional := slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return o == "omitzero" || o == "omitempty" })
		if !yield(field{f, schemaName(t), name, optional}) {
			return false
		}
	}
	return true
}

// describe is the schema of a struct itself: a member that is not left out when it is empty is always
// there, and one behind a pointer that is not left out may be null.
func (b *schemas) describe(name string) object {
	t := b.met[name]
	properties, required := object{}, []string{}
	for f := range travelling(t) {
		properties = append(properties, member{f.json, b.property(f, b.strict[name])})
		if !f.optional {
			required = append(required, f.json)
		}
	}
	out := object{{"type", "object"}}
	if text := apiDoc[name]; text != "" {
		out = append(out, member{"description", text})
	}
	out = append(out, member{"properties", properties})
	if len(required) > 0 {
		out = append(out, member{"required", required})
	}
	if b.strict[name] {
		out = append(out, member{"additionalProperties", false})
	}
	return out
}

func (b *schemas) property(f field, strict bool) object {
	schema := b.of(f.Type, strict)
	refine(schema, f)
	own := rulesOf(f, false)
	if f.Type.Kind() == reflect.Pointer && !f.optional {
		schema = orNull(schema)
	}
	if words, ok := own.get("enum").([]string); ok && schema.mayBeNull() {
		own = own.with("enum", append(anyOf(words), nil))
	}
	extra := schema
	if text := memberDoc(f); text != "" {
		extra = append(extra, member{"description", text})
	}
	if sample, ok := sampleOf(f); ok && schema.get("$ref") == nil {
		extra = append(extra, member{"examples", []any{sample}})
	}
	return append(extra, own...)
}

func (o object) mayBeNull() bool {
	kinds, ok := o.get("type").([]string)
	return ok && slices.Contains(kinds, "null")
}

func anyOf(words []string) (out []any) {
	for _, w := range words {
		out = append(out, w)
	}
	return out
}

// refine says of a list's members what is said of the field: its rules are about one of them.
func refine(schema object, f field) {
	for i, m := range schema {
		if items, ok := m.value.(object); ok && m.name == "items" && items.get("$ref") == nil {
			schema[i].value = append(slices.Clone(items), rulesOf(f, true)...)
		}
	}
}

// rulesOf are the rules of a field, or those of the members of its list.
func rulesOf(f field, items bool) object {
	kind := bare(f.Type)
	isList := kind.Kind() == reflect.Slice && kind != reflect.TypeFor[api.StringList]()
	for kind.Kind() == reflect.Slice {
		kind = bare(kind.Elem())
	}
	if isList != items || kind.Kind() == reflect.Struct {
		return nil
	}
	if own, ok := rules[f.owner+"."+f.json]; ok {
		return own
	}
	common := rules[f.json]
	if isText := kind.Kind() == reflect.String; len(common) > 0 && isText == common.isNumeric() {
		return nil // the same name for something else
	}
	return common
}

func (o object) isNumeric() bool { return o.get("minimum") != nil || o.get("maximum") != nil }

// memberDoc is the comment on the field, or what is said of members of that name wherever they are.
func memberDoc(f field) string {
	if text := apiDoc[f.owner+"."+f.json]; text != "" {
		return text
	}
	return commonDoc[f.json]
}
