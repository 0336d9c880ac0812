package analysis

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// A folded is a constant that a predicate's part comes to. One of its parts is
// set.
type folded struct {
	null bool
	b    *bool
	num  *big.Float
	text *string
}

func (c folded) isTrue() bool { return c.b != nil && *c.b || c.text != nil && boolText(*c.text) == "t" }
func (c folded) isFalse() bool {
	return c.b != nil && !*c.b || c.text != nil && boolText(*c.text) == "f"
}

// boolText reads a Boolean in a string as the server does.
func boolText(s string) string {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "t", "tr", "tru", "true", "y", "ye", "yes", "on", "1":
		return "t"
	case "f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0":
		return "f"
	}
	return ""
}

func (c folded) equal(d folded) bool {
	switch {
	case c.null || d.null:
		return c.null && d.null
	case c.b != nil && d.b != nil:
		return *c.b == *d.b
	case c.num != nil && d.num != nil:
		return c.num.Cmp(d.num) == 0
	case c.text != nil && d.text != nil:
		return *c.text == *d.text
	}
	return false
}

// number reads a finite number.
func number(s string) (*big.Float, bool) {
	f, ok := new(big.Float).SetString(strings.TrimSpace(s))
	if !ok || f.IsInf() {
		return nil, false // arithmetic on infinities would panic
	}
	return f, true
}

func foldBool(b bool) (folded, bool) { return folded{b: &b}, true }

// fold computes an expression of constants alone.
func (t *limits) fold(n *pg.Node) (folded, bool) {
	t.depth++
	defer func() { t.depth-- }()
	if n == nil || t.depth > maxPredicateDepth || !t.p.step() {
		return folded{}, false
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return foldConst(e.AConst)
	case *pg.Node_TypeCast:
		c, ok := t.fold(e.TypeCast.Arg)
		if !ok || c.null {
			return c, ok
		}
		switch {
		case isType(e.TypeCast.TypeName, "bool"):
			switch {
			case c.b != nil:
				return c, true
			case c.text != nil && boolText(*c.text) != "":
				return foldBool(boolText(*c.text) == "t")
			case c.num != nil:
				return foldBool(c.num.Sign() != 0)
			}
			return folded{}, false
		case isType(e.TypeCast.TypeName, "int4"), isType(e.TypeCast.TypeName, "int8"), isType(e.TypeCast.TypeName, "int2"), isType(e.TypeCast.TypeName, "numeric"):
			if c.text != nil {
				f, ok := number(*c.text)
				return folded{num: f}, ok
			}
			if c.b != nil {
				return folded{}, false
			}
			return c, true
		case isType(e.TypeCast.TypeName, "text"), isType(e.TypeCast.TypeName, "varchar"):
			if c.num != nil && c.num.IsInt() {
				s := c.num.Text('f', 0)
				return folded{text: &s}, true
			}
			return c, c.text != nil
		}
		return folded{}, false
	case *pg.Node_BoolExpr:
		return t.foldBoolExpr(e.BoolExpr)
	case *pg.Node_NullTest:
		if c, ok := t.fold(e.NullTest.Arg); ok {
			return foldBool(c.null == (e.NullTest.Nulltesttype == pg.NullTestType_IS_NULL))
		}
	case *pg.Node_BooleanTest:
		c, ok := t.fold(e.BooleanTest.Arg)
		if !ok {
			return folded{}, false
		}
		switch e.BooleanTest.Booltesttype {
		case pg.BoolTestType_IS_TRUE:
			return foldBool(c.isTrue())
		case pg.BoolTestType_IS_NOT_TRUE:
			return foldBool(!c.isTrue())
		case pg.BoolTestType_IS_FALSE:
			return foldBool(c.isFalse())
		case pg.BoolTestType_IS_NOT_FALSE:
			return foldBool(!c.isFalse())
		case pg.BoolTestType_IS_UNKNOWN:
			return foldBool(c.null)
		case pg.BoolTestType_IS_NOT_UNKNOWN:
			return foldBool(!c.null)
		}
	case *pg.Node_CoalesceExpr:
		for _, a := range e.CoalesceExpr.Args {
			c, ok := t.fold(a)
			if !ok {
				return folded{}, false
			}
			if !c.null {
				return c, true
			}
		}
		return folded{null: true}, true
	case *pg.Node_CaseExpr:
		if c, ok := t.foldCase(e.CaseExpr); ok {
			return c, true
		}
		return t.foldArms(e.CaseExpr)
	case *pg.Node_FuncCall:
		return t.foldNothing(e.FuncCall)
	case *pg.Node_AIndirection:
		return t.foldElement(e.AIndirection)
	case *pg.Node_AExpr:
		if strings.HasPrefix(opName(e.AExpr), "->") {
			return t.foldMember(e.AExpr)
		}
		return t.foldOperator(e.AExpr)
	case *pg.Node_SubLink:
		sel := e.SubLink.Subselect.GetSelectStmt()
		if e.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK && sel != nil && t.alwaysHasRow(sel) {
			return foldBool(true)
		}
		if e.SubLink.SubLinkType == pg.SubLinkType_EXPR_SUBLINK && sel != nil && len(sel.FromClause) == 0 && len(sel.TargetList) == 1 && sel.WhereClause == nil && sel.Op == pg.SetOperation_SETOP_NONE {
			return t.fold(sel.TargetList[0].GetResTarget().GetVal())
		}
	}
	return folded{}, false
}

