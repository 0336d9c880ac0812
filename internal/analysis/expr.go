package analysis

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// OIDs of built-in types (pg_type.dat); they are the same in every database.
const (
	boolOID        catalog.OID = 16
	byteaOID       catalog.OID = 17
	nameOID        catalog.OID = 19
	int8OID        catalog.OID = 20
	int2OID        catalog.OID = 21
	int4OID        catalog.OID = 23
	textOID        catalog.OID = 25
	jsonOID        catalog.OID = 114
	xmlOID         catalog.OID = 142
	float4OID      catalog.OID = 700
	textArrayOID   catalog.OID = 1009
	float8OID      catalog.OID = 701
	unknownOID     catalog.OID = 705
	bpcharOID      catalog.OID = 1042
	varcharOID     catalog.OID = 1043
	dateOID        catalog.OID = 1082
	timeOID        catalog.OID = 1083
	timestampOID   catalog.OID = 1114
	timestamptzOID catalog.OID = 1184
	timetzOID      catalog.OID = 1266
	numericOID     catalog.OID = 1700
	recordOID      catalog.OID = 2249
	recordArrayOID catalog.OID = 2287
	jsonbOID       catalog.OID = 3802
)

func itoa(i int) string { return strconv.Itoa(i) }

// kindOf names a node for a person to read.
func kindOf(n any) string {
	t := strings.TrimPrefix(typeName(n), "*pg_query.Node_")
	if t == "" || t == "<nil>" {
		return "nothing"
	}
	return t
}

