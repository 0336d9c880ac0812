package analysis

import (
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A write of one row, again and again for every row, is no more limited than one
// of all rows.

// A loop runs its body once for each row of a query or each number of a series.
// One that has neither goes on until it is left.
type loop struct {
	names   []string // of the variables; one may be a record
	query   *pg.SelectStmt
	series  *pg.FuncCall
	cursor  string
	endless bool
	call    bool       // of a function, for each row of a query
	name    string     // of the function
	args    []*pg.Node // of the call that are constants, else nil; by name
	byArgs  bool       // the statement's arguments are among them
	steps   []loop     // what an endless loop assigns to its variables as it goes
}

// looping returns p for the body of a loop.
func (p *part) looping(fr *plFrame, s *plStmt) *part {
	if !p.asked() {
		return p
	}
	var l loop
	for _, v := range s.targets {
		l.names = append(l.names, v.name[len(v.name)-1])
	}
	switch s.kind {
	case plForQuery:
		l.query = p.parsed(fr, s.sql).GetSelectStmt()
	case plForCursor:
		l.cursor = s.cursor[len(s.cursor)-1]
		if d := p.cursorDecl(fr, s.cursor); d != nil {
			l.query = p.parsed(fr, d.cursor).GetSelectStmt()
		}
	case plForDynamic:
		if list := p.texts(fr, s.sql); len(list) == 1 {
			l.query = p.parsed(fr, list[0]).GetSelectStmt()
		}
	case plForeach:
		l.query = p.parsed(fr, "SELECT unnest("+s.exprs[0]+")").GetSelectStmt()
	case plLoop, plWhile:
		l.endless = true
		ends := slices.Clone(s.exprs)
		for each := range nested(s.body) {
			if each.kind == plExit {
				ends = append(ends, each.exprs...)
			}
		}
		for each := range nested(s.body) {
			if next := p.stepOf(fr, each, ends); next.query != nil || next.series != nil {
				l.steps = append(l.steps, next)
			}
		}
	case plForInteger:
		l.series = &pg.FuncCall{Funcname: []*pg.Node{pg.MakeStrNode("generate_series")}}
		for _, e := range s.exprs {
			if sel := p.parsed(fr, "SELECT "+e).GetSelectStmt(); len(sel.GetTargetList()) == 1 {
				l.series.Args = append(l.series.Args, sel.TargetList[0].GetResTarget().GetVal())
			}
		}
	}
	q := *p
	q.loops = append(slices.Clip(p.loops), l)
	return &q
}

// nested visits statements and those within them.
func nested(list []plStmt) func(yield func(*plStmt) bool) {
	return func(yield func(*plStmt) bool) {
		var visit func(list []plStmt) bool
		visit = func(list []plStmt) bool {
			for i := range list {
				s := &list[i]
				if !yield(s) || !visit(s.body) || s.block != nil && !visit(s.block.body) {
					return false
				}
				for _, a := range s.arms {
					if !visit(a.body) {
						return false
					}
				}
			}
			return true
		}
		visit(list)
	}
}

// stepOf returns what a statement of an endless loop gives to its variables: each
// row of a query, one after the other, or the next number. ends are the conditions
// on which the loop goes on or is left.
func (p *part) stepOf(fr *plFrame, s *plStmt, ends []string) (l loop) {
	for _, v := range s.targets {
		l.names = append(l.names, v.name[len(v.name)-1])
	}
	switch {
	case len(l.names) == 0:
	case s.kind == plSQL:
		l.query = p.parsed(fr, s.sql).GetSelectStmt()
	case s.kind == plFetch:
		l.cursor = s.cursor[len(s.cursor)-1]
		if d := p.cursorDecl(fr, s.cursor); d != nil {
			l.query = p.parsed(fr, d.cursor).GetSelectStmt()
		}
	case s.kind == plAssign:
		sel := p.parsed(fr, "SELECT "+s.exprs[0]).GetSelectStmt()
		if len(sel.GetTargetList()) != 1 {
			break
		}
		v := sel.TargetList[0].GetResTarget().GetVal()
		if sub := v.GetSubLink(); sub != nil {
			l.query = sub.Subselect.GetSelectStmt()
		} else if e := v.GetAExpr(); e != nil && opName(e) == "+" && lastName(e.Lexpr.GetColumnRef()) == l.names[0] {
			most := pg.MakeAConstIntNode(manyInSeries, -1)
			for _, end := range ends {
				if n := p.endOf(fr, end, l.names[0]); n != nil {
					most = n
				}
			}
			l.series = &pg.FuncCall{Funcname: []*pg.Node{pg.MakeStrNode("generate_series")}, Args: []*pg.Node{pg.MakeAConstIntNode(1, -1), most}}
		}
	}
	if l.query != nil {
		l.query = again(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: l.query}}).GetSelectStmt()
	}
	return l
}

