package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// truthOfNot judges NOT n. Unlike truth it must tell false from NULL.
func (t *limits) truthOfNot(n *pg.Node) verdict {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth || !t.p.step() {
		return depends
	}
	n = t.simple(n)
	if c, ok := t.fold(n); ok {
		if c.null || c.isTrue() {
			return never
		}
		if c.isFalse() {
			return always
		}
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_BoolExpr:
		switch e.BoolExpr.Boolop {
		case pg.BoolExprType_NOT_EXPR:
			if len(e.BoolExpr.Args) == 1 {
				return t.truth(e.BoolExpr.Args[0])
			}
		case pg.BoolExprType_AND_EXPR: // NOT (a AND b) is NOT a OR NOT b
			for i, a := range e.BoolExpr.Args {
				if t.truthOfNot(a) == always || t.oppositeOfAny(a, e.BoolExpr.Args[:i]) {
					return always
				}
			}
			return depends
		case pg.BoolExprType_OR_EXPR:
			all := always
			for _, a := range e.BoolExpr.Args {
				if v := t.truthOfNot(a); v != always {
					all = v
				}
			}
			return all
		}
	case *pg.Node_NullTest:
		flipped := pg.NullTestType_IS_NULL
		if e.NullTest.Nulltesttype == pg.NullTestType_IS_NULL {
			flipped = pg.NullTestType_IS_NOT_NULL
		}
		return t.truth(&pg.Node{Node: &pg.Node_NullTest{NullTest: &pg.NullTest{Arg: e.NullTest.Arg, Nulltesttype: flipped}}})
	case *pg.Node_BooleanTest: // never NULL
		switch t.truth(n) {
		case never:
			return always
		case always:
			return never
		}
		return depends
	case *pg.Node_SubLink:
		sel := e.SubLink.Subselect.GetSelectStmt()
		if e.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK && sel != nil && t.empty(sel) {
			return always
		}
		if e.SubLink.SubLinkType == pg.SubLinkType_ANY_SUBLINK { // NOT (x NOT IN ...) is x IN ...
			return not(t.truth(n))
		}
	case *pg.Node_AExpr:
		if of := refuted(e.AExpr); of != nil {
			return t.truth(of)
		}
		if f := opposed(e.AExpr); f != nil {
			return t.comparison(f)
		}
	}
	return not(t.truth(n))
}

var negated = map[string]string{"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

var everyOrAny = map[pg.A_Expr_Kind]pg.A_Expr_Kind{
	pg.A_Expr_Kind_AEXPR_OP:     pg.A_Expr_Kind_AEXPR_OP,
	pg.A_Expr_Kind_AEXPR_IN:     pg.A_Expr_Kind_AEXPR_IN,
	pg.A_Expr_Kind_AEXPR_OP_ANY: pg.A_Expr_Kind_AEXPR_OP_ALL,
	pg.A_Expr_Kind_AEXPR_OP_ALL: pg.A_Expr_Kind_AEXPR_OP_ANY,
}

// opposed returns the comparison that is true where e is false, or nil.
func opposed(e *pg.A_Expr) *pg.A_Expr {
	f := &pg.A_Expr{Name: e.Name, Lexpr: e.Lexpr, Rexpr: e.Rexpr}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		f.Kind = pg.A_Expr_Kind_AEXPR_NOT_DISTINCT
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		f.Kind = pg.A_Expr_Kind_AEXPR_DISTINCT
	default:
		if f.Kind = between[e.Kind]; f.Kind == 0 {
			op := negated[opName(e)]
			if f.Kind = everyOrAny[e.Kind]; op == "" || f.Kind == 0 {
				return nil
			}
			f.Name = []*pg.Node{pg.MakeStrNode(op)}
		}
	}
	return f
}

// refuted returns what a comparison with FALSE, or one that is not with TRUE,
// says is false.
func refuted(e *pg.A_Expr) *pg.Node {
	op := opName(e)
	if e.Kind != pg.A_Expr_Kind_AEXPR_OP || op != "=" && op != "<>" {
		return nil
	}
	if isBool(e.Rexpr, op != "=") {
		return e.Lexpr
	}
	if isBool(e.Lexpr, op != "=") {
		return e.Rexpr
	}
	return nil
}

// oppositeOfAny reports whether a is the opposite of one of list. Over all parts
// of an OR that takes quadratic time, which is counted.
func (t *limits) oppositeOfAny(a *pg.Node, list []*pg.Node) bool {
	return t.p.spend(2*len(list)) && slices.ContainsFunc(list, func(c *pg.Node) bool { return t.opposite(a, c) })
}

// opposite reports whether a and b are x and NOT x, as far as NULL is not
// looked at.
func (t *limits) opposite(a, b *pg.Node) bool {
	a, b = t.simple(a), t.simple(b)
	for range 2 {
		if e := a.GetBoolExpr(); e != nil && e.Boolop == pg.BoolExprType_NOT_EXPR && len(e.Args) == 1 && t.same(e.Args[0], b) {
			return true
		}
		if e, f := a.GetNullTest(), b.GetNullTest(); e != nil && f != nil && e.Nulltesttype != f.Nulltesttype && t.same(e.Arg, f.Arg) {
			return true
		}
		if e, f := a.GetBooleanTest(), b.GetBooleanTest(); e != nil && f != nil && e.Booltesttype != f.Booltesttype && t.same(e.Arg, f.Arg) {
			return true
		}
		a, b = b, a
	}
	e, f := a.GetAExpr(), b.GetAExpr()
	if e == nil || f == nil {
		return false
	}
	if e.Kind != pg.A_Expr_Kind_AEXPR_OP || f.Kind != pg.A_Expr_Kind_AEXPR_OP {
		// IN and NOT IN, LIKE and NOT LIKE, BETWEEN and NOT BETWEEN.
		if between[e.Kind] == f.Kind && f.Kind != 0 {
			return t.same(e.Lexpr, f.Lexpr) && t.same(e.Rexpr, f.Rexpr)
		}
		return e.Kind == f.Kind && opName(e) != opName(f) && t.same(e.Lexpr, f.Lexpr) && t.same(e.Rexpr, f.Rexpr)
	}
	covers := func(o, q string) bool { // together they hold for every pair
		switch o + " " + q {
		case "= <>", "<> =", "< >=", ">= <", "> <=", "<= >", "<= >=", ">= <=":
			return true
		}
		return false
	}
	if t.same(e.Lexpr, f.Lexpr) && t.same(e.Rexpr, f.Rexpr) && covers(opName(e), opName(f)) {
		return true
	}
	if t.same(e.Lexpr, f.Rexpr) && t.same(e.Rexpr, f.Lexpr) && covers(opName(e), mirrored[opName(f)]) {
		return true
	}
	return false
}