// expr analyzes an expression: what its value derives from. It records what the
// expression reads and calls.
func (p *part) expr(n *pg.Node, sc *scope) value {
	if n == nil || n.Node == nil {
		return constant(0)
	}
	defer p.leave()
	if !p.enter() {
		return constant(0)
	}
	switch e := n.Node.(type) {
	case *pg.Node_ColumnRef:
		return p.columnRef(e.ColumnRef, sc)
	case *pg.Node_AConst:
		return p.constant(e.AConst)
	case *pg.Node_ParamRef:
		if p.vars != nil {
			if v, ok := p.vars.numbered(int(e.ParamRef.Number)); ok {
				return v
			}
		}
		v := constant(0)
		v.untyped = true
		v.lits = p.literal(Literal{Param: int(e.ParamRef.Number)})
		return v
	case *pg.Node_AExpr:
		return p.operatorExpr(e.AExpr, sc)
	case *pg.Node_BoolExpr:
		v := value{how: Constant, typ: boolOID, known: true}
		for _, n := range e.BoolExpr.Args {
			v = p.combine(boolOID, v, p.exprAs(boolOID, n, sc))
		}
		v = derived(v)
		p.probe(v.src) // x OR NULL
		return v
	case *pg.Node_NullTest:
		return p.nullTest(p.expr(e.NullTest.Arg, sc))
	case *pg.Node_BooleanTest:
		return p.combine(boolOID, p.exprAs(boolOID, e.BooleanTest.Arg, sc))
	case *pg.Node_FuncCall:
		return p.funcCall(e.FuncCall, sc)
	case *pg.Node_NamedArgExpr:
		return p.expr(e.NamedArgExpr.Arg, sc)
	case *pg.Node_TypeCast:
		return p.cast(p.expr(e.TypeCast.Arg, sc), p.typeOf(e.TypeCast.TypeName), e.TypeCast.TypeName, 'e')
	case *pg.Node_CollateClause:
		v := derived(p.expr(e.CollateClause.Arg, sc))
		return v
	case *pg.Node_SubLink:
		return p.subLink(e.SubLink, sc)
	case *pg.Node_CaseExpr:
		return p.caseExpr(e.CaseExpr, sc)
	case *pg.Node_CoalesceExpr:
		return p.choose(e.CoalesceExpr.Args, sc)
	case *pg.Node_MinMaxExpr:
		v := p.choose(e.MinMaxExpr.Args, sc)
		p.compared(v)
		return derived(v) // which it is tells how they compare
	case *pg.Node_AIndirection:
		return p.indirect(p.expr(e.AIndirection.Arg, sc), e.AIndirection.Indirection, sc)
	case *pg.Node_AArrayExpr:
		return p.array(e.AArrayExpr.Elements, sc)
	case *pg.Node_RowExpr:
		return p.rowExpr(e.RowExpr, sc)
	case *pg.Node_SqlvalueFunction:
		return constant(sqlValueTypes[e.SqlvalueFunction.Op])
	case *pg.Node_GroupingFunc:
		v := p.exprs(int4OID, e.GroupingFunc.Args, sc)
		p.test(v.src)
		return value{how: Count, typ: int4OID, known: true}
	case *pg.Node_XmlExpr:
		t := xmlOID
		if e.XmlExpr.Op == pg.XmlExprOp_IS_DOCUMENT {
			t = boolOID
		}
		v := p.exprs(t, e.XmlExpr.NamedArgs, sc)
		for i, n := range e.XmlExpr.Args {
			arg := p.exprAs(xmlArgument(e.XmlExpr.Op, i), n, sc)
			v = p.combine(t, v, arg)
		}
		p.probe(v.src)
		return v
	case *pg.Node_XmlSerialize:
		v := p.combine(textOID, p.exprAs(xmlOID, e.XmlSerialize.Expr, sc))
		return p.cast(v, p.typeOf(e.XmlSerialize.TypeName), e.XmlSerialize.TypeName, 'a')
	case *pg.Node_ResTarget: // a named part of an XML element
		return p.expr(e.ResTarget.Val, sc)
	case *pg.Node_JsonObjectConstructor:
		if len(e.JsonObjectConstructor.Exprs) == 0 {
			p.sqlJSON("json_object", e.JsonObjectConstructor.Output)
		}
		return p.exprs(p.jsonType(e.JsonObjectConstructor.Output), e.JsonObjectConstructor.Exprs, sc)
	case *pg.Node_JsonArrayConstructor:
		if e.JsonArrayConstructor.AbsentOnNull {
			p.sqlJSON("json_array", e.JsonArrayConstructor.Output)
		}
		return p.exprs(p.jsonType(e.JsonArrayConstructor.Output), e.JsonArrayConstructor.Exprs, sc)
	case *pg.Node_JsonArrayQueryConstructor:
		cols := p.subquery(e.JsonArrayQueryConstructor.Query, sc)
		return p.combine(p.jsonType(e.JsonArrayQueryConstructor.Output), p.inJSON(fieldValues(cols))...)
	case *pg.Node_JsonObjectAgg:
		return p.jsonAggregate(e.JsonObjectAgg.Constructor, sc, e.JsonObjectAgg.Arg.GetKey(), jsonValue(e.JsonObjectAgg.Arg.GetValue()))
	case *pg.Node_JsonArrayAgg:
		if e.JsonArrayAgg.AbsentOnNull {
			p.sqlJSON("json_arrayagg", e.JsonArrayAgg.Constructor.GetOutput())
		}
		return p.jsonAggregate(e.JsonArrayAgg.Constructor, sc, jsonValue(e.JsonArrayAgg.Arg))
	case *pg.Node_JsonKeyValue:
		return p.combine(0, p.expr(e.JsonKeyValue.Key, sc), p.expr(jsonValue(e.JsonKeyValue.Value), sc))
	case *pg.Node_JsonValueExpr:
		return p.combine(0, p.inJSON([]value{p.expr(e.JsonValueExpr.GetRawExpr(), sc)})...)
	case *pg.Node_JsonIsPredicate:
		return p.exprs(boolOID, []*pg.Node{e.JsonIsPredicate.Expr}, sc)
	case *pg.Node_List:
		return p.exprs(0, e.List.Items, sc)
	case *pg.Node_MultiAssignRef:
		return p.expr(e.MultiAssignRef.Source, sc)
	case *pg.Node_SetToDefault:
		return constant(0)
	case *pg.Node_CurrentOfExpr:
		return constant(boolOID)
	}
	p.unknown("an expression of kind "+kindOf(n.Node), -1)
	return p.everything(sc)
}

var sqlValueTypes = map[pg.SQLValueFunctionOp]catalog.OID{
	pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:        dateOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME:        timetzOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:      timetzOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:   timestamptzOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: timestamptzOID,
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME:           timeOID,
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         timeOID,
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:      timestampOID,
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    timestampOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:        nameOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_USER:        nameOID,
	pg.SQLValueFunctionOp_SVFOP_USER:                nameOID,
	pg.SQLValueFunctionOp_SVFOP_SESSION_USER:        nameOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:     nameOID,
	pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:      nameOID,
}

