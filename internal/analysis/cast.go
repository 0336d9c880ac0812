package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// cast returns v as a value of type to. name is for the report of an unknown
// type and may be nil. context is that of catalog.Cast.
func (p *part) cast(v value, to catalog.OID, name *pg.TypeName, context byte) value {
	if to == 0 {
		if name != nil {
			p.unknown("the type "+qualified(strs(name.Names))+" does not exist", int(name.Location))
		}
		v = derived(v)
		v.typ = 0
		return v
	}
	if v.typ == to && !v.untyped {
		if name != nil && len(name.Typmods) > 0 {
			// A length is applied, unless it is the column's own.
			v = derived(v)
			v.known = false
		}
		return v
	}
	fields := v.fields
	vs := []value{v}
	if casts := p.casts(v, to, context); len(casts) > 0 {
		vs, fields = append(vs, casts...), nil
	}
	rel := p.rowRelation(to)
	if rel != nil && fields != nil {
		fields = p.castParts(v, rel, context)
		vs = append(vs, fieldValues(fields)...)
	}
	if t := p.a.snap.Type(to); t != nil && !v.untyped && (v.typ == 0 || v.typ == recordOID || v.typ == recordArrayOID) {
		of := rel
		if t.Element != 0 {
			of = p.rowRelation(t.Element)
		}
		switch {
		case of == nil:
		case v.fields != nil:
			vs = append(vs, fieldValues(p.castParts(v, of, context))...)
		default: // parts that are not known may be of any type
			unknown := derived(v)
			unknown.typ = 0
			for _, c := range of.Columns {
				if !c.Dropped {
					vs = append(vs, p.casts(unknown, c.Type, context)...)
				}
			}
		}
	}
	p.domainChecks(to, v)
	r := derived(p.combine(to, vs...))
	switch to {
	case textOID, varcharOID, nameOID, bpcharOID:
	default:
		p.probe(r.src)
	}
	if rel != nil || to == recordOID {
		r.fields = fields
	}
	return r
}

// castParts returns the parts of a row as a cast to rel's row type makes them:
// by their names where v is of a type that inherits from it, else by their
// places.
func (p *part) castParts(v value, rel *catalog.Relation, context byte) []field {
	var from []string // the names of v's parts, in their order
	if child := p.rowRelation(v.typ); p.inherits(child, rel) {
		for _, c := range child.Columns {
			if !c.Dropped {
				from = append(from, c.Name)
			}
		}
	}
	var parts []field
	i := 0
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		at := i
		if from != nil {
			at = slices.Index(from, c.Name)
		}
		if at >= 0 && at < len(v.fields) {
			f := derived(p.coerce(v.fields[at].value, c.Type, context))
			f.typ = c.Type
			parts = append(parts, field{c.Name, f})
		}
		i++
	}
	return parts
}

// inherits reports whether rows of child are rows of parent too.
func (p *part) inherits(child, parent *catalog.Relation) bool {
	return child != nil && parent != nil && child != parent && slices.Contains(p.a.snap.Ancestors(child.OID), parent)
}

// coerce returns v where the server makes it a value of a type by itself: by
// the casts of a context, which may call functions. Nothing else of v changes.
func (p *part) coerce(v value, to catalog.OID, context byte) value {
	if v.typ == to || anyTypes[to] {
		return v
	}
	if to >= firstUserOID && p.inherits(p.rowRelation(v.typ), p.rowRelation(to)) {
		return p.cast(v, to, nil, context)
	}
	if to >= firstUserOID && !v.untyped && (v.typ == recordOID || v.typ == recordArrayOID) && len(p.a.ownCasts()) > 0 {
		return p.cast(v, to, nil, context) // part by part
	}
	casts := p.casts(v, to, context)
	if len(casts) == 0 {
		return v
	}
	return derived(p.combine(to, append(casts, v)...))
}

// casts calls the functions that a cast of v to a type may call.
func (p *part) casts(v value, to catalog.OID, context byte) []value {
	var results []value
	for _, f := range p.castFunctions(v, to, context) {
		of := v
		if of.typ == 0 && len(f.Args) > 0 {
			of.typ = f.Args[0]
		}
		results = append(results, p.call(f, []value{of}, -1))
	}
	return results
}

type ownCastsKey struct{}

