package config

import (
	"cmp"
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/promgate/promgate/routing/file"
)

// field is a key of the file, as the tags of its struct field tell.
type field struct {
	key      string
	index    []int
	goType   reflect.Type
	typeName string
	def      string
	hasDef   bool
	enum     []string
	required bool
	doc      string
}

// fields are the keys of a struct; those of embedded structs are among them.
func fields(t reflect.Type) []field {
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Anonymous || key == "" {
			continue
		}
		def, hasDef := f.Tag.Lookup("default")
		var enum []string
		if words := f.Tag.Get("enum"); words != "" {
			enum = strings.Split(words, ",")
		}
		all = append(all, field{
			key: key, index: f.Index, goType: f.Type, typeName: f.Tag.Get("type"), def: def, hasDef: hasDef,
			enum: enum, required: f.Tag.Get("required") == "true", doc: f.Tag.Get("doc"),
		})
	}
	return all
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[file.Size]()
	// oneOrMoreType may be written as a single value.
	oneOrMoreType = reflect.TypeFor[file.OneOrMore]()
	textType      = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// section is the struct that a key holds, if it holds one.
func section(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && !isText(t)
}

// Key is a row of the reference: a key of the configuration file.
type Key struct {
	// Path is the key with those above it: limits.queue.length. A list's
	// entries stand as clusters[].
	Path string
	// Type is what the key holds, in words.
	Type string
	// Default is the value of an absent key; empty: none.
	Default string
	// Required tells that the key must be written.
	Required    bool
	Description string
}

// Reference lists every key of the configuration file, in the file's order.
func Reference() []Key { return reference("", reflect.TypeFor[Config]()) }

func reference(prefix string, t reflect.Type) []Key {
	var keys []Key
	for _, f := range fields(t) {
		path := prefix + f.key
		keys = append(keys, Key{Path: path, Type: f.typeWords(), Default: f.def, Required: f.required, Description: f.doc})
		inner := f.goType
		if inner.Kind() == reflect.Slice {
			inner, path = inner.Elem(), path+"[]"
		}
		if s, ok := section(inner); ok {
			keys = append(keys, reference(path+".", s)...)
		}
	}
	return keys
}

func (f *field) typeWords() string {
	if f.goType.Kind() == reflect.Pointer && f.goType.Elem().Kind() != reflect.Struct {
		element := *f
		element.goType = f.goType.Elem()
		return element.typeWords()
	}
	if f.goType.Kind() == reflect.Slice {
		element := *f
		element.goType = f.goType.Elem()
		return "list of " + element.typeWords()
	}
	if _, ok := section(f.goType); ok {
		return "mapping"
	}
	switch {
	case len(f.enum) > 0:
		return strings.Join(f.enum, " or ")
	case f.typeName != "":
		return f.typeName
	case f.goType == durationType:
		return "duration"
	case f.goType == sizeType:
		return "size"
	case f.goType.Kind() == reflect.Bool:
		return "true or false"
	case f.goType.Kind() == reflect.Int:
		return "whole number"
	}
	return "string"
}

// example is a value that shows how the type is written.
func (f *field) example() string {
	switch {
	case len(f.enum) > 0:
		return "write " + strings.Join(f.enum, " or ")
	case f.goType == durationType:
		return "write a number with its unit, such as 10s, 5m, 1h or 90d"
	case f.goType == sizeType:
		return "write a whole number with its unit, such as 256KiB or 1MiB"
	case f.goType.Kind() == reflect.Bool:
		return "write true or false"
	case f.goType.Kind() == reflect.Int:
		return "write a whole number, such as " + cmp.Or(f.def, "10")
	case f.typeName == "CIDR":
		return "write a network, such as 10.0.0.0/8"
	case f.typeName != "":
		return "write a " + f.typeName
	}
	return "write a word or a quoted text"
}
