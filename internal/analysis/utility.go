package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// utility analyzes every statement that is not SELECT, INSERT, UPDATE, DELETE
// or MERGE. It returns the columns of the statement's result and whether it has
// one.
func (p *part) utility(n *pg.Node) (cols []field, returns bool) {
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		p.selectInto(s.SelectStmt)
	case *pg.Node_ExplainStmt:
		return p.explain(s.ExplainStmt), true
	case *pg.Node_CopyStmt:
		p.copy(s.CopyStmt)
	case *pg.Node_PrepareStmt:
		p.prepare(s.PrepareStmt)
	case *pg.Node_ExecuteStmt:
		return p.execute(s.ExecuteStmt)
	case *pg.Node_DeallocateStmt:
		p.deallocate(s.DeallocateStmt)
	case *pg.Node_DeclareCursorStmt:
		p.declareCursor(s.DeclareCursorStmt)
	case *pg.Node_FetchStmt:
		return p.fetch(s.FetchStmt)
	case *pg.Node_ClosePortalStmt:
		p.closePortal(s.ClosePortalStmt)
	case *pg.Node_CreateTableAsStmt:
		p.createTableAs(s.CreateTableAsStmt)
	case *pg.Node_RefreshMatViewStmt:
		p.refresh(s.RefreshMatViewStmt)
	case *pg.Node_VariableSetStmt:
		p.set(s.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		return p.show(s.VariableShowStmt), true
	case *pg.Node_TransactionStmt:
		p.transaction(s.TransactionStmt)
	case *pg.Node_ConstraintsSetStmt:
		p.kind("SET CONSTRAINTS")
		p.effect(Transaction, "sets when constraints are checked")
	case *pg.Node_DiscardStmt:
		p.discard(s.DiscardStmt)
	case *pg.Node_LockStmt:
		p.kind("LOCK TABLE")
		for _, n := range s.LockStmt.Relations {
			p.effect(Lock, "locks "+p.relationText(n.GetRangeVar()))
		}
		p.rec.st.Classes |= Lock
	case *pg.Node_ListenStmt:
		p.kind("LISTEN")
		p.effect(Notify, "listens to notifications")
	case *pg.Node_UnlistenStmt:
		p.kind("UNLISTEN")
		p.effect(SessionHarmless, "stops listening to notifications")
	case *pg.Node_NotifyStmt:
		p.kind("NOTIFY")
		p.effect(Notify, "notifies other sessions")
	case *pg.Node_LoadStmt:
		p.kind("LOAD")
		p.effect(Program, "loads a library into the server")
	case *pg.Node_CheckPointStmt:
		p.kind("CHECKPOINT")
		p.effect(ServerControl, "forces a checkpoint")
	case *pg.Node_VacuumStmt:
		p.vacuum(s.VacuumStmt)
	case *pg.Node_ClusterStmt:
		p.kind("CLUSTER")
		p.maintain("clusters", s.ClusterStmt.Relation)
	case *pg.Node_ReindexStmt:
		p.reindex(s.ReindexStmt)
	case *pg.Node_DoStmt:
		p.rec.st.Unread = true
		p.do(s.DoStmt)
	case *pg.Node_CallStmt:
		return p.callProcedure(s.CallStmt)
	case *pg.Node_TruncateStmt:
		p.truncate(s.TruncateStmt)
	default:
		if !p.define(n) {
			p.kind("UNKNOWN")
			p.unknown("a statement of kind "+kindOf(n.GetNode()), -1)
		}
	}
	return nil, false
}

// kind names the statement as its command tag does. The outermost one counts.
func (p *part) kind(tag string) {
	if p.rec.st.Kind == "" {
		p.rec.st.Kind = tag
	}
}

// relationText names a relation for a person: where it is found, else as written.
func (p *part) relationText(rv *pg.RangeVar) string {
	if rv == nil {
		return "a relation"
	}
	parts := rangeVarParts(rv)
	if rel := p.object(parts); rel != nil {
		return relName(rel)
	}
	return qualified(parts)
}

// own reports whether p is the author's own text: the statement itself, a DO
// block or the statement behind EXECUTE.
func (p *part) own() bool {
	for _, step := range p.path {
		if step != doStep {
			return false
		}
	}
	return true
}

