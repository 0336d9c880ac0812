package analysis

import (
	"math"
	"math/big"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

var between = map[pg.A_Expr_Kind]pg.A_Expr_Kind{
	pg.A_Expr_Kind_AEXPR_BETWEEN:         pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
	pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:     pg.A_Expr_Kind_AEXPR_BETWEEN,
	pg.A_Expr_Kind_AEXPR_BETWEEN_SYM:     pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM,
	pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM: pg.A_Expr_Kind_AEXPR_BETWEEN_SYM,
}

// overlapping reports whether x < a OR x > b covers everything: a > b.
func (t *limits) overlapping(e, f *pg.A_Expr) bool {
	if !t.same(e.Lexpr, f.Lexpr) {
		return false
	}
	a, ok := t.fold(e.Rexpr)
	b, ok2 := t.fold(f.Rexpr)
	if !ok || !ok2 || a.num == nil || b.num == nil {
		return false
	}
	if o := opName(e); o == ">" || o == ">=" {
		e, f, a, b = f, e, b, a
	}
	below, above := opName(e), opName(f)
	return (below == "<" || below == "<=") && (above == ">" || above == ">=") && a.num.Cmp(b.num) > 0 ||
		below == "<>" && above == "<>" && a.num.Cmp(b.num) != 0
}

// comparison judges an operator expression.
func (t *limits) comparison(e *pg.A_Expr) verdict {
	op := opName(e)
	l, r := e.Lexpr, e.Rexpr
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if t.null(l) || t.null(r) {
			return never
		}
		switch op {
		case "=", ">=", "<=":
			// A NULL makes it NULL; excluding these only is no limit that anybody
			// would mean.
			if t.same(l, r) {
				return always
			}
		case "<>", "<", ">":
			if t.same(l, r) {
				return never
			}
		}
		if v := t.shifted(l, op, r); v != depends {
			return v
		}
		switch op {
		case "~", "~*":
			if t.matchesAll(r, regexAll) {
				return always
			}
		case "~~", "~~*":
			if t.matchesAll(r, likeAll) {
				return always
			}
		case "^@":
			if t.isText(r, "") {
				return always
			}
		case "@>", "<@":
			if t.same(l, r) {
				return always
			}
		}
		if v := t.range_(l, op, r); v != depends {
			return v
		}
		if t.everyKey(l, op, r) || mirrored[op] != "" && t.everyKey(r, mirrored[op], l) {
			return always
		}
		if m, ok := mirrored[op]; ok {
			if v := t.range_(r, m, l); v != depends {
				return v
			}
		}
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		if t.same(l, r) {
			return always
		}
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		// IS DISTINCT FROM NULL is IS NOT NULL.
		if t.null(r) && t.nullness(l) == never {
			return always
		}
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE:
		if !strings.HasPrefix(op, "!") && (t.matchesAll(r, likeAll) || t.same(l, r)) {
			return always
		}
		if strings.HasPrefix(op, "!") && t.matchesAll(r, func(s string) bool { return s == "" }) {
			return depends
		}
	case pg.A_Expr_Kind_AEXPR_SIMILAR:
		if !strings.HasPrefix(op, "!") && t.matchesAll(similarPattern(r), likeAll) {
			return always
		}
	case pg.A_Expr_Kind_AEXPR_IN:
		for _, i := range r.GetList().GetItems() {
			if op == "=" && t.same(l, i) {
				return always
			}
		}
		if op == "=" && t.bothTruths(r.GetList().GetItems()) && t.nullness(l) == never {
			return always
		}
	case pg.A_Expr_Kind_AEXPR_OP_ANY:
		if a := r.GetAArrayExpr(); a != nil && op == "=" {
			for _, i := range a.Elements {
				if t.same(l, i) {
					return always
				}
			}
		}
		if s := t.bare(r).GetSubLink(); s != nil && op == "=" && t.ownColumn(l, s.Subselect) {
			return always
		}
	case pg.A_Expr_Kind_AEXPR_OP_ALL:
		if a := r.GetAArrayExpr(); a != nil && !slices.ContainsFunc(a.Elements, func(i *pg.Node) bool { return op != "=" || !t.same(l, i) }) {
			return always
		}
		if c, ok := t.fold(r); ok && c.text != nil && *c.text == "{}" {
			return always
		}
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM:
		items := r.GetList().GetItems()
		if len(items) != 2 {
			return depends
		}
		lower := t.same(l, items[0]) || t.range_(l, ">=", items[0]) == always
		upper := t.same(l, items[1]) || t.range_(l, "<=", items[1]) == always
		if lower && upper {
			return always
		}
	}
	return depends
}

