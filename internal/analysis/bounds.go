package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// bound records how far a write that the author asks for is limited by its
// predicate. from is its FROM or USING.
func (p *part) bound(rel *catalog.Relation, act Action, where *pg.Node, sc *scope, from ...*pg.Node) {
	if p.asked() {
		p.addBound(p.boundOf(rel, act, where, sc, from...))
	}
}

// boundTogether records where the actions of a MERGE, each limited by its own
// predicate, change every row between them.
func (p *part) boundTogether(rel *catalog.Relation, on *pg.Node, when []*pg.Node, sc *scope, from *pg.Node) {
	if !p.asked() || len(when) < 2 || slices.Contains(when, nil) {
		return
	}
	any := &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_OR_EXPR, Args: when}}}
	if b := p.boundOf(rel, Update, both(on, any), sc, from); !b.Limited {
		p.addBound(b)
	}
}

func (p *part) boundOf(rel *catalog.Relation, act Action, where *pg.Node, sc *scope, from ...*pg.Node) Bound {
	b := Bound{Rel: rel.OID, Action: act}
	rel = p.asBelow(rel, 0)
	where = p.withArguments(where)
	from = slices.Clone(from)
	for i, n := range from {
		from[i] = p.withArguments(n)
	}
	t := newLimits(p, rel, sc)
	switch {
	case where == nil:
		b.Why = "no WHERE"
	default:
		where = t.simple(where)
		switch {
		case where.GetCurrentOfExpr() != nil && t.everyRowOf(where.GetCurrentOfExpr().CursorName), where.GetCurrentOfExpr() == nil && t.everyRow(where):
			b.Why = "a loop meets every row of " + relName(rel)
		case where.GetCurrentOfExpr() != nil:
			b.Limited, b.OneRow = true, true
		case t.all(where):
			b.Why = "WHERE is always true"
		case t.joinsItself(where, t.covers(from, t.withs(), 0)):
			b.Why = "WHERE joins " + relName(rel) + " with itself, row by row"
		case !t.limiting(where):
			b.Why = "WHERE does not depend on the rows of " + relName(rel)
		default:
			b.Limited, b.OneRow = true, t.oneRow(where)
			if b.OneRow {
				break
			}
			limited, byArguments := t.boundByListed(where, from)
			if b.Limited = limited; !limited {
				b.Why = "WHERE lets every row through with the rows that are listed"
			}
			if byArguments && (p.own() || len(p.loops) > 0 && p.loops[0].byArgs) {
				p.rec.st.ByArguments = true
				if p.a.sess.Argument != nil {
					b.Limited, b.Why = false, "WHERE rests on an argument that is not understood"
				}
			}
		}
	}
	return b
}

