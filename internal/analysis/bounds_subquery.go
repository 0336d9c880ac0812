package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// wholeTable reports whether a subquery reads all rows of the relation and
// nothing else.
func (t *limits) wholeTable(sel *pg.SelectStmt) bool {
	return t.wholeOf(sel, nil, 0)
}

func (t *limits) wholeOf(sel *pg.SelectStmt, with []*pg.Node, depth int) bool {
	if sel == nil || depth > 20 {
		return false
	}
	with = append(slices.Clip(with), sel.WithClause.GetCtes()...)
	if sel.Op == pg.SetOperation_SETOP_UNION {
		return t.unlimited(sel) && (t.wholeOf(sel.Larg, with, depth+1) && t.unlimited(sel.Larg) || t.wholeOf(sel.Rarg, with, depth+1) && t.unlimited(sel.Rarg))
	}
	if len(sel.FromClause) != 1 || sel.WhereClause != nil && t.truth(sel.WhereClause) != always || sel.HavingClause != nil || len(sel.GroupClause) > 0 || sel.Op != pg.SetOperation_SETOP_NONE {
		return false
	}
	if sub := sel.FromClause[0].GetRangeSubselect().GetSubquery().GetSelectStmt(); sub != nil {
		return t.wholeOf(sub, with, depth+1) && t.unlimited(sub)
	}
	rv := sel.FromClause[0].GetRangeVar()
	if rv == nil {
		return false
	}
	for _, n := range slices.Backward(with) {
		if c := n.GetCommonTableExpr(); c.GetCtename() == rv.Relname && rv.Schemaname == "" {
			sub := c.GetCtequery().GetSelectStmt()
			return t.wholeOf(sub, nil, depth+1) && t.unlimited(sub)
		}
	}
	rel := t.p.names.relation(rangeVarParts(rv))
	return rel != nil && rel.OID == t.rel.OID
}

// unlimited reports whether LIMIT and OFFSET leave no row of a query out.
func (t *limits) unlimited(sel *pg.SelectStmt) bool {
	offset, ok := t.fold(sel.LimitOffset)
	return (sel.LimitCount == nil || t.null(sel.LimitCount)) && (sel.LimitOffset == nil || ok && (offset.null || offset.num != nil && offset.num.Sign() == 0))
}

// ownColumn reports whether a subquery gives all values of the column x of the
// relation.
func (t *limits) ownColumn(x, sub *pg.Node) bool {
	sel := sub.GetSelectStmt()
	if sel == nil {
		return false
	}
	if len(sel.FromClause) == 0 && sel.WhereClause == nil && len(sel.TargetList) == 1 && t.unlimited(sel) {
		return t.same(x, sel.TargetList[0].GetResTarget().GetVal())
	}
	xs := []*pg.Node{x}
	if r := x.GetRowExpr(); r != nil {
		xs = r.Args
	}
	if !t.wholeTable(sel) || !t.unlimited(sel) {
		return false
	}
	list := sel
	for list.Larg != nil {
		list = list.Larg // all parts of a UNION are alike
	}
	if len(list.TargetList) != len(xs) {
		return false
	}
	for i, n := range list.TargetList {
		v := n.GetResTarget().GetVal()
		if f := v.GetFuncCall(); f != nil && len(f.Args) == 1 && f.AggFilter == nil && lastOf(f.Funcname) == "array_agg" {
			v = f.Args[0]
		}
		name := t.columnName(t.bare(xs[i]))
		if name == "" || !t.namesColumn(v, name) {
			return false
		}
	}
	return true
}

func lastOf(name []*pg.Node) string {
	if names := strs(name); len(names) > 0 {
		return names[len(names)-1]
	}
	return ""
}

// columnName is the name of the target's column that an expression is, system
// columns included, or "".
func (t *limits) columnName(n *pg.Node) string {
	names := strs(n.GetColumnRef().GetFields())
	if len(names) == 0 || len(names) > 1 && !t.isTarget(names[:len(names)-1]) {
		return ""
	}
	name := names[len(names)-1]
	if _, system := systemColumns[name]; system || t.rel.ColumnNamed(name) != nil {
		return name
	}
	return ""
}