// bothTruths reports whether a list has true and false.
func (t *limits) bothTruths(list []*pg.Node) bool {
	var yes, no bool
	for _, n := range list {
		c, ok := t.fold(n)
		yes, no = yes || ok && c.isTrue(), no || ok && c.isFalse()
	}
	return yes && no
}

// shifted judges x + 1 > x and its kin.
func (t *limits) shifted(l *pg.Node, op string, r *pg.Node) verdict {
	lx, ld := t.shift(l)
	rx, rd := t.shift(r)
	if ld.Cmp(rd) == 0 || !t.same(lx, rx) {
		return depends
	}
	if c, ok := foldNumbers(op, ld, rd); ok && c.b != nil {
		return map[bool]verdict{true: always, false: never}[*c.b]
	}
	return depends
}

// shift splits x + 1 into x and 1.
func (t *limits) shift(n *pg.Node) (*pg.Node, *big.Float) {
	if e := n.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP && e.Lexpr != nil {
		l, lconst := t.fold(e.Lexpr)
		r, rconst := t.fold(e.Rexpr)
		switch op := opName(e); {
		case lconst == rconst:
		case rconst && r.num != nil && op == "+":
			return e.Lexpr, r.num
		case rconst && r.num != nil && op == "-":
			return e.Lexpr, new(big.Float).Neg(r.num)
		case lconst && l.num != nil && op == "+":
			return e.Rexpr, l.num
		}
	}
	return n, new(big.Float)
}

// everyKey reports whether a comparison holds for every key that is a number
// from 1 up, as generated keys are: the usual way around a check for WHERE.
func (t *limits) everyKey(l *pg.Node, op string, r *pg.Node) bool {
	col := t.column(t.bare(l))
	c, ok := t.fold(r)
	if col == nil || !ok || c.num == nil || !slices.ContainsFunc(t.rel.Keys, func(k []int16) bool { return len(k) == 1 && k[0] == col.Num }) {
		return false
	}
	_, high := t.span(l)
	switch {
	case high == nil:
		return false // no integer
	case op == ">", op == "<>":
		return c.num.Sign() <= 0
	case op == ">=":
		return c.num.Cmp(big.NewFloat(1)) <= 0
	}
	return op == "<" && c.num.Cmp(high) >= 0
}

// similarPattern unwraps the call that the parser puts around SIMILAR TO's
// pattern.
func similarPattern(n *pg.Node) *pg.Node {
	if f := n.GetFuncCall(); f != nil && len(f.Args) > 0 {
		return f.Args[0]
	}
	return n
}

// range_ judges l op r where r is a bound that the values of l cannot pass: the
// end of its type's range, the least string, the least or greatest value of the
// same column.
func (t *limits) range_(l *pg.Node, op string, r *pg.Node) verdict {
	if s := r.GetSubLink(); s != nil && s.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
		return t.extreme(l, op, s.Subselect)
	}
	c, ok := t.fold(r)
	if !ok {
		return depends
	}
	if c.text != nil && *c.text == "" && op == ">=" && t.textual(l) {
		return always
	}
	if c.text != nil && strings.ReplaceAll(*c.text, " ", "") == "(0,0)" && (op == ">=" || op == ">") && lastName(t.bare(l).GetColumnRef()) == "ctid" {
		return always // no row stands before it
	}
	num := c.num
	if num == nil && c.text != nil {
		if f, ok := number(*c.text); ok {
			num = f
		}
		if s := strings.ToLower(strings.TrimSpace(*c.text)); s == "infinity" && op == "<=" || s == "-infinity" && op == ">=" {
			return always
		}
	}
	if num == nil {
		return depends
	}
	low, high := t.span(l)
	if low != nil && high != nil && low.Cmp(high) == 0 {
		if c, ok := foldNumbers(op, low, num); ok && c.b != nil {
			return map[bool]verdict{true: always, false: never}[*c.b]
		}
	}
	if low != nil {
		switch c := num.Cmp(low); {
		case op == ">=" && c <= 0, (op == ">" || op == "<>") && c < 0:
			return always
		case op == "<" && c <= 0, (op == "<=" || op == "=") && c < 0:
			return never
		}
	}
	if high != nil {
		switch c := num.Cmp(high); {
		case op == "<=" && c >= 0, (op == "<" || op == "<>") && c > 0:
			return always
		case op == ">" && c >= 0, (op == ">=" || op == "=") && c > 0:
			return never
		}
	}
	return depends
}

