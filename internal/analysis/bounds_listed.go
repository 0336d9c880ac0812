package analysis

import (
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A predicate may find its constants in rows that the text lists:
//
//	DELETE FROM t USING (VALUES (0)) v(a) WHERE t.id > v.a
//
// Here they are put in their places, once for each row, and what is left is a
// predicate over the target alone.

// A valueTable is an entry of a FROM of which every row is in the text.
type valueTable struct {
	alias       string
	columns     []string
	rows        [][]*pg.Node
	notFollowed bool // made of the text in a way that is not followed
}

// notFollowed stands for a value that is made of the text in a way that is not
// followed: what function calls, aggregates and LIMIT make of constants.
var notFollowed = &pg.Node{Node: &pg.Node_ParamRef{ParamRef: &pg.ParamRef{}}}

// hasNotFollowed reports whether there is such a value in n.
func hasNotFollowed(n *pg.Node) bool {
	found := false
	walk(n, func(m *pg.Node) { found = found || m.GetParamRef() != nil && m.GetParamRef().Number == 0 })
	return found
}

const (
	maxListed      = 1000 // rows
	maxTogether    = 32   // that are judged as one predicate
	maxListedDepth = 8
)

// boundByListed judges a predicate that limits a write as it stands, with what is
// known of parameters and variables and the rows that are listed in FROM in their
// places. It reports whether it limits it then,
// and whether that rests on arguments.
func (t *limits) boundByListed(where *pg.Node, from []*pg.Node) (limited, byArguments bool) {
	known := t.valued(where)
	preds, from, ok := t.unlisted(known, from)
	if !ok {
		if known == where {
			return true, t.byArguments(where, from)
		}
		preds = []*pg.Node{known}
	}
	open := slices.Clone(preds)
	if len(open) > maxTogether {
		open = slices.DeleteFunc(open, func(n *pg.Node) bool { return slices.ContainsFunc(conjuncts(n), t.pins) })
	}
	if len(open) <= maxTogether {
		open = []*pg.Node{anyOfThese(open)}
	}
	for _, n := range open {
		if n == nil {
			continue // no row, or each with a key
		}
		if !t.p.step() || t.all(n) || !t.limiting(n) || t.joinsItself(n, t.covers(from, t.withs(), 0)) {
			return false, false
		}
		if t.byArguments(n, from) {
			if hasNotFollowed(n) && !hasArgument(n) {
				return false, false
			}
			byArguments = true
		}
	}
	return true, byArguments
}

// unlisted returns a predicate once for each combination of the rows listed in a
// FROM, which stand for their columns in it, and what else is in that FROM. It is
// false where no rows are listed.
func (t *limits) unlisted(where *pg.Node, from []*pg.Node) (preds, rest []*pg.Node, ok bool) {
	tables, rest, quals := t.tables(from, t.withs(), 0)
	inner := t.unlistedWithin(both(where, quals), t.withs(), 0)
	if len(tables) == 0 && proto.Equal(inner, where) {
		return nil, from, false
	}
	rows, ok := combined(tables)
	if !ok {
		return nil, from, false
	}
	for _, row := range rows {
		preds = append(preds, filled(inner, tables, row))
	}
	return preds, rest, true
}

// tables are the listed entries of a FROM, what else is in it, and what its inner
// joins ask for.
func (t *limits) tables(from []*pg.Node, w withs, depth int) (tables []valueTable, rest []*pg.Node, quals *pg.Node) {
	if depth > maxListedDepth || !t.p.step() {
		return nil, from, nil
	}
	entries, quals := flattened(from)
	for _, n := range entries {
		if l, ok := t.table(n, w, depth); ok {
			tables = append(tables, l)
		} else {
			rest = append(rest, n)
		}
	}
	if len(tables) == 0 {
		return nil, from, nil
	}
	return tables, rest, quals
}

// flattened are the entries of a FROM without its inner joins, and what these ask
// for.
func flattened(from []*pg.Node) (entries []*pg.Node, quals *pg.Node) {
	for _, n := range from {
		j := n.GetJoinExpr()
		if j == nil || j.Jointype != pg.JoinType_JOIN_INNER || j.IsNatural || len(j.UsingClause) > 0 || j.Alias != nil {
			entries = append(entries, n)
			continue
		}
		inner, q := flattened([]*pg.Node{j.Larg, j.Rarg})
		entries, quals = append(entries, inner...), both(quals, both(q, j.Quals))
	}
	return entries, quals
}

// table reads an entry of a FROM whose rows are in the text.
func (t *limits) table(n *pg.Node, w withs, depth int) (l valueTable, ok bool) {
	var alias *pg.Alias
	switch e := n.GetNode().(type) {
	case *pg.Node_RangeSubselect:
		alias = e.RangeSubselect.Alias
		l, ok = t.query(e.RangeSubselect.Subquery.GetSelectStmt(), w, depth+1)
	case *pg.Node_RangeVar:
		if e.RangeVar.Schemaname != "" {
			return l, false
		}
		q, sees := w.find(t.p, e.RangeVar.Relname)
		if q == nil {
			return l, false
		}
		alias = e.RangeVar.Alias
		l, ok = t.query(q.GetCtequery().GetSelectStmt(), sees, depth+1)
		l.columns = renamed(l.columns, strs(q.Aliascolnames))
		l.alias = e.RangeVar.Relname
	case *pg.Node_RangeFunction:
		alias = e.RangeFunction.Alias
		if l, ok = t.unnested(e.RangeFunction); !ok && t.ofText(n, w) {
			l, ok = valueTable{columns: []string{""}, rows: [][]*pg.Node{{notFollowed}}, notFollowed: true}, true
			for i, def := range e.RangeFunction.Coldeflist {
				if i > 0 {
					l.columns, l.rows[0] = append(l.columns, ""), append(l.rows[0], notFollowed)
				}
				l.columns[i] = def.GetColumnDef().GetColname()
			}
		}
	}
	if alias != nil {
		if l.alias = alias.Aliasname; n.GetRangeFunction() != nil && len(l.columns) == 1 && len(n.GetRangeFunction().Coldeflist) == 0 {
			l.columns = []string{alias.Aliasname}
		}
		l.columns = renamed(l.columns, strs(alias.Colnames))
	}
	return l, ok && len(l.rows) > 0
}

// query reads a query whose rows are made of the text.
func (t *limits) query(sel *pg.SelectStmt, w withs, depth int) (valueTable, bool) {
	if l, ok := t.list(sel, w, depth); ok {
		return l, true
	}
	if sel == nil || !t.ofText(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: sel}}, w) {
		return valueTable{}, false
	}
	l := valueTable{notFollowed: true, rows: [][]*pg.Node{nil}}
	for sel.Larg != nil {
		sel = sel.Larg
	}
	for _, n := range sel.TargetList {
		name := n.GetResTarget().GetName()
		if name == "" {
			name = t.p.columnName(n.GetResTarget().GetVal())
		}
		l.columns, l.rows[0] = append(l.columns, name), append(l.rows[0], notFollowed)
	}
	return l, true
}

