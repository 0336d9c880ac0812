package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// query returns the output columns of a SELECT, VALUES or set operation. outer
// is the query around it, nil for none.
func (p *part) query(sel *pg.SelectStmt, outer *scope) []field {
	if sel == nil {
		return nil
	}
	defer p.leave()
	if !p.enter() {
		return nil
	}
	sc := &scope{outer: outer}
	if outer != nil {
		sc.ctes = outer.ctes
	}
	done := p.with(sel.WithClause, sc)
	var cols []field
	switch {
	case sel.Op != pg.SetOperation_SETOP_NONE && sel.Op != pg.SetOperation_SET_OPERATION_UNDEFINED:
		cols = p.setOperation(sel, sc)
	case len(sel.ValuesLists) > 0:
		cols = p.values(sel, sc)
	default:
		cols = p.selectFrom(sel, sc)
	}
	sc.targets = cols
	p.orderBy(sel.SortClause, sc)
	cols = p.limit(sel, cols, sc)
	if len(sel.LockingClause) > 0 && !p.defined {
		p.locks(sel, sc)
	}
	done()
	p.a.rows = sc.rows
	return cols
}

// limit records what LIMIT and OFFSET are computed from: it decides which rows
// come, and so can spell a value with rows that hold every character.
func (p *part) limit(sel *pg.SelectStmt, cols []field, sc *scope) []field {
	v := value{how: Constant, known: true}
	for _, n := range []*pg.Node{sel.LimitCount, sel.LimitOffset} {
		if n != nil {
			v = p.combine(0, v, p.exprAs(int8OID, n, sc))
		}
	}
	p.makes(v.src)
	if len(v.src) == 0 {
		return cols
	}
	sc.rows = sc.rows.Union(v.src)
	if v.byRows = v.src; v.how != Opaque {
		v.how = Expression
	}
	cols = slices.Clone(cols)
	for i, c := range cols {
		cols[i].value = derived(p.combine(c.typ, c.value, v))
	}
	return cols
}

// made gives a value what decides how many rows the levels from sc on have: an
// aggregate or a window function counts them.
func (p *part) made(v value, sc *scope) value {
	for s := sc; s != nil; s = s.outer {
		rows := s.rows
		for src := range s.all() {
			rows = rows.Union(src.rows)
		}
		if len(rows) > 0 {
			v = p.beside(v, counting(rows, Aggregate))
		}
	}
	return v
}

// testExpr records that an expression decides which rows come.
func (p *part) testExpr(n *pg.Node, sc *scope) value { return p.testAs(0, n, sc) }

// predicate is testExpr for what has to be true or false.
func (p *part) predicate(n *pg.Node, sc *scope) value { return p.testAs(boolOID, n, sc) }

// testAs is testExpr for an expression that is brought to a type, if not 0. It
// returns what it says of made-up rows.
func (p *part) testAs(typ catalog.OID, n *pg.Node, sc *scope) value {
	if n == nil {
		return constant(0)
	}
	v, says := p.tested(typ, n, sc)
	p.test(v.src)
	return says
}