// selfJoin reports whether all that a predicate asks for is that each row of the
// target has its like in another reading of the same relation.
func (t *limits) selfJoin(n *pg.Node) bool {
	n = t.simple(n)
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		joined := false
		for _, a := range b.Args {
			switch {
			case t.selfJoin(a):
				joined = true
			case t.truth(a) != always:
				return false
			}
		}
		return joined
	}
	e := n.GetAExpr()
	if e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP || opName(e) != "=" || t.sc == nil {
		return false
	}
	if len(t.sc.items) != 2 || len(t.sc.items[1].sources) != 1 {
		return false // what else it is joined with may restrict it
	}
	other := func(n *pg.Node, name string) bool {
		names := strs(n.GetColumnRef().GetFields())
		if len(names) < 2 || names[len(names)-1] != name || t.isTarget(names[:len(names)-1]) {
			return false
		}
		for src := range t.sc.all() {
			if src.is(names[:len(names)-1]) {
				return src.rel != nil && src.rel.OID == t.rel.OID
			}
		}
		return false
	}
	l, r := t.columnName(t.bare(e.Lexpr)), t.columnName(t.bare(e.Rexpr))
	return l != "" && other(t.bare(e.Rexpr), l) || r != "" && other(t.bare(e.Lexpr), r)
}

func (t *limits) namesColumn(n *pg.Node, name string) bool {
	names := strs(t.bare(n).GetColumnRef().GetFields())
	return len(names) > 0 && names[len(names)-1] == name
}

func (t *limits) sub(s *pg.SubLink) verdict {
	sel := s.Subselect.GetSelectStmt()
	if sel == nil {
		return depends
	}
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		if t.alwaysHasRow(sel) {
			return always
		}
		// EXISTS (SELECT FROM rel r WHERE r.x = rel.x): the row itself.
		if len(sel.FromClause) == 1 && sel.WhereClause != nil && sel.HavingClause == nil {
			rv := sel.FromClause[0].GetRangeVar()
			if rv == nil {
				return depends
			}
			rel := t.p.names.relation(rangeVarParts(rv))
			if e := sel.WhereClause.GetAExpr(); rel != nil && rel.OID == t.rel.OID && e != nil && opName(e) == "=" && e.Kind == pg.A_Expr_Kind_AEXPR_OP {
				a, b := strs(e.Lexpr.GetColumnRef().GetFields()), strs(e.Rexpr.GetColumnRef().GetFields())
				if len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
					return always
				}
			}
		}
	case pg.SubLinkType_ANY_SUBLINK:
		if len(s.OperName) == 0 || strs(s.OperName)[0] == "=" {
			if t.ownColumn(s.Testexpr, s.Subselect) {
				return always
			}
		}
	}
	return depends
}

// alwaysHasRow reports whether a query gives a row whatever is in the tables.
func (t *limits) alwaysHasRow(sel *pg.SelectStmt) bool {
	if sel.Op == pg.SetOperation_SETOP_UNION {
		return t.alwaysHasRow(sel.Larg) || t.alwaysHasRow(sel.Rarg)
	}
	if sel.Op != pg.SetOperation_SETOP_NONE || sel.LimitOffset != nil {
		return false
	}
	if c, ok := t.fold(sel.LimitCount); ok && sel.LimitCount != nil && c.num != nil && c.num.Sign() == 0 {
		return false
	}
	if sel.HavingClause != nil {
		return false
	}
	if len(sel.ValuesLists) > 0 {
		return true
	}
	if len(sel.GroupClause) == 0 && slices.ContainsFunc(sel.TargetList, func(n *pg.Node) bool {
		f := n.GetResTarget().GetVal().GetFuncCall()
		name := strs(f.GetFuncname())
		return f != nil && (f.AggStar || len(name) > 0 && slices.Contains([]string{"count", "max", "min", "sum", "avg", "bool_or", "bool_and"}, name[len(name)-1]))
	}) {
		return true
	}
	return len(sel.FromClause) == 0 && (sel.WhereClause == nil || t.truth(sel.WhereClause) == always)
}