// ofText reports whether all that n reads is in the text, no relation, and no
// function but the server's own; and that it is more than an expression.
func (t *limits) ofText(n *pg.Node, w withs) bool {
	own, made := t.readsText(n, w, map[*pg.CommonTableExpr]bool{})
	return own && made
}

func (t *limits) readsText(n *pg.Node, w withs, seen map[*pg.CommonTableExpr]bool) (own, made bool) {
	own = t.p.step()
	within := map[string]bool{}
	walk(n, func(m *pg.Node) {
		if c := m.GetCommonTableExpr(); c != nil {
			within[c.Ctename] = true
		}
	})
	walk(n, func(m *pg.Node) {
		if !own {
			return
		}
		switch e := m.GetNode().(type) {
		case *pg.Node_RangeVar:
			made = true
			if e.RangeVar.Schemaname != "" {
				own = false
			} else if !within[e.RangeVar.Relname] {
				q, sees := w.find(t.p, e.RangeVar.Relname)
				if own = q != nil; own && !seen[q] {
					seen[q] = true
					own, _ = t.readsText(&pg.Node{Node: &pg.Node_CommonTableExpr{CommonTableExpr: q}}, sees, seen)
				}
			}
		case *pg.Node_RangeFunction, *pg.Node_RangeSubselect, *pg.Node_RangeTableFunc:
			made = true
		case *pg.Node_FuncCall:
			fs := t.p.names.functions(strs(e.FuncCall.Funcname))
			own = slices.ContainsFunc(fs, func(f *catalog.Function) bool { return f.Schema == "pg_catalog" })
			made = made || t.returnsSet(e.FuncCall) || t.aggregates(e.FuncCall)
		}
	})
	return own, made
}

