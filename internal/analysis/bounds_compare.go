package analysis

import (
	"math"
	"math/big"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

var between = map[pg.A_Expr_Kind]pg.A_Expr_Kind{
	pg.A_Expr_Kind_AEXPR_BETWEEN:         pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
	pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:     pg.A_Expr_Kind_AEXPR_BETWEEN,
	pg.A_Expr_Kind_AEXPR_BETWEEN_SYM:     pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM,
	pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM: pg.A_Expr_Kind_AEXPR_BETWEEN_SYM,
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
			if t.matchesAll(r, regexAll) || t.disguised(r) {
				return always
			}
		case "~~", "~~*":
			if t.matchesAll(r, likeAll) || t.disguised(r) {
				return always
			}
		case "^@":
			if t.isText(r, "") {
				return always
			}
		case "@>", "<@", "&&":
			if t.same(l, r) || op == "@>" && t.inAll(r) || op == "<@" && t.inAll(l) || op == "@>" && t.holdsAll(l) || op == "<@" && t.holdsAll(r) ||
				op == "@>" && t.within(r, l) || op == "<@" && t.within(l, r) || op == "@>" && t.heldByAll(r, l) || op == "<@" && t.heldByAll(l, r) {
				return always
			}
		case "?", "?&", "?|":
			// The names of the columns are those of every row.
			f := l.GetFuncCall()
			if len(f.GetArgs()) == 1 && f.Args[0].GetColumnRef() != nil && t.wholeRow(f.Args[0].GetColumnRef()) {
				return always
			}
			if name := lastOf(f.GetFuncname()); name == "jsonb_build_object" && len(f.Args) > 0 && !t.mentions(f.Args[0]) {
				return always
			}
		case "@?", "@@":
			if c := t.column(l); c != nil && t.anyDocument(r) {
				if typ := t.p.a.snap.Type(c.Type); typ != nil && typ.Name == "jsonb" {
					return always
				}
			}
		case "%", "<%", "%>":
			if t.same(l, r) {
				return always
			}
		}
		if v := t.range_(l, op, r); v != depends {
			return v
		}
		if v := t.farTime(l, op, r); v != depends {
			return v
		}
		if m, ok := mirrored[op]; ok {
			if v := t.farTime(r, m, l); v != depends {
				return v
			}
			if t.aboutItself(l) && !t.mentions(r) || t.aboutItself(r) && !t.mentions(l) {
				return always
			}
			if op == "<=" && t.roundedDown(l, r) || op == ">=" && t.roundedDown(r, l) {
				return always
			}
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
		// IS DISTINCT FROM NULL is IS NOT NULL, and of what is not NULL it is <>.
		if t.null(r) && t.nullness(l) == never {
			return always
		}
		if t.nullness(l) == never && t.nullness(r) == never {
			return t.compare(l, "<>", r)
		}
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE:
		if !strings.HasPrefix(op, "!") && (t.matchesAll(r, likeAll) || t.same(l, r) || t.disguised(r)) {
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
		return t.overList(l, op, r.GetList().GetItems(), op != "=")
	case pg.A_Expr_Kind_AEXPR_OP_ANY:
		if op == "=" && t.allLabels(r) {
			return always
		}
		if s := t.bare(r).GetSubLink(); s != nil && op == "=" && t.ownColumn(l, s.Subselect) {
			return always
		}
		if name := t.columnName(t.bare(l)); name != "" && op == "=" && name == t.gathered(r, nil, t.withs(), 0) {
			return always
		}
		if items, ok := t.elements(r); ok {
			return t.overList(l, op, items, false)
		}
	case pg.A_Expr_Kind_AEXPR_OP_ALL:
		if items, ok := t.elements(r); ok {
			return t.overList(l, op, items, true)
		}
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		items := r.GetList().GetItems()
		if len(items) != 2 {
			return depends
		}
		from, to := items[0], items[1]
		switch e.Kind {
		case pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
			if a, b := t.number(from), t.number(to); a != nil && b != nil && a.Cmp(b) > 0 {
				from, to = to, from
			} else if a, ok := t.constantTime(from, 0); ok {
				if b, ok := t.constantTime(to, 0); ok && a.After(b) {
					from, to = to, from
				}
			}
		}
		switch e.Kind {
		case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM:
			if t.compare(l, ">=", from) == always && t.compare(l, "<=", to) == always {
				return always
			}
		default:
			if t.compare(l, "<", from) == always || t.compare(l, ">", to) == always {
				return always
			}
		}
	}
	return depends
}

// compare judges l op r.
func (t *limits) compare(l *pg.Node, op string, r *pg.Node) verdict {
	return t.truth(&pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: pg.A_Expr_Kind_AEXPR_OP, Name: []*pg.Node{pg.MakeStrNode(op)}, Lexpr: l, Rexpr: r}}})
}