func (p *part) setOperation(sel *pg.SelectStmt, sc *scope) []field {
	// The parser makes long chains of UNION left-deep; walk them without
	// recursion.
	var arms []*pg.SelectStmt
	distinct := false
	flatten := func(s *pg.SelectStmt) {
		for chain := []*pg.SelectStmt{}; ; {
			if s.Op == sel.Op && s.Op != pg.SetOperation_SETOP_EXCEPT && (s == sel || s.WithClause == nil && len(s.SortClause) == 0 && s.LimitCount == nil && s.LimitOffset == nil && len(s.LockingClause) == 0) {
				distinct = distinct || !s.All
				chain = append(chain, s.Rarg)
				s = s.Larg
				continue
			}
			arms = append(arms, s)
			for _, r := range slices.Backward(chain) {
				arms = append(arms, r)
			}
			return
		}
	}
	if sel.Op == pg.SetOperation_SETOP_EXCEPT {
		arms, distinct = []*pg.SelectStmt{sel.Larg, sel.Rarg}, true
	} else {
		flatten(sel)
	}
	var cols []field
	var vs [][]value
	for i, arm := range arms {
		c := p.query(arm, sc)
		sc.rows = sc.rows.Union(p.a.rows)
		if i == 0 {
			cols = slices.Clone(c)
			vs = make([][]value, len(c))
		}
		for j := range cols {
			if j < len(c) {
				vs[j] = append(vs[j], c[j].value)
			}
		}
	}
	for j := range cols {
		v := p.unify(vs[j])
		cols[j].value = derived(v)
		if sel.Op == pg.SetOperation_SETOP_UNION {
			cols[j].how = v.how
		}
		if distinct || sel.Op != pg.SetOperation_SETOP_UNION {
			p.test(cols[j].src)
			p.compared(cols[j].value)
		}
	}
	if !slices.ContainsFunc(cols, func(f field) bool { return len(f.src) > 0 }) {
		for j := range cols { // nothing but rows written out
			cols[j].gen = max(cols[j].gen, listed)
		}
	}
	return cols
}

// unify returns a value that is one of vs, brought to one type as the server
// does for CASE, UNION and their kin: by implicit casts, which may call functions.
func (p *part) unify(vs []value) value {
	typ := p.commonType(vs)
	targets := []catalog.OID{typ}
	if typ == 0 { // any of theirs
		for _, v := range vs {
			if !slices.Contains(targets, v.typ) {
				targets = append(targets, v.typ)
			}
		}
	}
	for i, v := range vs {
		for _, to := range targets {
			if to != 0 && v.typ != 0 && v.typ != to && len(p.castFunctions(v, to, 'i')) > 0 {
				vs = slices.Clone(vs)
				vs[i] = p.combine(to, vs[i], p.cast(v, to, nil, 'i'))
			}
		}
	}
	return p.either(typ, vs...)
}

// preferredTypes are those that pg_type.typispreferred names.
var preferredTypes = map[catalog.OID]bool{boolOID: true, textOID: true, float8OID: true, timestamptzOID: true, 26: true, 1186: true, 869: true, 1562: true}

// commonType returns the type that the server brings values to (manual, section
// 10.5), or 0 when that is not certain.
func (p *part) commonType(vs []value) catalog.OID {
	if t := commonType(vs); t != 0 {
		return t
	}
	var common *catalog.Type
	for _, v := range vs {
		if v.untyped {
			continue
		}
		t := p.a.snap.Type(p.baseType(v.typ))
		switch {
		case t == nil:
			return 0
		case common == nil || t.OID == common.OID:
			common = t
		case t.Category != common.Category:
			return 0
		default:
			there, back := p.a.snap.Cast(common.OID, t.OID), p.a.snap.Cast(t.OID, common.OID)
			there2, back2 := there != nil && there.Context == 'i', back != nil && back.Context == 'i'
			switch {
			case there2 && !back2 && !preferredTypes[common.OID]:
				common = t
			case !back2:
				return 0
			}
		}
	}
	if common == nil {
		return 0
	}
	return common.OID
}

// commonType returns the type of values that all have the same, or 0.
func commonType(vs []value) catalog.OID {
	var t catalog.OID
	for _, v := range vs {
		switch {
		case v.untyped:
		case v.typ == 0 || t != 0 && t != v.typ:
			return 0
		default:
			t = v.typ
		}
	}
	if t == 0 {
		return textOID // all of unknown type: the server makes them text
	}
	return t
}

