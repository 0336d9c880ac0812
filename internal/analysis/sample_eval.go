package analysis

import (
	"math"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// cond evaluates a condition.
func (s *sampler) cond(n *pg.Node) sample {
	if n.GetSubLink() != nil && !s.checking && slices.Contains(s.conds, n) {
		return s.either(n)
	}
	v := s.value(n)
	if v.kind == textSample {
		switch boolText(v.s) {
		case "t":
			return sampleBool(true)
		case "f":
			return sampleBool(false)
		}
		return sample{}
	}
	if v.known() || s.checking || n == nil {
		return v
	}
	if n.GetBoolExpr() == nil {
		truth, ok := s.verdicts[n]
		if !ok {
			truth = s.t.truth(n)
			s.verdicts[n] = truth
		}
		switch truth {
		case always:
			return sampleBool(true)
		case never:
			return sampleNull
		}
	}
	bit, ok := s.free[n]
	if !ok {
		bit = -1
		if !s.t.mentions(n) {
			bit = len(s.free)
		}
		s.free[n] = bit
		if bit < 0 {
			delete(s.free, n)
			s.verdicts[n] = depends
		}
	}
	switch {
	case bit < 0:
		return s.either(n)
	case bit >= maxFree:
		return v
	}
	return sampleBool(s.assigned>>bit&1 == 1)
}

// either gives a condition that is not evaluated either value.
func (s *sampler) either(n *pg.Node) sample {
	if s.left <= 0 || n.GetBoolExpr() != nil {
		return sample{}
	}
	if e := n.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP && strings.HasPrefix(opName(e), "!~") {
		return inverse(s.either(&pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: e.Kind, Name: []*pg.Node{pg.MakeStrNode(opName(e)[1:])}, Lexpr: e.Lexpr, Rexpr: e.Rexpr}}}))
	}
	i := slices.IndexFunc(s.conds, func(c *pg.Node) bool { return c == n || s.t.same(c, n) })
	if i < 0 {
		if i = len(s.conds); i >= maxConds {
			return sample{}
		}
		s.conds = append(s.conds, n)
	}
	v := s.choose("condition "+strconv.Itoa(i), func() []sample {
		list := []sample{sampleBool(false), sampleBool(true)}
		if s.t.nullness(n) != never {
			list = append(list, sampleNull)
		}
		return list
	})
	s.nulls = s.nulls || v.kind == nullSample
	return v
}

// value evaluates an expression. Long texts cost more, and too long are not
// looked at.
func (s *sampler) value(n *pg.Node) sample {
	v := s.evaluate(n)
	if v.kind == textSample {
		s.left -= len(v.s) / 100
		if len(v.s) > maxSampleText {
			return sample{}
		}
	}
	return v
}

func (s *sampler) evaluate(n *pg.Node) sample {
	if s.left--; s.left <= 0 || n == nil || !s.t.p.step() {
		return sample{}
	}
	s.t.depth++
	defer func() { s.t.depth-- }()
	if s.t.depth > maxPredicateDepth {
		return sample{}
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return sampleOf(foldConst(e.AConst))
	case *pg.Node_ColumnRef:
		if name := s.t.columnName(n); name != "" {
			return s.column(name)
		}
	case *pg.Node_AIndirection:
		if b := s.t.bare(n); b.GetColumnRef() != nil {
			return s.value(b)
		}
		return sampleOf(s.t.fold(n))
	case *pg.Node_TypeCast:
		return s.cast(e.TypeCast)
	case *pg.Node_CollateClause:
		return s.value(e.CollateClause.Arg)
	case *pg.Node_BoolExpr:
		return s.boolean(e.BoolExpr)
	case *pg.Node_NullTest:
		v := s.value(e.NullTest.Arg)
		if !v.known() || v.kind == listSample {
			return sample{}
		}
		return sampleBool((v.kind == nullSample) == (e.NullTest.Nulltesttype == pg.NullTestType_IS_NULL))
	case *pg.Node_BooleanTest:
		v := s.cond(e.BooleanTest.Arg)
		if v.kind != boolSample && v.kind != nullSample {
			return sample{}
		}
		switch e.BooleanTest.Booltesttype {
		case pg.BoolTestType_IS_TRUE:
			return sampleBool(v.isTrue())
		case pg.BoolTestType_IS_NOT_TRUE:
			return sampleBool(!v.isTrue())
		case pg.BoolTestType_IS_FALSE:
			return sampleBool(v.isFalse())
		case pg.BoolTestType_IS_NOT_FALSE:
			return sampleBool(!v.isFalse())
		case pg.BoolTestType_IS_UNKNOWN:
			return sampleBool(v.kind == nullSample)
		case pg.BoolTestType_IS_NOT_UNKNOWN:
			return sampleBool(v.kind != nullSample)
		}
	case *pg.Node_CoalesceExpr:
		for _, a := range e.CoalesceExpr.Args {
			if v := s.value(a); v.kind != nullSample {
				return v
			}
		}
		return sampleNull
	case *pg.Node_MinMaxExpr:
		best := sampleNull
		for _, a := range e.MinMaxExpr.Args {
			v := s.value(a)
			if !v.known() {
				return v
			}
			if best.kind == nullSample || v.kind == nullSample {
				if v.kind != nullSample {
					best = v
				}
				continue
			}
			c, ok := order(v, best)
			if !ok {
				return sample{}
			}
			if (e.MinMaxExpr.Op == pg.MinMaxOp_IS_GREATEST) == (c > 0) {
				best = v
			}
		}
		return best
	case *pg.Node_CaseExpr:
		return s.cases(e.CaseExpr)
	case *pg.Node_AArrayExpr:
		return s.list(e.AArrayExpr.Elements)
	case *pg.Node_RowExpr:
		return s.list(e.RowExpr.Args)
	case *pg.Node_List:
		return s.list(e.List.Items)
	case *pg.Node_FuncCall:
		return s.call(e.FuncCall)
	case *pg.Node_AExpr:
		return s.operator(e.AExpr)
	case *pg.Node_SubLink:
		return s.sub(e.SubLink)
	}
	return sample{}
}

