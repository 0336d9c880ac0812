package analysis

import (
	"math/big"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A cover is an entry of FROM that has every row of the target.
type cover struct {
	alias string
	cols  outputs // nil means the target's own columns
}

// has reports whether a name is of one of c's columns.
func (c cover) has(names []string) bool {
	name := names[len(names)-1]
	return len(names) == 2 && names[0] == c.alias ||
		len(names) == 1 && (name == c.alias || slices.ContainsFunc(c.cols, func(o struct{ name, column string }) bool { return o.name == name }))
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
			return p.withQueryArguments(c), withs{w.inner[:i], w.outer}
		}
	}
	if c := p.withQuery(w.outer, name); c != nil {
		return p.withQueryArguments(c.node), withs{outer: c.ctes}
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
				if cols := t.counter(q); cols != nil {
					return []cover{{alias, cols.named(names)}}
				}
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
		} else if cols := t.parent(rel); cols != nil {
			return []cover{{alias, cols.named(names)}}
		}
	case *pg.Node_RangeTableSample:
		if args := e.RangeTableSample.Args; len(args) == 1 {
			if percent := t.number(args[0]); percent != nil && percent.Cmp(big.NewFloat(99)) >= 0 {
				return t.coversOf(e.RangeTableSample.Relation, w, depth+1)
			}
		}
	case *pg.Node_RangeFunction:
		alias := e.RangeFunction.GetAlias()
		if calls := e.RangeFunction.Functions; len(calls) == 1 && len(calls[0].GetList().GetItems()) > 0 {
			f := calls[0].GetList().Items[0].GetFuncCall()
			name := alias.GetAliasname()
			if name == "" {
				name = lastOf(f.GetFuncname())
			}
			cols := t.series(f, name)
			if c := t.spread(f, nil, w, depth+1); c != "" {
				cols = outputs{{name, c}}
			}
			if cols != nil {
				return []cover{{name, cols.named(strs(alias.GetColnames()))}}
			}
		}
	case *pg.Node_RangeSubselect:
		alias := e.RangeSubselect.GetAlias()
		if cols := t.coveredBy(e.RangeSubselect.GetSubquery().GetSelectStmt(), w, depth+1); cols != nil {
			return []cover{{alias.GetAliasname(), cols.named(strs(alias.GetColnames()))}}
		}
	case *pg.Node_JoinExpr:
		j := e.JoinExpr
		inner := j.Jointype == pg.JoinType_JOIN_INNER
		if j.Alias != nil {
			return nil
		}
		var left, right []cover
		if j.Jointype != pg.JoinType_JOIN_RIGHT {
			left = t.coversOf(j.Larg, w, depth+1)
		}
		if inner || j.Jointype == pg.JoinType_JOIN_RIGHT || j.Jointype == pg.JoinType_JOIN_FULL {
			right = t.coversOf(j.Rarg, w, depth+1)
		}
		list := append(left, right...)
		if len(list) > 0 && !inner {
			list = append(list, t.others(j.Larg, j.Rarg)...)
		}
		if inner && ((j.IsNatural || len(j.UsingClause) > 0) && !t.alike(left, right, strs(j.UsingClause)) || j.Quals != nil && !t.joinsItself(j.Quals, list)) {
			return nil
		}
		return list
	}
	return nil
}

// others are the relations of an outer join. What they hold beside a row of the
// target depends on it.
func (t *limits) others(nodes ...*pg.Node) []cover {
	var list []cover
	for _, n := range nodes {
		walk(n, func(m *pg.Node) {
			if rv := m.GetRangeVar(); rv != nil {
				c := cover{rvAlias(rv), outputs{}}
				if rel := t.p.names.relation(rangeVarParts(rv)); rel != nil {
					for _, column := range rel.Columns {
						c.cols = append(c.cols, struct{ name, column string }{column.Name, ""})
					}
				}
				list = append(list, c)
			}
			if q := m.GetRangeSubselect(); q != nil {
				list = append(list, cover{q.GetAlias().GetAliasname(), outputs{}})
			}
		})
	}
	return list
}