func (p *part) values(sel *pg.SelectStmt, sc *scope) []field {
	var vs [][]value
	for _, row := range sel.ValuesLists {
		i := 0
		add := func(v value) {
			if i == len(vs) {
				vs = append(vs, nil)
			}
			vs[i] = append(vs[i], v)
			i++
		}
		for _, n := range row.GetList().GetItems() {
			if n.GetSetToDefault() != nil {
				add(value{how: Constant, known: true})
			} else if cols, ok := p.expandStar(n, sc); ok {
				for _, c := range cols {
					add(c.value)
				}
			} else {
				add(p.expr(n, sc))
			}
		}
	}
	cols := make([]field, len(vs))
	for i, v := range vs {
		if len(v) == 1 {
			cols[i] = field{columnN(i), v[0]}
			cols[i].origin = Column{}
			cols[i].known = true
			continue
		}
		cols[i] = field{columnN(i), derived(p.unify(v))}
		cols[i].gen = max(cols[i].gen, listed)
	}
	return cols
}

func columnN(i int) string { return "column" + itoa(i+1) }

func (p *part) selectFrom(sel *pg.SelectStmt, sc *scope) []field {
	links := len(p.a.links)
	sc.query = sel
	p.from(sel.FromClause, sc)
	p.predicate(sel.WhereClause, sc)
	p.choosing(sel, sc)
	p.spell(sc, links)
	sc.windows = map[string]*pg.WindowDef{}
	for _, w := range sel.WindowClause {
		if def := w.GetWindowDef(); def != nil {
			sc.windows[def.Name] = def
			p.window(def, sc)
		}
	}
	for src := range sc.all() {
		sc.rows = sc.rows.Union(src.rows)
	}
	made := sc.rows
	cols := p.targets(sel.TargetList, sc)
	sc.targets = cols
	p.groupBy(sel.GroupClause, sc)
	if !made.ContainsAll(sc.rows) {
		// What the query is grouped by, or a window is made of, makes its rows
		// before anything counts them.
		cols = p.targets(sel.TargetList, sc)
		sc.targets = cols
	}
	p.predicate(sel.HavingClause, sc)
	for _, n := range sel.DistinctClause {
		if n == nil || n.Node == nil {
			// Plain DISTINCT: every output decides.
			for _, c := range cols {
				p.test(c.src)
				p.compared(c.value)
			}
			continue
		}
		p.sortKey(n, sc)
	}
	return cols
}

// from adds the entries of a FROM list to sc.
func (p *part) from(list []*pg.Node, sc *scope) {
	for _, n := range list {
		if it := p.fromItem(n, sc, nil); it != nil {
			sc.items = append(sc.items, it)
		}
	}
}

// fromItem analyzes one entry of FROM. left are the entries to its left in the
// same join tree, which LATERAL may refer to.
func (p *part) fromItem(n *pg.Node, sc *scope, left []*item) *item {
	if n == nil {
		return nil
	}
	defer p.leave()
	if !p.enter() {
		return nil
	}
	lateral := func(on bool) *scope {
		if !on {
			return &scope{outer: sc.outer, ctes: sc.ctes}
		}
		return &scope{outer: sc.outer, ctes: sc.ctes, items: append(slices.Clip(sc.items), left...)}
	}
	switch n := n.Node.(type) {
	case *pg.Node_RangeVar:
		return single(p.rangeVar(n.RangeVar, sc))
	case *pg.Node_RangeSubselect:
		sub := n.RangeSubselect
		around, links := lateral(sub.Lateral), len(p.a.links)
		return single(p.copies(around, func() *source {
			cols := p.subquery(sub.Subquery, around)
			rows := p.a.rows
			if says := p.correlated(around, links); len(says.src) > 0 {
				rows = rows.Union(says.src)
				for i, f := range cols {
					cols[i].value = p.spelled(f.value, says.src)
				}
			}
			return p.derivedSource(sub.Alias, cols, rows)
		}))
	case *pg.Node_RangeFunction:
		around := lateral(true)
		return single(p.copies(around, func() *source { return p.rangeFunction(n.RangeFunction, around) }))
	case *pg.Node_RangeTableFunc:
		around := lateral(true)
		return single(p.copies(around, func() *source { return p.rangeTableFunc(n.RangeTableFunc, around) }))
	case *pg.Node_RangeTableSample:
		it := p.fromItem(n.RangeTableSample.Relation, sc, left)
		// How much of it comes, and which, is a matter of the arguments alone.
		var rows Columns
		for _, a := range n.RangeTableSample.Args {
			rows = rows.Union(p.exprAs(float4OID, a, lateral(true)).src)
		}
		rows = rows.Union(p.exprAs(float8OID, n.RangeTableSample.Repeatable, lateral(true)).src)
		p.makes(rows)
		if it != nil {
			for _, src := range it.sources {
				src.rows = src.rows.Union(rows)
			}
		}
		return it
	case *pg.Node_JoinExpr:
		return p.join(n.JoinExpr, sc, left)
	}
	p.unknown("an entry of FROM of kind "+kindOf(n), -1)
	return nil
}