func foldConst(c *pg.A_Const) (folded, bool) {
	switch {
	case c.Isnull:
		return folded{null: true}, true
	case c.GetBoolval() != nil:
		return foldBool(c.GetBoolval().Boolval)
	case c.GetSval() != nil:
		s := c.GetSval().Sval
		return folded{text: &s}, true
	case c.GetFval() != nil:
		f, ok := number(c.GetFval().Fval)
		return folded{num: f}, ok
	case c.GetBsval() != nil:
		return folded{}, false
	}
	return folded{num: new(big.Float).SetInt64(int64(c.GetIval().GetIval()))}, true
}

func (t *limits) foldBoolExpr(b *pg.BoolExpr) (folded, bool) {
	null, open := false, false
	and := b.Boolop == pg.BoolExprType_AND_EXPR
	for _, a := range b.Args {
		c, ok := t.fold(a)
		switch {
		case !ok:
			open = true
		case c.null:
			null = true
		case b.Boolop == pg.BoolExprType_NOT_EXPR:
			if c.isTrue() || c.isFalse() {
				return foldBool(!c.isTrue())
			}
			return folded{}, false
		case and && c.isFalse(), !and && c.isTrue():
			return foldBool(!and)
		}
	}
	if open {
		return folded{}, false
	}
	if null {
		return folded{null: true}, true
	}
	return foldBool(and)
}

func (t *limits) foldCase(e *pg.CaseExpr) (folded, bool) {
	var arg folded
	if e.Arg != nil {
		var ok bool
		if arg, ok = t.fold(e.Arg); !ok {
			return folded{}, false
		}
	}
	for _, n := range e.Args {
		w := n.GetCaseWhen()
		c, ok := t.fold(w.GetExpr())
		if !ok {
			return folded{}, false
		}
		if e.Arg == nil && c.isTrue() || e.Arg != nil && !arg.null && arg.equal(c) {
			return t.fold(w.GetResult())
		}
	}
	if e.Defresult == nil {
		return folded{null: true}, true
	}
	return t.fold(e.Defresult)
}

// foldArms computes a CASE all of whose branches come to the same.
func (t *limits) foldArms(e *pg.CaseExpr) (folded, bool) {
	last, ok := t.fold(e.Defresult)
	for _, n := range e.Args {
		c, known := t.fold(n.GetCaseWhen().GetResult())
		ok = ok && known && c.equal(last)
	}
	return last, ok
}

// foldNothing computes functions that take nothing of a string, and powers.
func (t *limits) foldNothing(f *pg.FuncCall) (folded, bool) {
	zero := func(i int) bool {
		if i >= len(f.Args) {
			return false
		}
		c, ok := t.fold(f.Args[i])
		if ok && c.text != nil {
			c.num, _ = number(*c.text)
		}
		return ok && c.num != nil && c.num.Sign() == 0
	}
	empty := ""
	switch lastOf(f.Funcname) {
	case "left", "right", "repeat":
		return folded{text: &empty}, zero(1)
	case "substr", "substring":
		return folded{text: &empty}, zero(2)
	case "power", "pow":
		if len(f.Args) == 2 {
			if l, r := t.number(f.Args[0]), t.number(f.Args[1]); l != nil && r != nil {
				return foldNumbers("^", l, r)
			}
		}
	case "position", "strpos":
		return folded{num: big.NewFloat(1)}, len(f.Args) == 2 && t.isText(f.Args[1], "")
	}
	return folded{}, false
}