// xmlArgument returns the type that argument i of an XML expression is brought
// to, or 0 where any is taken.
func xmlArgument(op pg.XmlExprOp, i int) catalog.OID {
	switch {
	case op == pg.XmlExprOp_IS_XMLPARSE, op == pg.XmlExprOp_IS_XMLPI, op == pg.XmlExprOp_IS_XMLROOT && i > 0:
		return textOID
	case op == pg.XmlExprOp_IS_XMLCONCAT, op == pg.XmlExprOp_IS_XMLROOT, op == pg.XmlExprOp_IS_DOCUMENT:
		return xmlOID
	}
	return 0
}

// exprAs analyzes an expression that the server brings to a type, if not 0.
func (p *part) exprAs(typ catalog.OID, n *pg.Node, sc *scope) value {
	v := p.expr(n, sc)
	if typ != 0 {
		v = p.coerce(v, typ, 'a')
	}
	return v
}

// exprs analyzes expressions whose values are combined into one of type typ.
func (p *part) exprs(typ catalog.OID, nodes []*pg.Node, sc *scope) value {
	r := value{how: Constant, typ: typ, known: true}
	for _, n := range nodes {
		r = p.combine(typ, r, p.expr(n, sc))
	}
	if len(nodes) == 1 && r.how == Plain {
		r.how = Expression
	}
	return r
}

// choose analyzes expressions of which one is the value, unchanged.
func (p *part) choose(nodes []*pg.Node, sc *scope) value {
	vs := make([]value, len(nodes))
	for i, n := range nodes {
		vs[i] = p.expr(n, sc)
	}
	return p.unify(vs)
}

func fieldValues(cols []field) []value {
	vs := make([]value, len(cols))
	for i, c := range cols {
		vs[i] = c.value
	}
	return vs
}

func (p *part) constant(c *pg.A_Const) value {
	v := constant(0)
	v.lits = p.literal(Literal{Start: int(c.Location), End: int(c.Location)})
	switch {
	case c.Isnull:
		v.untyped, v.lits = true, nil
	case c.GetIval() != nil:
		v.typ = int4OID
	case c.GetFval() != nil:
		v.typ = numericOID
		if !strings.ContainsAny(c.GetFval().Fval, ".eE") {
			if _, err := strconv.ParseInt(c.GetFval().Fval, 0, 64); err == nil {
				v.typ = int8OID
			}
		}
	case c.GetBoolval() != nil:
		v.typ, v.lits = boolOID, nil
	case c.GetSval() != nil:
		v.untyped = true
	case c.GetBsval() != nil:
		v.typ = 1560 // bit
	default: // integer 0 has no value in the protobuf
		v.typ = int4OID
	}
	return v
}

func (p *part) columnRef(ref *pg.ColumnRef, sc *scope) value {
	fields := ref.Fields
	if len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil {
		// alias.* as an expression (ROW(t.*), count(t.*)) is the whole row.
		parts := strs(fields[:len(fields)-1])
		cols, ok := p.star(parts, sc)
		if !ok {
			p.unknown("the relation "+qualified(parts)+" is not in FROM", int(ref.Location))
			return p.everything(sc)
		}
		if len(parts) > 0 {
			if v, ok := p.wholeRow(parts, sc); ok {
				return v
			}
		}
		return p.row(recordOID, cols)
	}
	parts := strs(fields)
	if len(parts) == 0 {
		p.unknown("a column without a name", int(ref.Location))
		return p.everything(sc)
	}
	if v, ok := p.column(parts, sc); ok {
		return v
	}
	if len(parts) > 1 {
		// a.b where b is no column of a: a function of the row, or a part of a
		// composite variable or column a.
		if v, ok := p.column(parts[:len(parts)-1], sc); ok {
			return p.attribute(v, parts[len(parts)-1], int(ref.Location))
		}
		if v, ok := p.wholeRow(parts[:len(parts)-1], sc); ok {
			return p.attribute(v, parts[len(parts)-1], int(ref.Location))
		}
	}
	p.unknown("the column "+qualified(parts)+" does not exist", int(ref.Location))
	return p.everything(sc)
}