func single(src *source) *item {
	if src == nil {
		return nil
	}
	return &item{sources: []*source{src}, visible: src.cols}
}

// rangeVar finds a name of FROM: a WITH query or a relation.
func (p *part) rangeVar(rv *pg.RangeVar, sc *scope) *source {
	alias := rv.Relname
	var names []string
	if rv.Alias != nil {
		alias = rv.Alias.Aliasname
		names = strs(rv.Alias.Colnames)
	}
	if rv.Schemaname == "" && rv.Catalogname == "" {
		if c := p.withQuery(sc.ctes, rv.Relname); c != nil {
			cols := rename(p.cteColumns(c), names)
			return &source{alias: alias, cols: cols, whole: p.row(recordOID, cols), rows: c.rows}
		}
	}
	rel := p.names.relation(rangeVarParts(rv))
	if rel == nil {
		p.unknownRelation(rv)
		return &source{alias: alias}
	}
	return p.relationIn(rel, alias, names)
}

// relationIn makes the source of a relation that is read.
func (p *part) relationIn(rel *catalog.Relation, alias string, names []string) *source {
	if !rel.Readable() {
		p.unknown(relName(rel)+" cannot be read", -1)
		return &source{alias: alias}
	}
	p.read(rel)
	p.planned(rel)
	p.readPolicies(rel)
	p.readPrograms(rel, 0)
	if view := remoteRelation(p.a.snap, rel); view != nil && view.Kind == 'v' {
		// What the view calls, the other server calls.
		p.through("foreign table "+relName(rel), rel.OID, nil).viewColumns(view)
	}
	src := p.relationSource(rel, alias)
	if isSystemSchema(rel.Schema) {
		// The catalogs hold every small number and every name that is a letter.
		for i := range src.cols {
			src.cols[i].gen = max(src.cols[i].gen, stocked)
		}
	}
	if len(names) > 0 {
		src.cols = rename(src.cols, names)
		whole := src.whole
		whole.fields = src.cols
		src.whole = whole
	}
	return src
}

// readPrograms records the foreign tables whose rows a program on the server
// makes, once for every read.
func (p *part) readPrograms(rel *catalog.Relation, depth int) {
	if rel.Foreign != nil && rel.Foreign.Options["program"] != "" {
		p.effect(Program, "runs the program of the foreign table "+relName(rel))
	}
	for _, oid := range rel.Children {
		if child := p.a.snap.Relation(oid); child != nil && depth < maxNesting && p.step() {
			p.readPrograms(child, depth+1)
		}
	}
}

func (p *part) unknownRelation(rv *pg.RangeVar) {
	p.unknown("the relation "+qualified(rangeVarParts(rv))+" does not exist", int(rv.Location))
}

// derivedSource makes the source of a subquery or function with an alias.
func (p *part) derivedSource(alias *pg.Alias, cols []field, rows Columns) *source {
	name := ""
	if alias != nil {
		name = alias.Aliasname
		cols = rename(cols, strs(alias.Colnames))
	}
	return &source{alias: name, cols: cols, whole: p.row(recordOID, cols), rows: rows}
}