func (s *sampler) list(nodes []*pg.Node) sample {
	v := sample{kind: listSample}
	for _, n := range nodes {
		v.list = append(v.list, s.value(n))
	}
	return v
}

func (s *sampler) boolean(b *pg.BoolExpr) sample {
	if b.Boolop == pg.BoolExprType_NOT_EXPR {
		if v := s.cond(b.Args[0]); v.kind == boolSample {
			return sampleBool(!v.b)
		} else {
			return v
		}
	}
	and := b.Boolop == pg.BoolExprType_AND_EXPR
	result := sampleBool(and)
	for _, a := range b.Args {
		switch v := s.cond(a); {
		case v.kind == boolSample && v.b != and:
			return v
		case v.kind == nullSample && result.kind == boolSample:
			result = v
		case v.kind != boolSample && v.kind != nullSample:
			result = sample{}
		}
	}
	return result
}

func (s *sampler) cases(c *pg.CaseExpr) sample {
	var arg sample
	if c.Arg != nil {
		arg = s.value(c.Arg)
	}
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		var met sample
		if c.Arg != nil {
			met = compared("=", arg, s.value(w.GetExpr()))
		} else {
			met = s.cond(w.GetExpr())
		}
		switch {
		case met.isTrue():
			return s.value(w.GetResult())
		case !met.isFalse() && met.kind != nullSample:
			return sample{}
		}
	}
	if c.Defresult == nil {
		return sampleNull
	}
	return s.value(c.Defresult)
}

func (s *sampler) cast(c *pg.TypeCast) sample {
	v := s.value(c.Arg)
	if v.kind == nullSample || !v.known() || len(c.TypeName.GetArrayBounds()) > 0 {
		if v.kind == textSample {
			return s.array(c.Arg)
		}
		return v
	}
	names := strs(c.TypeName.GetNames())
	if len(names) == 0 || len(names) == 2 && names[0] != "pg_catalog" {
		return sample{}
	}
	switch typ := names[len(names)-1]; typ {
	case "int2", "int4", "int8", "numeric", "float4", "float8", "oid", "xid":
		whole := strings.HasPrefix(typ, "int")
		switch v.kind {
		case textSample:
			f, err := strconv.ParseFloat(strings.TrimSpace(v.s), 64)
			if err != nil || math.IsNaN(f) || whole && f != math.Trunc(f) {
				return sample{}
			}
			return sampleNumber(f)
		case boolSample:
			if v.b {
				return sampleNumber(1)
			}
			return sampleNumber(0)
		case numberSample:
			if len(c.TypeName.Typmods) > 0 {
				return sample{}
			}
			if whole {
				return sampleNumber(math.Round(v.n))
			}
			return v
		}
	case "text", "varchar", "bpchar", "name":
		if len(c.TypeName.GetTypmods()) == 0 {
			return s.text(c.Arg, v)
		}
	case "bool":
		switch v.kind {
		case boolSample:
			return v
		case numberSample:
			return sampleBool(v.n != 0)
		case textSample:
			if b := boolText(v.s); b != "" {
				return sampleBool(b == "t")
			}
		}
	case "tid":
		if n, ok := tid(v.s); ok && v.kind == textSample {
			return sample{kind: tidSample, n: n}
		}
	}
	return sample{}
}

// array is the value of an array that a string spells out.
func (s *sampler) array(n *pg.Node) sample {
	items, ok := s.t.elements(n)
	if !ok || len(items) > 1000 {
		return sample{}
	}
	return s.list(items)
}

