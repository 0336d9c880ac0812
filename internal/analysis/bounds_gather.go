package analysis

import (
	"math/big"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// Keys that are gathered from all rows, and spread out again, are as good as the
// rows; so are those that a query counts up.

// ofEqual are aggregates that give the value where all are equal.
var ofEqual = map[string]bool{"min": true, "max": true, "any_value": true}

// gathering are aggregates in whose result every value is.
var gathering = map[string]bool{"array_agg": true, "string_agg": true, "json_agg": true, "jsonb_agg": true, "json_agg_strict": true, "jsonb_agg_strict": true}

// spreading are functions that give the values that are gathered in the first
// argument, one a row; keeping, those that leave all in one.
var (
	spreading = map[string]bool{"unnest": true, "string_to_table": true, "regexp_split_to_table": true, "jsonb_array_elements": true,
		"jsonb_array_elements_text": true, "json_array_elements": true, "json_array_elements_text": true}
	keeping = map[string]bool{"string_to_array": true, "regexp_split_to_array": true, "array_append": true, "array_cat": true, "to_jsonb": true, "to_json": true,
		"array_to_json": true, "array_to_string": true, "concat": true}
)

// spread returns the target's column of which a function spreads out all values,
// or "". from is what has every row around it.
func (t *limits) spread(f *pg.FuncCall, from []cover, w withs, depth int) string {
	if f == nil || !spreading[lastOf(f.Funcname)] || len(f.Args) == 0 {
		return ""
	}
	return t.gathered(f.Args[0], from, w, depth)
}

// gathered returns the target's column of which all values are in one, or "".
func (t *limits) gathered(n *pg.Node, from []cover, w withs, depth int) string {
	if depth > maxCoverDepth || !t.p.step() {
		return ""
	}
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	if s := n.GetSubLink(); s != nil && (s.SubLinkType == pg.SubLinkType_ARRAY_SUBLINK || s.SubLinkType == pg.SubLinkType_EXPR_SUBLINK) {
		sel := s.Subselect.GetSelectStmt()
		if s.SubLinkType == pg.SubLinkType_EXPR_SUBLINK && !slices.ContainsFunc(sel.GetTargetList(), func(n *pg.Node) bool {
			return t.gathers(n.GetResTarget().GetVal())
		}) {
			return "" // one value
		}
		if out := t.coveredBy(sel, w, depth+1); len(out) == 1 {
			return out[0].column
		}
		return ""
	}
	if e := n.GetAExpr(); e != nil && e.Lexpr != nil && opName(e) == "||" {
		if c := t.gathered(e.Lexpr, from, w, depth+1); c != "" {
			return c
		}
		return t.gathered(e.Rexpr, from, w, depth+1)
	}
	f := n.GetFuncCall()
	switch name := lastOf(f.GetFuncname()); {
	case len(f.GetArgs()) == 0 || f.AggFilter != nil || f.Over != nil:
	case gathering[name]:
		return t.coverRef(f.Args[0], from)
	case keeping[name]:
		return t.gathered(f.Args[0], from, w, depth+1)
	}
	return ""
}

// gathers reports whether an aggregate gathers values in n.
func (t *limits) gathers(n *pg.Node) bool {
	found := false
	walk(n, func(m *pg.Node) { found = found || gathering[lastOf(m.GetFuncCall().GetFuncname())] })
	return found
}

// counter returns the columns of a recursive query that counts up from the first
// key, and past all that anybody counts on, or nil.
func (t *limits) counter(q *pg.CommonTableExpr) outputs {
	sel := q.GetCtequery().GetSelectStmt()
	if sel == nil || sel.Op != pg.SetOperation_SETOP_UNION || len(sel.Larg.FromClause) > 0 || len(sel.Rarg.FromClause) != 1 ||
		sel.Rarg.FromClause[0].GetRangeVar().GetRelname() != q.Ctename {
		return nil
	}
	key := ""
	for _, c := range t.rel.Columns {
		if t.wholeNumbers(&c) && !c.Dropped && t.isKey(c.Num) {
			key = c.Name
			break
		}
	}
	first := sel.Larg.TargetList
	if len(sel.Larg.ValuesLists) == 1 {
		first = sel.Larg.ValuesLists[0].GetList().GetItems()
	}
	var out outputs
	for i, n := range first {
		name, v := n.GetResTarget().GetName(), n
		if r := n.GetResTarget(); r != nil {
			v = r.Val
		}
		if names := strs(q.Aliascolnames); i < len(names) {
			name = names[i]
		}
		column := ""
		if from := t.number(v); from != nil && from.Cmp(big.NewFloat(1)) <= 0 && i < len(sel.Rarg.TargetList) {
			x, by := t.shift(sel.Rarg.TargetList[i].GetResTarget().GetVal())
			if lastName(x.GetColumnRef()) == name && by.Cmp(big.NewFloat(1)) == 0 && !t.stopsEarly(sel.Rarg.WhereClause, name) {
				column = key
			}
		}
		out = append(out, struct{ name, column string }{name, column})
	}
	if !slices.ContainsFunc(out, func(o struct{ name, column string }) bool { return o.column != "" }) {
		return nil
	}
	return out
}

// stopsEarly reports whether a condition compares a counter with a small number.
func (t *limits) stopsEarly(where *pg.Node, name string) bool {
	early := false
	walk(where, func(m *pg.Node) {
		e := m.GetAExpr()
		if e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP {
			return
		}
		for _, side := range [][2]*pg.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
			x, _ := t.shift(side[0])
			if most := t.number(side[1]); lastName(x.GetColumnRef()) == name && most != nil && most.Cmp(big.NewFloat(manyInSeries)) < 0 {
				early = true
			}
		}
	})
	return early
}

// madeUp returns the columns of a query without a FROM that gives every row of the
// target, or nil.
func (t *limits) madeUp(sel *pg.SelectStmt, w withs, depth int) outputs {
	var out outputs
	found := false
	for _, n := range sel.TargetList {
		r := n.GetResTarget()
		name, f := r.GetName(), t.bare(r.GetVal()).GetFuncCall()
		if name == "" {
			name = lastOf(f.GetFuncname())
		}
		column := t.spread(f, nil, w, depth+1)
		if s := t.series(f, name); s != nil {
			column = s[0].column
		}
		found = found || column != ""
		out = append(out, struct{ name, column string }{name, column})
	}
	if !found {
		return nil
	}
	return out
}

// heldByAll reports whether what all rows gave holds what the row itself gives:
// ARRAY[x] <@ (SELECT array_agg(x) FROM rel).
func (t *limits) heldByAll(x, all *pg.Node) bool {
	if a := x.GetAArrayExpr(); a != nil {
		if len(a.Elements) != 1 {
			return false
		}
		x = a.Elements[0]
	}
	name := t.columnName(t.bare(x))
	return name != "" && name == t.gathered(all, nil, t.withs(), 0)
}

// neverEmpty are functions whose result is no empty string.
var neverEmpty = map[string]bool{"to_hex": true, "quote_ident": true, "quote_literal": true, "quote_nullable": true, "md5": true, "to_json": true, "to_jsonb": true}