// overList judges l op with every item of a list, or with any. Only what holds
// for each row is of interest.
func (t *limits) overList(l *pg.Node, op string, items []*pg.Node, every bool) verdict {
	if !t.p.spend(len(items)) {
		return depends
	}
	if len(items) == 0 && every {
		return always
	}
	for _, i := range items {
		if v := t.compare(l, op, i); v == always != every {
			if every {
				return depends
			}
			return always
		}
	}
	if every {
		return always
	}
	return depends
}

// elements are those of an array that a text spells out, or the one value of a
// query without a FROM.
func (t *limits) elements(n *pg.Node) ([]*pg.Node, bool) {
	if a := n.GetAArrayExpr(); a != nil {
		return a.Elements, true
	}
	if cast := n.GetTypeCast(); cast != nil {
		return t.elements(cast.Arg)
	}
	c, ok := t.fold(n)
	if !ok || c.text == nil || !strings.HasPrefix(*c.text, "{") || !strings.HasSuffix(*c.text, "}") || strings.ContainsAny(*c.text, `"\`) {
		return nil, false
	}
	body := strings.TrimSpace(strings.Trim(*c.text, "{}"))
	if body == "" {
		return nil, true
	}
	var items []*pg.Node
	for _, s := range strings.Split(body, ",") {
		s = strings.TrimSpace(s)
		if strings.EqualFold(s, "null") {
			return nil, false
		}
		items = append(items, pg.MakeAConstStrNode(s, -1))
	}
	return items, true
}

// inAll reports whether a value is contained in every array or document: the
// empty one.
func (t *limits) inAll(n *pg.Node) bool {
	items, ok := t.elements(n)
	return ok && len(items) == 0
}

// holdsAll reports whether a value is the range that holds everything.
func (t *limits) holdsAll(n *pg.Node) bool {
	if f := n.GetFuncCall(); f != nil && strings.HasSuffix(lastOf(f.Funcname), "range") {
		return len(f.Args) >= 2 && t.null(f.Args[0]) && t.null(f.Args[1])
	}
	if cast := n.GetTypeCast(); cast != nil {
		return t.holdsAll(cast.Arg)
	}
	c, ok := t.fold(n)
	if !ok || c.text == nil {
		return false
	}
	switch strings.ReplaceAll(*c.text, " ", "") {
	case "(,)", "[,]", "[,)", "(,]", "{(,)}":
		return true
	}
	return false
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
	x, by := t.shift(t.bare(l))
	col := t.column(t.bare(x))
	if col == nil || !t.isKey(col.Num) {
		return false
	}
	if t.isString(t.p.baseType(col.Type)) && by.Sign() == 0 {
		if t.matchesAll(r, func(s string) bool { return strings.TrimSpace(s) == "" }) {
			return op == ">" || op == ">=" || op == "<>"
		}
		return (op == "<" || op == "<=") && t.matchesAll(r, func(s string) bool { return s > "zz" })
	}
	num := t.number(r)
	if num == nil {
		return false
	}
	num = new(big.Float).Sub(num, by)
	_, high := t.span(x)
	switch {
	case high == nil:
		return false // no integer
	case op == ">":
		return num.Cmp(big.NewFloat(1)) < 0
	case op == "<>":
		return num.Sign() <= 0
	case op == ">=":
		return num.Cmp(big.NewFloat(1)) <= 0
	}
	return (op == "<" || op == "<=") && num.Cmp(big.NewFloat(manyKeys)) >= 0
}

// isKey reports whether a column is of a key without NULL, or refers to one.
func (t *limits) isKey(num int16) bool {
	nullable := func(n int16) bool { c := t.rel.Column(n); return c == nil || !c.NotNull }
	return slices.ContainsFunc(t.rel.Keys, func(k []int16) bool {
		return slices.Contains(k, num) && (len(k) == 1 || !slices.ContainsFunc(k, nullable))
	}) ||
		!nullable(num) && slices.ContainsFunc(t.rel.ForeignKeys, func(fk catalog.ForeignKey) bool { return slices.Contains(fk.FromCols, num) })
}

// number is the number that a constant is, also in quotes, or nil.
func (t *limits) number(n *pg.Node) *big.Float {
	c, ok := t.fold(n)
	if ok && c.num == nil && c.text != nil {
		if f, ok := number(*c.text); ok {
			return f
		}
	}
	return c.num
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
	if c.text != nil && *c.text == "" && (op == "<>" || op == ">") && neverEmpty[lastOf(t.bare(l).GetFuncCall().GetFuncname())] {
		return always
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
		if s := strings.ToLower(strings.TrimSpace(*c.text)); s == "infinity" && (op == "<=" || op == "<") || s == "-infinity" && (op == ">=" || op == ">") {
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
	if e := n.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP && opName(e) == "%" && e.Lexpr != nil {
		return t.remainder(e.Lexpr, e.Rexpr)
	}
	if f := n.GetFuncCall(); f != nil {
		name := strs(f.Funcname)
		if len(name) == 0 {
			return nil, nil
		}
		switch name[len(name)-1] {
		case "mod":
			if len(f.Args) == 2 {
				return t.remainder(f.Args[0], f.Args[1])
			}
		case "sin", "cos", "sind", "cosd", "tanh", "erf":
			return num(-1), num(1)
		case "length", "char_length", "character_length", "octet_length":
			if c := t.column(t.bare(lastNode(f.Args))); c != nil && t.isKey(c.Num) {
				return num(1), nil // no key is empty
			}
			return num(0), nil
		case "bit_length", "levenshtein", "levenshtein_less_equal", "width_bucket", "jsonb_array_length", "json_array_length", "regexp_count", "ascii", "abs", "sqrt", "gcd", "cardinality", "strpos", "position", "num_nulls", "num_nonnulls":
			return num(0), nil
		case "pg_column_size":
			return num(1), nil
		case "exp":
			return num(math.SmallestNonzeroFloat64), nil
		case "random":
			return num(0), num(1)
		case "sign":
			return num(-1), num(1)
		case "similarity", "word_similarity", "strict_word_similarity":
			return num(0), num(1)
		case "difference":
			return num(0), num(4)
		case "extract", "date_part":
			if c, ok := t.fold(f.Args[0]); ok && c.text != nil && len(f.Args) == 2 {
				column := t.moment(f.Args[1], 0)
				span, ok := spans[strings.ToLower(*c.text)]
				if column == nil || !ok {
					return nil, nil
				}
				if span[1] == lastYear {
					span[0] = float64(t.firstYear(column))
				}
				return num(span[0]), num(span[1])
			}
		}
	}
	return nil, nil
}

// remainder is the span of x % by.
func (t *limits) remainder(x, by *pg.Node) (low, high *big.Float) {
	n := t.number(by)
	if n == nil || !n.IsInt() || n.Sign() == 0 {
		return nil, nil
	}
	if high = new(big.Float).Abs(n); t.whole(x) {
		high.Sub(high, big.NewFloat(1))
	}
	low = new(big.Float).Neg(high)
	if least, _ := t.span(x); least != nil && least.Sign() >= 0 {
		low = new(big.Float)
	}
	return low, high
}

// whole reports whether a number is known to have no fraction.
func (t *limits) whole(n *pg.Node) bool {
	n = t.bare(n)
	if c := t.column(n); c != nil {
		return t.wholeNumbers(c)
	}
	f := n.GetFuncCall()
	if f == nil {
		return false
	}
	fs := t.p.names.functions(strs(f.Funcname))
	if lastOf(f.Funcname) == "abs" && len(f.Args) == 1 {
		return t.whole(f.Args[0])
	}
	return len(fs) > 0 && !slices.ContainsFunc(fs, func(f *catalog.Function) bool {
		return f.Result != int4OID && f.Result != int8OID && f.Result != int2OID
	})
}

const lastYear = 2200

// spans are the least and greatest values of a date's fields, of years those
// that are met.
var spans = map[string][2]float64{"year": {1900, lastYear}, "isoyear": {1900, lastYear}, "month": {1, 12}, "day": {1, 31}, "hour": {0, 23}, "minute": {0, 59}, "second": {0, 60},
	"dow": {0, 6}, "isodow": {1, 7}, "doy": {1, 366}, "quarter": {1, 4}, "week": {1, 53}, "epoch": {1, 1 << 40}, "century": {20, 22}, "millennium": {2, 3}}

func lastNode(list []*pg.Node) *pg.Node {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// extreme judges x >= (SELECT min(x) FROM rel) and its kin.
func (t *limits) extreme(l *pg.Node, op string, sub *pg.Node) verdict {
	sel := sub.GetSelectStmt()
	c := t.column(t.bare(l))
	if (op == "<=" || op == "<") && c != nil && t.isKey(c.Num) && len(sel.GetTargetList()) == 1 && t.namesColumn(sel.TargetList[0].GetResTarget().GetVal(), "last_value") {
		return always // of the sequence that gives the keys, or of another's: that is not looked at
	}
	if sel == nil || c == nil || len(sel.TargetList) != 1 || len(sel.GroupClause) > 0 ||
		t.unfiltered(sel, t.withs().and(sel.WithClause), 0) == nil {
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
	case "sum <=":
		if t.isKey(c.Num) {
			return always
		}
	case "min <", "max >":
		if by.Sign() == 0 {
			return never
		}
	}
	return depends
}