// asked reports whether p is the author's own text, or the body of a function
// that it calls, also by way of a view: who calls one asks for what it does. What
// triggers, rules and defaults lead to is their owner's choice.
func (p *part) asked() bool {
	return !slices.ContainsFunc(p.path, func(step string) bool {
		return step != doStep && !strings.HasPrefix(step, functionStep) && !strings.HasPrefix(step, viewStep)
	})
}

const (
	doStep       = "DO block"
	functionStep = "function "
	viewStep     = "view "
)

// apart analyzes a statement into facts of its own, recording nothing in p.
func (p *part) apart(analyze func(q *part)) *Statement {
	st := &Statement{}
	q := *p
	q.rec = newRecorder(st)
	analyze(&q)
	q.rec.finish()
	return st
}

// statementApart is apart for a statement node; its outputs are set.
func (p *part) statementApart(n *pg.Node) *Statement {
	return p.apart(func(q *part) {
		cols, returns := q.statement(n)
		q.rec.st.Returns = returns
		if returns {
			q.rec.st.Outputs = results(cols)
		}
	})
}

// absorb records in p what the facts of an inner statement say, as if it stood
// in the place of p.
func (p *part) absorb(st *Statement) {
	p.absorbReads(st)
	to := p.rec.st
	to.Classes |= st.Classes
	for _, u := range st.Writes {
		p.useAt(u)
	}
	for _, f := range st.Flows {
		if !slices.ContainsFunc(to.Flows, func(g Flow) bool { return sameFlow(f, g) }) {
			to.Flows = append(to.Flows, f)
		}
	}
	for _, e := range st.Effects {
		p.at(e.Path).effect(e.Class, e.What)
	}
	to.Bounds = append(to.Bounds, st.Bounds...)
	to.Names = to.Names || st.Names
	to.Catalog = to.Catalog || st.Catalog
	to.Tag = to.Tag || st.Tag
}

// absorbReads records what an inner statement reads, tests and does not
// understand.
func (p *part) absorbReads(st *Statement) {
	for _, u := range st.Reads {
		p.useAt(u)
	}
	for _, c := range st.Tests {
		p.rec.tests[c] = struct{}{}
	}
	for _, c := range st.DefinedTests {
		p.rec.defined[c] = struct{}{}
	}
	for _, c := range st.made {
		p.rec.made[c] = struct{}{}
	}
	p.compare(st.compared)
	for _, c := range st.Probes {
		p.rec.probes[c] = struct{}{}
	}
	for _, c := range st.Touched {
		p.rec.touched[c] = struct{}{}
	}
	p.absorbUnknown(st)
}

func (p *part) absorbUnknown(st *Statement) {
	for _, u := range st.Unknown {
		q := p.at(nil)
		q.text = true // its position is right already
		q.unknown(u.What, u.Position)
	}
}

// at returns p with another path.
func (p *part) at(path []string) *part {
	q := *p
	q.path = path
	return &q
}

func (p *part) useAt(u Use) { p.at(u.Path).use(u.Rel, u.Action, u.Columns) }

func sameFlow(f, g Flow) bool {
	return f.To == g.To && f.Into == g.Into && f.Same == g.Same && slices.Equal(f.From, g.From) && slices.Equal(f.Path, g.Path)
}

// option returns the last option of that name: the server lets it win.
func option(options []*pg.Node, name string) (*pg.DefElem, bool) {
	for _, n := range slices.Backward(options) {
		if d := n.GetDefElem(); d != nil && strings.EqualFold(d.Defname, name) {
			return d, true
		}
	}
	return nil, false
}

// enabled reads a Boolean option as the server's defGetBoolean does. What is
// no Boolean is an error there, and counts as true here.
func enabled(d *pg.DefElem) bool {
	switch {
	case d.GetArg() == nil:
		return true
	case d.Arg.GetInteger() != nil:
		return d.Arg.GetInteger().Ival != 0
	case d.Arg.GetBoolean() != nil:
		return d.Arg.GetBoolean().Boolval
	}
	switch strings.ToLower(d.Arg.GetString_().GetSval()) {
	case "false", "off", "0", "no", "f", "n":
		return false
	}
	return true
}