// wholeRow returns the row of the alias that parts name.
func (p *part) wholeRow(parts []string, sc *scope) (value, bool) {
	for s := sc; s != nil; s = s.outer {
		for src := range s.all() {
			if src.is(parts) {
				p.reference(src.whole)
				return src.whole, true
			}
		}
	}
	return value{}, false
}

// attribute returns v.name: a part of a row, or the function name called with
// the row (manual, section 8.16.5).
func (p *part) attribute(v value, name string, loc int) value {
	for _, f := range v.fields {
		if f.name == name {
			f.value.set = v.set
			// Of an alias's row it is the column, of a row that a query made it
			// is not.
			f.value.known = f.value.known && f.value.origin == Column{}
			return f.value
		}
	}
	if v.fields == nil {
		if rel := p.rowRelation(v.typ); rel != nil {
			if c := rel.ColumnNamed(name); c != nil {
				f := derived(v)
				f.typ, f.fields = c.Type, nil
				return f
			}
		}
	}
	if fs := p.names.functions([]string{name}); len(fs) > 0 {
		return p.callNamed([]string{name}, fs, []value{v}, nil, loc)
	}
	if v.typ == 0 || v.typ == recordOID {
		// A record whose parts are not known.
		f := derived(v)
		f.typ, f.fields = 0, nil
		return f
	}
	p.unknown("the column or function "+name+" does not exist", loc)
	f := derived(v)
	f.how, f.typ, f.fields = Opaque, 0, nil
	return f
}

// indirect applies subscripts and field names to a value.
func (p *part) indirect(v value, ind []*pg.Node, sc *scope) value {
	for _, n := range ind {
		switch i := n.Node.(type) {
		case *pg.Node_String_:
			v = p.attribute(v, i.String_.Sval, -1)
		case *pg.Node_AIndices:
			idx := []value{v}
			by := int4OID
			if !p.a.isArray(p.baseType(v.typ)) {
				by = textOID
			}
			for _, n := range []*pg.Node{i.AIndices.Lidx, i.AIndices.Uidx} {
				if n != nil {
					idx = append(idx, p.exprAs(by, n, sc))
				}
			}
			fields := v.fields
			v = derived(p.combine(p.subscripted(v.typ, i.AIndices.IsSlice), idx...))
			p.probe(v.src)
			for _, f := range fields { // which element it is tells of the subscripts
				f.value = p.combine(f.typ, append([]value{f.value}, idx[1:]...)...)
				v.fields = append(v.fields, f)
			}
		case *pg.Node_AStar:
			// Expanded by the target list; elsewhere the whole value.
		default:
			p.unknown("an indirection of kind "+kindOf(n.Node), -1)
			v.how = Opaque
		}
	}
	return v
}

// subscripted returns the type of t[i], or of the slice t[i:j], or 0.
func (p *part) subscripted(t catalog.OID, slice bool) catalog.OID {
	t = p.baseType(t)
	typ := p.a.snap.Type(t)
	switch {
	case slice || t == jsonbOID:
		return t
	case typ != nil:
		return typ.Element
	}
	return 0
}

func (p *part) array(elements []*pg.Node, sc *scope) value {
	vs := make([]value, len(elements))
	for i, n := range elements {
		vs[i] = p.expr(n, sc)
	}
	v := derived(p.unify(vs))
	element := v.typ
	v.typ = 0
	if t := p.a.snap.Type(element); t != nil && len(vs) > 0 {
		v.typ = t.Array
		if t.Element != 0 && t.Array == 0 {
			v.typ = t.OID // arrays of arrays are arrays
		}
	}
	return v
}

func (p *part) rowExpr(r *pg.RowExpr, sc *scope) value {
	var fields []field
	for i, n := range r.Args {
		if cols, ok := p.expandStar(n, sc); ok {
			fields = append(fields, cols...)
			continue
		}
		fields = append(fields, field{"f" + itoa(i+1), p.expr(n, sc)})
	}
	for i := range fields {
		fields[i].name = "f" + itoa(i+1)
	}
	v := p.row(recordOID, fields)
	if v.how == Plain {
		v.how = Expression
	}
	return v
}

