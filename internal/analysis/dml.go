package analysis

import (
	"maps"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// statement analyzes any statement: its output columns, and whether it returns
// rows. What it does is recorded.
func (p *part) statement(n *pg.Node) ([]field, bool) { return p.statementIn(n, nil) }

// statementIn analyzes a statement that stands within another's WITH; around
// gives the WITH names that it sees, nil for none.
func (p *part) statementIn(n *pg.Node, around *scope) ([]field, bool) {
	if n == nil || n.Node == nil || !p.step() {
		return nil, false
	}
	switch s := n.Node.(type) {
	case *pg.Node_SelectStmt:
		if intoOf(s.SelectStmt) != nil {
			p.selectInto(s.SelectStmt)
			return nil, false
		}
		p.kind("SELECT")
		p.rec.st.Classes |= Read
		return p.query(s.SelectStmt, around), true
	case *pg.Node_InsertStmt:
		p.kind("INSERT")
		return p.insert(s.InsertStmt, around)
	case *pg.Node_UpdateStmt:
		p.kind("UPDATE")
		return p.update(s.UpdateStmt, around)
	case *pg.Node_DeleteStmt:
		p.kind("DELETE")
		return p.delete(s.DeleteStmt, around)
	case *pg.Node_MergeStmt:
		p.kind("MERGE")
		p.merge(s.MergeStmt, around)
		return nil, false
	case *pg.Node_ReturnStmt:
		return []field{{"?column?", p.expr(s.ReturnStmt.Returnval, &scope{})}}, true
	}
	return p.utility(n)
}

// read records that rel is read; which columns is filled in at the end.
func (p *part) read(rel *catalog.Relation) { p.use(rel.OID, Select, []int16{}) }

// written finds the relation that a statement writes, and makes its source.
func (p *part) written(rv *pg.RangeVar) (*catalog.Relation, *source) {
	rel := p.names.relation(rangeVarParts(rv))
	if rel == nil {
		p.unknownRelation(rv)
		return nil, nil
	}
	alias := rv.Relname
	if rv.Alias != nil {
		alias = rv.Alias.Aliasname
	}
	src := p.relationSource(rel, alias)
	if rv.Alias == nil {
		src.alias = rel.Name
	}
	p.touchRow(rel)
	return rel, src
}

// dmlScope opens the scope of a data-modifying statement.
func (p *part) dmlScope(w *pg.WithClause, around *scope) (*scope, func()) {
	sc := &scope{}
	if around != nil {
		sc.ctes, sc.outer = around.ctes, around.outer
	}
	return sc, p.with(w, sc)
}

func (p *part) insert(s *pg.InsertStmt, around *scope) ([]field, bool) {
	sc, done := p.dmlScope(s.WithClause, around)
	defer done()
	rel, src := p.written(s.Relation)
	var cols []field
	if s.SelectStmt != nil {
		p.a.rows = nil
		p.numbers(rel, s)
		cols = slices.Clone(p.query(s.SelectStmt.GetSelectStmt(), sc))
		if rows := p.a.rows; len(rows) > 0 {
			// Counting what was written gives back what made the rows.
			for i, c := range cols {
				cols[i].value = derived(p.combine(c.typ, c.value, counting(rows, Expression)))
			}
		}
	}
	if rel == nil {
		return p.unknownReturning(s.ReturningList)
	}
	assigned := map[int16]value{}
	if len(s.Cols) > 0 {
		for i, n := range s.Cols {
			rt := n.GetResTarget()
			v := value{how: Constant, known: true}
			if i < len(cols) {
				v = cols[i].value
			}
			p.assign(rel, rt, v, assigned)
		}
	} else {
		i := 0
		for _, c := range rel.Columns {
			if c.Dropped {
				continue
			}
			if i >= len(cols) {
				break
			}
			p.assignTo(rel, c, cols[i].value, assigned)
			i++
		}
	}
	p.defaulted(rel, s, assigned)
	p.use(rel.OID, Insert, slices.Collect(maps.Keys(assigned)))
	p.fire(rel, Insert, assigned, sc)
	if oc := s.OnConflictClause; oc != nil && oc.Action != pg.OnConflictAction_ONCONFLICT_NOTHING && oc.Action != pg.OnConflictAction_ONCONFLICT_NONE {
		excluded := p.relationSource(rel, "excluded")
		excluded.cols = slices.Clone(excluded.cols)
		for i, f := range excluded.cols {
			c := rel.ColumnNamed(f.name)
			if c == nil {
				continue
			}
			// The proposed row: what was given, or what defaults and triggers
			// made of it.
			made := value{how: Constant, typ: f.typ, known: true, src: p.writtenTo(f.src).Union(p.writtenTo(Columns{{rel.OID, c.Num}}))}
			if len(made.src) > 0 {
				made.how = Expression
			}
			if v, ok := assigned[c.Num]; ok {
				made = p.either(f.typ, derived(v), made)
			}
			excluded.cols[i].value = made
		}
		excluded.whole = p.row(rel.RowType, excluded.cols)
		up := &scope{outer: sc.outer, ctes: sc.ctes, items: []*item{single(src), {sources: []*source{excluded}}}}
		p.infer(oc.Infer, up)
		p.predicate(oc.WhereClause, up)
		again := map[int16]value{}
		p.assignments(rel, oc.TargetList, up, again)
		p.use(rel.OID, Update, slices.Collect(maps.Keys(again)))
		p.boundAgain(rel, s, up)
		p.fire(rel, Update, again, up)
		for k, v := range again {
			assigned[k] = p.either(v.typ, assigned[k], v)
		}
	} else if oc != nil {
		p.infer(oc.Infer, &scope{outer: sc.outer, ctes: sc.ctes, items: []*item{single(src)}})
	}
	return p.returning(s.ReturningList, rel, src, assigned, &scope{outer: sc.outer, ctes: sc.ctes})
}

// infer records the expressions that choose the index of ON CONFLICT.
func (p *part) infer(i *pg.InferClause, sc *scope) {
	if i == nil {
		return
	}
	for _, n := range i.IndexElems {
		if e := n.GetIndexElem(); e != nil && e.Expr != nil {
			p.testExpr(e.Expr, sc)
		}
	}
	p.predicate(i.WhereClause, sc)
}

// assign records that a target of an INSERT or UPDATE gets v.
func (p *part) assign(rel *catalog.Relation, rt *pg.ResTarget, v value, assigned map[int16]value) {
	c := rel.ColumnNamed(rt.GetName())
	if c == nil {
		p.unknown("the column "+rt.GetName()+" of "+relName(rel)+" does not exist", int(rt.GetLocation()))
		return
	}
	if len(rt.Indirection) > 0 {
		// A part of the column: the rest of the old value stays.
		part := p.partType(c.Type, rt.Indirection)
		v = p.coerce(v, part, 'a')
		p.domainChecks(part, v)
		v = derived(v)
		v.typ, v.fields = c.Type, nil
	}
	p.assignTo(rel, *c, v, assigned)
}

// partType returns the type of a part of a value of type t, or 0.
func (p *part) partType(t catalog.OID, ind []*pg.Node) catalog.OID {
	for _, n := range ind {
		rel := p.rowRelation(t)
		switch i := n.Node.(type) {
		case *pg.Node_AIndices:
			t = p.subscripted(t, i.AIndices.IsSlice)
		case *pg.Node_String_:
			t = 0
			if rel != nil {
				if c := rel.ColumnNamed(i.String_.Sval); c != nil {
					t = c.Type
				}
			}
		}
	}
	return t
}

func (p *part) assignTo(rel *catalog.Relation, c catalog.Column, v value, assigned map[int16]value) {
	v = p.coerce(v, c.Type, 'a')
	p.domainChecks(c.Type, v)
	if v.how == Opaque {
		p.unknown("what is written to "+relName(rel)+"."+c.Name+" is not known", -1)
	}
	p.flow(Column{rel.OID, c.Num}, "", v)
	if old, ok := assigned[c.Num]; ok {
		v = p.either(c.Type, old, v)
	}
	assigned[c.Num] = v
}

// assignments analyzes the SET list of an UPDATE.
func (p *part) assignments(rel *catalog.Relation, list []*pg.Node, sc *scope, assigned map[int16]value) {
	multi := map[*pg.Node]value{}
	for _, n := range list {
		rt := n.GetResTarget()
		if rt == nil {
			continue
		}
		for _, i := range rt.Indirection {
			if idx := i.GetAIndices(); idx != nil {
				p.testAs(int4OID, idx.Lidx, sc)
				p.testAs(int4OID, idx.Uidx, sc)
			}
		}
		if m := rt.Val.GetMultiAssignRef(); m != nil {
			v, ok := multi[m.Source]
			if !ok {
				if sub := m.Source.GetSubLink(); sub != nil {
					v = p.row(recordOID, p.subquery(sub.Subselect, sc))
				} else {
					v = p.expr(m.Source, sc)
				}
				multi[m.Source] = v
			}
			if i := int(m.Colno) - 1; i >= 0 && i < len(v.fields) {
				v = v.fields[i].value
			} else {
				v = derived(v)
			}
			p.assign(rel, rt, v, assigned)
			continue
		}
		v := value{how: Constant, known: true}
		if rt.Val.GetSetToDefault() == nil {
			v = p.expr(rt.Val, sc)
		} else if c := rel.ColumnNamed(rt.Name); c != nil && p.defaultOf(*c) != "" {
			v = p.check("default of "+relName(rel)+"."+c.Name, rel.OID, p.defaultOf(*c), &scope{}, nil)
		}
		p.assign(rel, rt, v, assigned)
	}
}

func (p *part) update(s *pg.UpdateStmt, around *scope) ([]field, bool) {
	sc, done := p.dmlScope(s.WithClause, around)
	defer done()
	rel, src := p.written(s.Relation)
	if rel == nil {
		p.from(s.FromClause, sc)
		return p.unknownReturning(s.ReturningList)
	}
	sc.items = append(sc.items, single(src))
	links := len(p.a.links)
	p.from(s.FromClause, sc)
	p.predicate(s.WhereClause, sc)
	p.spell(sc, links)
	assigned := map[int16]value{}
	p.assignments(rel, s.TargetList, sc, assigned)
	p.use(rel.OID, Update, slices.Collect(maps.Keys(assigned)))
	p.bound(rel, Update, s.WhereClause, sc, s.FromClause...)
	p.fire(rel, Update, assigned, sc)
	return p.returning(s.ReturningList, rel, src, assigned, sc)
}

func (p *part) delete(s *pg.DeleteStmt, around *scope) ([]field, bool) {
	sc, done := p.dmlScope(s.WithClause, around)
	defer done()
	rel, src := p.written(s.Relation)
	if rel == nil {
		p.from(s.UsingClause, sc)
		return p.unknownReturning(s.ReturningList)
	}
	sc.items = append(sc.items, single(src))
	links := len(p.a.links)
	p.from(s.UsingClause, sc)
	p.predicate(s.WhereClause, sc)
	p.spell(sc, links)
	p.use(rel.OID, Delete, nil)
	p.bound(rel, Delete, s.WhereClause, sc, s.UsingClause...)
	p.fire(rel, Delete, nil, sc)
	return p.returning(s.ReturningList, rel, src, nil, sc)
}

func (p *part) merge(s *pg.MergeStmt, around *scope) {
	sc, done := p.dmlScope(s.WithClause, around)
	defer done()
	rel, src := p.written(s.Relation)
	from := p.fromItem(s.SourceRelation, sc, nil)
	if rel == nil {
		return
	}
	sc.items = append(sc.items, single(src))
	if from != nil {
		sc.items = append(sc.items, from)
	}
	links := len(p.a.links)
	p.predicate(s.JoinCondition, sc)
	var matched []*pg.Node
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		p.predicate(w.Condition, sc)
		p.spell(sc, links)
		assigned := map[int16]value{}
		switch w.CommandType {
		case pg.CmdType_CMD_INSERT:
			if len(w.TargetList) > 0 {
				for i, t := range w.TargetList {
					if i < len(w.Values) && w.Values[i].GetSetToDefault() == nil {
						p.assign(rel, t.GetResTarget(), p.expr(w.Values[i], sc), assigned)
					} // else fire evaluates the default
				}
			} else {
				i := 0
				for _, c := range rel.Columns {
					if c.Dropped || i >= len(w.Values) {
						continue
					}
					if w.Values[i].GetSetToDefault() == nil {
						p.assignTo(rel, c, p.expr(w.Values[i], sc), assigned)
					} // else fire evaluates the default
					i++
				}
			}
			p.use(rel.OID, Insert, slices.Collect(maps.Keys(assigned)))
			p.fire(rel, Insert, assigned, sc)
		case pg.CmdType_CMD_UPDATE:
			p.assignments(rel, w.TargetList, sc, assigned)
			p.use(rel.OID, Update, slices.Collect(maps.Keys(assigned)))
			p.bound(rel, Update, both(s.JoinCondition, w.Condition), sc, s.SourceRelation)
			matched = append(matched, w.Condition)
			p.fire(rel, Update, assigned, sc)
		case pg.CmdType_CMD_DELETE:
			p.use(rel.OID, Delete, nil)
			p.bound(rel, Delete, both(s.JoinCondition, w.Condition), sc, s.SourceRelation)
			matched = append(matched, w.Condition)
			p.fire(rel, Delete, nil, sc)
		case pg.CmdType_CMD_NOTHING:
		default:
			p.unknown("a MERGE action of kind "+w.CommandType.String(), -1)
		}
	}
	p.boundTogether(rel, s.JoinCondition, matched, sc, s.SourceRelation)
}