func (p *part) explain(s *pg.ExplainStmt) []field {
	p.kind("EXPLAIN")
	inner := p.statementApart(s.Query)
	analyze := false
	for _, n := range s.Options {
		d := n.GetDefElem()
		switch strings.ToLower(d.GetDefname()) {
		case "analyze":
			analyze = enabled(d)
		case "verbose", "costs", "settings", "generic_plan", "buffers", "wal", "timing", "summary", "format", "memory", "serialize":
		default:
			p.unknown("an option of EXPLAIN that is not known", int(d.GetLocation()))
			analyze = true
		}
	}
	if p.text {
		p.rec.st.Inner = inner
	}
	if analyze {
		p.absorb(inner)
	} else {
		p.absorbReads(inner)
		p.rec.st.Classes |= Read
		// Planning runs functions that are declared immutable, whatever they do.
		for _, u := range inner.Writes {
			if p.runsInPlanning(u.Path) {
				p.useAt(u)
			}
		}
		for _, f := range inner.Flows {
			if p.runsInPlanning(f.Path) {
				p.rec.st.Flows = append(p.rec.st.Flows, f)
			}
		}
		for _, e := range inner.Effects {
			if p.runsInPlanning(e.Path) {
				p.at(e.Path).effect(e.Class, e.What)
			}
		}
	}
	// A plan shows what the planner folded: what a function returns that it ran
	// on constants. That derives from what the function reads.
	plan := constant(textOID)
	for _, u := range slices.Concat(inner.Reads, inner.Writes) {
		if !p.runsInPlanning(u.Path) {
			continue
		}
		for _, c := range inner.Touched {
			if c.Rel == u.Rel {
				plan.src = plan.src.Union(Columns{c})
			}
		}
	}
	plan.src = plan.src.Union(p.inlined())
	// It also shows the conditions of views and policies, and defaults.
	plan.src = plan.src.Union(inner.compared)
	if analyze { // it says how many rows came
		plan.src = plan.src.Union(inner.made)
	}
	if len(plan.src) > 0 {
		plan.how = Expression
	}
	if d, ok := option(s.Options, "format"); ok {
		switch strings.ToLower(d.GetArg().GetString_().GetSval()) {
		case "json":
			plan.typ = jsonOID
		case "xml":
			plan.typ = xmlOID
		}
	}
	return []field{{"QUERY PLAN", plan}}
}

// inlined returns pg_proc.prosrc where the statement calls functions in language
// sql whose bodies hold string constants, or any whose defaults do: a plan shows
// the expressions that the planner put in the place of a call, and arguments.
func (p *part) inlined() Columns {
	for oid := range p.a.depends {
		f := p.a.snap.Function(oid)
		if f == nil || p.isBuiltin(f) {
			continue
		}
		constants := false
		look := func(n *pg.Node) { constants = constants || n.GetAConst().GetSval() != nil }
		if f.DefaultExprs != "" {
			walk(p.a.statementOf("SELECT "+f.DefaultExprs), look)
		}
		if f.Language == "sql" {
			body := f.Source
			if f.Body != "" {
				body = f.Body
			}
			for _, s := range p.a.body(f, body) {
				walk(s, look)
			}
		}
		if rel := p.a.snap.RelationNamed("pg_catalog", "pg_proc"); constants && rel != nil && rel.ColumnNamed("prosrc") != nil {
			return Columns{{rel.OID, rel.ColumnNamed("prosrc").Num}}
		}
	}
	return nil
}

// runsInPlanning reports whether what a path leads to may run when a statement
// is only planned: within a function that is not declared volatile.
func (p *part) runsInPlanning(path []string) bool {
	for _, step := range path {
		name, ok := strings.CutPrefix(step, "function ")
		if !ok {
			continue
		}
		schema, name, ok := strings.Cut(name, ".")
		if !ok {
			return true
		}
		known := false
		for _, f := range p.a.snap.FunctionsNamed(name) {
			if f.Schema == schema {
				known = true
				if f.Volatility != 'v' {
					return true
				}
			}
		}
		if !known {
			return true
		}
	}
	return false
}

func (p *part) copy(s *pg.CopyStmt) {
	p.kind("COPY")
	if s.IsFrom {
		p.copyFrom(s)
		return
	}
	n := s.Query
	if n == nil {
		n = copyQuery(s)
	}
	inner := p.statementApart(n)
	p.absorb(inner)
	if p.text {
		p.rec.st.Inner = inner
	}
	var out value
	for _, o := range inner.Outputs {
		out.src = out.src.Union(o.Sources)
	}
	out.how = Expression
	switch {
	case s.IsProgram:
		p.effect(Program, "runs a program on the server")
		p.flow(Column{}, "program", out)
	case s.Filename != "":
		p.effect(File, "writes a file on the server")
		p.flow(Column{}, "file", out)
	default:
		p.rec.st.Classes |= CopyOut | Read
	}
}