func (p *part) caseExpr(c *pg.CaseExpr, sc *scope) value {
	var results, conds []value
	var arg value
	if c.Arg != nil {
		arg = p.expr(c.Arg, sc)
		conds = append(conds, arg)
	}
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		var cond value
		if c.Arg != nil {
			cond = p.expr(w.GetExpr(), sc)
			if p.defined && telling(w.GetExpr()) {
				p.compare(arg.src)
			}
			conds = append(conds, p.operator([]string{"="}, []value{arg, cond}, -1))
		} else {
			cond = p.exprAs(boolOID, w.GetExpr(), sc)
		}
		conds = append(conds, cond)
		results = append(results, p.expr(w.GetResult(), sc))
	}
	if c.Defresult != nil {
		results = append(results, p.expr(c.Defresult, sc))
	}
	v := p.unify(results)
	// Which branch is taken tells of the conditions, character by character if
	// need be: they flow.
	cond := p.combine(boolOID, conds...)
	p.test(cond.src)
	how := p.beside(v, cond).how
	if len(cond.src) > 0 || cond.how == Opaque {
		fields := v.fields
		v = p.combine(v.typ, v, cond)
		v.fields = nil
		for _, f := range fields {
			v.fields = append(v.fields, field{f.name, p.combine(f.typ, f.value, cond)})
		}
	}
	if v = derived(v); how == Plain {
		v.how = Plain
	}
	return v
}

// nullTest returns whether v is NULL. Masks show it of a column as it is, not of
// what is computed: nullif(email, 'a guess').
func (p *part) nullTest(v value) value {
	plain := v.how == Plain
	v = derived(p.combine(boolOID, v))
	if plain {
		v.how = Count
	}
	return v
}

func (p *part) subLink(s *pg.SubLink, sc *scope) value {
	links := len(p.a.links)
	v := p.subLinkValue(s, sc)
	if around := p.correlated(sc, links); len(around.src) > 0 {
		v = derived(p.combine(v.typ, v, around))
	}
	return v
}

func (p *part) subLinkValue(s *pg.SubLink, sc *scope) value {
	cols := p.subquery(s.Subselect, sc)
	rows := p.a.rows
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		// Only whether there are rows: the columns behind that are tests.
		return p.ordinal(boolOID, rows)
	case pg.SubLinkType_ARRAY_SUBLINK:
		if len(cols) == 0 {
			return opaque(nil)
		}
		v := derived(cols[0].value)
		if p.definitions([]value{cols[0].value}) {
			v.how = Plain // each element is one of them
		}
		if t := p.a.snap.Type(v.typ); t != nil {
			v.typ = t.Array
		}
		if len(rows) > 0 { // its length says how many there are
			v = p.beside(v, counting(rows, Expression))
		}
		v.set, v.rows = false, nil
		return v
	case pg.SubLinkType_EXPR_SUBLINK:
		if len(cols) == 0 {
			return opaque(nil)
		}
		if p.a.subqueries == nil {
			p.a.subqueries = map[*pg.SubLink]string{}
		}
		p.a.subqueries[s] = cols[0].name
		v := cols[0].value
		if len(cols) > 1 {
			v = p.row(recordOID, cols) // of (a, b) = (SELECT ...)
		}
		v.set, v.rows = false, nil
		v.origin, v.known = Column{}, true
		if v.how == Plain {
			v.how = Expression
		}
		return v
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		op := strs(s.OperName)
		if len(op) == 0 {
			op = []string{"="}
		}
		left := p.expr(s.Testexpr, sc)
		vs := append([]value{left}, fieldValues(cols)...)
		p.probe(p.combine(boolOID, vs...).src)
		if len(cols) == 1 {
			v := p.operator(op, []value{left, cols[0].value}, int(s.Location))
			v.typ = boolOID
			return v
		}
		return p.rowCompare(op, left, p.row(recordOID, cols), int(s.Location))
	case pg.SubLinkType_ROWCOMPARE_SUBLINK:
		return p.rowCompare(strs(s.OperName), p.expr(s.Testexpr, sc), p.row(recordOID, cols), int(s.Location))
	case pg.SubLinkType_MULTIEXPR_SUBLINK:
		return p.row(recordOID, cols)
	}
	p.unknown("a subquery of kind "+s.SubLinkType.String(), int(s.Location))
	return p.everything(sc)
}

