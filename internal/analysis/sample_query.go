package analysis

import (
	"math/big"
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// sub evaluates subqueries without a FROM, and those that the row's own relation
// makes a bound of.
func (s *sampler) sub(l *pg.SubLink) sample {
	sel := l.Subselect.GetSelectStmt()
	if sel == nil || s.checking {
		return sample{}
	}
	switch l.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		if s.t.empty(sel) {
			return sampleBool(false)
		}
		if rows, ok := s.rows(sel); ok {
			return sampleBool(len(rows) > 0)
		}
	case pg.SubLinkType_EXPR_SUBLINK:
		rows, ok := s.rows(sel)
		switch {
		case !ok:
			return s.own(sel)
		case len(rows) == 0:
			return sampleNull
		case len(rows) == 1 && len(rows[0].list) == 1:
			return rows[0].list[0]
		}
	case pg.SubLinkType_ARRAY_SUBLINK:
		if rows, ok := s.rows(sel); ok {
			v := sample{kind: listSample}
			for _, r := range rows {
				v.list = append(v.list, r.list...)
			}
			return v
		}
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		every := l.SubLinkType == pg.SubLinkType_ALL_SUBLINK
		if s.t.empty(sel) {
			return sampleBool(every)
		}
		op := "="
		if len(l.OperName) > 0 {
			op = opName(&pg.A_Expr{Name: l.OperName})
		}
		rows, ok := s.rows(sel)
		if !ok {
			if v := s.own(sel); v.known() {
				return applied(op, s.value(l.Testexpr), v)
			}
			return sample{}
		}
		var list []sample
		x := s.value(l.Testexpr)
		for _, r := range rows {
			if x.kind != listSample && len(r.list) == 1 {
				r = r.list[0]
			}
			list = append(list, r)
		}
		return anyOf(x, op, list, every)
	}
	return sample{}
}

// rows are those of a query that reads no relation.
func (s *sampler) rows(sel *pg.SelectStmt) ([]sample, bool) {
	if sel.Op != pg.SetOperation_SETOP_NONE || len(sel.FromClause) > 0 || sel.HavingClause != nil || len(sel.GroupClause) > 0 || sel.LimitOffset != nil {
		return nil, false
	}
	if sel.LimitCount != nil {
		if n := s.value(sel.LimitCount); n.kind != numberSample || n.n < 1 {
			return nil, false
		}
	}
	if sel.WhereClause != nil {
		switch v := s.cond(sel.WhereClause); {
		case v.isFalse() || v.kind == nullSample:
			return nil, true
		case !v.isTrue():
			return nil, false
		}
	}
	if len(sel.ValuesLists) > 0 {
		var rows []sample
		for _, v := range sel.ValuesLists {
			rows = append(rows, s.list(v.GetList().GetItems()))
		}
		return rows, true
	}
	row := sample{kind: listSample}
	for _, n := range sel.TargetList {
		v := n.GetResTarget().GetVal()
		if f := v.GetFuncCall(); f != nil && s.t.aggregates(f) {
			return nil, false
		}
		row.list = append(row.list, s.value(v))
	}
	return []sample{row}, true
}

// own evaluates the aggregate of a query over all rows of the relation: the
// least is no more than the row's, and the greatest no less.
func (s *sampler) own(sel *pg.SelectStmt) sample {
	if len(sel.TargetList) != 1 || len(sel.GroupClause) > 0 || sel.Op != pg.SetOperation_SETOP_NONE {
		return sample{}
	}
	value := sel.TargetList[0].GetResTarget().GetVal()
	counts := value.GetFuncCall() != nil && value.GetFuncCall().AggStar
	if !counts && len(sel.FromClause) == 0 {
		return sample{}
	}
	covers := s.t.unfiltered(sel, s.t.withs().and(sel.WithClause), 0)
	if covers == nil || !s.t.unlimited(sel) {
		if counts && sel.HavingClause == nil && s.t.unlimited(sel) {
			return s.choose("count "+strconv.Itoa(int(value.GetFuncCall().Location)), func() []sample {
				return append([]sample{sampleNumber(0), sampleNumber(1), sampleNumber(1000)}, s.counts...)
			})
		}
		return sample{}
	}
	return s.aggregate(value, covers)
}

// aggregate evaluates an expression of aggregates over all rows.
func (s *sampler) aggregate(n *pg.Node, covers []cover) sample {
	if s.left--; s.left <= 0 {
		return sample{}
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return sampleOf(foldConst(e.AConst))
	case *pg.Node_AExpr:
		if e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP && e.AExpr.Lexpr != nil {
			return applied(opName(e.AExpr), s.aggregate(e.AExpr.Lexpr, covers), s.aggregate(e.AExpr.Rexpr, covers))
		}
	case *pg.Node_TypeCast:
		if isType(e.TypeCast.TypeName, "int4") || isType(e.TypeCast.TypeName, "int8") {
			return s.aggregate(e.TypeCast.Arg, covers)
		}
	case *pg.Node_FuncCall:
		if e.FuncCall.AggFilter != nil || e.FuncCall.Over != nil {
			return sample{}
		}
		switch name := lastOf(e.FuncCall.Funcname); {
		case e.FuncCall.AggStar:
			return s.choose("count", func() []sample { return s.numeric(1, 1e9, true, 1, 1000) })
		case len(e.FuncCall.Args) != 1:
		case name == "min" || name == "max":
			column := s.t.coverRef(e.FuncCall.Args[0], covers)
			if column == "" {
				return sample{}
			}
			v := s.column(column)
			if v.kind != numberSample {
				return sample{}
			}
			away := s.choose("away "+name+" "+column, func() []sample { return s.numeric(0, 1e9, true, 0, 1, 1000) })
			if name == "min" {
				return sampleNumber(v.n - away.n)
			}
			return sampleNumber(v.n + away.n)
		}
	}
	return sample{}
}

// aggregates reports whether a call is of an aggregate.
func (t *limits) aggregates(f *pg.FuncCall) bool {
	return f.AggStar || slices.ContainsFunc(t.p.names.functions(strs(f.Funcname)), func(f *catalog.Function) bool { return f.Kind == 'a' })
}

func (t *limits) returnsSet(f *pg.FuncCall) bool {
	return slices.ContainsFunc(t.p.names.functions(strs(f.Funcname)), func(f *catalog.Function) bool { return f.ReturnsSet })
}

// empty reports whether a query gives no row whatever is in the tables.
func (t *limits) empty(sel *pg.SelectStmt) bool {
	if sel.Op != pg.SetOperation_SETOP_NONE {
		return false
	}
	if c, ok := t.fold(sel.LimitCount); ok && c.num != nil && c.num.Cmp(new(big.Float)) == 0 {
		return true
	}
	return sel.WhereClause != nil && t.truth(sel.WhereClause) == never && (len(sel.GroupClause) > 0 || !slices.ContainsFunc(sel.TargetList, func(n *pg.Node) bool {
		f := n.GetResTarget().GetVal().GetFuncCall()
		return f != nil && t.aggregates(f)
	}))
}