// copyQuery returns the query that reads what COPY table TO reads: the table
// without its children, and, without a list of columns, all columns that are
// not generated. Taking these too errs on the safe side.
func copyQuery(s *pg.CopyStmt) *pg.Node {
	rv := &pg.RangeVar{}
	if r := s.Relation; r != nil {
		rv = &pg.RangeVar{Catalogname: r.Catalogname, Schemaname: r.Schemaname, Relname: r.Relname, Relpersistence: r.Relpersistence, Location: r.Location}
	}
	var targets []*pg.Node
	add := func(field *pg.Node) {
		ref := &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: []*pg.Node{field}, Location: -1}}}
		targets = append(targets, &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: ref, Location: -1}}})
	}
	for _, n := range s.Attlist {
		add(n)
	}
	if len(targets) == 0 {
		add(&pg.Node{Node: &pg.Node_AStar{AStar: &pg.A_Star{}}})
	}
	return &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{
		TargetList:  targets,
		FromClause:  []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: rv}}},
		LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT,
		Op:          pg.SetOperation_SETOP_NONE,
	}}}
}

func (p *part) copyFrom(s *pg.CopyStmt) {
	p.rec.st.Classes |= Write
	switch {
	case s.IsProgram:
		p.effect(Program, "runs a program on the server")
	case s.Filename != "":
		p.effect(File, "reads a file on the server")
	default:
		p.rec.st.Classes |= CopyIn
	}
	rel := p.target(s.Relation)
	if rel == nil {
		return
	}
	cols := []int16{}
	assigned := map[int16]value{}
	for _, c := range rel.Columns {
		if c.Dropped || c.Generated != 0 || len(s.Attlist) > 0 && !slices.Contains(strs(s.Attlist), c.Name) {
			continue
		}
		cols = append(cols, c.Num)
		assigned[c.Num] = constant(c.Type)
	}
	for _, name := range strs(s.Attlist) {
		if rel.ColumnNamed(name) == nil {
			p.unknown("the column "+name+" of "+relName(rel)+" does not exist", -1)
		}
	}
	p.use(rel.OID, Insert, cols)
	p.touchRow(rel)
	sc := rowScope(p, rel, nil)
	if s.WhereClause != nil {
		p.predicate(s.WhereClause, sc)
	}
	p.fire(rel, Insert, assigned, sc)
}

// target resolves a relation that a statement writes or alters.
func (p *part) target(rv *pg.RangeVar) *catalog.Relation {
	if rv == nil {
		p.unknown("a statement without its relation", -1)
		return nil
	}
	rel := p.names.relation(rangeVarParts(rv))
	if rel == nil {
		p.unknown("the relation "+qualified(rangeVarParts(rv))+" does not exist", int(rv.Location))
	}
	return rel
}

func (p *part) prepare(s *pg.PrepareStmt) {
	p.kind("PREPARE")
	p.rec.st.Classes |= PreparedSQL
	if !p.text {
		p.hiddenName("a prepared statement is made", PreparedSQL)
		return
	}
	p.rec.st.Prepared = s.Name
	// Nothing runs before EXECUTE, which is analyzed anew.
	p.rec.st.Inner = p.statementApart(s.Query)
	p.rec.st.Inner.Text = p.rec.st.Text
}

// hiddenName records that a function or DO block changes what a prepared
// statement or cursor means, where the session's bookkeeping cannot see it.
func (p *part) hiddenName(what string, class Class) {
	p.effect(class|Dynamic, what+" out of sight")
	p.unknown(what+" out of sight", -1)
}

