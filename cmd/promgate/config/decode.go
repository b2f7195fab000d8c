package config

import (
	"encoding"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/promgate/promgate/routing/file"
)

// decoder fills a struct from YAML nodes. Unlike the YAML library's own it
// goes on after a fault, and knows at each what key it concerns.
type decoder struct {
	dir   string
	fault func(line int, at file.Path, format string, args ...any)
}

// setDefaults fills in the defaults of a struct and of the sections in it that
// are always there.
func setDefaults(v reflect.Value) {
	for _, f := range fields(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if f.hasDef {
			if err := setScalar(fv, f.def); err != nil {
				panic(fmt.Sprintf("the default of the key %s: %v", f.key, err))
			}
		}
		if _, ok := section(f.goType); ok && fv.Kind() == reflect.Struct {
			setDefaults(fv)
		}
	}
}

// section decodes a mapping into a struct that has its defaults already.
func (d *decoder) section(n *yaml.Node, v reflect.Value, at file.Path) {
	if isNull(n) {
		return
	}
	known := fields(v.Type())
	for key, value := range d.pairs(n, at) {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			d.fault(key.Line, at.With(key.Value), "unknown key; %s", suggest(key.Value, keysOf(known)))
			continue
		}
		f := known[i]
		d.value(value, v.FieldByIndex(f.index), &f, at.With(f.key))
	}
}

// pairs yields the keys of a mapping with their values, and reports what is
// not a mapping or has a key twice.
func (d *decoder) pairs(n *yaml.Node, at file.Path) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			d.fault(n.Line, at, "%s stands where a mapping belongs; write keys with values below it", kindWord(n))
			return
		}
		first := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			switch line, taken := first[key.Value]; {
			case key.Kind != yaml.ScalarNode:
				d.fault(key.Line, at, "%s stands where a key belongs; write a plain word", kindWord(key))
				continue
			case key.ShortTag() == "!!merge":
				d.fault(key.Line, at, "merge keys (<<) are not understood; write the keys out")
				continue
			case taken:
				d.fault(key.Line, at.With(key.Value), "the key is written twice, first in line %d; keep one of them", line)
				continue
			}
			first[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, f *field, at file.Path) {
	if n.Kind == yaml.AliasNode {
		d.fault(n.Line, at, "aliases (*name) are not understood; write the value out")
		return
	}
	if _, ok := section(v.Type()); ok {
		if v.Kind() == reflect.Pointer {
			if isNull(n) {
				return
			}
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
			setDefaults(v)
		}
		d.section(n, v, at)
		return
	}
	switch v.Kind() {
	case reflect.Pointer: // of which nil is an absent key
		v.Set(reflect.New(v.Type().Elem()))
		element := *f
		element.goType = f.goType.Elem()
		d.value(n, v.Elem(), &element, at)
	case reflect.Slice:
		if v.Type() == oneOrMoreType && n.Kind == yaml.ScalarNode {
			n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Content: []*yaml.Node{n}}
		}
		d.list(n, v, f, at)
	case reflect.Map:
		d.stringMap(n, v, at)
	default:
		d.scalar(n, v, f, at)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f *field, at file.Path) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, at, "%s stands where a list belongs; write each entry on its own line after a hyphen", kindWord(n))
		return
	}
	element := *f
	element.goType = f.goType.Elem()
	for i, node := range n.Content {
		e := reflect.New(element.goType).Elem()
		if _, ok := section(element.goType); ok {
			setDefaults(e)
		}
		d.value(node, e, &element, at.With(i))
		v.Set(reflect.Append(v, e))
	}
}

// stringMap makes a map also of a key without entries, so that it can be told
// from one that is not there.
func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, at file.Path) {
	v.Set(reflect.MakeMap(v.Type()))
	if isNull(n) {
		return
	}
	for key, value := range d.pairs(n, at) {
		text := reflect.New(v.Type().Elem()).Elem()
		d.value(value, text, &field{goType: text.Type()}, at.With(key.Value))
		v.SetMapIndex(reflect.ValueOf(key.Value), text)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, f *field, at file.Path) {
	switch {
	case isNull(n):
		d.fault(n.Line, at, "the key has no value; %s, or remove the key", f.example())
		return
	case n.Kind != yaml.ScalarNode:
		d.fault(n.Line, at, "%s stands where a single value belongs; %s", kindWord(n), f.example())
		return
	case !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.ShortTag()):
		d.fault(n.Line, at, "the YAML tag %s is not understood; remove it", n.Tag)
		return
	case strings.ContainsFunc(n.Value, unicode.IsControl):
		d.fault(n.Line, at, "the value holds line breaks or control characters; write it as plain text on one line")
		return
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, n.Value) {
		d.fault(n.Line, at, "%q is none of the words that are known here; %s", clip(n.Value), suggest(n.Value, f.enum))
		return
	}
	if err := setScalar(v, n.Value); err != nil {
		// Texts are taken as they are, so that what is repeated here is never
		// one of them.
		d.fault(n.Line, at, "%q is not a %s; %s", clip(n.Value), f.typeWords(), f.example())
		return
	}
	if f.typeName == "path" && n.Value != "" {
		if path := n.Value; filepath.IsAbs(path) {
			v.SetString(filepath.Clean(path))
		} else {
			v.SetString(filepath.Join(d.dir, path))
		}
	}
}

func setScalar(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if text == "" { // some types take this for their zero value
			return strconv.ErrSyntax
		}
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil { // Prometheus' form has days, weeks and years
			var long model.Duration
			long, err = model.ParseDuration(text)
			d = time.Duration(long)
		}
		v.SetInt(int64(d))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		v.SetBool(strings.EqualFold(text, "true"))
		if !v.Bool() && !strings.EqualFold(text, "false") {
			return strconv.ErrSyntax
		}
		return nil
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		v.SetInt(n)
		return err
	}
	panic("no way to read a key of type " + v.Type().String())
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindWord(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (*name)"
	}
	return "a single value"
}

func keysOf(known []field) []string {
	keys := make([]string, len(known))
	for i, f := range known {
		keys[i] = f.key
	}
	return keys
}
