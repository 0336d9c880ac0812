package analysis

import (
	"math"
	"math/big"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// bound records how far a write that the author's own text contains is limited
// by its predicate. fromOthers is true when there are other relations in FROM
// or USING.
func (p *part) bound(rel *catalog.Relation, act Action, where *pg.Node, sc *scope, fromOthers bool) {
	if !p.own() {
		return
	}
	b := Bound{Rel: rel.OID, Action: act}
	t := &limits{p: p, rel: rel, sc: sc}
	switch {
	case where == nil:
		b.Why = "no WHERE"
	default:
		where = t.simple(where)
		switch {
		case where.GetCurrentOfExpr() != nil:
			b.Limited, b.OneRow = true, true
		case t.truth(where) == always:
			b.Why = "WHERE is always true"
		case t.selfJoin(where):
			b.Why = "WHERE joins " + relName(rel) + " with itself, row by row"
		case !t.limiting(where):
			b.Why = "WHERE does not depend on the rows of " + relName(rel)
		default:
			b.Limited, b.OneRow = true, t.oneRow(where)
		}
	}
	if !b.Limited {
		p.rec.st.Classes |= Unbounded
	}
	for _, c := range p.rec.st.Bounds {
		if c == b {
			return
		}
	}
	p.rec.st.Bounds = append(p.rec.st.Bounds, b)
}

// boundAgain records an upsert that meets every row of its own relation: it
// inserts them all again, and what they conflict with is updated.
func (p *part) boundAgain(rel *catalog.Relation, s *pg.InsertStmt, sc *scope) {
	sel := s.SelectStmt.GetSelectStmt()
	t := &limits{p: p, rel: rel, sc: sc}
	if !p.own() || sel == nil || !t.wholeOf(sel, s.WithClause.GetCtes(), 0) || !t.unlimited(sel) {
		return
	}
	if w := s.OnConflictClause.WhereClause; w != nil && t.truth(w) != always && t.limiting(w) {
		return
	}
	p.rec.st.Classes |= Unbounded
	p.rec.st.Bounds = append(p.rec.st.Bounds, Bound{Rel: rel.OID, Action: Update, Why: "all rows of " + relName(rel) + " are inserted again"})
}

// limits judges predicates over the rows of a relation.
type limits struct {
	p   *part
	rel *catalog.Relation
	sc  *scope
	// depth bounds recursion; deeper parts count as able to exclude rows only
	// when they name a column.
	depth int
}

// verdict is what is known of a predicate for every row.
type verdict uint8

const (
	depends verdict = iota // on the row, or not known
	always                 // true
	never                  // false or NULL
)

func not(v verdict) verdict {
	switch v {
	case always:
		return never
	case never:
		// NOT NULL is NULL: it is not known which of false and NULL it was.
		return depends
	}
	return depends
}

const maxPredicateDepth = 200

// simple takes away what changes nothing: parentheses have gone already, a cast
// to boolean and IS TRUE have not.
func (t *limits) simple(n *pg.Node) *pg.Node {
	for range maxPredicateDepth {
		switch e := n.GetNode().(type) {
		case *pg.Node_BooleanTest:
			if e.BooleanTest.Booltesttype != pg.BoolTestType_IS_TRUE {
				return n
			}
			n = e.BooleanTest.Arg
		case *pg.Node_TypeCast:
			if !isType(e.TypeCast.TypeName, "bool") || e.TypeCast.Arg.GetAConst() != nil {
				return n
			}
			n = e.TypeCast.Arg
		case *pg.Node_CoalesceExpr:
			if args := e.CoalesceExpr.Args; len(args) == 0 || len(args) > 1 && t.nullness(args[0]) != never {
				return n
			}
			n = e.CoalesceExpr.Args[0]
		case *pg.Node_BoolExpr:
			if e.BoolExpr.Boolop != pg.BoolExprType_AND_EXPR {
				return n
			}
			var rest []*pg.Node
			for _, a := range e.BoolExpr.Args {
				if c, ok := t.fold(a); !ok || !c.isTrue() {
					rest = append(rest, a)
				}
			}
			if len(rest) != 1 {
				return n
			}
			n = rest[0]
		default:
			return n
		}
	}
	return n
}

func isType(t *pg.TypeName, name string) bool {
	names := strs(t.GetNames())
	return len(names) > 0 && names[len(names)-1] == name && len(t.ArrayBounds) == 0
}

// truth judges a predicate.
func (t *limits) truth(n *pg.Node) verdict {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth {
		return depends
	}
	n = t.simple(n)
	if c, ok := t.fold(n); ok {
		if c.null || c.isFalse() {
			return never
		}
		if c.isTrue() {
			return always
		}
		return depends
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_BoolExpr:
		return t.boolean(e.BoolExpr)
	case *pg.Node_NullTest:
		null := t.nullness(e.NullTest.Arg)
		if e.NullTest.Nulltesttype == pg.NullTestType_IS_NULL {
			return null
		}
		switch null {
		case always:
			return never
		case never:
			return always
		}
	case *pg.Node_BooleanTest:
		v := t.truth(e.BooleanTest.Arg)
		notNull := t.nullness(e.BooleanTest.Arg) == never
		switch e.BooleanTest.Booltesttype {
		case pg.BoolTestType_IS_NOT_TRUE:
			if v == never {
				return always
			}
		case pg.BoolTestType_IS_NOT_UNKNOWN:
			if v == always || notNull {
				return always
			}
		case pg.BoolTestType_IS_NOT_FALSE:
			return v
		case pg.BoolTestType_IS_FALSE:
			return t.truthOfNot(e.BooleanTest.Arg)
		}
	case *pg.Node_AExpr:
		return t.comparison(e.AExpr)
	case *pg.Node_CoalesceExpr:
		return t.truth(e.CoalesceExpr.Args[0])
	case *pg.Node_CaseExpr:
		return t.cases(e.CaseExpr)
	case *pg.Node_SubLink:
		return t.sub(e.SubLink)
	case *pg.Node_FuncCall:
		name := strs(e.FuncCall.Funcname)
		args := e.FuncCall.Args
		if len(name) == 0 {
			return depends
		}
		switch name[len(name)-1] {
		case "starts_with":
			if len(args) == 2 && t.isText(args[1], "") {
				return always
			}
		case "regexp_like", "textregexeq":
			if len(args) >= 2 && t.matchesAll(args[1], regexAll) {
				return always
			}
		case "like_escape", "booleq", "texteq", "int4eq", "int8eq":
			if len(args) == 2 && t.same(args[0], args[1]) {
				return always
			}
		}
	}
	return depends
}

func (t *limits) boolean(b *pg.BoolExpr) verdict {
	switch b.Boolop {
	case pg.BoolExprType_NOT_EXPR:
		if len(b.Args) == 1 {
			return t.truthOfNot(b.Args[0])
		}
	case pg.BoolExprType_AND_EXPR:
		all := always
		for _, a := range b.Args {
			switch t.truth(a) {
			case never:
				return never
			case depends:
				all = depends
			}
		}
		return all
	case pg.BoolExprType_OR_EXPR:
		none := never
		for i, a := range b.Args {
			switch t.truth(a) {
			case always:
				return always
			case depends:
				none = depends
			}
			if t.oppositeOfAny(a, b.Args[:i]) {
				return always
			}
		}
		return none
	}
	return depends
}

// truthOfNot judges NOT n. Unlike truth it must tell false from NULL.
func (t *limits) truthOfNot(n *pg.Node) verdict {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth {
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
	case *pg.Node_BooleanTest:
		return not(t.truth(n))
	case *pg.Node_SubLink:
		sel := e.SubLink.Subselect.GetSelectStmt()
		if e.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK && sel != nil && sel.WhereClause != nil && t.truth(sel.WhereClause) == never {
			return always
		}
		if e.SubLink.SubLinkType == pg.SubLinkType_ANY_SUBLINK { // NOT (x NOT IN ...) is x IN ...
			return not(t.truth(n))
		}
	case *pg.Node_AExpr:
		if op, ok := negated[opName(e.AExpr)]; ok && e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP {
			return t.comparison(&pg.A_Expr{Kind: pg.A_Expr_Kind_AEXPR_OP, Name: []*pg.Node{pg.MakeStrNode(op)}, Lexpr: e.AExpr.Lexpr, Rexpr: e.AExpr.Rexpr})
		}
	}
	return not(t.truth(n))
}

var negated = map[string]string{"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

var mirrored = map[string]string{"=": "=", "<>": "<>", "<": ">", ">=": "<=", ">": "<", "<=": ">="}

func opName(e *pg.A_Expr) string {
	names := strs(e.Name)
	if len(names) == 0 {
		return ""
	}
	op := names[len(names)-1]
	if op == "!=" {
		return "<>"
	}
	return op
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
	return t.overlapping(e, f)
}

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

func (t *limits) cases(c *pg.CaseExpr) verdict {
	var arms []verdict
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		if c.Arg == nil {
			switch t.truth(w.GetExpr()) {
			case never:
				continue
			case always:
				arms = append(arms, t.truth(w.GetResult()))
				return same(arms)
			}
		}
		arms = append(arms, t.truth(w.GetResult()))
	}
	if c.Defresult == nil {
		arms = append(arms, never)
	} else {
		arms = append(arms, t.truth(c.Defresult))
	}
	return same(arms)
}

func same(arms []verdict) verdict {
	for _, a := range arms {
		if a != arms[0] {
			return depends
		}
	}
	return arms[0]
}

// null reports whether an expression is the constant NULL.
func (t *limits) null(n *pg.Node) bool {
	c, ok := t.fold(n)
	return ok && c.null
}

// nullness judges n IS NULL.
func (t *limits) nullness(n *pg.Node) verdict {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth {
		return depends
	}
	if c, ok := t.fold(n); ok {
		if c.null {
			return always
		}
		return never
	}
	n = t.bare(n)
	if c := t.column(n); c != nil {
		if c.NotNull {
			return never
		}
		return depends
	}
	allNotNull := func(nodes []*pg.Node) verdict {
		for _, a := range nodes {
			if t.nullness(a) != never {
				return depends
			}
		}
		return never
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		if t.wholeRow(e.ColumnRef) || systemColumns[lastName(e.ColumnRef)].num != 0 {
			return never
		}
	case *pg.Node_NullTest, *pg.Node_BooleanTest, *pg.Node_SqlvalueFunction, *pg.Node_RowExpr, *pg.Node_AArrayExpr:
		return never
	case *pg.Node_SubLink:
		if e.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK || e.SubLink.SubLinkType == pg.SubLinkType_ARRAY_SUBLINK {
			return never
		}
		if f := e.SubLink.Subselect.GetSelectStmt().GetTargetList(); len(f) == 1 {
			if call := f[0].GetResTarget().GetVal().GetFuncCall(); call != nil && call.AggStar {
				return never
			}
		}
	case *pg.Node_FuncCall:
		// Strict built-ins of what is not NULL are hardly ever NULL.
		name := strs(e.FuncCall.Funcname)
		fs := t.p.names.functions(name)
		if len(fs) > 0 && !slices.ContainsFunc(fs, func(f *catalog.Function) bool { return !t.p.isBuiltin(f) }) {
			return allNotNull(e.FuncCall.Args)
		}
	case *pg.Node_AExpr:
		if e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_DISTINCT || e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT {
			return never
		}
		if e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP {
			nodes := []*pg.Node{e.AExpr.Rexpr}
			if e.AExpr.Lexpr != nil {
				nodes = append(nodes, e.AExpr.Lexpr)
			}
			return allNotNull(nodes)
		}
	case *pg.Node_BoolExpr:
		return allNotNull(e.BoolExpr.Args)
	case *pg.Node_CoalesceExpr:
		for _, a := range e.CoalesceExpr.Args {
			if t.nullness(a) == never {
				return never
			}
		}
	}
	return depends
}

func lastName(c *pg.ColumnRef) string {
	names := strs(c.Fields)
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

func (t *limits) wholeRow(c *pg.ColumnRef) bool {
	if len(c.Fields) > 0 && c.Fields[len(c.Fields)-1].GetAStar() != nil {
		return true
	}
	name := lastName(c)
	return t.rel.ColumnNamed(name) == nil && len(c.Fields) == 1 && t.isTarget([]string{name})
}

// bare takes away what leaves a value as it is: casts, COLLATE, || with an
// empty string, + 0, * 1, COALESCE and its kin of one argument.
func (t *limits) bare(n *pg.Node) *pg.Node {
	for range maxPredicateDepth {
		switch e := n.GetNode().(type) {
		case *pg.Node_TypeCast:
			n = e.TypeCast.Arg
		case *pg.Node_CollateClause:
			n = e.CollateClause.Arg
		case *pg.Node_CoalesceExpr:
			args := e.CoalesceExpr.Args
			for len(args) > 1 && t.null(args[0]) {
				args = args[1:]
			}
			if len(args) == 0 {
				return n
			}
			n = args[0]
		case *pg.Node_SubLink:
			sel := e.SubLink.Subselect.GetSelectStmt()
			if e.SubLink.SubLinkType != pg.SubLinkType_EXPR_SUBLINK || sel == nil || len(sel.FromClause) > 0 || sel.WhereClause != nil || len(sel.TargetList) != 1 || !t.unlimited(sel) {
				return n
			}
			n = sel.TargetList[0].GetResTarget().GetVal()
		case *pg.Node_MinMaxExpr:
			if !t.allSame(e.MinMaxExpr.Args) {
				return n
			}
			n = e.MinMaxExpr.Args[0]
		case *pg.Node_FuncCall:
			name := strs(e.FuncCall.Funcname)
			args := e.FuncCall.Args
			if len(name) == 0 || len(args) == 0 {
				return n
			}
			switch name[len(name)-1] {
			case "text", "int4", "int8", "varchar", "numeric", "to_jsonb":
				if len(args) != 1 {
					return n
				}
			case "concat":
				if slices.ContainsFunc(args[1:], func(a *pg.Node) bool { return !t.isText(a, "") && !t.null(a) }) {
					return n
				}
			case "replace":
				if len(args) != 3 || !t.same(args[1], args[2]) {
					return n
				}
			case "nullif":
				return n
			default:
				return n
			}
			n = args[0]
		case *pg.Node_AExpr:
			if e.AExpr.Kind != pg.A_Expr_Kind_AEXPR_OP || e.AExpr.Rexpr == nil {
				return n
			}
			op := opName(e.AExpr)
			if e.AExpr.Lexpr == nil {
				if op != "+" {
					return n
				}
				n = e.AExpr.Rexpr
				continue
			}
			neutral := func(x *pg.Node) bool {
				c, ok := t.fold(x)
				switch op {
				case "||":
					return ok && c.text != nil && *c.text == ""
				case "+", "-", "|", "#", "<<", ">>":
					return ok && c.num != nil && c.num.Sign() == 0
				case "*", "/", "^":
					return ok && c.num != nil && c.num.Cmp(big.NewFloat(1)) == 0
				}
				return false
			}
			switch {
			case neutral(e.AExpr.Rexpr):
				n = e.AExpr.Lexpr
			case neutral(e.AExpr.Lexpr) && (op == "||" || op == "+" || op == "*" || op == "|"):
				n = e.AExpr.Rexpr
			default:
				return n
			}
		default:
			return n
		}
	}
	return n
}

func (t *limits) allSame(nodes []*pg.Node) bool {
	if len(nodes) == 0 {
		return false
	}
	for _, n := range nodes[1:] {
		if !t.same(nodes[0], n) {
			return false
		}
	}
	return true
}

// same reports whether two expressions have the same value for every row.
func (t *limits) same(a, b *pg.Node) bool {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth || a == nil || b == nil {
		return false
	}
	a, b = t.bare(a), t.bare(b)
	if ca, ok := t.fold(a); ok {
		cb, ok := t.fold(b)
		return ok && ca.equal(cb)
	}
	if ca, cb := t.column(a), t.column(b); ca != nil && cb != nil {
		return ca.Num == cb.Num && t.names(a) == t.names(b)
	}
	switch e := a.GetNode().(type) {
	case *pg.Node_ColumnRef:
		f := b.GetColumnRef()
		return f != nil && slices.Equal(strs(e.ColumnRef.Fields), strs(f.Fields))
	case *pg.Node_List:
		return b.GetList() != nil && t.eachSame(e.List.Items, b.GetList().Items)
	case *pg.Node_RowExpr:
		return b.GetRowExpr() != nil && t.eachSame(e.RowExpr.Args, b.GetRowExpr().Args)
	case *pg.Node_AArrayExpr:
		return b.GetAArrayExpr() != nil && t.eachSame(e.AArrayExpr.Elements, b.GetAArrayExpr().Elements)
	case *pg.Node_ParamRef:
		f := b.GetParamRef()
		return f != nil && f.Number == e.ParamRef.Number
	case *pg.Node_FuncCall:
		f := b.GetFuncCall()
		if f == nil || !slices.Equal(strs(e.FuncCall.Funcname), strs(f.Funcname)) || len(e.FuncCall.Args) != len(f.Args) {
			return false
		}
		for i := range f.Args {
			if !t.same(e.FuncCall.Args[i], f.Args[i]) {
				return false
			}
		}
		return true
	case *pg.Node_AExpr:
		f := b.GetAExpr()
		if f == nil || e.AExpr.Kind != f.Kind || opName(e.AExpr) != opName(f) {
			return false
		}
		if t.same(e.AExpr.Lexpr, f.Lexpr) && t.same(e.AExpr.Rexpr, f.Rexpr) {
			return true
		}
		return slices.Contains([]string{"+", "*", "=", "<>"}, opName(f)) && t.same(e.AExpr.Lexpr, f.Rexpr) && t.same(e.AExpr.Rexpr, f.Lexpr)
	}
	return false
}

func (t *limits) eachSame(a, b []*pg.Node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !t.same(a[i], b[i]) {
			return false
		}
	}
	return true
}

// names says whether a column reference means the target's row: two aliases
// of one table are not the same.
func (t *limits) names(n *pg.Node) string {
	names := strs(n.GetColumnRef().GetFields())
	if len(names) < 2 || t.isTarget(names[:len(names)-1]) {
		return ""
	}
	return names[len(names)-2]
}

// isTarget reports whether a qualifier names the target.
func (t *limits) isTarget(q []string) bool {
	if t.sc != nil && len(t.sc.items) > 0 && len(t.sc.items[0].sources) > 0 {
		return t.sc.items[0].sources[0].is(q) // the target comes first
	}
	return q[len(q)-1] == t.rel.Name
}

// column returns the target's column that an expression is, or nil.
func (t *limits) column(n *pg.Node) *catalog.Column {
	names := strs(n.GetColumnRef().GetFields())
	if len(names) == 0 || len(names) > 1 && !t.isTarget(names[:len(names)-1]) {
		return nil
	}
	return t.rel.ColumnNamed(names[len(names)-1])
}

// textual reports whether an expression has a string type.
func (t *limits) textual(n *pg.Node) bool {
	if c := n.GetTypeCast(); c != nil {
		return isType(c.TypeName, "text") || isType(c.TypeName, "varchar") || isType(c.TypeName, "bpchar") || isType(c.TypeName, "name")
	}
	c := t.column(n)
	if c == nil {
		return false
	}
	typ := t.p.a.snap.Type(t.p.baseType(c.Type))
	return typ != nil && typ.Category == 'S'
}

func (t *limits) isText(n *pg.Node, s string) bool {
	c, ok := t.fold(n)
	return ok && c.text != nil && *c.text == s
}

func (t *limits) matchesAll(n *pg.Node, all func(string) bool) bool {
	c, ok := t.fold(n)
	return ok && c.text != nil && all(*c.text)
}

func likeAll(s string) bool { return s != "" && strings.Trim(s, "%") == "" }

// regexAll reports whether a regular expression matches every string. Not all
// such expressions are known to it.
func regexAll(s string) bool {
	switch strings.TrimPrefix(strings.TrimPrefix(s, "(?s)"), "***:") {
	case "", "^", "$", ".*", "^.*", ".*$", "^.*$", "(.*)", "^(.*)$", "[^^]*", ".?", ".{0,}", "\\A", "()", "(|.*)", ".*?":
		return true
	}
	return false
}

// limiting reports whether a predicate depends on the target's rows: one that
// does not lets all of them through or none.
func (t *limits) limiting(n *pg.Node) bool {
	if t.truth(n) == never {
		return true // no row at all
	}
	if b := n.GetBoolExpr(); b != nil {
		switch b.Boolop {
		case pg.BoolExprType_AND_EXPR:
			return slices.ContainsFunc(b.Args, func(a *pg.Node) bool { return t.truth(a) != always && t.limiting(a) })
		case pg.BoolExprType_OR_EXPR:
			for _, a := range b.Args {
				if t.truth(a) == never {
					continue
				}
				if !t.limiting(a) {
					return false
				}
			}
			return true
		}
	}
	if s := n.GetSubLink(); s != nil && s.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK {
		// Whether it is there does not depend on the row.
		if sel := s.Subselect.GetSelectStmt(); sel != nil && sel.WhereClause != nil && t.truth(sel.WhereClause) == always {
			return slices.ContainsFunc(sel.FromClause, t.mentions)
		}
	}
	return t.mentions(n)
}

// mentions reports whether an expression names a column of the target.
func (t *limits) mentions(n *pg.Node) bool {
	found := false
	t.references(n, func(ref *pg.ColumnRef, inner []*pg.RangeVar) {
		found = found || t.refers(ref, inner)
	})
	return found
}

// references visits the column references in n with the relations of the
// subqueries around them, which hide the target's names.
func (t *limits) references(n *pg.Node, visit func(*pg.ColumnRef, []*pg.RangeVar)) {
	if n == nil {
		return
	}
	var descend func(m protoreflect.Message, inner []*pg.RangeVar)
	descend = func(m protoreflect.Message, inner []*pg.RangeVar) {
		switch e := m.Interface().(type) {
		case *pg.ColumnRef:
			visit(e, inner)
			return
		case *pg.SelectStmt:
			inner = slices.Clip(inner)
			for _, f := range e.FromClause {
				walk(f, func(g *pg.Node) {
					if rv := g.GetRangeVar(); rv != nil {
						inner = append(inner, rv)
					}
				})
			}
		}
		each(m, func(child protoreflect.Message) { descend(child, inner) })
	}
	descend(n.ProtoReflect(), nil)
}

// refers reports whether a column reference means the target's row.
func (t *limits) refers(ref *pg.ColumnRef, inner []*pg.RangeVar) bool {
	names := strs(ref.Fields)
	if len(names) == 0 {
		return false
	}
	if len(names) > 1 {
		q := names[:len(names)-1]
		for _, rv := range inner {
			if rvAlias(rv) == q[len(q)-1] {
				return false
			}
		}
		return t.isTarget(q) || t.rel.ColumnNamed(names[0]) != nil
	}
	for _, rv := range inner {
		rel := t.p.names.relation(rangeVarParts(rv))
		if rel == nil || rel.ColumnNamed(names[0]) != nil || rvAlias(rv) == names[0] {
			return false
		}
	}
	if names[0] == "tableoid" && len(t.rel.Children) == 0 {
		return false // the same for all rows
	}
	_, system := systemColumns[names[0]]
	return t.rel.ColumnNamed(names[0]) != nil || system || t.isTarget(names)
}

func rvAlias(rv *pg.RangeVar) string {
	if rv.Alias != nil {
		return rv.Alias.Aliasname
	}
	return rv.Relname
}

// oneRow reports whether a predicate fixes all columns of a unique key to values
// that do not depend on the row.
func (t *limits) oneRow(where *pg.Node) bool {
	fixed := map[int16]bool{}
	var conjuncts func(n *pg.Node)
	conjuncts = func(n *pg.Node) {
		n = t.simple(n)
		if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
			for _, a := range b.Args {
				conjuncts(a)
			}
			return
		}
		e := n.GetAExpr()
		if e == nil || opName(e) != "=" || !t.p.plainOperator(e, 0) {
			return
		}
		switch e.Kind {
		case pg.A_Expr_Kind_AEXPR_OP:
			for _, side := range [][2]*pg.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
				if c := t.column(side[0]); c != nil && !t.varies(side[1]) {
					fixed[c.Num] = true
				}
			}
		case pg.A_Expr_Kind_AEXPR_IN:
			if items := e.Rexpr.GetList().GetItems(); len(items) == 1 {
				if c := t.column(e.Lexpr); c != nil && !t.varies(items[0]) {
					fixed[c.Num] = true
				}
			}
		}
	}
	conjuncts(where)
	for _, key := range t.rel.Keys {
		if len(key) > 0 && !slices.ContainsFunc(key, func(c int16) bool { return !fixed[c] }) {
			// The key of an inheritance parent says nothing of its children.
			return len(t.rel.Children) == 0 || t.rel.Kind == 'p'
		}
	}
	return false
}

// varies reports whether an expression may differ from row to row of the
// statement: it names any column, or calls a function that is volatile.
func (t *limits) varies(n *pg.Node) bool {
	found := false
	walk(n, func(m *pg.Node) {
		switch e := m.GetNode().(type) {
		case *pg.Node_ColumnRef:
			found = true
		case *pg.Node_FuncCall:
			fs := t.p.names.functions(strs(e.FuncCall.Funcname))
			if len(fs) == 0 || slices.ContainsFunc(fs, func(f *catalog.Function) bool { return f.Volatility == 'v' || f.ReturnsSet }) {
				found = true
			}
		}
	})
	if found && n.GetSubLink() != nil {
		// An uncorrelated scalar subquery is computed once.
		return t.mentions(n) || t.mentionsOthers(n)
	}
	return found
}

func (t *limits) mentionsOthers(n *pg.Node) bool {
	found := false
	t.references(n, func(ref *pg.ColumnRef, inner []*pg.RangeVar) {
		names := strs(ref.Fields)
		if len(names) < 2 {
			return
		}
		for _, rv := range inner {
			if rvAlias(rv) == names[len(names)-2] {
				return
			}
		}
		found = true
	})
	return found
}