func (p *part) execute(s *pg.ExecuteStmt) (cols []field, returns bool) {
	p.kind("EXECUTE")
	p.rec.st.Classes |= PreparedSQL
	if p.text {
		p.rec.st.Prepared = s.Name
	}
	args := make(numbers, len(s.Params))
	for i, n := range s.Params {
		args[i] = p.expr(n, nil)
	}
	what := "the prepared statement " + s.Name + " is not known"
	text, ok := "", false
	if p.a.sess.Prepared != nil {
		text, ok = p.a.sess.Prepared(s.Name)
	}
	if !ok {
		p.unknown(what, -1)
		p.effect(Dynamic, "runs a prepared statement that is not known")
		return []field{{"", opaque(nil)}}, true
	}
	if !p.charge(text) {
		return []field{{"", opaque(nil)}}, true
	}
	tree, err := parseSQL(text)
	if err != nil || len(tree.Stmts) != 1 {
		p.unknown(what, -1)
		p.effect(Dynamic, "runs a prepared statement that is not known")
		return []field{{"", opaque(nil)}}, true
	}
	stmt := tree.Stmts[0].Stmt
	var types []*pg.Node
	if prep := stmt.GetPrepareStmt(); prep != nil {
		stmt, types = prep.Query, prep.Argtypes
	}
	for i := range args {
		if i < len(types) {
			t := p.typeOf(types[i].GetTypeName())
			args[i] = p.cast(args[i], t, nil, 'a')
			args[i].typ = t
			continue
		}
		// The server inferred the type from where the parameter stands.
		args[i].typ, args[i].untyped = 0, true
	}
	if len(p.stack) >= maxNesting {
		p.unknown("the statement nests too deep", -1)
		return []field{{"", opaque(nil)}}, true
	}
	q := *p
	q.text, q.vars, q.given = false, args, s.Params
	q.stack = append(slices.Clip(p.stack), 0)
	return q.statement(stmt)
}

// numbers are the parameters of a prepared statement or of EXECUTE in PL/pgSQL.
type numbers []value

func (n numbers) named([]string) (value, bool) { return value{}, false }

func (n numbers) numbered(i int) (value, bool) {
	if i < 1 || i > len(n) {
		return value{}, false
	}
	return n[i-1], true
}

func (p *part) deallocate(s *pg.DeallocateStmt) {
	if s.Name == "" {
		p.kind("DEALLOCATE ALL")
	}
	p.kind("DEALLOCATE")
	p.rec.st.Classes |= PreparedSQL
	if !p.text {
		p.hiddenName("a prepared statement is dropped", PreparedSQL)
		return
	}
	p.rec.st.Prepared = s.Name
}

func (p *part) declareCursor(s *pg.DeclareCursorStmt) {
	p.kind("DECLARE CURSOR")
	p.rec.st.Classes |= Cursor
	if !p.text {
		p.hiddenName("a cursor is declared", Cursor)
	}
	p.cursor = s.Query.GetSelectStmt()
	inner := p.statementApart(s.Query)
	p.cursor = nil
	// WITH HOLD runs the query at COMMIT without any FETCH.
	p.absorb(inner)
	if p.text {
		p.rec.st.Portal, p.rec.st.Inner = s.Portalname, inner
	}
}

func (p *part) fetch(s *pg.FetchStmt) (cols []field, returns bool) {
	if s.Ismove {
		p.kind("MOVE")
	}
	p.kind("FETCH")
	p.rec.st.Classes |= Cursor
	if p.text {
		p.rec.st.Portal = s.Portalname
	}
	var st *Statement
	ok := false
	if p.a.sess.Cursor != nil {
		st, ok = p.a.sess.Cursor(s.Portalname)
	}
	if !ok || st == nil {
		p.unknown("the cursor "+s.Portalname+" is not known", -1)
		p.effect(Dynamic, "reads from a cursor that is not known")
		return []field{{"", opaque(nil)}}, !s.Ismove
	}
	if st.Portal != "" && st.Inner != nil {
		st = st.Inner
	}
	p.absorb(st)
	if st.Locks != "" && s.HowMany >= manyInSeries {
		p.effect(Lock, "locks all rows of "+st.Locks)
	}
	if s.Ismove {
		return nil, false
	}
	return fields(st.Outputs), true
}

func (p *part) closePortal(s *pg.ClosePortalStmt) {
	if s.Portalname == "" {
		p.kind("CLOSE CURSOR ALL")
	}
	p.kind("CLOSE CURSOR")
	p.rec.st.Classes |= Cursor
	if !p.text {
		p.hiddenName("a cursor is closed", Cursor)
		return
	}
	p.rec.st.Portal = s.Portalname
}