func renamed(columns, names []string) []string {
	columns = slices.Clone(columns)
	copy(columns, names)
	return columns
}

// unnested reads unnest(ARRAY[...]).
func (t *limits) unnested(f *pg.RangeFunction) (l valueTable, ok bool) {
	if len(f.Functions) != 1 || f.Ordinality || len(f.Functions[0].GetList().GetItems()) == 0 {
		return l, false
	}
	call := f.Functions[0].GetList().Items[0].GetFuncCall()
	if lastOf(call.GetFuncname()) != "unnest" || len(call.Args) != 1 {
		return l, false
	}
	items, ok := t.elements(call.Args[0])
	l = valueTable{alias: "unnest", columns: []string{"unnest"}}
	for _, n := range items {
		l.rows = append(l.rows, []*pg.Node{n})
	}
	return l, ok && t.constant(l.rows)
}

// list reads a query whose rows are in the text.
func (t *limits) list(sel *pg.SelectStmt, w withs, depth int) (l valueTable, ok bool) {
	if sel == nil || depth > maxListedDepth || !t.p.step() || len(sel.GroupClause) > 0 || sel.HavingClause != nil || sel.LimitOffset != nil || sel.LimitCount != nil || len(sel.WindowClause) > 0 {
		return l, false
	}
	w = w.and(sel.WithClause)
	switch {
	case sel.Op == pg.SetOperation_SETOP_UNION:
		left, ok := t.list(sel.Larg, w, depth+1)
		right, ok2 := t.list(sel.Rarg, w, depth+1)
		left.rows = append(slices.Clip(left.rows), right.rows...)
		return left, ok && ok2 && len(left.rows) <= maxListed && len(left.columns) == len(right.columns)
	case sel.Op != pg.SetOperation_SETOP_NONE:
		return l, false
	case len(sel.ValuesLists) > 0:
		if len(sel.ValuesLists) > maxListed {
			return l, false
		}
		for _, row := range sel.ValuesLists {
			l.rows = append(l.rows, row.GetList().GetItems())
		}
		for i := range l.rows[0] {
			l.columns = append(l.columns, "column"+strconv.Itoa(i+1))
		}
		return l, t.constant(l.rows)
	}
	tables, rest, quals := t.tables(sel.FromClause, w, depth+1)
	if len(rest) > 0 {
		return l, false
	}
	where := both(sel.WhereClause, quals)
	rows, ok := combined(tables)
	if !ok {
		return l, false
	}
	for _, row := range rows {
		if where != nil {
			c, ok := t.fold(filled(where, tables, row))
			if !ok {
				return l, false
			}
			if !c.isTrue() {
				continue
			}
		}
		var values []*pg.Node
		l.columns = l.columns[:0]
		for _, n := range sel.TargetList {
			names, fields := t.targets(n.GetResTarget(), tables, row)
			l.columns, values = append(l.columns, names...), append(values, fields...)
		}
		l.rows = append(l.rows, values)
	}
	return l, t.constant(l.rows)
}

// targets returns the columns of an output: several for a star.
func (t *limits) targets(target *pg.ResTarget, tables []valueTable, row []int) (names []string, values []*pg.Node) {
	ref := target.GetVal().GetColumnRef()
	if ref == nil || ref.Fields[len(ref.Fields)-1].GetAStar() == nil {
		name := target.GetName()
		if name == "" {
			name = t.p.columnName(target.GetVal())
		}
		return []string{name}, []*pg.Node{filled(target.GetVal(), tables, row)}
	}
	of := strs(ref.Fields)
	for i, l := range tables {
		if len(of) == 0 || of[len(of)-1] == l.alias {
			names, values = append(names, l.columns...), append(values, l.rows[row[i]]...)
		}
	}
	return names, values
}