func jsonValue(v *pg.JsonValueExpr) *pg.Node {
	return &pg.Node{Node: &pg.Node_JsonValueExpr{JsonValueExpr: v}}
}

// sqlJSON marks what only the parser takes for a constructor of SQL/JSON: before
// PostgreSQL 16, without any clause, it is a call of somebody's function of that
// name.
func (p *part) sqlJSON(name string, returning *pg.JsonOutput) {
	if returning == nil && p.a.snap.Server.VersionNum < 160000 {
		p.unknown("before PostgreSQL 16, "+name+" is a function of somebody's own", -1)
	}
}

func (p *part) jsonType(o *pg.JsonOutput) catalog.OID {
	if o.GetTypeName() != nil {
		t := p.typeOf(o.TypeName)
		p.domainChecks(t, constant(0))
		return t
	}
	return jsonOID
}

func (p *part) jsonAggregate(c *pg.JsonAggConstructor, sc *scope, args ...*pg.Node) value {
	frame := constant(0)
	for _, n := range c.GetAggOrder() {
		if sb := n.GetSortBy(); sb != nil {
			frame = p.combine(0, frame, p.sortKeyExpr(sb.Node, sc))
			p.sortOperator(sb, sc)
		}
	}
	frame = p.combine(0, frame, p.predicate(c.GetAggFilter(), sc))
	if c.GetOver() != nil {
		frame = p.combine(0, frame, p.over(c.Over, sc))
	}
	v := p.exprs(p.jsonType(c.GetOutput()), args, sc)
	if v.how != Constant && v.how != Opaque {
		v.how = Aggregate
	}
	return p.framed(v, frame, sc)
}

// over records the window that a call runs over. It returns what the edges of
// its frame are computed from: they decide how many rows the call sees.
func (p *part) over(w *pg.WindowDef, sc *scope) value {
	if w.Name != "" {
		w = sc.windows[w.Name] // recorded with the WINDOW clause
	}
	order := constant(0)
	for at, n := w, 0; at != nil && n < 8; n++ {
		order = p.combine(0, order, p.window(at, sc))
		if at.Refname == "" {
			break
		}
		at = sc.windows[at.Refname]
	}
	return p.combine(0, order, p.exprAs(int8OID, w.GetStartOffset(), sc), p.exprAs(int8OID, w.GetEndOffset(), sc))
}

// framed returns the result of a call over a window.
func (p *part) framed(v, frame value, sc *scope) value {
	if len(frame.src) > 0 {
		v = p.chosen(v, frame)
	}
	return p.made(v, sc)
}

// operatorExpr analyzes what the grammar calls a_expr: operators, IN, LIKE,
// BETWEEN, NULLIF and their kin.
func (p *part) operatorExpr(e *pg.A_Expr, sc *scope) value {
	// Chains like 1+1+1... are left-deep: walk down without recursion.
	var chain []*pg.A_Expr
	for e.Kind == pg.A_Expr_Kind_AEXPR_OP && e.Lexpr.GetAExpr() != nil && e.Lexpr.GetAExpr().Kind == pg.A_Expr_Kind_AEXPR_OP {
		chain = append(chain, e)
		e = e.Lexpr.GetAExpr()
	}
	v := p.operatorNode(e, p.left(e, sc), sc)
	for i := len(chain) - 1; i >= 0; i-- {
		if !p.step() {
			return v
		}
		v = p.operatorNode(chain[i], v, sc)
	}
	return v
}

func (p *part) left(e *pg.A_Expr, sc *scope) value {
	if e.Lexpr == nil {
		return value{}
	}
	return p.expr(e.Lexpr, sc)
}

func (p *part) operatorNode(e *pg.A_Expr, left value, sc *scope) value {
	v := p.operate(e, left, sc)
	if p.defined && (v.typ == boolOID || e.Kind != pg.A_Expr_Kind_AEXPR_OP) && (telling(e.Lexpr) || telling(e.Rexpr)) {
		p.compare(v.src)
	}
	return v
}

