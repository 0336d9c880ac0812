package analysis

import (
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// domainChecks records what the server evaluates when v becomes of type t: t
// itself, its elements or its parts may be of a domain with check constraints, or
// ranges.
func (p *part) domainChecks(t catalog.OID, v value) {
	if t == 0 {
		return
	}
	p.supported(p.a.ranges(t), v)
	for _, typ := range p.a.checkedTypes(t) {
		v := v
		if typ.OID != t {
			v.fields = nil
		} else if v.fields != nil && v.typ != typ.Base {
			v = p.cast(v, typ.Base, nil, 'a') // names the parts
		}
		v.typ, v.untyped = typ.Base, false
		for _, c := range typ.Checks {
			p.check("domain "+typ.Schema+"."+typ.Name, typ.OID, c.Expr, &scope{}, checkedValue{v})
		}
	}
}

// compared records what comparing values like v calls: sorting, grouping and
// indexes do so without naming an operator.
func (p *part) compared(v value) {
	if !p.a.snap.HasSupport() {
		return
	}
	if v.fields == nil && !v.untyped && (v.typ == 0 || v.typ == recordOID || v.typ == recordArrayOID) {
		p.supported(p.a.snap.AllSupport(), v) // it may be of any type
		return
	}
	p.supported(p.a.comparisons(v.typ), v)
	for _, f := range v.fields {
		p.compared(f.value)
	}
}

// supported records calls of what operator classes and ranges are made of, with
// arguments that come from v.
func (p *part) supported(functions []catalog.OID, v value) {
	for _, oid := range functions {
		f := p.a.snap.Function(oid)
		if f == nil {
			p.unknown("a function of an operator class is not known", -1)
			continue
		}
		args := make([]value, len(f.Args))
		for i, t := range f.Args {
			args[i] = derived(v)
			args[i].typ, args[i].fields, args[i].untyped, args[i].set = t, nil, false, false
		}
		p.call(f, args, -1)
	}
}

type comparedKey struct{ typ catalog.OID }

// comparisons returns the functions of the default operator classes of a type
// and what it is made of.
func (a *analyzer) comparisons(t catalog.OID) []catalog.OID {
	if !a.snap.HasSupport() {
		return nil
	}
	return a.snap.Memo(comparedKey{t}, func() any {
		var list []catalog.OID
		a.madeOf(t, func(typ *catalog.Type) { list = append(list, a.snap.Support(typ.OID)...) })
		return list
	}).([]catalog.OID)
}

type rangesKey struct{ typ catalog.OID }

// ranges returns what makes the ranges that a type is made of: their bounds are
// compared.
func (a *analyzer) ranges(t catalog.OID) []catalog.OID {
	if !a.snap.HasSupport() {
		return nil
	}
	return a.snap.Memo(rangesKey{t}, func() any {
		var list []catalog.OID
		a.madeOf(t, func(typ *catalog.Type) {
			if typ.Kind == 'r' || typ.Kind == 'm' {
				list = append(list, a.snap.Support(typ.OID)...)
			}
		})
		return list
	}).([]catalog.OID)
}

type checkedKey struct{ typ catalog.OID }

// checkedTypes returns the domains with checks that a type is made of.
func (a *analyzer) checkedTypes(t catalog.OID) []*catalog.Type {
	return a.snap.Memo(checkedKey{t}, func() any {
		var list []*catalog.Type
		a.madeOf(t, func(typ *catalog.Type) {
			if typ.Kind == 'd' && len(typ.Checks) > 0 {
				list = append(list, typ)
			}
		})
		return list
	}).([]*catalog.Type)
}

type checkedDomainsKey struct{}

// checkedDomains returns all domains with checks.
func (a *analyzer) checkedDomains() []catalog.OID {
	return a.snap.Memo(checkedDomainsKey{}, func() any {
		var list []catalog.OID
		for t := range a.snap.Types() {
			if t.Kind == 'd' && len(t.Checks) > 0 {
				list = append(list, t.OID)
			}
		}
		slices.Sort(list)
		return list
	}).([]catalog.OID)
}

// madeOf visits a type, and the types of its base, elements and parts.
func (a *analyzer) madeOf(t catalog.OID, visit func(*catalog.Type)) {
	seen := map[catalog.OID]bool{}
	var look func(t catalog.OID)
	look = func(t catalog.OID) {
		typ := a.snap.Type(t)
		if typ == nil || seen[t] {
			return
		}
		seen[t] = true
		visit(typ)
		for _, part := range []catalog.OID{typ.Base, typ.Element, typ.Subtype} {
			look(part)
		}
		if rel := a.snap.Relation(typ.Relation); rel != nil {
			for _, c := range rel.Columns {
				if !c.Dropped {
					look(c.Type)
				}
			}
		}
	}
	look(t)
}

// checkedValue is VALUE in a domain's check.
type checkedValue struct{ v value }

func (c checkedValue) numbered(int) (value, bool) { return value{}, false }
func (c checkedValue) named(parts []string) (value, bool) {
	return c.v, len(parts) == 1 && strings.EqualFold(parts[0], "value")
}

// check analyzes an expression of a definition: a check constraint, an index
// expression, a default.
func (p *part) check(step string, object catalog.OID, expr string, sc *scope, vars variables) value {
	n := p.a.expression(expr)
	if n == nil {
		p.unknown("an expression of "+step+" could not be parsed", -1)
		return opaque(nil)
	}
	if p.expanding(object) && len(p.stack) >= maxNesting {
		p.unknown("definitions nest too deep at "+step, -1)
		return opaque(nil)
	}
	q := p.within(step, object, definitionNames(p.a.snap), vars)
	q.defined = true
	return q.expr(n, sc)
}