// fields is the reverse of results.
func fields(out []Output) []field {
	cols := make([]field, len(out))
	for i, o := range out {
		cols[i] = field{o.Name, value{src: o.Sources, byRows: o.ByRows, how: o.How, typ: o.Type, origin: o.Origin, known: o.OriginKnown}}
		if o.Fields != nil {
			cols[i].fields = fields(o.Fields)
		}
	}
	return cols
}

// intoOf returns the INTO clause of a SELECT; of a set operation, it stands in
// the first one.
func intoOf(sel *pg.SelectStmt) *pg.IntoClause {
	for ; sel != nil; sel = sel.Larg {
		if sel.IntoClause != nil {
			return sel.IntoClause
		}
	}
	return nil
}

func (p *part) selectInto(sel *pg.SelectStmt) {
	p.kind("SELECT INTO")
	into := intoOf(sel)
	if into == nil {
		p.unknown("a SELECT out of its place", -1)
		return
	}
	inner := p.apart(func(q *part) {
		q.kind("SELECT")
		q.rec.st.Returns = true
		q.rec.st.Outputs = results(q.query(sel, nil))
		q.rec.st.Classes |= Read
	})
	p.newTable(into, inner, pg.ObjectType_OBJECT_TABLE)
}

func (p *part) createTableAs(s *pg.CreateTableAsStmt) {
	tag := "CREATE TABLE AS"
	if s.IsSelectInto {
		tag = "SELECT INTO"
	}
	if s.Objtype == pg.ObjectType_OBJECT_MATVIEW {
		tag = "CREATE MATERIALIZED VIEW"
	}
	p.kind(tag)
	p.newTable(s.Into, p.statementApart(s.Query), s.Objtype)
}

// newTable records a table that is made from the result of a query. With NO
// DATA the query does not run, but the server still plans it later.
func (p *part) newTable(into *pg.IntoClause, inner *Statement, typ pg.ObjectType) {
	p.absorb(inner)
	st := p.rec.st
	st.Catalog, st.Names = true, true
	if p.text {
		st.Inner = inner
	}
	rv := into.GetRel()
	name := qualified(rangeVarParts(orEmpty(rv)))
	names := strs(into.GetColNames())
	for i, o := range inner.Outputs {
		col := o.Name
		if i < len(names) {
			col = names[i]
		}
		p.flow(Column{}, "new table "+name+" column "+col, fields([]Output{o})[0].value)
	}
	word := "table "
	if typ == pg.ObjectType_OBJECT_MATVIEW {
		word = "materialized view "
		p.effect(DDL|Code, "creates materialized view "+name)
		return
	}
	if p.temporary(rv) {
		p.effect(Temporary, "creates temporary "+word+name)
		return
	}
	p.effect(DDL, "creates "+word+name)
}

func orEmpty(rv *pg.RangeVar) *pg.RangeVar {
	if rv == nil {
		return &pg.RangeVar{}
	}
	return rv
}

// temporary reports whether a new relation of that name is a temporary one.
func (p *part) temporary(rv *pg.RangeVar) bool {
	return rv != nil && (rv.Relpersistence == "t" || isTempSchema(rv.Schemaname))
}

func isTempSchema(schema string) bool {
	return schema == "pg_temp" || strings.HasPrefix(schema, "pg_temp_")
}

func (p *part) refresh(s *pg.RefreshMatViewStmt) {
	p.kind("REFRESH MATERIALIZED VIEW")
	p.effect(DDL, "refreshes "+p.relationText(s.Relation))
	rel := p.target(s.Relation)
	if rel == nil || s.SkipData {
		return
	}
	p.use(rel.OID, Delete, nil)
	p.use(rel.OID, Insert, nil)
	p.touchRow(rel)
	tree, err := parseSQL(rel.Definition)
	if err != nil || len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetSelectStmt() == nil {
		p.unknown("the definition of "+relName(rel)+" could not be parsed", -1)
		return
	}
	if p.expanding(rel.OID) {
		return
	}
	q := p.within("materialized view "+relName(rel), rel.OID, definitionNames(p.a.snap), nil)
	q.defined = true
	cols := q.query(tree.Stmts[0].Stmt.GetSelectStmt(), nil)
	i := 0
	for _, c := range rel.Columns {
		if !c.Dropped && i < len(cols) {
			q.flow(Column{rel.OID, c.Num}, "", cols[i].value)
			i++
		}
	}
	q.indexes(rel, rowScope(q, rel, nil))
}

