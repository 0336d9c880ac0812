package analysis

import (
	"regexp"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// maxKeys bounds the members of a JSON object that are told apart.
const maxKeys = 1000

// document returns v, which a function of the server made of args, as a JSON
// object whose members are known, where it is one: that of a row, or one that is
// built of constant names and values.
func (p *part) document(v value, name []string, fc *pg.FuncCall, args []value) value {
	if p.coarse || len(p.a.called) != 1 || !p.isBuiltin(p.a.called[0]) || p.a.called[0].Schema != "pg_catalog" || v.set || v.how == Opaque || fc.FuncVariadic ||
		slices.ContainsFunc(args, func(a value) bool { return len(p.jsonCasts(a)) > 0 }) {
		return v
	}
	switch name[len(name)-1] {
	case "to_json", "to_jsonb", "row_to_json":
		v.keys = p.rowKeys(args[0])
	case "json_build_object", "jsonb_build_object":
		v.keys = builtKeys(fc.Args, args)
	}
	if len(v.keys) > maxKeys {
		v.keys = nil
	}
	return v
}

// rowKeys returns the members of a row as JSON, or nil. The columns of a table
// keep their names there, whatever an alias calls them.
func (p *part) rowKeys(row value) []field {
	if row.fields == nil || row.set {
		return nil
	}
	if rel := p.rowRelation(row.typ); rel != nil {
		i := 0
		for _, c := range rel.Columns {
			if c.Dropped {
				continue
			}
			if i >= len(row.fields) || row.fields[i].name != c.Name {
				return nil
			}
			i++
		}
		if i != len(row.fields) {
			return nil
		}
	} else if row.typ != recordOID || !row.named {
		return nil
	}
	return row.fields
}

// builtKeys returns the members of json_build_object, or nil where a name is no
// constant.
func builtKeys(nodes []*pg.Node, args []value) []field {
	if len(nodes) != len(args) || len(args)%2 != 0 {
		return nil
	}
	var keys []field
	for i := 0; i < len(args); i += 2 {
		name := nodes[i].GetAConst().GetSval()
		if name == nil {
			return nil
		}
		keys = append(keys, field{name.Sval, args[i+1]})
	}
	return keys
}

// member returns v, the result of an operator on a JSON object, as what it is of
// the members that it takes or leaves.
func (p *part) member(v value, e *pg.A_Expr, object, right value) value {
	op := opName(e)
	if object.keys == nil || object.set || object.how == Opaque || v.how == Opaque || !p.plainOperator(e, 0) {
		return v
	}
	var keep func(name string) bool
	switch {
	case op == "->" || op == "->>":
		key := e.Rexpr.GetAConst().GetSval()
		if key == nil {
			return v
		}
		keep = func(name string) bool { return name == key.Sval }
	case op == "#>" || op == "#>>":
		path, ok := p.constantPath(e.Rexpr)
		if !ok {
			return v
		}
		keep = func(name string) bool { return name == path[0] }
	case op == "-" && object.typ == jsonbOID:
		names, ok := p.removedNames(e.Rexpr)
		if !ok {
			return v
		}
		keep = func(name string) bool { return !slices.Contains(names, name) }
	case op == "||" && object.typ == jsonbOID && right.typ == jsonbOID && right.keys != nil && !right.set && !object.orNull && !right.orNull:
		// With anything else than an object, it would be an array of both.
		if keys := slices.Concat(object.keys, right.keys); len(keys) <= maxKeys {
			v.keys = keys
		}
		return v
	default:
		return v
	}
	var left []field
	all := constant(0)
	for _, k := range object.keys {
		all.src = all.src.Union(k.src)
		if keep(k.name) {
			left = append(left, k)
		}
	}
	if len(left) == 0 {
		return v
	}
	// What decides more than a member's value flows into each.
	around := constant(0)
	for _, c := range object.src {
		if !all.src.Contains(c) {
			around.src, around.how = around.src.Union(Columns{c}), Expression
		}
	}
	r := derived(p.combine(v.typ, append(fieldValues(left), around, right)...))
	switch {
	case op == "-":
		r.keys = left
	case op == "->" && len(left) == 1 && left[0].keys != nil:
		r.keys, r.orNull = left[0].keys, true
	case op == "->" && len(left) == 1:
		r.keys, r.orNull = p.rowKeys(left[0].value), true
	}
	return r
}

var plainPath = regexp.MustCompile(`^\{[A-Za-z_][A-Za-z0-9_]*(,[A-Za-z0-9_]+)*\}$`)

// constantPath returns the names in a constant array of text that needs no
// unescaping.
func (p *part) constantPath(n *pg.Node) ([]string, bool) {
	if t := n.GetTypeCast(); t != nil {
		if p.typeOf(t.TypeName) != textArrayOID {
			return nil, false
		}
		n = t.Arg
	}
	if s := n.GetAConst().GetSval(); s != nil {
		if !plainPath.MatchString(s.Sval) || strings.Contains(strings.ToLower(s.Sval), "null") {
			return nil, false
		}
		return strings.Split(strings.Trim(s.Sval, "{}"), ","), true
	}
	var names []string
	for _, e := range n.GetAArrayExpr().GetElements() {
		s := e.GetAConst().GetSval()
		if s == nil {
			return nil, false
		}
		names = append(names, s.Sval)
	}
	return names, len(names) > 0
}

// removedNames returns the names that jsonb - n takes away.
func (p *part) removedNames(n *pg.Node) ([]string, bool) {
	if s := n.GetAConst().GetSval(); s != nil {
		return []string{s.Sval}, true // text, which a constant of no type is preferred to be
	}
	if t := n.GetTypeCast(); t != nil && len(t.TypeName.GetArrayBounds()) == 0 {
		s := t.Arg.GetAConst().GetSval()
		return []string{s.GetSval()}, s != nil && p.typeOf(t.TypeName) == textOID
	}
	return p.constantPath(n)
}

// forgetKeys returns cols as values of which only the whole is known.
func forgetKeys(cols []field) []field {
	for i := range cols {
		cols[i].keys, cols[i].named, cols[i].intact = nil, false, false
	}
	return cols
}