// both returns the predicate a AND b; either may be nil.
func both(a, b *pg.Node) *pg.Node {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_AND_EXPR, Args: []*pg.Node{a, b}}}}
}

// writtenTo returns what the statement writes into columns by now: what it
// assigns, and what defaults, triggers and rules make of that, in the relation
// itself or in the partition that the row ends up in.
func (p *part) writtenTo(cols Columns) Columns {
	var from Columns
	for _, f := range p.rec.st.Flows {
		if f.To.Rel == 0 {
			continue
		}
		for _, c := range cols {
			if f.To.Rel == c.Rel && (f.To.Att == c.Att || f.To.Att == 0) || f.To.Rel != c.Rel && p.inPartition(f.To, c) {
				from = from.Union(f.From)
			}
		}
	}
	return from
}

// inPartition reports whether part is the column of in's partition or child
// that stands for in.
func (p *part) inPartition(part, in Column) bool {
	for _, a := range p.a.snap.Ancestors(part.Rel) {
		if a.OID != in.Rel {
			continue
		}
		if part.Att == 0 {
			return true
		}
		child, parent := p.a.snap.Relation(part.Rel).Column(part.Att), a.Column(in.Att)
		return child != nil && parent != nil && child.Name == parent.Name
	}
	return false
}

// returning analyzes RETURNING: the target's columns as they were written, and
// what else the statement had in scope.
func (p *part) returning(list []*pg.Node, rel *catalog.Relation, src *source, assigned map[int16]value, sc *scope) ([]field, bool) {
	if len(list) == 0 {
		return nil, false
	}
	written := *src
	written.cols = slices.Clone(src.cols)
	for i := range written.cols {
		c := rel.ColumnNamed(written.cols[i].name)
		if c == nil {
			continue
		}
		v := &written.cols[i].value
		v.keys = nil
		before := len(v.src)
		if a, ok := assigned[c.Num]; ok {
			v.src = v.src.Union(a.src)
		}
		v.src = v.src.Union(p.writtenTo(v.src)).Union(p.writtenTo(Columns{{rel.OID, c.Num}}))
		if len(v.src) > before && (v.how == Constant || v.how == Plain) {
			v.how = Expression
		}
	}
	whole := p.row(rel.RowType, written.cols)
	whole.origin, whole.known = Column{rel.OID, 0}, true
	if whole.how == Constant {
		whole.how = Expression
	}
	written.whole = whole
	out := &scope{outer: sc.outer, ctes: sc.ctes}
	replaced := false
	for _, it := range sc.items {
		if len(it.sources) == 1 && it.sources[0] == src {
			out.items = append(out.items, single(&written))
			replaced = true
			continue
		}
		out.items = append(out.items, it)
	}
	if !replaced {
		out.items = append([]*item{single(&written)}, out.items...)
	}
	// PostgreSQL 18: old and new are the target's rows.
	for _, name := range []string{"old", "new"} {
		if !out.has(name) {
			row := written
			row.alias = name
			out.items = append(out.items, &item{sources: []*source{&row}})
		}
	}
	for _, c := range written.cols {
		p.reference(c.value)
	}
	return p.targets(list, out), true
}

func (p *part) unknownReturning(list []*pg.Node) ([]field, bool) {
	if len(list) == 0 {
		return nil, false
	}
	var cols []field
	for range list {
		cols = append(cols, field{"?column?", opaque(nil)})
	}
	return cols, true
}