func (p *part) transaction(s *pg.TransactionStmt) {
	st := p.rec.st
	control := TxNone
	class := Transaction
	switch s.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN:
		p.kind("BEGIN")
		control = TxBegin
	case pg.TransactionStmtKind_TRANS_STMT_START:
		p.kind("START TRANSACTION")
		control = TxBegin
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		p.kind("COMMIT")
		control = TxCommit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		p.kind("ROLLBACK")
		control = TxRollback
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		p.kind("SAVEPOINT")
		control = TxSavepoint
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		p.kind("RELEASE")
		control = TxRelease
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		p.kind("ROLLBACK")
		control = TxRollbackTo
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		p.kind("PREPARE TRANSACTION")
		control, class = TxCommit, TwoPhase
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		p.kind("COMMIT PREPARED")
		class = TwoPhase
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		p.kind("ROLLBACK PREPARED")
		class = TwoPhase
	default:
		p.kind("TRANSACTION")
		p.unknown("a transaction statement of a kind that is not known", -1)
	}
	st.Classes |= class
	if class == TwoPhase {
		p.effect(TwoPhase, "ends a transaction in two phases")
	}
	if p.text {
		st.TxControl = control
	} else if control != TxNone {
		p.effect(Transaction, "controls the transaction")
	}
}

func (p *part) discard(s *pg.DiscardStmt) {
	st := p.rec.st
	switch s.Target {
	case pg.DiscardMode_DISCARD_PLANS:
		p.kind("DISCARD PLANS")
		p.effect(SessionHarmless, "discards cached plans")
	case pg.DiscardMode_DISCARD_SEQUENCES:
		p.kind("DISCARD SEQUENCES")
		p.effect(SessionHarmless, "discards cached sequence values")
	case pg.DiscardMode_DISCARD_TEMP:
		p.kind("DISCARD TEMP")
		p.effect(Temporary, "drops all temporary tables")
		st.Names, st.Catalog = true, true
	default:
		p.kind("DISCARD ALL")
		p.effect(SessionRisky|Temporary|PreparedSQL|Cursor|Role, "discards the state of the session")
		st.Names, st.Catalog, st.Tag = true, true, true
	}
}

func (p *part) vacuum(s *pg.VacuumStmt) {
	verb := "analyzes"
	p.kindIf(s.IsVacuumcmd, "VACUUM", "ANALYZE")
	if s.IsVacuumcmd {
		verb = "vacuums"
	}
	if len(s.Rels) == 0 {
		p.maintain(verb, nil)
	}
	for _, n := range s.Rels {
		p.maintain(verb, n.GetVacuumRelation().GetRelation())
	}
}

func (p *part) kindIf(cond bool, yes, no string) {
	if cond {
		p.kind(yes)
		return
	}
	p.kind(no)
}

// maintain records VACUUM and its kin, which evaluate the expressions of
// indexes.
func (p *part) maintain(verb string, rv *pg.RangeVar) {
	if rv == nil {
		p.effect(Maintenance, verb+" all tables")
		return
	}
	p.effect(Maintenance, verb+" "+p.relationText(rv))
	if rel := p.names.relation(rangeVarParts(rv)); rel != nil {
		p.indexes(rel, rowScope(p, rel, nil))
	}
}

func (p *part) reindex(s *pg.ReindexStmt) {
	p.kind("REINDEX")
	if s.Relation == nil {
		p.effect(Maintenance, "reindexes a schema or the database")
		return
	}
	if s.Kind == pg.ReindexObjectType_REINDEX_OBJECT_INDEX {
		p.effect(Maintenance, "reindexes index "+p.relationText(s.Relation))
		return
	}
	p.maintain("reindexes", s.Relation)
}

func (p *part) do(s *pg.DoStmt) {
	p.kind("DO")
	p.rec.st.Classes |= Read
	language, body := "plpgsql", ""
	for _, n := range s.Args {
		d := n.GetDefElem()
		switch d.GetDefname() {
		case "language":
			language = d.Arg.GetString_().GetSval()
		case "as":
			body = d.Arg.GetString_().GetSval()
		}
	}
	if language != "plpgsql" {
		p.effect(Dynamic|Code, "runs a block in the language "+language)
		p.unknown("a DO block in the language "+language, -1)
		return
	}
	p.block(body)
}

