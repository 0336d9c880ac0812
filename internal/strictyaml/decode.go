// Package strictyaml decodes configuration: every key that the Go structure
// does not have, every value of another type and every value that its type
// refuses is an error with file, line and key, all of them at once.
//
// It takes less than YAML offers. Anchors, aliases, merge keys and tags are
// refused, because a reader of a policy must see what it says where it says it.
// A key without a value is refused, because it reads like a value that got lost.
package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Limits on a document. Configuration is written by hand; what is larger is a
// mistake.
const (
	maxBytes = 4 << 20
	maxDepth = 64
)

// Error is one mistake in a document.
type Error struct {
	Place Place
	Key   string // the path of keys, as "rules[2].then"; "" for the document
	What  string // what is wrong and what would be right
}

// Error returns "file:line: key: what".
func (e *Error) Error() string {
	var b strings.Builder
	if s := e.Place.String(); s != "" {
		b.WriteString(s + ": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.What)
	return b.String()
}

// Errors are all mistakes in a document, in the order of lines.
type Errors []*Error

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single errors.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// A Place is a line of a file. The zero Place is nowhere: a value that was made
// in Go.
type Place struct {
	File string
	Line int // from 1
}

// String returns "file:line", or "" for the zero Place.
func (p Place) String() string {
	if p == (Place{}) {
		return ""
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Places says where the keys of a structure stand. A struct field of this type,
// exported and tagged yaml:"-", is filled by Decode.
type Places struct {
	at   Place
	keys map[string]Place
}

// Key returns where the value of a key stands, or where the structure starts.
func (p Places) Key(key string) Place {
	if at, ok := p.keys[key]; ok {
		return at
	}
	return p.at
}

// Has reports whether the document has that key.
func (p Places) Has(key string) bool { _, ok := p.keys[key]; return ok }

// Unmarshaler is a type that has more than one form in a document.
type Unmarshaler interface {
	// UnmarshalNode sets the receiver from n. What it calls on n records the
	// mistakes; it returns nothing.
	UnmarshalNode(n Node)
}

// Decode sets what into points to from the one document in data. Keys of a
// struct are the names in its fields' yaml tags; a field without a tag or with
// the tag "-" is not part of the document, and the keys of a struct in a field
// tagged ",inline" stand beside the others. What the document does not mention
// keeps the value it has. filename stands in the errors.
//
// Values go into strings, bools, integers, floats, [time.Duration] ("5m"),
// [encoding.TextUnmarshaler], [Unmarshaler], pointers to, slices of, maps with
// string keys to, and structs of these, and any.
// The error is an [Errors]. After an error the contents of into mean nothing.
// An empty document is no error.
func Decode(data []byte, filename string, into any) error {
	v := target(into)
	d := &decoder{file: filename}
	if root := d.parse(data); root != nil {
		Node{d: d, n: root}.set(v)
	}
	return d.err()
}

func target(into any) reflect.Value {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("strictyaml: cannot decode into something that is no pointer")
	}
	return v.Elem()
}

type decoder struct {
	file   string
	errors Errors
}

func (d *decoder) err() error {
	if len(d.errors) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errors, func(a, b *Error) int { return a.Place.Line - b.Place.Line })
	return d.errors
}

func (d *decoder) fail(line int, key, what string) {
	d.errors = append(d.errors, &Error{Place{d.file, max(line, 1)}, key, what})
}

// parse returns the root of the only document, or nil when there is none or a
// mistake was recorded.
func (d *decoder) parse(data []byte) *yaml.Node {
	if len(data) > maxBytes {
		d.fail(1, "", fmt.Sprintf("is larger than %d bytes", maxBytes))
		return nil
	}
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	if err != nil {
		d.fail(1, "", "cannot be read")
		return nil
	}
	var doc, more yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	switch err := loader.Load(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
		return nil
	default:
		d.fail(more.Line, "", "a second document: a file holds one")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" && root.Value == "" {
		return nil
	}
	return root
}

func (d *decoder) syntax(err error) {
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		d.fail(e.Mark.Line, "", "is not YAML: "+e.Message)
		return
	}
	d.fail(1, "", "is not YAML")
}

// set decodes n into v, which is settable.
func (n Node) set(v reflect.Value) {
	if !n.plain() {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		n.set(v.Elem())
		return
	}
	if u, ok := v.Addr().Interface().(Unmarshaler); ok {
		u.UnmarshalNode(n)
		return
	}
	if n.isNull() {
		n.Errorf("has no value: give it one or remove the key")
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		n.duration(v)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if s, ok := n.text(); ok {
			if err := u.UnmarshalText([]byte(s)); err != nil {
				n.Errorf("%v", err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		n.structure(v)
	case reflect.Slice:
		n.slice(v)
	case reflect.Map:
		n.mapping(v)
	case reflect.String:
		if s, ok := n.text(); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		if n.n.Kind != yaml.ScalarNode || n.n.ShortTag() != "!!bool" {
			n.Errorf("must be true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.n.Value, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if i, ok := n.integer(); ok && !v.OverflowInt(i) {
			v.SetInt(i)
		} else {
			n.Errorf("must be a whole number%s", rangeOf(v))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if i, ok := n.integer(); ok && i >= 0 && !v.OverflowUint(uint64(i)) {
			v.SetUint(uint64(i))
		} else {
			n.Errorf("must be a whole number that is not negative")
		}
	case reflect.Float64, reflect.Float32:
		var f float64
		if tag := n.n.ShortTag(); n.n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || n.n.Decode(&f) != nil {
			n.Errorf("must be a number")
			return
		}
		v.SetFloat(f)
	case reflect.Interface:
		if value := n.Plain(); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default:
		panic("strictyaml: cannot decode into " + v.Type().String())
	}
}

func rangeOf(v reflect.Value) string {
	if bits := v.Type().Bits(); bits < 64 {
		return fmt.Sprintf(" between %d and %d", -(int64(1) << (bits - 1)), int64(1)<<(bits-1)-1)
	}
	return ""
}

func (n Node) integer() (int64, bool) {
	if n.n.Kind != yaml.ScalarNode || n.n.ShortTag() != "!!int" {
		return 0, false
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(n.n.Value, "_", ""), 10, 64)
	return i, err == nil
}

func (n Node) duration(v reflect.Value) {
	s, ok := n.Scalar()
	dur, err := time.ParseDuration(s)
	if !ok || err != nil {
		n.Errorf("must be a duration like 30s, 5m or 1h30m")
		return
	}
	v.SetInt(int64(dur))
}

func (n Node) structure(v reflect.Value) {
	pairs, ok := n.Pairs()
	if !ok {
		return
	}
	var f fields
	f.collect(v)
	places := Places{at: n.Place(), keys: make(map[string]Place, len(pairs))}
	for _, p := range pairs {
		field, ok := f.byKey[p.Key]
		if !ok {
			p.unknownKey(f.keys)
			continue
		}
		places.keys[p.Key] = p.Value.Place()
		p.Value.set(field)
	}
	for _, field := range f.places {
		field.Set(reflect.ValueOf(places))
	}
}

// fields are the parts of a struct that a document can set, inlined ones too.
type fields struct {
	keys   []string
	byKey  map[string]reflect.Value
	places []reflect.Value
}

func (f *fields) collect(v reflect.Value) {
	if f.byKey == nil {
		f.byKey = map[string]reflect.Value{}
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		key, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case field.Type == reflect.TypeFor[Places]():
			f.places = append(f.places, v.Field(i))
		case option == "inline":
			f.collect(v.Field(i))
		case key != "" && key != "-":
			if _, twice := f.byKey[key]; twice {
				panic("strictyaml: two fields have the key " + key)
			}
			f.byKey[key] = v.Field(i)
			f.keys = append(f.keys, key)
		}
	}
}

func (n Node) slice(v reflect.Value) {
	items, ok := n.Items()
	if !ok {
		return
	}
	s := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		item.set(s.Index(i))
	}
	v.Set(s)
}

func (n Node) mapping(v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String {
		panic("strictyaml: cannot decode into " + v.Type().String())
	}
	pairs, ok := n.Pairs()
	if !ok {
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(pairs))
	for _, p := range pairs {
		elem := reflect.New(v.Type().Elem()).Elem()
		p.Value.set(elem)
		m.SetMapIndex(reflect.ValueOf(p.Key).Convert(v.Type().Key()), elem)
	}
	v.Set(m)
}