// subquery analyzes a statement in parentheses.
func (p *part) subquery(n *pg.Node, sc *scope) []field {
	sel := n.GetSelectStmt()
	if sel == nil {
		p.unknown("a subquery of kind "+kindOf(n.GetNode()), -1)
		return nil
	}
	return settle(p.query(sel, sc))
}

// settle gives outputs of unknown type the type text, as the server does where
// a query's result is used by another.
func settle(cols []field) []field {
	cols = slices.Clone(cols)
	for i := range cols {
		if cols[i].untyped {
			cols[i].untyped = false
			if cols[i].typ == 0 {
				cols[i].typ = textOID
			}
		}
	}
	return cols
}

func (p *part) join(j *pg.JoinExpr, sc *scope, left []*item) *item {
	links := len(p.a.links)
	l := p.fromItem(j.Larg, sc, left)
	if l == nil {
		l = &item{}
	}
	r := p.fromItem(j.Rarg, sc, append(slices.Clip(left), l))
	if r == nil {
		r = &item{}
	}
	if !p.spend(len(l.sources) + len(l.visible) + len(r.visible)) {
		return nil
	}
	it := &item{sources: append(slices.Clip(l.sources), r.sources...)}
	using := strs(j.UsingClause)
	if j.IsNatural {
		using = nil
		for _, f := range l.visible {
			if slices.ContainsFunc(r.visible, func(g field) bool { return g.name == f.name }) {
				using = append(using, f.name)
			}
		}
	}
	var merged []field
	for _, name := range using {
		lv, rv := named(l.visible, name), named(r.visible, name)
		p.reference(lv)
		p.reference(rv)
		p.test(p.operator([]string{"="}, []value{lv, rv}, -1).src)
		p.linkUsing(lv, rv, p.madeUp(it, name))
		v := p.merged(j.Jointype, lv, rv)
		if lv.typ != rv.typ {
			// The server casts one side to the other's type.
			v.known = false
		}
		merged = append(merged, field{name, v})
	}
	it.visible = append(it.visible, merged...)
	for _, side := range []*item{l, r} {
		for _, f := range side.visible {
			if !slices.Contains(using, f.name) {
				it.visible = append(it.visible, f)
			}
		}
	}
	if j.Quals != nil {
		on := &scope{outer: sc.outer, ctes: sc.ctes, items: append(append(slices.Clip(sc.items), left...), it), windows: sc.windows}
		// Only the two sides can be named in ON; what stands left of the join
		// cannot, but finding it would only add to the tests.
		on.items = []*item{it}
		on.outer = &scope{outer: sc.outer, ctes: sc.ctes, items: append(slices.Clip(sc.items), left...)}
		p.predicate(j.Quals, on)
	}
	p.spell(&scope{items: []*item{it}}, links)
	if j.JoinUsingAlias != nil {
		it.sources = append(it.sources, &source{alias: j.JoinUsingAlias.Aliasname, cols: merged, whole: p.row(recordOID, merged)})
	}
	if j.Alias != nil {
		cols := rename(it.visible, strs(j.Alias.Colnames))
		src := &source{alias: j.Alias.Aliasname, cols: cols, whole: p.row(recordOID, cols)}
		for _, s := range it.sources {
			src.rows = src.rows.Union(s.rows)
		}
		return single(src)
	}
	return it
}

// merged returns a column of JOIN USING (buildMergedJoinVar in parse_clause.c).
func (p *part) merged(join pg.JoinType, left, right value) value {
	common := p.commonType([]value{left, right})
	switch {
	case join == pg.JoinType_JOIN_LEFT, join == pg.JoinType_JOIN_INNER && left.typ == common:
		return left
	case join == pg.JoinType_JOIN_RIGHT, join == pg.JoinType_JOIN_INNER && right.typ == common:
		return right
	}
	return derived(p.unify([]value{left, right}))
}