// alike reports whether the columns by which two sides are joined are the same
// of the target, all of them where none is named.
func (t *limits) alike(left, right []cover, names []string) bool {
	return slices.ContainsFunc(left, func(l cover) bool {
		return slices.ContainsFunc(right, func(r cover) bool {
			if len(names) == 0 {
				return l.cols == nil && r.cols == nil
			}
			return !slices.ContainsFunc(names, func(name string) bool {
				c := t.coverColumn(l, name)
				return c == "" || c != t.coverColumn(r, name)
			})
		})
	})
}

// parent returns the columns of a relation in which every row of the target has
// its own by a foreign key, or nil.
func (t *limits) parent(rel *catalog.Relation) outputs {
	if rel == nil {
		return nil
	}
	var key *catalog.ForeignKey
	for i := range t.rel.ForeignKeys {
		if fk := &t.rel.ForeignKeys[i]; fk.To == rel.OID {
			if key != nil {
				return nil // which of them is meant is not looked at
			}
			key = fk
		}
	}
	if key == nil || slices.ContainsFunc(key.FromCols, func(n int16) bool { c := t.rel.Column(n); return c == nil || !c.NotNull }) {
		return nil
	}
	var out outputs
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		column := ""
		if i := slices.Index(key.ToCols, c.Num); i >= 0 && i < len(key.FromCols) {
			column = t.rel.Column(key.FromCols[i]).Name
		}
		out = append(out, struct{ name, column string }{c.Name, column})
	}
	return out
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
	case pg.SetOperation_SETOP_INTERSECT:
		if t.coveredBy(sel.Larg, w, depth+1) == nil {
			return nil
		}
		return t.coveredBy(sel.Rarg, w, depth+1)
	case pg.SetOperation_SETOP_NONE:
	default:
		return nil
	}
	if len(sel.FromClause) == 0 && sel.WhereClause == nil {
		return t.madeUp(sel, w, depth)
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
		if f := v.GetFuncCall(); len(sel.GroupClause) > 0 && f != nil && ofEqual[lastOf(f.Funcname)] && len(f.Args) == 1 && f.AggFilter == nil && f.Over == nil {
			v = f.Args[0] // of those that are grouped by it
		}
		grouped := len(sel.GroupClause) == 0 || slices.ContainsFunc(sel.GroupClause, func(g *pg.Node) bool {
			c, ok := t.fold(g)
			return t.coverRef(g, from) != "" && t.coverRef(g, from) == t.coverRef(v, from) ||
				ok && c.num != nil && c.num.Cmp(big.NewFloat(float64(len(out)+1))) == 0
		})
		column := ""
		if grouped {
			column = t.coverRef(v, from)
		}
		if column == "" && len(sel.GroupClause) == 0 {
			if column = t.spread(t.bare(v).GetFuncCall(), from, w, depth+1); column == "" {
				column = t.gathered(v, from, w, depth+1)
			}
		}
		out = append(out, struct{ name, column string }{name, column})
	}
	return out
}

// unfiltered returns the entries of a query's FROM that have every row of the
// target where no condition of the query leaves any out, or nil.
func (t *limits) unfiltered(sel *pg.SelectStmt, w withs, depth int) []cover {
	if sel.Op != pg.SetOperation_SETOP_NONE || sel.HavingClause != nil {
		return nil
	}
	from := t.covers(sel.FromClause, w, depth)
	if from == nil || sel.WhereClause != nil && !t.joinsItself(sel.WhereClause, from) {
		return nil
	}
	return from
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
	count, counted := t.fold(sel.LimitCount)
	count.num, offset.num = t.number(sel.LimitCount), t.number(sel.LimitOffset)
	huge := counted && (count.null || count.num != nil && count.num.Cmp(big.NewFloat(manyRows)) >= 0)
	if sel.LimitCount.GetSubLink() != nil {
		if low, _ := t.span(sel.LimitCount); low != nil {
			huge = true // as many as a table has
		}
	}
	return (sel.LimitCount == nil || huge) && (sel.LimitOffset == nil || ok && (offset.null || offset.num != nil && offset.num.Sign() == 0))
}

