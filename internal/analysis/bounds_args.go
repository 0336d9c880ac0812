package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A predicate with parameters may limit a write with one argument and none with
// another: id > $1, name LIKE $1, $1 OR id = $2. Where that is so a bound says it,
// and the statement is analyzed anew with its arguments, which stand in for the
// parameters wherever bounds are judged.

// argument is the constant that stands for a parameter, or nil where that is not
// known.
func (p *part) argument(number int) *pg.Node {
	if p.given != nil {
		if number >= 1 && number <= len(p.given) {
			return p.given[number-1]
		}
		return nil
	}
	if p.a.sess.Argument == nil || !p.text {
		return nil
	}
	text, null, ok := p.a.sess.Argument(number)
	switch {
	case !ok:
		return nil
	case null:
		return &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Isnull: true}}}
	}
	return &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Val: &pg.A_Const_Sval{Sval: &pg.String{Sval: text}}}}}
}

// hasParam reports whether there is a parameter in n, or what stands for a value
// that is not followed.
func hasParam(n *pg.Node) bool {
	found := false
	walk(n, func(m *pg.Node) { found = found || m.GetParamRef() != nil })
	return found
}

// hasArgument reports whether there is a parameter of the statement in n.
func hasArgument(n *pg.Node) bool {
	found := false
	walk(n, func(m *pg.Node) { found = found || m.GetParamRef().GetNumber() > 0 })
	return found
}

// withArguments returns n with what is known of its parameters in their place.
func (p *part) withArguments(n *pg.Node) *pg.Node {
	if p.given == nil && p.a.sess.Argument == nil || !hasParam(n) {
		return n
	}
	n = proto.Clone(n).(*pg.Node)
	var replace func(m protoreflect.Message)
	replace = func(m protoreflect.Message) {
		if n, ok := m.Interface().(*pg.Node); ok {
			if ref := n.GetParamRef(); ref != nil {
				if c := p.argument(int(ref.Number)); c != nil {
					n.Node = c.Node
				}
				return
			}
		}
		each(m, replace)
	}
	replace(n.ProtoReflect())
	return n
}

// withQueryArguments is withArguments for a WITH query, always the same for one.
func (p *part) withQueryArguments(c *pg.CommonTableExpr) *pg.CommonTableExpr {
	if p.given == nil && p.a.sess.Argument == nil {
		return c
	}
	if known, ok := p.a.given[c]; ok {
		return known
	}
	n := p.withArguments(&pg.Node{Node: &pg.Node_CommonTableExpr{CommonTableExpr: c}})
	if p.a.given == nil {
		p.a.given = map[*pg.CommonTableExpr]*pg.CommonTableExpr{}
	}
	p.a.given[c] = n.GetCommonTableExpr()
	return p.a.given[c]
}

// byArguments reports whether a predicate that limits a write may not with other
// arguments.
func (t *limits) byArguments(where *pg.Node, from []*pg.Node) bool {
	with := false
	for l, n := t.withs().outer, 0; l != nil && n < maxWithDepth; l, n = l.next, n+1 {
		c := t.p.withQueryArguments(l.cte.node)
		with = with || hasParam(&pg.Node{Node: &pg.Node_CommonTableExpr{CommonTableExpr: c}})
	}
	if !with && !hasParam(where) && !slices.ContainsFunc(from, hasParam) {
		return false
	}
	var rest *pg.Node
	pinned := false
	for _, n := range conjuncts(where) {
		if t.pins(n) {
			pinned = true
		}
		if !hasParam(n) || t.pins(n) {
			rest = both(rest, n)
		}
	}
	switch {
	case pinned:
		return false
	case rest == nil, with, slices.ContainsFunc(from, hasParam):
		return true
	}
	return t.all(rest) || !t.limiting(rest) || t.joinsItself(rest, t.covers(from, t.withs(), 0))
}

// conjuncts takes a predicate apart at its ANDs.
func conjuncts(n *pg.Node) []*pg.Node {
	b := n.GetBoolExpr()
	if b == nil || b.Boolop != pg.BoolExprType_AND_EXPR {
		return []*pg.Node{n}
	}
	var all []*pg.Node
	for _, a := range b.Args {
		all = append(all, conjuncts(a)...)
	}
	return all
}

// pins reports whether a condition says which values a column of the target has,
// whatever the arguments are: column = $1, column = ANY ($1), column IN ($1, $2),
// and these side by side with OR.
func (t *limits) pins(n *pg.Node) bool {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_OR_EXPR {
		return !slices.ContainsFunc(b.Args, func(n *pg.Node) bool { return !slices.ContainsFunc(conjuncts(n), t.pins) })
	}
	e := n.GetAExpr()
	if e == nil || opName(e) != "=" {
		return false
	}
	column := func(n *pg.Node) bool {
		c := t.column(n)
		for _, of := range n.GetRowExpr().GetArgs() {
			if c == nil {
				c = t.column(of)
			}
		}
		return c != nil && t.p.baseType(c.Type) != boolOID
	}
	fixed := func(n *pg.Node) bool {
		within := false
		walk(n, func(m *pg.Node) { within = within || m.GetSubLink() != nil })
		return !within && !t.varies(n)
	}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		return column(e.Lexpr) && fixed(e.Rexpr) || column(e.Rexpr) && fixed(e.Lexpr)
	case pg.A_Expr_Kind_AEXPR_OP_ANY:
		return column(e.Lexpr) && fixed(e.Rexpr)
	case pg.A_Expr_Kind_AEXPR_IN:
		items := e.Rexpr.GetList().GetItems()
		return column(e.Lexpr) && len(items) > 0 && !slices.ContainsFunc(items, func(n *pg.Node) bool { return !fixed(n) })
	}
	return false
}