// withoutOut returns a call of a procedure without what stands in the places of
// OUT arguments, which the server does not evaluate: once for each choice of
// places among the procedures of the name.
func (p *part) withoutOut(call *pg.FuncCall) []*pg.FuncCall {
	var places [][]int
	for _, f := range p.names.functions(strs(call.Funcname)) {
		if !slices.ContainsFunc(places, func(out []int) bool { return slices.Equal(out, f.OutOnly) }) {
			places = append(places, f.OutOnly)
		}
	}
	if len(places) == 0 || slices.ContainsFunc(call.Args, func(n *pg.Node) bool { return n.GetNamedArgExpr() != nil }) {
		return []*pg.FuncCall{call}
	}
	var all []*pg.FuncCall
	for _, out := range places {
		short := &pg.FuncCall{Funcname: call.Funcname, FuncVariadic: call.FuncVariadic, Funcformat: call.Funcformat, Location: call.Location}
		for i, n := range call.Args {
			if !slices.Contains(out, i) {
				short.Args = append(short.Args, n)
			}
		}
		all = append(all, short)
	}
	return all
}

func (p *part) callProcedure(s *pg.CallStmt) (cols []field, returns bool) {
	p.kind("CALL")
	p.rec.st.Classes |= Read
	name := strs(s.GetFunccall().GetFuncname())
	var results []value
	for _, call := range p.withoutOut(orEmptyCall(s.Funccall)) {
		results = append(results, p.expr(&pg.Node{Node: &pg.Node_FuncCall{FuncCall: call}}, nil))
	}
	v := results[0]
	if len(results) > 1 {
		v = p.either(0, results...)
		v.fields = nil
	}
	for _, f := range p.names.functions(name) {
		if f.Kind == 'p' && len(f.OutTypes) > 0 {
			returns = true
			if len(f.OutNames) == len(f.OutTypes) && len(v.fields) != len(f.OutNames) {
				for i := range f.OutNames {
					w := derived(v)
					w.typ, w.fields = f.OutTypes[i], nil
					cols = append(cols, field{f.OutNames[i], w})
				}
			}
		}
	}
	if !returns {
		return nil, false
	}
	if v.fields != nil {
		return v.fields, true
	}
	return cols, true
}

func orEmptyCall(c *pg.FuncCall) *pg.FuncCall {
	if c == nil {
		return &pg.FuncCall{}
	}
	return c
}

func (p *part) truncate(s *pg.TruncateStmt) {
	p.kind("TRUNCATE TABLE")
	p.rec.st.Classes |= TruncateData
	done := map[catalog.OID]bool{}
	for _, n := range s.Relations {
		rv := n.GetRangeVar()
		p.effect(TruncateData, "truncates "+p.relationText(rv))
		if rel := p.target(rv); rel != nil {
			p.truncateRelation(rel, rv.Inh || rel.Kind == 'p', s.Behavior == pg.DropBehavior_DROP_CASCADE, done)
		}
	}
	if s.RestartSeqs {
		p.effect(Sequence, "restarts the sequences of the tables")
	}
}

func (p *part) truncateRelation(rel *catalog.Relation, children, cascade bool, done map[catalog.OID]bool) {
	if done[rel.OID] || !p.step() {
		return
	}
	done[rel.OID] = true
	p.use(rel.OID, Truncate, nil)
	p.triggers(rel, Truncate, nil, nil, nil)
	for _, a := range p.a.snap.Ancestors(rel.OID) {
		if !done[a.OID] {
			p.at(append(slices.Clip(p.path), parentStep(a, rel))).use(a.OID, Truncate, nil)
		}
	}
	if children {
		for _, c := range p.a.snap.Descendants(rel.OID) {
			p.at(append(slices.Clip(p.path), childStep(c, rel))).truncateRelation(c, false, cascade, done)
		}
	}
	if !cascade {
		return
	}
	for _, fk := range rel.ReferredBy {
		if from := p.a.snap.Relation(fk.From); from != nil && !done[from.OID] {
			p.at(append(slices.Clip(p.path), foreignKeyStep(fk, rel))).truncateRelation(from, true, true, done)
		}
	}
}