// telling reports whether n is a constant, or a list of some, that can be a
// value of a table: ” and 0 are not.
func telling(n *pg.Node) bool {
	switch e := n.GetNode().(type) {
	case *pg.Node_TypeCast:
		return telling(e.TypeCast.Arg)
	case *pg.Node_CollateClause:
		return telling(e.CollateClause.Arg)
	case *pg.Node_AArrayExpr:
		return slices.ContainsFunc(e.AArrayExpr.Elements, telling)
	case *pg.Node_List:
		return slices.ContainsFunc(e.List.Items, telling)
	case *pg.Node_RowExpr:
		return slices.ContainsFunc(e.RowExpr.Args, telling)
	case *pg.Node_AConst:
		if i := e.AConst.GetIval(); i != nil {
			return i.Ival >= 1000
		}
		text := e.AConst.GetSval().GetSval() + e.AConst.GetFval().GetFval()
		return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	}
	return false
}

func (p *part) operate(e *pg.A_Expr, left value, sc *scope) value {
	loc := int(e.Location)
	op := strs(e.Name)
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		right := p.expr(e.Rexpr, sc)
		if e.Lexpr == nil {
			return p.operator(op, []value{right}, loc)
		}
		if left.fields != nil && right.fields != nil && e.Lexpr.GetRowExpr() != nil {
			return p.rowCompare(op, left, right, loc)
		}
		return p.member(p.operator(op, []value{left, right}, loc), e, left, right)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		right := p.expr(e.Rexpr, sc)
		v := p.operator(op, []value{left, p.elementOf(right)}, loc)
		v.typ = boolOID
		p.probe(v.src)
		return v
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		v := p.operator([]string{"="}, []value{left, p.expr(e.Rexpr, sc)}, loc)
		v.typ = boolOID
		return v
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		right := p.expr(e.Rexpr, sc)
		v := derived(p.combine(left.typ, left, right, p.operator([]string{"="}, []value{left, right}, loc)))
		p.probe(v.src)
		return v
	case pg.A_Expr_Kind_AEXPR_IN:
		r := value{how: Constant, typ: boolOID, known: true}
		var last value
		for i, n := range e.Rexpr.GetList().GetItems() {
			v := p.expr(n, sc)
			if left.fields != nil && v.fields != nil && e.Lexpr.GetRowExpr() != nil {
				r = p.combine(boolOID, r, p.rowCompare(op, left, v, loc))
				continue
			}
			// The operator is the same for elements of one type.
			if i == 0 || v.typ != last.typ || v.untyped != last.untyped {
				r = p.combine(boolOID, r, p.operator(op, []value{left, v}, loc))
			} else {
				r = p.combine(boolOID, r, v)
			}
			last = v
		}
		p.probe(r.src) // x IN ('y', NULL)
		return r
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE:
		return p.operator(op, []value{left, p.expr(e.Rexpr, sc)}, loc)
	case pg.A_Expr_Kind_AEXPR_SIMILAR:
		return p.operator(op, []value{left, p.expr(e.Rexpr, sc)}, loc)
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		items := e.Rexpr.GetList().GetItems()
		vs := []value{left}
		for i, n := range items {
			v := p.expr(n, sc)
			vs = append(vs, v, p.operator([]string{[]string{">=", "<="}[i%2]}, []value{left, v}, loc))
		}
		v := p.combine(boolOID, vs...)
		p.probe(v.src)
		return v
	}
	p.unknown("an operator expression of kind "+e.Kind.String(), loc)
	return p.everything(sc)
}

// rowCompare compares rows part by part.
func (p *part) rowCompare(op []string, left, right value, loc int) value {
	vs := []value{left, right}
	for i := range min(len(left.fields), len(right.fields)) {
		vs = append(vs, p.operator(op, []value{left.fields[i].value, right.fields[i].value}, loc))
		p.compared(left.fields[i].value)
	}
	v := p.combine(boolOID, vs...)
	p.probe(v.src)
	return v
}

// elementOf returns a value like v of its array type's element type.
func (p *part) elementOf(v value) value {
	e := derived(v)
	e.untyped = v.untyped
	e.typ = 0
	if t := p.a.snap.Type(p.baseType(v.typ)); t != nil {
		e.typ = t.Element
	}
	return e
}

// baseType returns the type under a domain.
func (p *part) baseType(t catalog.OID) catalog.OID {
	for range 8 {
		typ := p.a.snap.Type(t)
		if typ == nil || typ.Kind != 'd' {
			return t
		}
		t = typ.Base
	}
	return t
}