// ownCasts returns the casts by functions that are not built in, by target.
func (a *analyzer) ownCasts() map[catalog.OID][]*catalog.Cast {
	return a.snap.Memo(ownCastsKey{}, func() any {
		p, all := &part{a: a}, map[catalog.OID][]*catalog.Cast{}
		for c := range a.snap.Casts() {
			if f := a.snap.Function(c.Function); f != nil && !p.isBuiltin(f) {
				all[c.Target] = append(all[c.Target], c)
			}
		}
		return all
	}).(map[catalog.OID][]*catalog.Cast)
}

// castFunctions returns the functions that are not built in and that a cast of
// v to a type may call. A value of unknown type may be of any type that has one.
func (p *part) castFunctions(v value, to catalog.OID, context byte) []*catalog.Function {
	own := p.a.ownCasts()
	if v.untyped || len(own) == 0 {
		return nil
	}
	from, base := p.baseType(v.typ), p.baseType(to)
	if ft, tt := p.a.snap.Type(from), p.a.snap.Type(base); ft != nil && tt != nil && ft.Element != 0 && tt.Element != 0 {
		from, base = p.baseType(ft.Element), p.baseType(tt.Element)
	}
	var out []*catalog.Function
	for _, c := range own[base] {
		if v.typ != 0 && c.Source != from && c.Source != v.typ || context != 'e' && c.Context != 'i' && c.Context != context {
			continue
		}
		out = append(out, p.a.snap.Function(c.Function))
	}
	return out
}

// coerceArgs brings arguments to the types of the parameters.
func (p *part) coerceArgs(f *catalog.Function, args []value) []value {
	if out := p.coercions(f, args); out != nil {
		return out
	}
	return args
}

// coercions is coerceArgs where nil says that no cast of somebody's own is
// called for that.
func (p *part) coercions(f *catalog.Function, args []value) []value {
	var out []value
	for i, a := range args {
		param, context := catalog.OID(0), byte('i')
		switch last := len(f.Args) - 1; {
		case i > last && f.Variadic == 0:
			continue
		case f.Variadic == 0 || i < last || p.a.isArray(a.typ):
			param = f.Args[min(i, last)]
		default:
			param = f.Variadic
		}
		if anyTypes[param] {
			if f.Language != "sql" || !p.isBuiltin(f) {
				continue
			}
			// anytextcat, textanycat, quote_literal and quote_nullable: their
			// bodies cast it to text.
			param, context = textOID, 'e'
		}
		if c := p.coerce(a, param, context); c.typ != a.typ {
			if out == nil {
				out = slices.Clone(args)
			}
			out[i] = c
		}
	}
	return out
}

func (a *analyzer) isArray(t catalog.OID) bool {
	typ := a.snap.Type(t)
	return typ != nil && typ.Element != 0
}

// inJSON returns values as they stand in JSON that is made of them: the server
// calls the casts to json of their types, and of what these are made of, where
// somebody has made such casts.
func (p *part) inJSON(vs []value) []value {
	var out []value
	for i, v := range vs {
		parts := []value{v}
		for _, c := range p.jsonCasts(v) {
			of := derived(v)
			of.typ, of.fields, of.set = c.Source, nil, false
			parts = append(parts, p.call(p.a.snap.Function(c.Function), []value{of}, -1))
		}
		if len(parts) == 1 {
			continue
		}
		if out == nil {
			out = slices.Clone(vs)
		}
		out[i] = p.combine(v.typ, parts...)
	}
	if out == nil {
		return vs
	}
	return out
}

// jsonCasts returns the casts to json that are not built in and that JSON made
// of v may call. Where types are not known, it may call any.
func (p *part) jsonCasts(v value) []*catalog.Cast {
	all := p.a.ownCasts()[jsonOID]
	if len(all) == 0 || v.untyped {
		return nil
	}
	made := map[catalog.OID]bool{}
	unknown := false
	var look func(v value)
	look = func(v value) {
		unknown = unknown || v.fields == nil && (v.typ == 0 || v.typ == recordOID || v.typ == recordArrayOID)
		p.a.madeOf(v.typ, func(t *catalog.Type) { made[t.OID] = true })
		for _, f := range v.fields {
			look(f.value)
		}
	}
	look(v)
	return slices.DeleteFunc(slices.Clone(all), func(c *catalog.Cast) bool { return !unknown && !made[c.Source] })
}
