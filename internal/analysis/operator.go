package analysis

import (
	"slices"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// operator calls what an operator with one operand (prefix) or two may mean.
func (p *part) operator(name []string, args []value, loc int) value {
	ops := p.names.operators(name)
	bare := name[len(name)-1]
	if bare == "<>" || bare == "!=" {
		ops = append(slices.Clip(ops), p.names.operators(append(slices.Clone(name[:len(name)-1]), "<>"))...)
	}
	var fits []*catalog.Operator
	best := -1
	known := true
	for _, a := range args {
		known = known && (a.typ != 0 || a.untyped)
	}
	if len(args) == 2 && known && args[0].untyped != args[1].untyped {
		// With one operand of unknown type the server first tries the other's
		// type for both (manual, section 10.2).
		if args[0].untyped {
			if o := exactOperator(ops, p.baseType(args[1].typ), p.baseType(args[1].typ)); o != nil {
				ops = []*catalog.Operator{o}
			}
		} else if o := exactOperator(ops, p.baseType(args[0].typ), p.baseType(args[0].typ)); o != nil {
			ops = []*catalog.Operator{o}
		}
	}
	for _, o := range ops {
		params := []catalog.OID{o.Left, o.Right}
		if len(args) == 1 {
			if o.Left != 0 {
				continue
			}
			params = params[1:]
		} else if o.Left == 0 {
			continue
		}
		exact, ok := 0, true
		for i, a := range args {
			if a.typ != 0 && (params[i] == a.typ || params[i] == p.baseType(a.typ)) {
				exact++
			} else if !p.coercible(a, params[i]) {
				ok = false
				break
			}
		}
		if !ok {
			continue
		}
		if known && exact > best {
			best, fits = exact, nil
		}
		if !known || exact == best {
			fits = append(fits, o)
		}
	}
	if len(fits) == 0 {
		v := derived(p.combine(0, args...))
		if len(ops) == 0 || !p.anyRow(args) {
			p.unknown("no operator "+qualified(name)+" takes operands of these types", loc)
			v.how, v.known = Opaque, false
		} else {
			v.typ = boolOID // rows are compared part by part
			for _, a := range args {
				p.compared(a)
			}
		}
		return v
	}
	if known && len(fits) > 1 {
		fits = p.preferOperators(fits, args)
	}
	// Built-in functions only compute: one look at all of them is enough.
	typ, pure := fits[0].Result, true
	for _, o := range fits {
		if o.Result != typ {
			typ = 0
		}
		if f := p.a.snap.Function(o.Function); f == nil || !p.isBuiltin(f) {
			pure = false
		}
	}
	if anyTypes[typ] {
		typ = 0
		if f := p.a.snap.Function(fits[0].Function); f != nil {
			typ = p.resultType(f, args)
		}
	}
	for _, o := range fits {
		// An index, a sort or a merge evaluates it by what is behind its class.
		p.supported(p.a.snap.Support(o.OID), derived(p.combine(0, args...)))
	}
	if pure {
		for _, a := range args { // rows, arrays and ranges are compared part by part
			p.compared(a)
		}
		vs := args
		for _, o := range fits {
			vs = append(slices.Clip(vs), p.coercions(p.a.snap.Function(o.Function), args)...)
		}
		v := derived(p.combine(typ, vs...))
		if !compares[bare] && !(bare == "||" && typ == textOID) {
			p.probe(v.src)
		}
		return v
	}
	var vs []value
	for _, o := range fits {
		f := p.a.snap.Function(o.Function)
		if f == nil {
			p.unknown("the function behind the operator "+qualified(name)+" is not known", loc)
			vs = append(vs, opaque(p.combine(0, args...).src))
			continue
		}
		vs = append(vs, p.call(f, args, loc))
	}
	return derived(p.combine(typ, vs...))
}

// preferOperators leaves of operators that fit those that the server may choose
// (func_select_candidate in parse_func.c; manual, section 10.2, steps 3.d and
// 3.e): by preferred types, and by what operands of unknown type can be.
func (p *part) preferOperators(ops []*catalog.Operator, args []value) []*catalog.Operator {
	param := func(o *catalog.Operator, i int) *catalog.Type {
		if i == 0 && len(args) == 2 {
			return p.a.snap.Type(p.baseType(o.Left))
		}
		return p.a.snap.Type(p.baseType(o.Right))
	}
	matches := make([]int, len(ops))
	for j, o := range ops {
		for i, a := range args {
			t, from := param(o, i), p.a.snap.Type(p.baseType(a.typ))
			if t == nil || !a.untyped && from == nil {
				return ops
			}
			if !a.untyped && (t.OID == from.OID || t.Category == from.Category && preferredTypes[t.OID]) {
				matches[j]++
			}
		}
	}
	best := slices.Max(matches)
	var kept []*catalog.Operator
	for j, o := range ops {
		if matches[j] == best {
			kept = append(kept, o)
		}
	}
	categories, preferred := make([]byte, len(args)), make([]bool, len(args))
	for i, a := range args {
		if !a.untyped {
			continue
		}
		conflict := false
		for _, o := range kept {
			t := param(o, i)
			switch {
			case categories[i] == 0, t.Category == 'S' && categories[i] != 'S':
				categories[i], preferred[i] = t.Category, preferredTypes[t.OID]
			case t.Category == categories[i]:
				preferred[i] = preferred[i] || preferredTypes[t.OID]
			default:
				conflict = true
			}
		}
		if conflict && categories[i] != 'S' {
			return kept
		}
	}
	of := slices.DeleteFunc(slices.Clone(kept), func(o *catalog.Operator) bool {
		for i, a := range args {
			if t := param(o, i); a.untyped && (t.Category != categories[i] || preferred[i] && !preferredTypes[t.OID]) {
				return true
			}
		}
		return false
	})
	if len(of) == 0 {
		return kept
	}
	return of
}

// compares are operators that do not fail, whatever they compare.
var compares = setOfNames("= <> != < > <= >=")

func (p *part) anyRow(args []value) bool {
	for _, a := range args {
		if a.fields != nil || a.typ == recordOID || p.rowRelation(a.typ) != nil {
			return true
		}
	}
	return false
}

func exactOperator(ops []*catalog.Operator, left, right catalog.OID) *catalog.Operator {
	var found *catalog.Operator
	for _, o := range ops {
		if o.Left == left && o.Right == right {
			if found != nil {
				return nil // the same in two schemas: leave both
			}
			found = o
		}
	}
	return found
}