// fractional reports whether a number is of a type that has fractions.
func (s *sampler) fractional(n *pg.Node) bool {
	for range maxPredicateDepth {
		switch e := n.GetNode().(type) {
		case *pg.Node_AConst:
			return e.AConst.GetFval() != nil
		case *pg.Node_TypeCast:
			return isType(e.TypeCast.TypeName, "numeric") || isType(e.TypeCast.TypeName, "float4") || isType(e.TypeCast.TypeName, "float8")
		case *pg.Node_AExpr:
			if s.fractional(e.AExpr.Rexpr) {
				return true
			}
			n = e.AExpr.Lexpr
		case *pg.Node_ColumnRef:
			c := s.t.column(n)
			if c == nil {
				return false
			}
			_, _, whole, _ := s.t.numbers(c)
			return !whole
		default:
			return false
		}
	}
	return false
}

// text is a value's text. A number with a scale is written with its zeros.
func (s *sampler) text(n *pg.Node, v sample) sample {
	switch v.kind {
	case literalSample:
		return sampleText(v.s)
	case symbolSample:
		return sampleText("~~" + strconv.Itoa(int(v.n)))
	}
	c := s.t.column(s.t.bare(n))
	if c == nil || v.kind != numberSample || s.t.p.baseType(c.Type) != numericOID {
		return asText(v)
	}
	return s.choose("text of "+c.Name, func() []sample {
		return []sample{asText(v), sampleText(strconv.FormatFloat(v.n, 'f', 2, 64))}
	})
}

func (s *sampler) operator(e *pg.A_Expr) sample {
	op := opName(e)
	if len(e.Name) > 1 && strs(e.Name)[0] != "pg_catalog" {
		return sample{}
	}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if e.Lexpr == nil {
			return unary(op, s.value(e.Rexpr))
		}
		if sub := e.Rexpr.GetRowExpr(); sub == nil && mirrored[op] != "" {
			// Of a condition compared with a constant, what does not depend on the
			// row is free as well.
			return compared(op, s.operand(e.Lexpr), s.operand(e.Rexpr))
		}
		if strings.HasPrefix(op, "->") {
			return sampleOf(s.t.foldMember(e))
		}
		l, r := s.value(e.Lexpr), s.value(e.Rexpr)
		if op == "/" && l.kind == numberSample && r.kind == numberSample && r.n != 0 && (s.fractional(e.Lexpr) || s.fractional(e.Rexpr)) {
			return sampleNumber(tidy(l.n / r.n))
		}
		return s.applied(op, l, r)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		list := s.value(e.Rexpr)
		if list.kind == textSample {
			list = s.array(e.Rexpr)
		}
		if list.kind != listSample {
			return sample{}
		}
		return anyOf(s.value(e.Lexpr), op, list.list, e.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL)
	case pg.A_Expr_Kind_AEXPR_IN:
		return anyOf(s.operand(e.Lexpr), op, s.list(e.Rexpr.GetList().GetItems()).list, op != "=")
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		return distinct(s.operand(e.Lexpr), s.operand(e.Rexpr))
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return inverse(distinct(s.operand(e.Lexpr), s.operand(e.Rexpr)))
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		l, r := s.value(e.Lexpr), s.value(e.Rexpr)
		switch v := compared("=", l, r); {
		case v.isTrue():
			return sampleNull
		case v.isFalse() || v.kind == nullSample:
			return l
		}
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		return s.applied(op, s.value(e.Lexpr), s.value(e.Rexpr))
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		items := e.Rexpr.GetList().GetItems()
		if len(items) != 2 {
			return sample{}
		}
		x, a, b := s.operand(e.Lexpr), s.value(items[0]), s.value(items[1])
		v := between3(x, a, b)
		symmetric := e.Kind == pg.A_Expr_Kind_AEXPR_BETWEEN_SYM || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM
		if w := between3(x, b, a); symmetric && (w.isTrue() || !w.known()) {
			v = w
		}
		if e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
			v = inverse(v)
		}
		return v
	}
	return sample{}
}

// operand evaluates what may be a condition.
func (s *sampler) operand(n *pg.Node) sample {
	switch n.GetNode().(type) {
	case *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest:
		return s.cond(n)
	case *pg.Node_FuncCall:
		fs := s.t.p.names.functions(strs(n.GetFuncCall().Funcname))
		if len(fs) > 0 && !slices.ContainsFunc(fs, func(f *catalog.Function) bool { return f.Result != boolOID || f.ReturnsSet }) {
			return s.cond(n)
		}
	case *pg.Node_AExpr:
		if op := opName(n.GetAExpr()); mirrored[op] != "" || strings.HasPrefix(strings.TrimPrefix(op, "!"), "~") && n.GetAExpr().Lexpr != nil || n.GetAExpr().Kind != pg.A_Expr_Kind_AEXPR_OP && n.GetAExpr().Kind != pg.A_Expr_Kind_AEXPR_NULLIF {
			return s.cond(n)
		}
	}
	return s.value(n)
}