// addBound records b. What a function does within bounds is its owner's choice.
func (p *part) addBound(b Bound) {
	if b.Limited && !p.own() {
		return
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
	sel := p.withArguments(s.SelectStmt).GetSelectStmt()
	t := newLimits(p, rel, sc)
	if !p.asked() {
		return
	}
	if p.own() && len(sel.GetFromClause()) > 0 && (hasParam(s.SelectStmt) || hasParam(s.OnConflictClause.WhereClause)) {
		p.rec.st.ByArguments = true
	}
	if t.coveredBy(sel, t.withs(), 0) == nil {
		return
	}
	t = t.with([]cover{{alias: "excluded"}}) // the same row
	if w := p.withArguments(s.OnConflictClause.WhereClause); w != nil && !t.all(w) && t.limiting(w) {
		return
	}
	p.rec.st.Classes |= Unbounded
	p.rec.st.Bounds = append(p.rec.st.Bounds, Bound{Rel: rel.OID, Action: Update, Why: "all rows of " + relName(rel) + " are inserted again"})
}

// asBelow returns a view that is written through to a relation with the
// constraints that hold for that one's rows.
func (p *part) asBelow(rel *catalog.Relation, depth int) *catalog.Relation {
	if rel.Kind != 'v' || depth > maxCoverDepth {
		return rel
	}
	sel, base := p.underView(rel)
	if base == nil {
		return rel
	}
	base = p.asBelow(base, depth+1)
	like := *rel
	like.Columns, like.Keys = slices.Clone(rel.Columns), nil
	under := map[int16]int16{}
	for i := range like.Columns {
		if b := columnUnder(sel, base, i); b != nil {
			like.Columns[i].NotNull = b.NotNull
			under[b.Num] = like.Columns[i].Num
		}
	}
	for _, key := range base.Keys {
		var cols []int16
		for _, n := range key {
			if c, ok := under[n]; ok {
				cols = append(cols, c)
			}
		}
		if len(cols) == len(key) {
			like.Keys = append(like.Keys, cols)
		}
	}
	return &like
}

// limits judges predicates over the rows of a relation.
type limits struct {
	p       *part
	rel     *catalog.Relation
	sc      *scope
	covered map[*pg.SelectStmt]outputs // see coveredBy
	judged  map[judgement]bool         // see all
	selves  []cover                    // other names of the target's row
	given   bool                       // parameters are not NULL
	// depth bounds recursion; deeper parts count as able to exclude rows only
	// when they name a column.
	depth int
}

// newLimits judges predicates over a relation, nil for none.
func newLimits(p *part, rel *catalog.Relation, sc *scope) *limits {
	if rel == nil {
		rel = &catalog.Relation{}
	}
	return &limits{p: p, rel: rel, sc: sc, covered: map[*pg.SelectStmt]outputs{}, judged: map[judgement]bool{}}
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
		case *pg.Node_AExpr:
			// x = true and x <> false are x.
			op, a, b := opName(e.AExpr), e.AExpr.Lexpr, e.AExpr.Rexpr
			if e.AExpr.Kind != pg.A_Expr_Kind_AEXPR_OP || op != "=" && op != "<>" {
				return n
			}
			switch {
			case isBool(b, op == "="):
				n = a
			case isBool(a, op == "="):
				n = b
			default:
				return n
			}
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

// isBool reports whether n is the keyword TRUE, or FALSE.
func isBool(n *pg.Node, b bool) bool {
	c, ok := n.GetAConst().GetVal().(*pg.A_Const_Boolval)
	return ok && c.Boolval.GetBoolval() == b
}

func isType(t *pg.TypeName, name string) bool {
	names := strs(t.GetNames())
	return len(names) > 0 && names[len(names)-1] == name && len(t.ArrayBounds) == 0
}

// truth judges a predicate.
func (t *limits) truth(n *pg.Node) verdict {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxPredicateDepth || !t.p.step() {
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
		if f := e.NullTest.Arg.GetFuncCall(); f != nil && len(f.Args) == 2 && (lastOf(f.Funcname) == "regexp_match" || lastOf(f.Funcname) == "regexp_matches") {
			return t.compare(f.Args[0], "~", f.Args[1])
		}
		if null == depends && t.mentions(e.NullTest.Arg) {
			// With a parameter that is NULL, no row is met.
			given := *t
			given.given = true
			if given.nullness(e.NullTest.Arg) == never {
				return always
			}
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
			switch v {
			case never:
				return always
			case always:
				return never
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
		if of := refuted(e.AExpr); of != nil {
			return t.truthOfNot(of)
		}
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
		case "jsonb_path_exists", "jsonb_path_match", "jsonb_path_exists_tz":
			if len(args) >= 2 && t.anyDocument(args[1]) {
				return always
			}
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

// limiting reports whether a predicate depends on the target's rows: one that
// does not lets all of them through or none.
func (t *limits) limiting(n *pg.Node) bool {
	if t.truth(n) == never {
		return true // no row at all
	}
	if b := n.GetBoolExpr(); b != nil {
		switch b.Boolop {
		case pg.BoolExprType_AND_EXPR:
			return slices.ContainsFunc(b.Args, func(a *pg.Node) bool { return !t.all(a) && t.limiting(a) })
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
	if slices.ContainsFunc(t.selves, func(c cover) bool { return c.has(names) }) {
		return true
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
