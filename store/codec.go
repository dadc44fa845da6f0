package store

import (
	"github.com/fxamacker/cbor/v2"
)

// The one encoding of rows, commands and messages between nodes: deterministic, so that equal state
// means equal bytes on every node (RFC 8949 §4.2.1), and decoded with bounds, because log entries
// and messages come from outside this process.
var (
	encMode    = must(cbor.CoreDetEncOptions().EncMode())
	decMode    = must(bounds.DecMode())
	strictMode = must(strict(bounds).DecMode())
)

var bounds = cbor.DecOptions{
	DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	IndefLength:      cbor.IndefLengthForbidden,
	TagsMd:           cbor.TagsForbidden,
	MaxNestedLevels:  16,
	MaxArrayElements: 1 << 17,
	MaxMapPairs:      1 << 12,
	UTF8:             cbor.UTF8RejectInvalid,
}

func strict(o cbor.DecOptions) cbor.DecOptions {
	o.ExtraReturnErrors = cbor.ExtraDecErrorUnknownField
	return o
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("BUG: cbor options: " + err.Error())
	}
	return v
}

// Encode returns the deterministic CBOR form of v. It panics on a type that has none, which only a
// mistake in this program can bring.
func Encode(v any) []byte { return must(encMode.Marshal(v)) }

// Decode reads into v, copying everything that it keeps. Trailing bytes, duplicate keys, tags and
// indefinite lengths are errors.
func Decode(data []byte, v any) error { return decMode.Unmarshal(data, v) }

// DecodeStrict is Decode for log entries: a member that v does not have is an error. A newer version
// wrote it and means something by it, so a node that passed over it would come to another state.
func DecodeStrict(data []byte, v any) error { return strictMode.Unmarshal(data, v) }