// span returns the least and greatest value that an expression can have, nil
// where that is not known.
func (t *limits) span(n *pg.Node) (low, high *big.Float) {
	num := func(f float64) *big.Float { return big.NewFloat(f) }
	n = t.bare(n)
	if c := t.column(n); c != nil {
		switch t.p.baseType(c.Type) {
		case int2OID:
			return num(math.MinInt16), num(math.MaxInt16)
		case int4OID:
			return num(math.MinInt32), num(math.MaxInt32)
		case int8OID:
			return new(big.Float).SetInt64(math.MinInt64), new(big.Float).SetInt64(math.MaxInt64)
		}
		return nil, nil
	}
	if s := n.GetSubLink(); s != nil && s.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
		if list := s.Subselect.GetSelectStmt().GetTargetList(); len(list) == 1 {
			if name := strs(list[0].GetResTarget().GetVal().GetFuncCall().GetFuncname()); len(name) > 0 && name[len(name)-1] == "count" {
				return num(0), nil
			}
		}
	}
	if m := n.GetMinMaxExpr(); m != nil {
		for _, a := range m.Args {
			c, ok := t.fold(a)
			switch greatest := m.Op == pg.MinMaxOp_IS_GREATEST; {
			case !ok || c.num == nil:
			case greatest && (low == nil || c.num.Cmp(low) > 0):
				low = c.num
			case !greatest && (high == nil || c.num.Cmp(high) < 0):
				high = c.num
			}
		}
		return low, high
	}
	if f := n.GetFuncCall(); f != nil {
		name := strs(f.Funcname)
		if len(name) == 0 {
			return nil, nil
		}
		switch name[len(name)-1] {
		case "length", "char_length", "character_length", "octet_length", "bit_length", "abs", "cardinality", "strpos", "position", "num_nulls", "num_nonnulls":
			return num(0), nil
		case "random":
			return num(0), num(1)
		case "sign":
			return num(-1), num(1)
		}
	}
	// x - x, x * 0, x % 1
	if e := n.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP && e.Lexpr != nil {
		c, isConst := t.fold(e.Rexpr)
		switch op := opName(e); {
		case op == "-" && t.same(e.Lexpr, e.Rexpr), (op == "*" || op == "&") && isConst && c.num != nil && c.num.Sign() == 0,
			op == "%" && isConst && c.num != nil && c.num.Cmp(num(1)) == 0:
			return num(0), num(0)
		case op == "*" && t.same(e.Lexpr, e.Rexpr):
			return num(0), nil
		}
	}
	return nil, nil
}

// extreme judges x >= (SELECT min(x) FROM rel) and its kin.
func (t *limits) extreme(l *pg.Node, op string, sub *pg.Node) verdict {
	sel := sub.GetSelectStmt()
	c := t.column(t.bare(l))
	if sel == nil || c == nil || !t.wholeTable(sel) || len(sel.TargetList) != 1 {
		return depends
	}
	value, by := t.shift(sel.TargetList[0].GetResTarget().GetVal())
	if by.Sign() < 0 && op == "<=" || by.Sign() > 0 && op == ">=" {
		return depends
	}
	f := value.GetFuncCall()
	name := strs(f.GetFuncname())
	if f == nil || len(f.Args) != 1 || len(name) == 0 || f.AggFilter != nil || !t.namesColumn(f.Args[0], c.Name) {
		// ORDER BY x LIMIT 1 does the same.
		if len(sel.SortClause) == 1 && t.namesColumn(sel.TargetList[0].GetResTarget().GetVal(), c.Name) {
			desc := sel.SortClause[0].GetSortBy().GetSortbyDir() == pg.SortByDir_SORTBY_DESC
			if op == ">=" && !desc || op == "<=" && desc {
				return always
			}
		}
		return depends
	}
	switch name[len(name)-1] + " " + op {
	case "min >=", "max <=":
		return always
	case "min <", "max >":
		if by.Sign() == 0 {
			return never
		}
	}
	return depends
}