func (t *limits) foldOperator(e *pg.A_Expr) (folded, bool) {
	if e.Kind == pg.A_Expr_Kind_AEXPR_IN {
		l, ok := t.fold(e.Lexpr)
		if !ok {
			return folded{}, false
		}
		in := false
		for _, n := range e.Rexpr.GetList().GetItems() {
			r, ok := t.fold(n)
			if !ok {
				return folded{}, false
			}
			in = in || l.equal(r)
		}
		return foldBool(in == (opName(e) == "="))
	}
	if e.Lexpr == nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP {
		r, ok := t.fold(e.Rexpr)
		if !ok || r.num == nil {
			return folded{}, false
		}
		switch opName(e) {
		case "-":
			return folded{num: new(big.Float).Neg(r.num)}, true
		case "+":
			return r, true
		}
		return folded{}, false
	}
	l, ok := t.fold(e.Lexpr)
	if !ok {
		return folded{}, false
	}
	r, ok := t.fold(e.Rexpr)
	if !ok {
		return folded{}, false
	}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		return foldBool(!l.equal(r))
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return foldBool(l.equal(r))
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE:
		if r.text != nil && likeAll(*r.text) && l.text != nil {
			return foldBool(!strings.HasPrefix(opName(e), "!"))
		}
		return folded{}, false
	case pg.A_Expr_Kind_AEXPR_OP:
	default:
		return folded{}, false
	}
	if l.null || r.null {
		return folded{null: true}, true
	}
	l, r = l.like(r), r.like(l)
	op := opName(e)
	switch {
	case l.num != nil && r.num != nil:
		return foldNumbers(op, l.num, r.num)
	case l.text != nil && r.text != nil:
		return foldTexts(op, *l.text, *r.text)
	case l.b != nil && r.b != nil:
		switch op {
		case "=":
			return foldBool(*l.b == *r.b)
		case "<>":
			return foldBool(*l.b != *r.b)
		}
	}
	return folded{}, false
}

// like gives a string the type of what it is compared with.
func (c folded) like(d folded) folded {
	if c.text == nil {
		return c
	}
	if d.num != nil {
		if f, ok := number(*c.text); ok {
			return folded{num: f}
		}
	}
	if d.b != nil && boolText(*c.text) != "" {
		b := boolText(*c.text) == "t"
		return folded{b: &b}
	}
	return c
}

func foldNumbers(op string, l, r *big.Float) (folded, bool) {
	z := new(big.Float)
	switch c := l.Cmp(r); op {
	case "=":
		return foldBool(c == 0)
	case "<>":
		return foldBool(c != 0)
	case "<":
		return foldBool(c < 0)
	case "<=":
		return foldBool(c <= 0)
	case ">":
		return foldBool(c > 0)
	case ">=":
		return foldBool(c >= 0)
	case "+":
		z.Add(l, r)
	case "-":
		z.Sub(l, r)
	case "*":
		z.Mul(l, r)
	case "/":
		if r.Sign() == 0 || !l.IsInt() || !r.IsInt() {
			return folded{}, false // an error, or rounded by the type
		}
		if z.Quo(l, r); !z.IsInt() {
			return folded{}, false
		}
	case "^", "<<", ">>":
		x, _ := l.Float64()
		y, _ := r.Float64()
		switch op {
		case "<<":
			x *= math.Exp2(y)
		case ">>":
			x = math.Floor(x / math.Exp2(y))
		default:
			x = math.Pow(x, y)
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return folded{}, false
		}
		z.SetFloat64(x)
	default:
		return folded{}, false
	}
	return folded{num: z}, !z.IsInf()
}

func foldTexts(op, l, r string) (folded, bool) {
	switch op {
	case "=":
		return foldBool(l == r)
	case "<>":
		return foldBool(l != r)
	case "||":
		s := l + r
		return folded{text: &s}, true
	case "<=", ">=":
		if l == r {
			return foldBool(true)
		}
	}
	return folded{}, false // the order depends on the collation
}

// foldElement computes an element of an array that a text spells out.
func (t *limits) foldElement(e *pg.A_Indirection) (folded, bool) {
	if len(e.Indirection) != 1 || e.Indirection[0].GetAIndices() == nil || e.Indirection[0].GetAIndices().IsSlice {
		return folded{}, false
	}
	items, ok := t.elements(e.Arg)
	at := t.number(e.Indirection[0].GetAIndices().Uidx)
	if !ok || at == nil {
		return folded{}, false
	}
	i, _ := at.Int64()
	if i < 1 || i > int64(len(items)) {
		return folded{null: true}, true
	}
	return t.fold(items[i-1])
}

// foldMember computes a member of a JSON document that is a constant.
func (t *limits) foldMember(e *pg.A_Expr) (folded, bool) {
	if e.Lexpr == nil {
		return folded{}, false
	}
	document := e.Lexpr
	for document.GetTypeCast() != nil {
		document = document.GetTypeCast().Arg
	}
	d, ok := t.fold(document)
	key, known := t.fold(e.Rexpr)
	if !ok || !known || d.text == nil {
		return folded{}, false
	}
	var member json.RawMessage
	if key.num != nil {
		var list []json.RawMessage
		if json.Unmarshal([]byte(*d.text), &list) != nil {
			return folded{}, false
		}
		i, _ := key.num.Int64()
		if i < 0 {
			i += int64(len(list))
		}
		if i >= 0 && i < int64(len(list)) {
			member = list[i]
		}
	} else if key.text != nil {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(*d.text), &object) != nil {
			return folded{}, false
		}
		member = object[*key.text]
	}
	text := string(member)
	if opName(e) == "->>" {
		if text == "null" {
			text = ""
			member = nil
		}
		var s string
		if json.Unmarshal(member, &s) == nil {
			text = s
		}
	}
	if member == nil {
		return folded{null: true}, true
	}
	return folded{text: &text}, true
}