func named(cols []field, name string) value {
	for _, f := range cols {
		if f.name == name {
			return f.value
		}
	}
	return value{}
}

// rangeFunction analyzes functions in FROM (manual, section 7.2.1.4).
func (p *part) rangeFunction(rf *pg.RangeFunction, sc *scope) *source {
	alias := ""
	var aliasCols []string
	if rf.Alias != nil {
		alias = rf.Alias.Aliasname
		aliasCols = strs(rf.Alias.Colnames)
	}
	var cols []field
	var rows Columns
	scalar := len(rf.Functions) == 1
	rowType := recordOID
	for _, f := range rf.Functions {
		items := f.GetList().GetItems()
		if len(items) == 0 {
			continue
		}
		call := items[0]
		name := p.columnName(call)
		if alias == "" {
			alias = name
		}
		if fc := call.GetFuncCall(); fc != nil && len(fc.Args) > 1 && isUnnest(strs(fc.Funcname)) {
			// unnest(a, b) in FROM is ROWS FROM (unnest(a), unnest(b)).
			for _, arg := range fc.Args {
				v := p.expr(arg, sc)
				rows = rows.Union(v.src)
				cols = append(cols, p.elements(v, name)...)
			}
			scalar = false
			continue
		}
		v := p.expr(call, sc)
		rows = rows.Union(v.rows)
		v.rows = nil
		defs := rf.Coldeflist
		if len(items) > 1 && len(items[1].GetList().GetItems()) > 0 {
			defs = items[1].GetList().GetItems()
		}
		switch {
		case len(defs) > 0:
			scalar = false
			for i, d := range defs {
				cd := d.GetColumnDef()
				f := derived(v)
				if i < len(v.fields) {
					f = v.fields[i].value
				}
				f.fields, f.set, f.rows = nil, false, nil
				f.typ = p.typeOf(cd.GetTypeName())
				p.domainChecks(f.typ, f)
				f.known = f.origin == (Column{})
				cols = append(cols, field{cd.GetColname(), f})
			}
		default:
			if parts := p.parts(v); parts != nil {
				scalar = false
				if len(rf.Functions) == 1 && !rf.Ordinality && v.typ != 0 {
					rowType = v.typ
				}
				for _, f := range parts {
					f.set, f.rows = false, nil
					f.origin, f.known = Column{}, true
					cols = append(cols, f)
				}
				break
			}
			v.set, v.rows = false, nil
			if alias != "" && len(rf.Functions) == 1 && rf.Alias != nil {
				name = alias
			}
			if out := p.outName(call); out != "" {
				name = out
			}
			v = derived(v)
			cols = append(cols, field{name, v})
		}
	}
	p.makes(rows)
	if rf.Ordinality {
		cols = append(cols, field{"ordinality", p.ordinal(int8OID, rows)})
		cols[len(cols)-1].gen = counted
	}
	cols = rename(cols, aliasCols)
	src := &source{alias: alias, cols: cols, whole: p.row(rowType, cols), rows: rows}
	if scalar && len(cols) > 0 {
		src.whole = cols[0].value
	}
	return src
}

// ordinal returns a row's place among those that rows make: the last one's is
// how many there are.
func (p *part) ordinal(typ catalog.OID, rows Columns) value {
	v := value{how: Count, typ: typ, known: true}
	if len(rows) > 0 {
		v = p.combine(typ, v, counting(rows, Expression))
	}
	return v
}

// outName returns the name of the only OUT parameter of the function that n,
// which has just been analyzed, calls: it is the column's name, whatever the
// alias (chooseScalarFunctionAlias in parse_relation.c). "" means that there is
// none.
func (p *part) outName(n *pg.Node) string {
	if n.GetFuncCall() == nil {
		return ""
	}
	name := ""
	for i, f := range p.a.called {
		out := ""
		if len(f.OutTypes) == 1 && len(f.OutNames) == 1 {
			out = f.OutNames[0]
		}
		if i > 0 && out != name {
			p.unknown("which function "+qualified(strs(n.GetFuncCall().Funcname))+" is, and so how its column is called, is not known", int(n.GetFuncCall().Location))
		}
		name = out
	}
	return name
}

