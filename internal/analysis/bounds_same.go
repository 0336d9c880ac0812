package analysis

import (
	"math/big"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// null reports whether an expression is the constant NULL.
func (t *limits) null(n *pg.Node) bool {
	c, ok := t.fold(n)
	return ok && c.null
}

// nullness judges n IS NULL.
func (t *limits) nullness(n *pg.Node) verdict {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth || !t.p.step() {
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
	case *pg.Node_CaseExpr:
		if e.CaseExpr.Defresult == nil {
			return depends
		}
		results := []*pg.Node{e.CaseExpr.Defresult}
		for _, a := range e.CaseExpr.Args {
			results = append(results, a.GetCaseWhen().GetResult())
		}
		return allNotNull(results)
	case *pg.Node_TypeCast:
		if t.nullness(e.TypeCast.Arg) == never {
			return never
		}
	case *pg.Node_ParamRef:
		if t.given {
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
		if c := t.column(lastNode(e.FuncCall.Args)); c != nil {
			if typ := t.p.a.snap.Type(t.p.baseType(c.Type)); typ != nil && (typ.Kind == 'r' || typ.Kind == 'm') {
				return depends // it may have no end
			}
		}
		if len(fs) > 0 && !nullable[lastOf(e.FuncCall.Funcname)] && !slices.ContainsFunc(fs, func(f *catalog.Function) bool { return !t.p.isBuiltin(f) }) {
			return allNotNull(e.FuncCall.Args)
		}
	case *pg.Node_AExpr:
		if e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_DISTINCT || e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT {
			return never
		}
		if op := opName(e.AExpr); e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP && !strings.HasPrefix(op, "->") && !strings.HasPrefix(op, "#>") {
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

// nullable are built-in functions that are NULL of what is not.
var nullable = map[string]bool{"array_length": true, "array_lower": true, "array_upper": true, "array_ndims": true, "array_position": true,
	"substring": true, "regexp_match": true, "regexp_substr": true, "jsonb_extract_path": true, "jsonb_extract_path_text": true,
	"json_extract_path": true, "json_extract_path_text": true, "jsonb_path_query_first": true, "jsonb_path_query_first_tz": true,
	"jsonb_path_match": true, "nullif": true, "to_regclass": true, "to_regtype": true, "current_setting": true, "hstore": true,
	"max": true, "min": true, "sum": true, "avg": true, "lag": true, "lead": true, "first_value": true, "last_value": true, "nth_value": true}

func lastName(c *pg.ColumnRef) string {
	names := strs(c.GetFields())
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
			if t.lossy(e.TypeCast) {
				return n
			}
			n = e.TypeCast.Arg
		case *pg.Node_CollateClause:
			n = e.CollateClause.Arg
		case *pg.Node_AIndirection: // (rel).x
			row, ind := e.AIndirection.Arg.GetColumnRef(), e.AIndirection.Indirection
			if row == nil || len(ind) != 1 || ind[0].GetString_() == nil || !t.wholeRow(row) {
				return n
			}
			n = &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: ind}}}
		case *pg.Node_CoalesceExpr:
			args := e.CoalesceExpr.Args
			for len(args) > 1 && t.null(args[0]) {
				args = args[1:]
			}
			if len(args) == 0 || len(args) > 1 && t.nullness(args[0]) != never {
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
			case "format":
				if len(args) != 2 || !t.isText(args[0], "%s") || t.nullness(args[1]) != never {
					return n
				}
				args = args[1:]
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
			if c := t.memberOfRow(e.AExpr); c != nil {
				n = c
				continue
			}
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

// memberOfRow is the column that to_jsonb(rel) ->> 'x' and its kin give, or nil.
func (t *limits) memberOfRow(e *pg.A_Expr) *pg.Node {
	f := e.Lexpr.GetFuncCall()
	if !strings.HasPrefix(opName(e), "->") || len(f.GetArgs()) != 1 || f.Args[0].GetColumnRef() == nil || !t.wholeRow(f.Args[0].GetColumnRef()) {
		return nil
	}
	switch lastOf(f.Funcname) {
	case "to_json", "to_jsonb", "row_to_json":
		if c, ok := t.fold(e.Rexpr); ok && c.text != nil && t.rel.ColumnNamed(*c.text) != nil {
			return &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: []*pg.Node{pg.MakeStrNode(*c.text)}}}}
		}
	}
	return nil
}

// lossy reports whether a cast of a column changes values: cuts them off, or
// rounds them.
func (t *limits) lossy(cast *pg.TypeCast) bool {
	c := t.column(cast.Arg)
	names := strs(cast.TypeName.GetNames())
	if c == nil || len(names) == 0 {
		return false
	}
	if len(cast.TypeName.Typmods) > 0 {
		return true
	}
	_, _, whole, _ := t.numbers(c)
	switch names[len(names)-1] {
	case "int2", "int4", "int8":
		return !whole
	case "date", "time", "timetz":
		typ := t.p.a.snap.Type(t.p.baseType(c.Type))
		return typ != nil && typ.Name != names[len(names)-1]
	case "bool":
		return t.p.baseType(c.Type) != boolOID
	}
	return false
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
	if t.depth > maxPredicateDepth || !t.p.step() || a == nil || b == nil {
		return false
	}
	a, b = t.bare(a), t.bare(b)
	if ca, ok := t.fold(a); ok {
		cb, ok := t.fold(b)
		return ok && ca.equal(cb)
	}
	if name := t.columnName(a); name != "" {
		return name == t.columnName(b)
	}
	switch e := a.GetNode().(type) {
	case *pg.Node_ColumnRef:
		f := b.GetColumnRef()
		if f != nil && t.wholeRow(e.ColumnRef) && t.wholeRow(f) {
			return true
		}
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

// isTarget reports whether a qualifier names the target.
func (t *limits) isTarget(q []string) bool {
	if len(q) == 1 && slices.ContainsFunc(t.selves, func(c cover) bool { return c.alias == q[0] && c.cols == nil }) {
		return true
	}
	if t.sc != nil && len(t.sc.items) > 0 && len(t.sc.items[0].sources) > 0 {
		return t.sc.items[0].sources[0].is(q) // the target comes first
	}
	return q[len(q)-1] == t.rel.Name
}

// column returns the target's column that an expression is, or nil.
func (t *limits) column(n *pg.Node) *catalog.Column {
	if name := t.columnName(n); name != "" {
		return t.rel.ColumnNamed(name)
	}
	return nil
}

// columnName is the name of the target's column that an expression is, system
// columns included, or "".
func (t *limits) columnName(n *pg.Node) string {
	names := strs(n.GetColumnRef().GetFields())
	if len(names) == 0 || len(names) < len(n.GetColumnRef().GetFields()) {
		return ""
	}
	if name := t.ofSelf(names); name != "" || len(names) > 1 && !t.isTarget(names[:len(names)-1]) {
		return name
	}
	name := names[len(names)-1]
	if _, system := systemColumns[name]; system || t.rel.ColumnNamed(name) != nil {
		return name
	}
	return ""
}

// ofSelf is the target's column that a name means by way of another reading of
// the same row, or "".
func (t *limits) ofSelf(names []string) string {
	for _, c := range slices.Backward(t.selves) {
		if len(names) > 2 || len(names) == 2 && names[0] != c.alias {
			continue
		}
		if column := t.coverColumn(c, names[len(names)-1]); column != "" {
			return column
		}
	}
	return ""
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
	return t.isString(t.p.baseType(c.Type))
}

func (t *limits) isString(oid catalog.OID) bool {
	typ := t.p.a.snap.Type(oid)
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
	if rest, ok := strings.CutPrefix(s, "(?!"); ok && strings.Trim(rest, "()") != "" && strings.Count(rest, ")") == 1 && strings.HasSuffix(rest, ")") && !strings.ContainsAny(rest, "*?|$^(") {
		return true // not so at the end
	}
	switch strings.TrimPrefix(strings.TrimPrefix(s, "(?s)"), "***:") {
	case "", "^", "$", ".*", "^.*", ".*$", "^.*$", "(.*)", "^(.*)$", "[^^]*", ".?", ".{0,}", "\\A", "()", "(|.*)", ".*?":
		return true
	}
	return false
}
