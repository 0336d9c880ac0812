package mask

import (
	"cmp"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// A step of a path selects within a document, in the lax manner of SQL/JSON
// (PostgreSQL manual, 9.16.2.3): a member step looks into arrays by itself.
type step struct {
	kind stepKind
	name string
}

type stepKind uint8

const (
	stepMember    stepKind = iota // .name
	stepAnyMember                 // .*
	stepElements                  // [*]
	stepDescend                   // ..name, at any depth
)

// parsePath reads $, then any of .name, ['name'], .*, [*] and ..name.
func parsePath(text string) ([]step, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, errors.New("must begin with $, as $.email or $..email")
	}
	var steps []step
	for rest != "" {
		var s step
		switch {
		case strings.HasPrefix(rest, "[*]"):
			s, rest = step{kind: stepElements}, rest[3:]
		case strings.HasPrefix(rest, "['"):
			end := strings.Index(rest, "']")
			if end < 3 || strings.ContainsRune(rest[2:end], '\'') {
				return nil, errors.New("write ['name'], without a quote in the name")
			}
			s, rest = step{stepMember, rest[2:end]}, rest[end+2:]
		case strings.HasPrefix(rest, ".*"):
			s, rest = step{kind: stepAnyMember}, rest[2:]
		case rest[0] == '.':
			kind, n := stepMember, 1
			if strings.HasPrefix(rest, "..") {
				kind, n = stepDescend, 2
			}
			end := n + strings.IndexAny(rest[n:]+".", ".[")
			if end == n || strings.ContainsAny(rest[n:end], `*?@()]"' `) {
				return nil, errors.New("a name may hold no blanks, quotes or filters; write ['name'] for an odd one")
			}
			s, rest = step{kind, rest[n:end]}, rest[end:]
		default:
			return nil, errors.New("after $ come .name, ['name'], .*, [*] or ..name")
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// jsonMask is a compiled jsonpath mask.
type jsonMask struct {
	paths []jsonPath
	rest  bool
}

type jsonPath struct {
	steps  []step
	clear  bool
	name   string  // of the mask, to tell two apart
	text   *Masker // for strings, or nil: redacted
	number *Masker // for numbers, or nil: redacted
}

func (s Spec) compileJSON(sh *shape, key Key) *Masker {
	if sh.fam != famJSON {
		return nil
	}
	m := &jsonMask{rest: s.rest}
	var leaves []*Masker
	if !s.rest {
		leaves = append(leaves, redactedPath.text)
	}
	for _, p := range s.paths {
		c := jsonPath{steps: p.steps, clear: p.clear, name: p.maskName()}
		if !p.clear {
			c.text = p.spec.compile(textShape, key)
			c.number = p.spec.compile(numericShape, key)
			if c.text == nil && c.number == nil {
				return nil
			}
			leaves = append(leaves, cmp.Or(c.text, redactedPath.text))
			if c.number != nil {
				leaves = append(leaves, c.number)
			}
		}
		m.paths = append(m.paths, c)
	}
	return &Masker{
		parts: leaves,
		mask: func(v driver.Value) driver.Value {
			doc, ok := v.([]byte)
			if !ok || !json.Valid(doc) {
				return nil
			}
			w := jsonWalk{jsonMask: m, in: doc, out: make([]byte, 0, len(doc)+16)}
			w.value(m.start())
			return w.out
		},
		owns: func(v driver.Value) Likeness {
			doc, ok := v.([]byte)
			if !ok || !json.Valid(doc) {
				return Unlike
			}
			w := jsonWalk{jsonMask: m, in: doc, looking: true}
			w.value(m.start())
			return w.found
		},
	}
}

// A state is a place in one path: the steps before it are done.
type state struct{ path, step int }

func (m *jsonMask) start() []state {
	s := make([]state, len(m.paths))
	for i := range s {
		s[i].path = i
	}
	return s
}

// member gives the states inside the member of an object.
func (m *jsonMask) member(states []state, name string) []state {
	var next []state
	for _, s := range states {
		if s.step == len(m.paths[s.path].steps) {
			if m.paths[s.path].clear {
				next = append(next, s) // all inside passes too, save what another path masks
			}
			continue
		}
		st := m.paths[s.path].steps[s.step]
		if st.kind == stepDescend {
			next = append(next, s)
		}
		if st.kind == stepAnyMember || st.name == name && (st.kind == stepMember || st.kind == stepDescend) {
			next = append(next, state{s.path, s.step + 1})
		}
	}
	return next
}

// pass steps over [*]: into the elements of an array, and in place for any
// other value, which the lax manner takes for an array of one.
func (m *jsonMask) pass(states []state, array bool) []state {
	var next []state
	for _, s := range states {
		steps := m.paths[s.path].steps
		if array {
			next = append(next, s) // member steps look through arrays
			if s.step < len(steps) && steps[s.step].kind == stepElements {
				next[len(next)-1].step++
			}
			continue
		}
		for s.step < len(steps) && steps[s.step].kind == stepElements {
			s.step++
		}
		next = append(next, s)
	}
	return next
}

// verdict says which path, if any, selects the value itself. More than one mask
// for one value redacts it; clear yields to any mask.
func (m *jsonMask) verdict(states []state) (path *jsonPath, selected bool) {
	for _, s := range states {
		p := &m.paths[s.path]
		if s.step < len(p.steps) {
			continue
		}
		switch {
		case !selected || path != nil && path.clear:
			path, selected = p, true
		case path != nil && !p.clear && p.name != path.name:
			path = nil
		}
	}
	return path, selected
}

// jsonWalk goes through one document, which is known to be well-formed.
type jsonWalk struct {
	*jsonMask
	in      []byte
	i       int
	out     []byte
	looking bool // only look for masked values
	found   Likeness
}

func (w *jsonWalk) blanks() {
	for w.i < len(w.in) && w.in[w.i] <= ' ' {
		w.i++
	}
}

// value writes the value at i, masked.
func (w *jsonWalk) value(states []state) {
	w.blanks()
	switch w.in[w.i] {
	case '{':
		states = w.pass(states, false)
		path, selected := w.verdict(states)
		switch {
		case selected && (path == nil || !path.clear): // a mask is for leaves; an object's keys could be the value
			w.skip()
			w.out = append(w.out, "null"...)
		default:
			w.object(states)
		}
	case '[':
		w.array(w.pass(states, true))
	default:
		w.leaf(w.pass(states, false))
	}
}

func (w *jsonWalk) object(states []state) {
	w.i++
	w.out = append(w.out, '{')
	first := true
	for w.blanks(); w.in[w.i] != '}'; w.blanks() {
		if w.in[w.i] == ',' {
			w.i++
			w.blanks()
		}
		start := w.i
		w.skip()
		rawKey := w.in[start:w.i]
		w.blanks()
		w.i++ // the colon
		w.blanks()
		next := w.member(states, unquote(rawKey))
		if !w.rest && !w.leadsOn(next) {
			w.skip()
			continue
		}
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		w.out = append(append(w.out, rawKey...), ':')
		w.value(next)
	}
	w.i++
	w.out = append(w.out, '}')
}

// leadsOn reports whether something of the value at i is named by a path: a
// leaf that no path selects does not stay under its key.
func (w *jsonWalk) leadsOn(states []state) bool {
	if len(states) == 0 {
		return false
	}
	if c := w.in[w.i]; c == '{' || c == '[' {
		return true
	}
	_, selected := w.verdict(w.pass(states, false))
	return selected
}

func (w *jsonWalk) array(states []state) {
	w.i++
	w.out = append(w.out, '[')
	for w.blanks(); w.in[w.i] != ']'; w.blanks() {
		if w.in[w.i] == ',' {
			w.i++
			w.out = append(w.out, ',')
		}
		w.value(states)
	}
	w.i++
	w.out = append(w.out, ']')
}

// leaf writes a string, number, true, false or null.
func (w *jsonWalk) leaf(states []state) {
	path, selected := w.verdict(states)
	start := w.i
	w.skip()
	if !selected && w.rest || selected && path != nil && path.clear {
		w.out = append(w.out, w.in[start:w.i]...)
		return
	}
	text := w.in[start:w.i]
	isText, isNumber := text[0] == '"', text[0] == '-' || isDigit(text[0])
	switch {
	case !selected || !isText && !isNumber:
		w.out = append(w.out, "null"...)
	case isText:
		if path == nil || path.text == nil {
			path = &redactedPath
		}
		s := unquote(text)
		if w.looking {
			w.found = max(w.found, path.text.Resembles(s))
			return
		}
		out, ok := path.text.text(s)
		if !ok {
			w.out = append(w.out, "null"...)
			return
		}
		quoted, err := json.Marshal(out)
		if err != nil {
			quoted = []byte("null")
		}
		w.out = append(w.out, quoted...)
	default:
		if path == nil || path.number == nil {
			path = &redactedPath
		}
		s := string(text)
		if w.looking {
			w.found = max(w.found, path.number.Resembles(s))
			return
		}
		out, ok := path.number.text(s)
		if _, decimal := parseDecimal(out); !ok || !decimal {
			out = "null" // an exponent is not read: it can stand for a number of any length
		}
		w.out = append(w.out, out...)
	}
}

var redactedPath = jsonPath{
	text:   redactor(textShape),
	number: redactor(numericShape),
}

// skip goes past the value or key at i.
func (w *jsonWalk) skip() {
	depth := 0
	for w.i < len(w.in) {
		switch c := w.in[w.i]; c {
		case '"':
			for w.i++; w.in[w.i] != '"'; w.i++ {
				if w.in[w.i] == '\\' {
					w.i++
				}
			}
			w.i++
		case '{', '[':
			depth++
			w.i++
		case '}', ']':
			if depth == 0 {
				return // it ends what the value is in
			}
			depth--
			w.i++
		case ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return
			}
			w.i++
			continue
		default:
			for w.i < len(w.in) && !slices.Contains([]byte(",:]} \t\r\n"), w.in[w.i]) {
				w.i++
			}
		}
		if depth == 0 {
			return
		}
	}
}

// unquote gives the text of a string literal.
func unquote(b []byte) string {
	inner := b[1 : len(b)-1]
	if !slices.Contains(inner, '\\') {
		return string(inner)
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s
}