// endOf returns the constant that a variable is compared with in a condition.
func (p *part) endOf(fr *plFrame, cond, name string) (n *pg.Node) {
	for _, r := range p.parsed(fr, "SELECT "+cond).GetSelectStmt().GetTargetList() {
		walk(r, func(m *pg.Node) {
			if e := m.GetAExpr(); e != nil && lastName(e.Lexpr.GetColumnRef()) == name && e.Rexpr.GetAConst() != nil {
				n = e.Rexpr
			}
		})
	}
	return n
}

// again returns n as it is met again and again: rows of which a query takes some
// at a time, the first, the least, are all taken in the end.
func again(n *pg.Node) *pg.Node {
	n = proto.Clone(n).(*pg.Node)
	walk(n, func(m *pg.Node) {
		if e := m.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP && opName(e) == "=" {
			if sub := e.Rexpr.GetSubLink(); sub != nil && sub.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
				sub.SubLinkType, sub.Testexpr = pg.SubLinkType_ANY_SUBLINK, e.Lexpr
				m.Node = e.Rexpr.Node
			}
		}
		sel := m.GetSelectStmt()
		if sel == nil {
			return
		}
		sel.LimitCount, sel.LimitOffset = nil, nil
		if len(sel.TargetList) == 1 && len(sel.GroupClause) == 0 {
			r := sel.TargetList[0].GetResTarget()
			if f := r.GetVal().GetFuncCall(); f != nil && len(f.Args) == 1 && (lastOf(f.Funcname) == "min" || lastOf(f.Funcname) == "max") {
				r.Val = f.Args[0]
			}
		}
	})
	return n
}

// everyRow reports whether the loops around a write meet every row of the
// relation by its predicate.
func (t *limits) everyRow(where *pg.Node) bool {
	var list []cover
	loops := t.p.loops
	if i := slices.IndexFunc(loops, func(l loop) bool { return l.endless }); i >= 0 {
		if where = again(where); t.all(where) {
			return true
		}
	}
	for _, l := range t.p.loops {
		loops = append(slices.Clip(loops), l.steps...)
	}
	if len(loops) > 0 && loops[0].call {
		where = byName(where, loops[0].names)
	}
	for _, l := range loops {
		var cols outputs
		switch {
		case l.query != nil:
			cols = t.coveredBy(l.query, t.withs(), 0)
		case l.series != nil && len(l.names) == 1 && len(l.series.Args) >= 2:
			if cols = t.series(l.series, l.names[0]); cols == nil { // REVERSE
				back := []*pg.Node{l.series.Args[1], l.series.Args[0]}
				cols = t.series(&pg.FuncCall{Funcname: l.series.Funcname, Args: append(back, l.series.Args[2:]...)}, l.names[0])
			}
		}
		switch {
		case cols == nil:
		case len(l.names) == 1 && len(cols) > 1:
			list = append(list, cover{l.names[0], cols})
		case len(l.names) == 1 && l.series == nil: // a record, or not
			list = append(list, cover{l.names[0], cols}, cover{"", cols.named(l.names)})
		default:
			list = append(list, cover{"", cols.named(l.names)})
		}
	}
	return t.joinsItself(where, list)
}

// everyRowOf reports whether the loops around a write at a cursor's row may take
// it over every row.
func (t *limits) everyRowOf(cursor string) bool {
	for _, l := range t.p.loops {
		for _, s := range append([]loop{l}, l.steps...) {
			if s.cursor == cursor && s.query != nil {
				return t.coveredBy(s.query, t.withs(), 0) != nil
			}
		}
		if l.query == nil {
			return true
		}
	}
	return false
}