// constant reports whether rows are the same whenever they are read.
func (t *limits) constant(rows [][]*pg.Node) bool {
	for _, row := range rows {
		if len(row) != len(rows[0]) || slices.ContainsFunc(row, func(n *pg.Node) bool { return n == nil || n.GetSetToDefault() != nil || t.varies(n) || t.ofManyRows(n) }) {
			return false
		}
	}
	return true
}

// ofManyRows reports whether an expression is of many rows.
func (t *limits) ofManyRows(n *pg.Node) bool {
	found := false
	walk(n, func(m *pg.Node) {
		if f := m.GetFuncCall(); f != nil {
			found = found || f.Over != nil || t.aggregates(f)
		}
	})
	return found
}

// unlistedWithin puts the rows that subqueries of a predicate list in the place of
// these subqueries.
func (t *limits) unlistedWithin(n *pg.Node, w withs, depth int) *pg.Node {
	if n == nil || depth > maxListedDepth {
		return n
	}
	has := false
	walk(n, func(m *pg.Node) { has = has || m.GetSubLink() != nil })
	if !has {
		return n
	}
	n = proto.Clone(n).(*pg.Node)
	walk(n, func(m *pg.Node) {
		l := m.GetSubLink()
		if l == nil {
			return
		}
		exists := l.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK
		if sel := t.unlistedQuery(l.Subselect.GetSelectStmt(), exists, w, depth+1); sel != nil {
			l.Subselect = &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: sel}}
			if values, ok := oneColumn(sel.ValuesLists); ok {
				array := &pg.Node{Node: &pg.Node_AArrayExpr{AArrayExpr: &pg.A_ArrayExpr{Elements: values}}}
				replaceQuery(m, array, values)
			}
			return
		}
		if !exists && t.ofText(l.Subselect, w) && !t.mentions(l.Subselect) && !t.mentionsOthers(l.Subselect) {
			replaceQuery(m, notFollowed, []*pg.Node{notFollowed})
		}
	})
	return n
}

// replaceQuery puts what a query of one column gives in its place.
func replaceQuery(n, array *pg.Node, values []*pg.Node) {
	l := n.GetSubLink()
	kind := pg.A_Expr_Kind_AEXPR_OP_ANY
	switch l.SubLinkType {
	case pg.SubLinkType_ALL_SUBLINK:
		kind = pg.A_Expr_Kind_AEXPR_OP_ALL
	case pg.SubLinkType_ANY_SUBLINK:
	case pg.SubLinkType_ARRAY_SUBLINK:
		n.Node = array.Node
		return
	default:
		if len(values) == 1 {
			n.Node = values[0].Node
		}
		return
	}
	op := l.OperName
	if len(op) == 0 {
		op = []*pg.Node{pg.MakeStrNode("=")}
	}
	n.Node = &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: kind, Name: op, Lexpr: l.Testexpr, Rexpr: array}}
}

// oneColumn are the values of a VALUES of one column.
func oneColumn(lists []*pg.Node) (values []*pg.Node, ok bool) {
	for _, n := range lists {
		if len(n.GetList().GetItems()) != 1 {
			return nil, false
		}
		values = append(values, n.GetList().Items[0])
	}
	return values, len(values) > 0
}