func isUnnest(parts []string) bool {
	return len(parts) > 0 && parts[len(parts)-1] == "unnest" && (len(parts) == 1 || parts[0] == "pg_catalog")
}

// elements returns the columns of unnest of an array value.
func (p *part) elements(v value, name string) []field {
	e := derived(v)
	e.typ = 0
	if t := p.a.snap.Type(p.baseType(v.typ)); t != nil {
		e.typ = t.Element
	}
	e.set, e.rows = false, nil
	if e.fields == nil {
		if parts := p.parts(e); parts != nil {
			return parts
		}
	} else {
		return e.fields
	}
	return []field{{name, e}}
}

// rangeTableFunc analyzes XMLTABLE.
func (p *part) rangeTableFunc(tf *pg.RangeTableFunc, sc *scope) *source {
	base := []value{p.exprAs(xmlOID, tf.Docexpr, sc), p.exprAs(textOID, tf.Rowexpr, sc)}
	for _, ns := range tf.Namespaces {
		if rt := ns.GetResTarget(); rt != nil {
			base = append(base, p.exprAs(textOID, rt.Val, sc))
		}
	}
	rows := p.combine(0, base...).src
	p.makes(rows)
	var cols []field
	for _, n := range tf.Columns {
		c := n.GetRangeTableFuncCol()
		if c.GetForOrdinality() {
			v := p.ordinal(int4OID, rows)
			v.gen = counted
			cols = append(cols, field{c.Colname, v})
			continue
		}
		vs, typ := slices.Clone(base), p.typeOf(c.TypeName)
		if c.Colexpr != nil {
			vs = append(vs, p.exprAs(textOID, c.Colexpr, sc))
		}
		if c.Coldefexpr != nil {
			vs = append(vs, p.exprAs(typ, c.Coldefexpr, sc))
		}
		v := p.combine(typ, vs...)
		p.domainChecks(v.typ, v)
		if len(v.src) == 0 {
			v.gen = max(v.gen, listed)
		}
		cols = append(cols, field{c.Colname, v})
	}
	return p.derivedSource(tf.Alias, cols, rows)
}

// targets analyzes a target list, * expanded.
func (p *part) targets(list []*pg.Node, sc *scope) []field {
	var cols []field
	if len(list) == 0 {
		return []field{} // rows without columns, and not a result that is unknown
	}
	for _, n := range list {
		rt := n.GetResTarget()
		if rt == nil {
			p.unknown("an output of kind "+kindOf(n.GetNode()), -1)
			cols = append(cols, field{"?column?", p.everything(sc)})
			continue
		}
		if len(cols) > maxColumns {
			p.unknown("more output columns than a result can have", -1)
			return cols
		}
		if expanded, ok := p.expandStar(rt.Val, sc); ok {
			cols = append(cols, expanded...)
			continue
		}
		v := p.expr(rt.Val, sc)
		p.makes(v.rows)
		sc.rows = sc.rows.Union(v.rows)
		v.set, v.rows = false, nil
		name := rt.Name
		if name == "" {
			name = p.columnName(rt.Val)
		}
		cols = append(cols, field{name, v})
	}
	return cols
}