// A function that a query calls is called for each of its rows: its parameters
// are the variables of a loop over what it is given.

// A passing is a call in a query.
type passing struct {
	call  *pg.FuncCall
	query *pg.SelectStmt
}

// calling notes a call in a query, until the function is called that is returned.
func (p *part) calling(fc *pg.FuncCall, sc *scope) (done func()) {
	before := p.passed
	p.passed = passing{call: fc}
	if sc != nil {
		p.passed.query = sc.query
	}
	return func() { p.passed = before }
}

// without returns a condition without those of its parts that a call stands in.
func (p *part) without(where *pg.Node, fc *pg.FuncCall) *pg.Node {
	if where == nil {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(conjuncts(where)), func(n *pg.Node) bool {
		in := false
		walk(n, func(m *pg.Node) { in = !p.step() || in || m.GetFuncCall() == fc })
		return in
	})
	if len(rest) == 0 {
		return nil
	}
	return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_AND_EXPR, Args: rest}}}
}

// perRow returns the loop that a function's body stands in where it is called for
// each row of a query, or none.
func (p *part) perRow(f *catalog.Function) []loop {
	fc, sel := p.passed.call, p.passed.query
	if fc == nil || len(f.Args) == 0 || len(fc.Args) > len(f.Args) || fc.FuncVariadic || !p.asked() {
		return nil
	}
	if sel == nil { // CALL, or an expression
		sel = &pg.SelectStmt{Op: pg.SetOperation_SETOP_NONE}
	}
	l := loop{call: true, name: f.Name, query: &pg.SelectStmt{FromClause: sel.FromClause, WhereClause: p.without(sel.WhereClause, fc), GroupClause: sel.GroupClause,
		HavingClause: sel.HavingClause, LimitCount: sel.LimitCount, LimitOffset: sel.LimitOffset, WithClause: sel.WithClause, Op: sel.Op}}
	pass := func(name string, n *pg.Node) {
		l.names = append(l.names, name)
		l.query.TargetList = append(l.query.TargetList, pg.MakeResTargetNodeWithVal(n, -1))
		l.args = append(l.args, p.passedConstant(n, &l))
	}
	for i, a := range fc.Args {
		if named := a.GetNamedArgExpr(); named != nil {
			pass(named.Name, named.Arg)
			continue
		}
		pass(nameOf(f, i), a)
	}
	for i, n := range p.defaultNodes(f) {
		if name := nameOf(f, len(f.Args)-f.Defaults+i); !slices.Contains(l.names, name) {
			pass(name, n)
		}
	}
	return []loop{l}
}

// defaultNodes are the defaults of the last parameters.
func (p *part) defaultNodes(f *catalog.Function) (list []*pg.Node) {
	if f.Defaults == 0 || !p.charge(f.DefaultExprs) {
		return nil
	}
	tree, err := parseSQL("SELECT " + f.DefaultExprs)
	if err != nil || len(tree.Stmts) != 1 {
		return nil
	}
	for _, n := range tree.Stmts[0].Stmt.GetSelectStmt().GetTargetList() {
		list = append(list, n.GetResTarget().GetVal())
	}
	if len(list) != f.Defaults {
		return nil
	}
	return list
}

// nameOf is the name of a parameter, $1 for one without.
func nameOf(f *catalog.Function, i int) string {
	if i >= 0 && i < len(f.ArgNames) && f.ArgNames[i] != "" {
		return f.ArgNames[i]
	}
	return parameterName(int32(i + 1))
}

func parameterName(number int32) string { return "$" + strconv.Itoa(int(number)) }

// byName returns n with names in the place of a function's parameters.
func byName(n *pg.Node, names []string) *pg.Node {
	if !hasParam(n) {
		return n
	}
	n = proto.Clone(n).(*pg.Node)
	walk(n, func(m *pg.Node) {
		if ref := m.GetParamRef(); ref != nil {
			name := parameterName(ref.Number)
			if i := int(ref.Number) - 1; i >= 0 && i < len(names) {
				name = names[i]
			}
			m.Node = &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: []*pg.Node{pg.MakeStrNode(name)}}}
		}
	})
	return n
}