// ownColumn reports whether a subquery gives all values of the column x of the
// relation.
func (t *limits) ownColumn(x, sub *pg.Node) bool {
	sel := sub.GetSelectStmt()
	if sel == nil {
		return false
	}
	if len(sel.FromClause) == 0 && sel.WhereClause == nil && len(sel.TargetList) == 1 && t.unlimited(sel) && t.coveredBy(sel, t.withs(), 0) == nil {
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

// joinsItself reports whether a predicate is true for each row of the target
// beside itself in other readings of the same relation, those in from.
func (t *limits) joinsItself(n *pg.Node, from []cover) bool {
	return len(from) > 0 && t.with(from).all(n)
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
		if t.unlimited(sel) && t.unfiltered(sel, t.withs().and(sel.WithClause), 0) != nil {
			return always
		}
	case pg.SubLinkType_ANY_SUBLINK:
		op := s.OperName
		if len(op) == 0 && len(sel.FromClause) == 0 && sel.WhereClause == nil && len(sel.TargetList) == 1 && t.unlimited(sel) {
			f := sel.TargetList[0].GetResTarget().GetVal().GetFuncCall()
			if lastOf(f.GetFuncname()) == "unnest" && len(f.Args) == 1 && t.allLabels(f.Args[0]) {
				return always
			}
		}
		if len(op) == 0 {
			op = []*pg.Node{pg.MakeStrNode("=")}
		}
		if slices.Contains([]string{"=", ">=", "<="}, lastOf(op)) && t.ownColumn(s.Testexpr, s.Subselect) || t.meetsItself(s.Testexpr, op, sel) {
			return always
		}
	}
	return depends
}

// meetsItself reports whether x op ANY (sel) is true for each row by way of what
// the row itself gives there.
func (t *limits) meetsItself(x *pg.Node, op []*pg.Node, sel *pg.SelectStmt) bool {
	if !t.unlimited(sel) || len(sel.GroupClause) > 0 || len(sel.DistinctClause) > 0 || len(sel.TargetList) == 0 {
		return false
	}
	var items []*pg.Node
	for _, n := range sel.TargetList {
		v := n.GetResTarget().GetVal()
		several := false
		walk(v, func(m *pg.Node) {
			if f := m.GetFuncCall(); f != nil {
				several = several || f.Over != nil || t.aggregates(f) || t.returnsSet(f)
			}
		})
		if f := v.GetColumnRef().GetFields(); several || len(f) > 0 && f[len(f)-1].GetAStar() != nil {
			return false
		}
		items = append(items, v)
	}
	from := t.unfiltered(sel, t.withs().and(sel.WithClause), 0)
	if from == nil {
		return false
	}
	y := items[0]
	if len(items) > 1 {
		y = &pg.Node{Node: &pg.Node_RowExpr{RowExpr: &pg.RowExpr{Args: items}}}
	}
	return t.joinsItself(&pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: pg.A_Expr_Kind_AEXPR_OP, Name: op, Lexpr: x, Rexpr: y}}}, from)
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
		return f != nil && t.aggregates(f)
	}) {
		return true
	}
	// What stands in FROM gives a row each.
	return !slices.ContainsFunc(sel.FromClause, func(n *pg.Node) bool {
		q := n.GetRangeSubselect().GetSubquery().GetSelectStmt()
		return q == nil || !t.alwaysHasRow(q)
	}) && (sel.WhereClause == nil || t.truth(sel.WhereClause) == always)
}