// unlistedQuery returns a query without the FROM in which its rows were listed, or
// nil. Of one that is only asked whether it has a row, that is kept.
func (t *limits) unlistedQuery(sel *pg.SelectStmt, exists bool, w withs, depth int) *pg.SelectStmt {
	if sel == nil || len(sel.FromClause) == 0 || sel.Op != pg.SetOperation_SETOP_NONE || len(sel.GroupClause) > 0 || sel.HavingClause != nil ||
		sel.LimitOffset != nil || sel.LimitCount != nil && !exists || len(sel.WindowClause) > 0 {
		return nil
	}
	tables, rest, quals := t.tables(sel.FromClause, w.and(sel.WithClause), depth)
	if len(rest) > 0 || slices.ContainsFunc(sel.TargetList, func(n *pg.Node) bool { return t.ofManyRows(n) }) {
		return nil
	}
	where := both(sel.WhereClause, quals)
	rows, ok := combined(tables)
	if !ok {
		return nil
	}
	var conds, lists []*pg.Node
	for _, row := range rows {
		if where != nil {
			conds = append(conds, filled(where, tables, row))
		}
		list := &pg.List{}
		for _, n := range sel.TargetList {
			_, values := t.targets(n.GetResTarget(), tables, row)
			list.Items = append(list.Items, values...)
		}
		lists = append(lists, &pg.Node{Node: &pg.Node_List{List: list}})
	}
	out := &pg.SelectStmt{Op: pg.SetOperation_SETOP_NONE, LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT}
	switch {
	case where == nil && !exists:
		out.ValuesLists = lists
	case len(rows) == 1 || exists:
		for _, n := range lists[0].GetList().Items {
			out.TargetList = append(out.TargetList, &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: n}}})
		}
		if where != nil {
			out.WhereClause = anyOfThese(conds)
		}
	default:
		return nil
	}
	return out
}

// filled returns n with the values of a row in the place of its columns.
func filled(n *pg.Node, tables []valueTable, row []int) *pg.Node {
	if n == nil || len(tables) == 0 {
		return n
	}
	n = proto.Clone(n).(*pg.Node)
	var descend func(m protoreflect.Message, hidden []string, open bool)
	descend = func(m protoreflect.Message, hidden []string, open bool) {
		switch e := m.Interface().(type) {
		case *pg.Node:
			if ref := e.GetColumnRef(); ref != nil {
				if v := listedValue(strs(ref.Fields), tables, row, hidden, open); v != nil {
					e.Node = v.Node
				}
				return
			}
		case *pg.SelectStmt:
			hidden = slices.Clip(hidden)
			for _, f := range e.FromClause {
				open = false
				walk(f, func(g *pg.Node) {
					switch {
					case g.GetRangeVar() != nil:
						hidden = append(hidden, rvAlias(g.GetRangeVar()))
					case g.GetRangeSubselect() != nil:
						hidden = append(hidden, g.GetRangeSubselect().GetAlias().GetAliasname())
					case g.GetRangeFunction() != nil:
						hidden = append(hidden, g.GetRangeFunction().GetAlias().GetAliasname())
					}
				})
			}
		}
		each(m, func(child protoreflect.Message) { descend(child, hidden, open) })
	}
	descend(n.ProtoReflect(), nil, true)
	return n
}

// listedValue is what a column reference means in a row, or nil. In a subquery
// with a FROM of its own a name alone could be of that.
func listedValue(names []string, tables []valueTable, row []int, hidden []string, open bool) *pg.Node {
	if len(names) == 0 || len(names) > 2 || len(names) == 2 && slices.Contains(hidden, names[0]) || len(names) == 1 && !open {
		return nil
	}
	for i, l := range tables {
		if len(names) == 2 && names[0] != l.alias {
			continue
		}
		if l.notFollowed && (len(names) == 2 || slices.Contains(l.columns, names[0])) {
			return notFollowed
		}
		if c := slices.Index(l.columns, names[len(names)-1]); c >= 0 && c < len(l.rows[row[i]]) {
			return l.rows[row[i]][c]
		}
	}
	return nil
}

// combined are the rows of a join without a condition, as the index of each
// table's row. It is false for too many.
func combined(tables []valueTable) ([][]int, bool) {
	all := [][]int{nil}
	for _, l := range tables {
		var more [][]int
		for _, row := range all {
			for i := range l.rows {
				more = append(more, append(slices.Clip(row), i))
			}
		}
		if all = more; len(all) > maxListed {
			return nil, false
		}
	}
	return all, true
}

// anyOfThese returns the predicate that one of several is true; nil for none.
func anyOfThese(list []*pg.Node) *pg.Node {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_OR_EXPR, Args: list}}}
}