// expandStar expands an output that ends in *.
func (p *part) expandStar(n *pg.Node, sc *scope) ([]field, bool) {
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		fields := n.ColumnRef.Fields
		if len(fields) == 0 || fields[len(fields)-1].GetAStar() == nil {
			return nil, false
		}
		cols, ok := p.star(strs(fields[:len(fields)-1]), sc)
		if !ok {
			p.unknown("the relation "+qualified(strs(fields[:len(fields)-1]))+" is not in FROM", int(n.ColumnRef.Location))
			v := p.everything(sc)
			return []field{{"?column?", v}}, true
		}
		return cols, true
	case *pg.Node_AIndirection:
		ind := n.AIndirection.Indirection
		if len(ind) == 0 || ind[len(ind)-1].GetAStar() == nil {
			return nil, false
		}
		v := p.indirect(p.expr(n.AIndirection.Arg, sc), ind[:len(ind)-1], sc)
		cols := slices.Clone(p.parts(v))
		for i, f := range cols {
			cols[i].known = f.known && f.origin == Column{} // as in attribute
		}
		if cols == nil {
			p.unknown("the columns of a row are not known", -1)
			v.how, v.known = Opaque, false
			return []field{{"?column?", v}}, true
		}
		return cols, true
	}
	return nil, false
}

// groupBy records what rows are grouped by.
func (p *part) groupBy(list []*pg.Node, sc *scope) {
	for _, n := range list {
		if gs := n.GetGroupingSet(); gs != nil {
			p.groupBy(gs.Content, sc)
			continue
		}
		if r := n.GetRowExpr(); r != nil {
			p.groupBy(r.Args, sc)
			continue
		}
		p.sortKey(n, sc)
	}
}

func (p *part) orderBy(list []*pg.Node, sc *scope) {
	for _, n := range list {
		sb := n.GetSortBy()
		if sb == nil {
			continue
		}
		p.sortKey(sb.Node, sc)
		p.sortOperator(sb, sc)
	}
}

// sortKey records the columns behind an ORDER BY, GROUP BY or DISTINCT ON key:
// a position, an output name, a column or an expression. Where a name is an
// output and a column, both count.
func (p *part) sortKey(n *pg.Node, sc *scope) {
	if c := n.GetAConst(); c != nil {
		if i := c.GetIval(); i != nil && i.Ival >= 1 && int(i.Ival) <= len(sc.targets) {
			p.test(sc.targets[i.Ival-1].src)
			p.compared(sc.targets[i.Ival-1].value)
			return
		}
	}
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) == 1 {
		name := ref.Fields[0].GetString_().GetSval()
		found := false
		for _, t := range sc.targets {
			if t.name == name {
				p.test(t.src)
				p.compared(t.value)
				found = true
			}
		}
		if v, ok := p.column([]string{name}, sc); ok {
			p.test(v.src)
			p.compared(v)
			found = true
		}
		if found {
			return
		}
	}
	p.sortKeyExpr(n, sc)
}

// sortOperator records a call through ORDER BY ... USING operator.
func (p *part) sortOperator(sb *pg.SortBy, sc *scope) {
	if len(sb.UseOp) > 0 {
		v := p.expr(sb.Node, sc)
		p.operator(strs(sb.UseOp), []value{v, v}, int(sb.Location))
	}
}

// window records what a window is partitioned, ordered and framed by. It returns
// what that says of made-up rows.
func (p *part) window(w *pg.WindowDef, sc *scope) value {
	v := constant(0)
	for _, n := range w.PartitionClause {
		v = p.combine(0, v, p.sortKeyExpr(n, sc))
	}
	for _, n := range w.OrderClause {
		if sb := n.GetSortBy(); sb != nil {
			v = p.combine(0, v, p.sortKeyExpr(sb.Node, sc))
			p.sortOperator(sb, sc)
		}
	}
	p.testAs(int8OID, w.StartOffset, sc)
	p.testAs(int8OID, w.EndOffset, sc)
	return v
}

// sortKeyExpr is sortKey where only expressions are allowed. It returns what the
// key says of made-up rows.
func (p *part) sortKeyExpr(n *pg.Node, sc *scope) value {
	v, says := p.tested(0, n, sc)
	p.test(v.src)
	p.makes(v.rows)
	sc.rows = sc.rows.Union(v.rows)
	p.compared(v)
	return says
}
