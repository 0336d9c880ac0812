package analysis

import (
	"math/big"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// A cover is an entry of FROM that has every row of the target.
type cover struct {
	alias string
	cols  outputs // nil means the target's own columns
}

// outputs are columns, each with the target's column whose values are all in it,
// or "".
type outputs []struct{ name, column string }

// named gives outputs the names of an alias.
func (o outputs) named(names []string) outputs {
	o = slices.Clone(o)
	for i := range min(len(o), len(names)) {
		o[i].name = names[i]
	}
	return o
}

// column returns the target's column that a name stands for, or "".
func (t *limits) coverColumn(c cover, name string) string {
	if c.cols == nil {
		if _, system := systemColumns[name]; system || t.rel.ColumnNamed(name) != nil {
			return name
		}
		return ""
	}
	for _, o := range c.cols {
		if o.name == name {
			return o.column
		}
	}
	return ""
}

// withs are the WITH queries that a query sees: those of the queries within a
// predicate, and those of the statement.
type withs struct {
	inner []*pg.Node
	outer *cteList
}

func (t *limits) withs() withs {
	if t.sc == nil {
		return withs{}
	}
	return withs{outer: t.sc.ctes}
}

func (w withs) and(clause *pg.WithClause) withs {
	w.inner = append(slices.Clip(w.inner), clause.GetCtes()...)
	return w
}

// find returns the query of that name, or nil, and what it sees.
func (w withs) find(p *part, name string) (*pg.CommonTableExpr, withs) {
	for i, n := range slices.Backward(w.inner) {
		if c := n.GetCommonTableExpr(); c.GetCtename() == name {
			return c, withs{w.inner[:i], w.outer}
		}
	}
	if c := p.withQuery(w.outer, name); c != nil {
		return c.node, withs{outer: c.ctes}
	}
	return nil, withs{}
}

// maxCoverDepth bounds how deep queries are followed.
const maxCoverDepth = 20

// covers returns the entries of a FROM that have every row of the target. What
// else stands there without a condition counts as not empty: it leaves none out.
func (t *limits) covers(from []*pg.Node, w withs, depth int) []cover {
	var list []cover
	for _, n := range from {
		list = append(list, t.coversOf(n, w, depth)...)
	}
	return list
}

func (t *limits) coversOf(n *pg.Node, w withs, depth int) []cover {
	if depth > maxCoverDepth || !t.p.step() {
		return nil
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		alias, names := rvAlias(e.RangeVar), strs(e.RangeVar.GetAlias().GetColnames())
		if e.RangeVar.Schemaname == "" {
			if q, sees := w.find(t.p, e.RangeVar.Relname); q != nil {
				if cols := t.coveredBy(q.GetCtequery().GetSelectStmt(), sees, depth+1); cols != nil {
					return []cover{{alias, cols.named(strs(q.Aliascolnames)).named(names)}}
				}
				return nil
			}
		}
		if rel := t.p.names.relation(rangeVarParts(e.RangeVar)); rel != nil && rel.OID == t.rel.OID {
			if len(names) > 0 {
				return []cover{{alias, t.ownOutputs().named(names)}}
			}
			return []cover{{alias: alias}}
		}
	case *pg.Node_RangeSubselect:
		alias := e.RangeSubselect.GetAlias()
		if cols := t.coveredBy(e.RangeSubselect.GetSubquery().GetSelectStmt(), w, depth+1); cols != nil {
			return []cover{{alias.GetAliasname(), cols.named(strs(alias.GetColnames()))}}
		}
	case *pg.Node_JoinExpr:
		j := e.JoinExpr
		inner := j.Jointype == pg.JoinType_JOIN_INNER
		if j.Alias != nil || inner && (j.IsNatural || len(j.UsingClause) > 0 || j.Quals != nil && t.truth(j.Quals) != always) {
			return nil
		}
		var list []cover
		if j.Jointype != pg.JoinType_JOIN_RIGHT {
			list = t.coversOf(j.Larg, w, depth+1)
		}
		if inner || j.Jointype == pg.JoinType_JOIN_RIGHT || j.Jointype == pg.JoinType_JOIN_FULL {
			list = append(list, t.coversOf(j.Rarg, w, depth+1)...)
		}
		return list
	}
	return nil
}

// ownOutputs are the target's columns.
func (t *limits) ownOutputs() outputs {
	var out outputs
	for _, c := range t.rel.Columns {
		if !c.Dropped {
			out = append(out, struct{ name, column string }{c.Name, c.Name})
		}
	}
	return out
}

// coveredBy returns the columns of a query that meets every row of the target,
// or nil.
func (t *limits) coveredBy(sel *pg.SelectStmt, w withs, depth int) outputs {
	out, ok := t.covered[sel] // a WITH query is met wherever it is named
	if !ok {
		out = t.coverage(sel, w, depth)
		if t.covered == nil {
			t.covered = map[*pg.SelectStmt]outputs{}
		}
		t.covered[sel] = out
	}
	return out
}

func (t *limits) coverage(sel *pg.SelectStmt, w withs, depth int) outputs {
	if sel == nil || depth > maxCoverDepth || !t.p.step() || !t.unlimited(sel) {
		return nil
	}
	w = w.and(sel.WithClause)
	switch sel.Op {
	case pg.SetOperation_SETOP_UNION:
		if out := t.coveredBy(sel.Larg, w, depth+1); out != nil {
			return out
		}
		return t.coveredBy(sel.Rarg, w, depth+1)
	case pg.SetOperation_SETOP_NONE:
	default:
		return nil
	}
	from := t.unfiltered(sel, w, depth)
	if from == nil || slices.ContainsFunc(sel.DistinctClause, func(n *pg.Node) bool { return n.GetNode() != nil }) {
		return nil
	}
	var out outputs
	for _, n := range sel.TargetList {
		r := n.GetResTarget()
		v := r.GetVal()
		names := strs(v.GetColumnRef().GetFields())
		if f := v.GetColumnRef().GetFields(); len(f) > 0 && f[len(f)-1].GetAStar() != nil {
			if len(sel.FromClause) != 1 || sel.FromClause[0].GetJoinExpr() != nil || len(sel.GroupClause) > 0 {
				return nil // which columns come from where is not looked at
			}
			if from[0].cols == nil {
				out = append(out, t.ownOutputs()...)
			} else {
				out = append(out, from[0].cols...)
			}
			continue
		}
		name := r.GetName()
		if name == "" && len(names) > 0 {
			name = names[len(names)-1]
		}
		grouped := len(sel.GroupClause) == 0 || slices.ContainsFunc(sel.GroupClause, func(g *pg.Node) bool {
			c, ok := t.fold(g)
			return t.coverRef(g, from) != "" && t.coverRef(g, from) == t.coverRef(v, from) ||
				ok && c.num != nil && c.num.Cmp(big.NewFloat(float64(len(out)+1))) == 0
		})
		column := ""
		if grouped {
			column = t.coverRef(v, from)
			if f := v.GetFuncCall(); f != nil && len(sel.GroupClause) == 0 && len(f.Args) == 1 && f.AggFilter == nil && lastOf(f.Funcname) == "array_agg" {
				column = t.coverRef(f.Args[0], from)
			}
		}
		out = append(out, struct{ name, column string }{name, column})
	}
	return out
}

// unfiltered returns the entries of a query's FROM that have every row of the
// target where no condition of the query leaves any out, or nil.
func (t *limits) unfiltered(sel *pg.SelectStmt, w withs, depth int) []cover {
	if sel.Op != pg.SetOperation_SETOP_NONE || sel.HavingClause != nil || sel.WhereClause != nil && t.truth(sel.WhereClause) != always {
		return nil
	}
	return t.covers(sel.FromClause, w, depth)
}

// coverRef returns the target's column that a column reference means by way of
// one of the covers, or "".
func (t *limits) coverRef(n *pg.Node, from []cover) string {
	names := strs(t.bare(n).GetColumnRef().GetFields())
	if len(names) == 0 {
		return ""
	}
	for _, c := range from {
		if len(names) > 1 && c.alias != names[len(names)-2] {
			continue
		}
		if column := t.coverColumn(c, names[len(names)-1]); column != "" {
			return column
		}
	}
	return ""
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
	out := t.coveredBy(sel, t.withs(), 0)
	if len(out) != len(xs) {
		return false
	}
	for i, x := range xs {
		if name := t.columnName(t.bare(x)); name == "" || out[i].column != name {
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
// target has its like in another reading of the same relation, of those in from.
func (t *limits) selfJoin(n *pg.Node, from []cover) bool {
	if len(from) == 0 {
		return false
	}
	n = t.simple(n)
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		joined := false
		for _, a := range b.Args {
			switch {
			case t.selfJoin(a, from):
				joined = true
			case t.truth(a) != always:
				return false
			}
		}
		return joined
	}
	e := n.GetAExpr()
	if e == nil || opName(e) != "=" {
		return false
	}
	l, r := e.Lexpr, e.Rexpr
	switch items := r.GetList().GetItems(); e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
	case pg.A_Expr_Kind_AEXPR_IN:
		if len(items) != 1 {
			return false
		}
		r = items[0]
	default:
		return false
	}
	ls, rs := []*pg.Node{l}, []*pg.Node{r}
	if a, b := l.GetRowExpr(), r.GetRowExpr(); a != nil && b != nil && len(a.Args) == len(b.Args) {
		ls, rs = a.Args, b.Args
	}
	for i := range ls {
		if !t.joins(ls[i], rs[i], from) && !t.joins(rs[i], ls[i], from) {
			return false
		}
	}
	return true
}

// joins reports whether a is a column of the target, and b the same column of
// one of the covers, or both the whole row.
func (t *limits) joins(a, b *pg.Node, from []cover) bool {
	if t.wholeRowOf(a, nil) {
		return t.wholeRowOf(b, from)
	}
	name := t.columnName(t.bare(a))
	names := strs(t.bare(b).GetColumnRef().GetFields())
	// What stands unqualified in FROM's own query means that query's.
	return name != "" && len(names) > 0 && (len(names) == 1 || !t.isTarget(names[:len(names)-1])) && t.coverRef(b, from) == name
}

// wholeRowOf reports whether an expression is the row of the target, or of one
// of the covers.
func (t *limits) wholeRowOf(n *pg.Node, from []cover) bool {
	c := n.GetColumnRef()
	if c == nil || len(c.Fields) > 2 || len(c.Fields) == 2 && c.Fields[1].GetAStar() == nil {
		return false
	}
	name := c.Fields[0].GetString_().GetSval()
	if from == nil {
		return t.wholeRow(c) && name != "" && t.isTarget([]string{name})
	}
	return slices.ContainsFunc(from, func(v cover) bool { return v.alias == name && v.cols == nil })
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
		if sel.Op == pg.SetOperation_SETOP_NONE && sel.WhereClause != nil && sel.HavingClause == nil && t.unlimited(sel) &&
			t.selfJoin(sel.WhereClause, t.covers(sel.FromClause, t.withs().and(sel.WithClause), 0)) {
			return always
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
