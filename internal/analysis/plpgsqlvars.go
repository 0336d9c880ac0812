package analysis

import (
	"slices"
	"strconv"
	"strings"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A plVar is a variable. Its value is the union of all that is ever assigned.
type plVar struct {
	typ    catalog.OID
	rel    *catalog.Relation // of a composite type
	record bool
	val    value
	set    bool
	// texts are the strings that it may hold; nil with set and unknownText
	// false is none yet. For dynamic SQL.
	texts       []string
	unknownText bool
	elements    []string // of TG_ARGV
	exprs       []string // that it is given
	other       bool     // it is given something else, too
	// A cursor: its declared query, and the columns of what it was opened for.
	query  string
	args   []*plVar
	opened bool
	moved  bool // it may name another cursor than the one that was opened
	rows   []field
}

// current is the variable's value as an expression sees it.
func (v *plVar) current() value {
	if !v.set {
		c := constant(v.typ)
		if v.rel != nil {
			for _, col := range v.rel.Columns {
				if !col.Dropped {
					c.fields = append(c.fields, field{col.Name, constant(col.Type)})
				}
			}
		}
		return c
	}
	return v.val
}

// A plScope holds the variables of one block.
type plScope struct {
	up    *plScope
	label string
	vars  map[string]*plVar
	// known are the variables of the blocks seen so far, at the outermost scope.
	known map[*plBlock]map[string]*plVar
}

func (s *plScope) declare(name string, v *plVar) *plVar {
	s.vars[name] = v
	return v
}

// find returns the variable of a name with dots, and the rest of the name: a
// field.
func (s *plScope) find(parts []string) (*plVar, []string) {
	for ; s != nil; s = s.up {
		if v := s.vars[parts[0]]; v != nil {
			return v, parts[1:]
		}
		if len(parts) > 1 && s.label != "" && s.label == parts[0] {
			if v := s.vars[parts[1]]; v != nil {
				return v, parts[2:]
			}
		}
	}
	return nil, nil
}

// plNames are the variables that an expression sees.
type plNames struct {
	scope  *plScope
	params []*plVar
	// both are candidates for $n where the numbering of OUT parameters is not
	// known.
	outs []*plVar
}

func (n plNames) named(parts []string) (value, bool) {
	v, rest := n.scope.find(parts)
	if v == nil {
		return value{}, false
	}
	w := v.current()
	for _, name := range rest {
		i := slices.IndexFunc(w.fields, func(f field) bool { return f.name == name })
		if i < 0 {
			if !v.record && v.rel == nil {
				return value{}, false
			}
			w = derived(w)
			w.typ, w.fields = 0, nil
			return w, true
		}
		w = w.fields[i].value
	}
	return w, true
}

func (n plNames) numbered(i int) (value, bool) {
	if len(n.outs) == 0 {
		if i < 1 || i > len(n.params) {
			return value{}, false
		}
		return n.params[i-1].current(), true
	}
	// Between IN parameters there may be OUT parameters: any of them.
	var r value
	r.how, r.known = Constant, true
	for _, v := range slices.Concat(n.params, n.outs) {
		c := v.current()
		r.src = r.src.Union(c.src)
		if c.how == Opaque {
			r.how = Opaque
		} else if r.how != Opaque && len(r.src) > 0 {
			r.how = Expression
		}
	}
	return r, true
}

// parameter returns the number of $n, or 0.
func parameter(name string) int {
	if !strings.HasPrefix(name, "$") {
		return 0
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil {
		return 0
	}
	return n
}

// assign adds v to what the variable may hold, and reports whether that is new.
func (p *part) assignVar(dst *plVar, v value) (changed bool) {
	v.untyped, v.set, v.rows = false, false, nil
	v.origin, v.known = Column{}, true
	if dst.rel != nil {
		v = p.toRow(dst.rel, v)
	}
	if !dst.record {
		v.typ = dst.typ
	}
	if !dst.set {
		dst.val, dst.set = v, true
		return true
	}
	joined := p.join2(dst.val, v)
	if !p.spend(countParts(joined.fields, maxParts) / 8) {
		return false
	}
	if sameValue(joined, dst.val) {
		return false
	}
	dst.val = joined
	return true
}

// toRow gives v the fields of a composite type.
func (p *part) toRow(rel *catalog.Relation, v value) value {
	var fields []field
	i := 0
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		w := derived(v)
		w.fields = nil
		if v.fields != nil {
			w = constant(c.Type)
			if i < len(v.fields) {
				w = v.fields[i].value
			}
		}
		w.typ = c.Type
		fields = append(fields, field{c.Name, w})
		i++
	}
	v.fields = fields
	return v
}

// join2 returns a value that is a or b.
func (p *part) join2(a, b value) value {
	r := p.either(a.typ, a, b)
	r.lits = nil
	r.typ = a.typ
	r.fields = nil
	for _, f := range a.fields {
		if i := slices.IndexFunc(b.fields, func(g field) bool { return g.name == f.name }); i >= 0 {
			f.value = p.join2(f.value, b.fields[i].value)
		} else if b.fields == nil && len(b.src) > 0 {
			f.value = p.join2(f.value, derived(b))
		}
		r.fields = append(r.fields, f)
	}
	for _, f := range b.fields {
		if !slices.ContainsFunc(a.fields, func(g field) bool { return g.name == f.name }) {
			if a.fields == nil && len(a.src) > 0 {
				f.value = p.join2(f.value, derived(a))
			}
			r.fields = append(r.fields, f)
		}
	}
	if a.how == b.how && a.how == Plain && slices.Equal(a.src, b.src) {
		r.how = Plain
	}
	return r
}

func sameValue(a, b value) bool {
	if a.how != b.how || len(a.src) != len(b.src) || len(a.fields) != len(b.fields) {
		return false
	}
	for i := range a.fields {
		if a.fields[i].name != b.fields[i].name || !sameValue(a.fields[i].value, b.fields[i].value) {
			return false
		}
	}
	return true
}

// assignField adds v to a field of a record.
func (p *part) assignField(dst *plVar, name string, v value) (changed bool) {
	v.untyped, v.set, v.lits = false, false, nil
	v.origin, v.known = Column{}, true
	row := dst.current()
	fields := slices.Clone(row.fields)
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		fields = append(fields, field{name, v})
		changed = true
	} else {
		joined := p.join2(fields[i].value, v)
		if sameValue(joined, fields[i].value) {
			return false
		}
		fields[i].value = joined
	}
	whole := p.row(row.typ, fields)
	whole.src = whole.src.Union(row.src)
	if row.how == Opaque {
		whole.how = Opaque
	}
	whole.lits = nil
	dst.val, dst.set = whole, true
	return true
}

// addTexts adds what strings a variable may hold. nil texts: not known. A
// variable of another type than text may change what it is given.
func (v *plVar) addTexts(texts []string) (changed bool) {
	if v.unknownText {
		return false
	}
	if texts == nil || v.typ != textOID || len(v.texts)+len(texts) > maxTexts {
		v.unknownText, v.texts = true, nil
		return true
	}
	for _, t := range texts {
		if !slices.Contains(v.texts, t) {
			v.texts = append(v.texts, t)
			changed = true
		}
	}
	return changed
}

// maxTexts bounds how many strings a variable is known to hold.
const maxTexts = 16
