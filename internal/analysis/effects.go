package analysis

import (
	"maps"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A firing is a write whose consequences are being analyzed.
type firing struct {
	rel  catalog.OID
	act  Action
	cols string // the columns that are assigned: they decide which triggers fire
}

func newFiring(rel *catalog.Relation, act Action, assigned map[int16]value) firing {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(assigned)) {
		b.WriteString(itoa(int(n)) + " ")
	}
	return firing{rel.OID, act, b.String()}
}

// The bits of pg_trigger.tgtype.
const (
	triggerBefore   = 2
	triggerInsert   = 4
	triggerDelete   = 8
	triggerUpdate   = 16
	triggerTruncate = 32
	triggerInstead  = 64
)

// fire records what a write to rel leads to: rules, the relations under a view,
// defaults and generated columns, triggers, the expressions of constraints,
// indexes and policies, partitions and inheritance, foreign key actions.
// assigned are the values of the columns that the write sets. The write itself
// was recorded by the caller.
func (p *part) fire(rel *catalog.Relation, act Action, assigned map[int16]value, _ *scope) {
	w := newFiring(rel, act, assigned)
	if !p.step() || slices.Contains(p.a.firing, w) {
		return // what it leads to is being recorded already
	}
	if len(p.a.firing) >= maxNesting {
		p.unknown("writes nest too deep at "+relName(rel), -1)
		return
	}
	p.a.firing = append(p.a.firing, w)
	defer func() { p.a.firing = p.a.firing[:len(p.a.firing)-1] }()

	p.touchRow(rel)
	if isSystemSchema(rel.Schema) {
		p.writeSystem(rel)
	}
	if p.rules(rel, act, assigned) {
		return
	}
	if rel.Kind == 'v' {
		p.writeView(rel, act, assigned)
		return
	}
	p.writeTable(rel, act, assigned)
}

// writeSystem records a direct write to a system catalog.
func (p *part) writeSystem(rel *catalog.Relation) {
	if rel.Name == "pg_settings" {
		p.rec.st.Names, p.rec.st.Tag = true, true
		p.effect(SessionForbidden, "changes settings through "+relName(rel))
		return
	}
	p.rec.st.Catalog, p.rec.st.Names = true, true
	p.effect(DDL|DCL|ServerControl, "writes the system catalog "+relName(rel))
}

// through returns a part for a definition that p leads to by step, like within,
// but without marking an object as being expanded.
func (p *part) through(step string, object catalog.OID, vars variables) *part {
	q := *p
	q.path = append(slices.Clip(p.path), step)
	q.names, q.vars, q.text = p.definitionNames(), vars, false
	p.a.depends[object] = struct{}{}
	return &q
}

// definitionNames resolves the names in definitions that the server deparsed.
func (p *part) definitionNames() namer {
	return newPathNames(p.a.snap, []string{"pg_catalog", "pg_temp"})
}

// A newRow holds the values of a row after a write, by column; a column that is
// not in it keeps its old value.
type newRow map[int16]value

// rowVariables are NEW and OLD in a rule, a trigger's condition or a PL/pgSQL
// trigger function.
type rowVariables struct{ rows []field }

func (r rowVariables) numbered(int) (value, bool) { return value{}, false }

func (r rowVariables) named(parts []string) (value, bool) {
	for _, row := range r.rows {
		if row.name != parts[0] {
			continue
		}
		if len(parts) == 1 {
			return row.value, true
		}
		for _, f := range row.fields {
			if len(parts) == 2 && f.name == parts[1] {
				return f.value, true
			}
		}
	}
	return value{}, false
}

// rowOf returns a row of rel as a value. row may be nil.
func (p *part) rowOf(rel *catalog.Relation, row newRow) value {
	return rowScope(p, rel, row).items[0].sources[0].whole
}

// newAndOld returns the rows that a definition sees as NEW and OLD.
func (p *part) newAndOld(rel *catalog.Relation, act Action, row newRow) []field {
	var rows []field
	if act == Insert || act == Update {
		rows = append(rows, field{"new", p.rowOf(rel, row)})
	}
	if act == Update || act == Delete {
		rows = append(rows, field{"old", p.rowOf(rel, nil)})
	}
	return rows
}

// rules records what the rules on rel do, and reports whether one replaces the
// write altogether.
func (p *part) rules(rel *catalog.Relation, act Action, assigned map[int16]value) (replaced bool) {
	event := map[Action]byte{Update: '2', Insert: '3', Delete: '4'}[act]
	for _, r := range rel.Rules {
		if r.Event != event || r.Enabled == 'D' || r.Enabled == 'R' {
			continue
		}
		step := "rule " + r.Name + " on " + relName(rel)
		rule := p.a.statementOf(r.Definition).GetRuleStmt()
		if rule == nil {
			p.unknown("the "+step+" could not be parsed", -1)
			continue
		}
		row := newRow(assigned)
		if act == Insert {
			row = p.insertedRow(rel, assigned, false)
		}
		q := p.through(step, rel.OID, rowVariables{p.newAndOld(rel, act, row)})
		if rule.WhereClause != nil {
			q.test(q.expr(rule.WhereClause, &scope{}).src)
		} else if r.Instead {
			replaced = true
		}
		for _, action := range rule.Actions {
			cols, returns := q.statement(action)
			if returns && action.GetSelectStmt() == nil {
				q.ruleReturns(rel, cols)
			}
		}
	}
	return replaced
}

// ruleReturns records what a rule's RETURNING gives in the place of the view's
// columns, where the view itself does not derive from it.
func (p *part) ruleReturns(rel *catalog.Relation, cols []field) {
	own := p.relationSource(rel, rel.Name).cols
	i := 0
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		if i < len(cols) && i < len(own) && !own[i].src.ContainsAll(cols[i].src) {
			p.flow(Column{rel.OID, c.Num}, "", cols[i].value)
		}
		i++
	}
}

// statementOf returns the parsed form of a definition of one statement, or nil.
func (a *analyzer) statementOf(definition string) *pg.Node {
	v := a.snap.Memo(statementKey{definition}, func() any {
		tree, err := parseSQL(definition)
		if err != nil || len(tree.Stmts) != 1 {
			return (*pg.Node)(nil)
		}
		return tree.Stmts[0].Stmt
	})
	return v.(*pg.Node)
}

type statementKey struct{ text string }

// writeView records a write to a view: its INSTEAD OF triggers, or else the
// write to the relation below (manual, CREATE VIEW, "Updatable Views").
func (p *part) writeView(rel *catalog.Relation, act Action, assigned map[int16]value) {
	instead := false
	for _, t := range rel.Triggers {
		if t.Type&triggerInstead != 0 && t.Type&eventBit(act) != 0 && t.Enabled != 'D' && t.Enabled != 'R' {
			instead = true
		}
	}
	p.triggers(rel, act, newRow(maps.Clone(assigned)), assigned, nil)
	if instead || isSystemSchema(rel.Schema) {
		return
	}
	q := p.through("view "+relName(rel), rel.OID, nil)
	sel, base := q.underView(rel)
	if base == nil {
		p.unknown("the view "+relName(rel)+" cannot be written", -1)
		return
	}
	below := map[int16]value{}
	i := 0
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		if i >= len(sel.TargetList) {
			break
		}
		b := columnUnder(sel, base, i)
		i++
		v, ok := assigned[c.Num]
		if !ok && act == Insert && c.Default != "" {
			v, ok = p.check("default of "+relName(rel)+"."+c.Name, rel.OID, c.Default, &scope{}, nil), true
		}
		if !ok {
			continue
		}
		if b == nil {
			p.unknown("the column "+c.Name+" of the view "+relName(rel)+" cannot be written", -1)
			continue
		}
		below[b.Num] = v
		q.flow(Column{base.OID, b.Num}, "", v)
	}
	if sel.WhereClause != nil {
		d := *q
		d.defined = true
		d.test(d.expr(sel.WhereClause, rowScope(p, base, nil)).src)
	}
	var cols []int16
	if act != Delete {
		cols = slices.AppendSeq([]int16{}, maps.Keys(below))
	}
	q.use(base.OID, act, cols)
	q.fire(base, act, below, nil)
}

// underView returns the query of a view, and the relation that writes to it go
// to, or nil.
func (p *part) underView(rel *catalog.Relation) (*pg.SelectStmt, *catalog.Relation) {
	sel := p.a.definition(rel)
	if sel == nil || len(sel.FromClause) != 1 || sel.FromClause[0].GetRangeVar() == nil {
		return nil, nil
	}
	return sel, p.definitionNames().relation(rangeVarParts(sel.FromClause[0].GetRangeVar()))
}

// columnUnder returns the column of base that output i of a view stands for, or
// nil.
func columnUnder(sel *pg.SelectStmt, base *catalog.Relation, i int) *catalog.Column {
	if i >= len(sel.TargetList) {
		return nil
	}
	names := strs(sel.TargetList[i].GetResTarget().GetVal().GetColumnRef().GetFields())
	if len(names) == 0 {
		return nil
	}
	return base.ColumnNamed(names[len(names)-1])
}

// writeTable records a write to a relation that stores rows.
func (p *part) writeTable(rel *catalog.Relation, act Action, assigned map[int16]value) {
	row := newRow(maps.Clone(assigned))
	if row == nil {
		row = newRow{}
	}
	if act == Insert {
		row = p.insertedRow(rel, assigned, true)
	}
	p.consequences(rel, act, row, assigned, nil)
	p.related(rel, act, row, assigned)
}

// insertedRow returns the values of a new row: what is assigned, else the
// default. With record, what flows from defaults is recorded.
func (p *part) insertedRow(rel *catalog.Relation, assigned map[int16]value, record bool) newRow {
	row := newRow{}
	for _, c := range rel.Columns {
		if c.Dropped || c.Generated != 0 {
			continue
		}
		if v, ok := assigned[c.Num]; ok {
			row[c.Num] = v
			continue
		}
		row[c.Num] = p.defaultValue(rel, c, record)
	}
	return row
}

// defaultValue returns what a column gets when nothing is assigned to it. With
// record, what flows is recorded.
func (p *part) defaultValue(rel *catalog.Relation, c catalog.Column, record bool) value {
	expr := p.defaultOf(c)
	if expr == "" && rel.Kind == 'v' && !p.expanding(rel.OID) {
		// The column below has one.
		if sel, base := p.underView(rel); base != nil {
			if b := columnUnder(sel, base, place(rel, c)); b != nil {
				return p.within("view "+relName(rel), rel.OID, p.names, nil).defaultValue(base, *b, record)
			}
		}
	}
	if expr == "" || p.isNextval(expr) {
		if record {
			p.domainChecks(c.Type, constant(c.Type))
		}
		return constant(c.Type)
	}
	if p.holdsConstant(expr) {
		p.compare(Columns{{rel.OID, c.Num}})
	}
	step := "default of " + relName(rel) + "." + c.Name
	d := p.coerce(p.check(step, rel.OID, expr, &scope{}, nil), c.Type, 'a')
	if record {
		p.domainChecks(c.Type, d)
		p.at(append(slices.Clip(p.path), step)).flow(Column{rel.OID, c.Num}, "", d)
	}
	return d
}

// place returns where a column stands among those that rel has.
func place(rel *catalog.Relation, c catalog.Column) int {
	i := 0
	for _, d := range rel.Columns[:c.Num-1] {
		if !d.Dropped {
			i++
		}
	}
	return i
}

// defaulted adds to what an INSERT assigns the defaults that the keyword DEFAULT
// in VALUES stands for.
func (p *part) defaulted(rel *catalog.Relation, s *pg.InsertStmt, assigned map[int16]value) {
	targets := insertTargets(rel, s)
	done := map[int]bool{}
	add := func(i int) {
		if i >= len(targets) || done[i] || targets[i].Num == 0 {
			return
		}
		done[i] = true
		c := targets[i]
		assigned[c.Num] = p.either(c.Type, assigned[c.Num], p.defaultValue(rel, c, true))
	}
	for _, row := range s.SelectStmt.GetSelectStmt().GetValuesLists() {
		stars := false // what stands after row.* is anywhere
		for i, n := range row.GetList().GetItems() {
			stars = stars || expands(n)
			switch {
			case n.GetSetToDefault() == nil:
			case stars:
				for j := range targets {
					add(j)
				}
			default:
				add(i)
			}
		}
	}
}

// defaultOf returns the default expression of a column: its own, or its
// domain's.
func (p *part) defaultOf(c catalog.Column) string {
	if c.Default != "" {
		return c.Default
	}
	if t := p.a.snap.Type(c.Type); t != nil && t.Kind == 'd' {
		return t.Default
	}
	return ""
}

// holdsConstant reports whether there is a constant anywhere in an expression
// that can be a value of a table.
func (p *part) holdsConstant(expr string) bool {
	found := false
	walk(p.a.expression(expr), func(n *pg.Node) { found = found || telling(n) })
	return found
}

// consequences records what a write to the rows of one relation evaluates:
// generated columns, triggers, constraints, indexes, policies, foreign keys.
// row is changed by triggers. With parent, what the parent has too is left out.
func (p *part) consequences(rel *catalog.Relation, act Action, row newRow, assigned map[int16]value, parent *catalog.Relation) {
	if rel.Kind == 'f' {
		p.effect(Network, "writes the foreign table "+relName(rel))
	}
	p.planned(rel)
	p.triggers(rel, act, row, assigned, parent)
	p.policies(rel, act, row)
	if act == Insert || act == Update {
		p.generated(rel, row)
		sc := rowScope(p, rel, row)
		for _, c := range rel.Checks {
			if parent == nil || !slices.Contains(parent.Checks, c) {
				p.evaluate(rel, "check "+c.Name+" on "+relName(rel), c.Expr, sc)
			}
		}
		p.indexes(rel, sc)
		for _, c := range rel.Columns {
			if !c.Dropped && len(p.a.comparisons(c.Type)) > 0 {
				p.through("index on "+relName(rel), rel.OID, nil).compared(columnValue(rel, c, row))
			}
		}
		for _, fk := range rel.ForeignKeys {
			p.keySupport(fk.To, sc)
			for i, n := range fk.FromCols { // looked up as what it refers to
				if to := p.a.snap.Relation(fk.To); to != nil {
					if c, key := rel.Column(n), to.Column(at(fk.ToCols, i)); c != nil && key != nil {
						p.coerce(columnValue(rel, *c, row), key.Type, 'i')
					}
				}
			}
		}
		p.partitionKey(rel, sc)
		if parent == nil { // the row has to belong into this partition
			for _, a := range p.a.snap.Ancestors(rel.OID) {
				p.partitionKey(a, sc)
			}
		}
		p.rivals(rel, act, row, assigned)
	}
	p.foreignKeys(rel, act, row, assigned, parent)
}

// planned records what the server computes when it only plans a statement over
// a relation: it folds constants in the expressions and predicates of indexes, in
// checks and in statistics.
func (p *part) planned(rel *catalog.Relation) {
	if p.expanding(rel.OID) {
		return
	}
	for _, r := range append([]*catalog.Relation{rel}, p.a.snap.Descendants(rel.OID)...) {
		list := p.foldedParts(r)
		if len(list) == 0 {
			continue
		}
		row := newRow{}
		for _, c := range r.Columns {
			row[c.Num] = constant(c.Type)
		}
		q := p.within("plan over "+relName(r), r.OID, p.definitionNames(), nil)
		for _, n := range list {
			q.expr(n, rowScope(q, r, row))
		}
	}
}

type foldedKey struct{ rel catalog.OID }

// foldedParts returns the parts of the definitions of a relation that have no
// columns in them or call what the planner puts the body of in place, as far as
// somebody's own functions are in them.
func (p *part) foldedParts(rel *catalog.Relation) []*pg.Node {
	return p.a.snap.Memo(foldedKey{rel.OID}, func() any {
		exprs := slices.Clone(rel.Statistics)
		for _, i := range rel.Indexes {
			exprs = append(append(exprs, i.Expressions...), i.Predicate)
		}
		for _, c := range rel.Checks {
			exprs = append(exprs, c.Expr)
		}
		var list []*pg.Node
		for _, e := range exprs {
			if e != "" && !p.pure(rel, e) {
				p.folded(p.a.expression(e), &list)
			}
		}
		return list
	}).([]*pg.Node)
}

func (p *part) folded(n *pg.Node, list *[]*pg.Node) {
	columns, calls := false, false
	walk(n, func(m *pg.Node) {
		columns = columns || m.GetColumnRef() != nil
		calls = calls || m.GetFuncCall() != nil || m.GetAExpr() != nil || m.GetTypeCast() != nil
	})
	names := p.definitionNames()
	inlined := slices.ContainsFunc(names.functions(strs(n.GetFuncCall().GetFuncname())), func(f *catalog.Function) bool { return f.Language == "sql" })
	for _, o := range names.operators(strs(n.GetAExpr().GetName())) {
		f := p.a.snap.Function(o.Function)
		inlined = inlined || f != nil && f.Language == "sql" && !p.isBuiltin(f)
	}
	if calls && !columns || inlined {
		*list = append(*list, n)
		return
	}
	var below func(m protoreflect.Message)
	below = func(m protoreflect.Message) {
		if child, ok := m.Interface().(*pg.Node); ok {
			p.folded(child, list)
			return
		}
		each(m, below)
	}
	if n != nil {
		each(n.ProtoReflect(), below)
	}
}

// evaluate records what an expression of a definition of rel calls.
func (p *part) evaluate(rel *catalog.Relation, step, expr string, sc *scope) {
	if !p.pure(rel, expr) {
		p.check(step, rel.OID, expr, sc, nil)
	}
}

type pureKey struct {
	rel  catalog.OID
	expr string
}

// pure reports whether an expression over the columns of rel calls nothing but
// what is built in, so that evaluating it has no effect.
func (p *part) pure(rel *catalog.Relation, expr string) bool {
	return p.a.snap.Memo(pureKey{rel.OID, expr}, func() any {
		st := &Statement{}
		a := &analyzer{snap: p.a.snap, depends: map[catalog.OID]struct{}{}}
		q := &part{a: a, rec: newRecorder(st), names: p.definitionNames()}
		q.check("", rel.OID, expr, rowScope(q, rel, nil), nil)
		q.rec.finish()
		if len(st.Effects)+len(st.Reads)+len(st.Writes)+len(st.Unknown)+len(st.Flows) > 0 || st.Classes != 0 || len(a.reads) > 0 {
			return false
		}
		for oid := range a.depends {
			if oid != rel.OID {
				return false
			}
		}
		return true
	}).(bool)
}

// generated records what flows into generated columns that is more than their
// definition says already.
func (p *part) generated(rel *catalog.Relation, row newRow) {
	for _, c := range rel.Columns {
		if c.Dropped || c.Generated == 0 || c.Default == "" {
			continue
		}
		step := "generated column " + relName(rel) + "." + c.Name
		v := p.coerce(p.check(step, rel.OID, c.Default, rowScope(p, rel, row), nil), c.Type, 'a')
		own := p.check(step, rel.OID, c.Default, rowScope(p, rel, nil), nil)
		if !own.src.ContainsAll(v.src) {
			p.at(append(slices.Clip(p.path), step)).flow(Column{rel.OID, c.Num}, "", v)
		}
		row[c.Num] = v
	}
}

// indexes records what the expressions and predicates of indexes call.
func (p *part) indexes(rel *catalog.Relation, sc *scope) {
	for _, i := range rel.Indexes {
		step := "index " + i.Name + " on " + relName(rel)
		for _, e := range i.Expressions {
			p.evaluate(rel, step, e, sc)
		}
		if i.Predicate != "" {
			p.evaluate(rel, step, i.Predicate, sc)
		}
	}
}

// rivals records that whether a row is accepted tells what is stored: in the
// columns of unique indexes and exclusion constraints, and in those that foreign
// keys refer to.
func (p *part) rivals(rel *catalog.Relation, act Action, row newRow, assigned map[int16]value) {
	given := func(n int16) bool {
		if act == Insert && rel.Column(n) != nil && p.defaultOf(*rel.Column(n)) != "" {
			return true
		}
		_, ok := assigned[n]
		_, made := row[n] // by a trigger
		return ok || made && act == Update && rel.Column(n) != nil && rel.Column(n).Generated == 0
	}
	for _, cols := range p.exclusive(rel) {
		if act == Insert || slices.ContainsFunc(cols, given) {
			p.test(columnsIn(rel.OID, cols))
		}
	}
	for _, fk := range rel.ForeignKeys {
		if slices.ContainsFunc(fk.FromCols, given) {
			p.test(columnsIn(fk.To, fk.ToCols))
		}
	}
	if rel.Kind == 'f' { // its constraints are the other server's
		p.test(columnsIn(rel.OID, slices.Collect(maps.Keys(assigned))))
	}
}

func columnsIn(rel catalog.OID, nums []int16) Columns {
	var all Columns
	for _, n := range nums {
		all = all.Union(Columns{{rel, n}})
	}
	return all
}

type exclusiveKey struct{ rel catalog.OID }

// exclusive returns, for each index that rejects rows for what others hold, the
// columns that decide: its keys, and what its expressions and its predicate are
// made of, down to the columns behind generated ones.
func (p *part) exclusive(rel *catalog.Relation) [][]int16 {
	return p.a.snap.Memo(exclusiveKey{rel.OID}, func() any {
		q := &part{a: &analyzer{snap: p.a.snap, depends: map[catalog.OID]struct{}{}}, rec: newRecorder(&Statement{}), names: p.definitionNames()}
		var all [][]int16
		for _, i := range rel.Indexes {
			if !i.Exclusive {
				continue
			}
			cols := slices.Clone(i.Columns)
			add := func(expr string) {
				v := q.check("", rel.OID, expr, rowScope(q, rel, nil), nil)
				for _, c := range rel.Columns {
					if !c.Dropped && (v.how == Opaque || v.src.Contains(Column{rel.OID, c.Num})) && !slices.Contains(cols, c.Num) {
						cols = append(cols, c.Num)
					}
				}
			}
			for _, e := range i.Expressions {
				add(e)
			}
			if i.Predicate != "" {
				add(i.Predicate)
			}
			for _, n := range cols {
				if c := rel.Column(n); c != nil && c.Generated != 0 && c.Default != "" {
					add(c.Default)
				}
			}
			all = append(all, cols)
		}
		return all
	}).([][]int16)
}

// keySupport records what the operator classes of a relation's indexes and of
// its partition key call for the row in sc.
func (p *part) keySupport(rel catalog.OID, sc *scope) {
	if list := p.a.snap.Support(rel); len(list) > 0 {
		p.through("an index", rel, nil).supported(list, sc.items[0].sources[0].whole)
	}
}

// partitionKey records what the expressions of a partition key call.
func (p *part) partitionKey(rel *catalog.Relation, sc *scope) {
	p.keySupport(rel.OID, sc)
	open, end := strings.IndexByte(rel.PartitionKey, '('), strings.LastIndexByte(rel.PartitionKey, ')')
	if open < 0 || end < open {
		return
	}
	if key := rel.PartitionKey[open+1 : end]; strings.Contains(key, "(") {
		p.evaluate(rel, "partition key of "+relName(rel), "ROW("+key+")", sc)
	}
}

// readPolicies records what row security evaluates for each row that is read.
func (p *part) readPolicies(rel *catalog.Relation) {
	if !rel.RowSecurity || p.expanding(rel.OID) {
		return
	}
	q := *p
	q.defined = true
	for _, pol := range rel.Policies {
		if pol.Using != "" {
			q.test(q.check("policy "+pol.Name+" on "+relName(rel), rel.OID, pol.Using, rowScope(p, rel, nil), nil).src)
		}
	}
}

// policies records what row security evaluates. That the role may be exempt is
// not considered.
func (p *part) policies(rel *catalog.Relation, act Action, row newRow) {
	if !rel.RowSecurity {
		return
	}
	for _, pol := range rel.Policies {
		step := "policy " + pol.Name + " on " + relName(rel)
		if pol.Using != "" && act != Insert {
			q := *p
			q.defined = true
			q.test(p.check(step, rel.OID, pol.Using, rowScope(p, rel, nil), nil).src)
		}
		check := pol.Check
		if check == "" {
			check = pol.Using
		}
		if check != "" && act != Delete {
			p.check(step, rel.OID, check, rowScope(p, rel, row), nil)
		}
	}
}

func eventBit(act Action) int16 {
	switch act {
	case Insert:
		return triggerInsert
	case Update:
		return triggerUpdate
	case Delete:
		return triggerDelete
	case Truncate:
		return triggerTruncate
	}
	return 0
}

// triggerRows are what a trigger function sees.
type triggerRows struct {
	rel  *catalog.Relation
	rows []field // new and old, as far as there are
	args []string
	// transitions are the names of transition tables, which hold rows of rel.
	transitions []string
}

// triggers records what the triggers on rel do. BEFORE triggers change row.
func (p *part) triggers(rel *catalog.Relation, act Action, row newRow, assigned map[int16]value, parent *catalog.Relation) {
	var firing []catalog.Trigger
	for _, t := range rel.Triggers {
		if t.Enabled == 'D' || t.Enabled == 'R' || t.Type&eventBit(act) == 0 || parent != nil && hasTrigger(parent, t) {
			continue
		}
		if act == Update && len(t.Columns) > 0 && !slices.ContainsFunc(t.Columns, func(c int16) bool {
			_, ok := assigned[c]
			col := rel.Column(c)
			return ok || col == nil || col.Generated != 0
		}) {
			continue
		}
		firing = append(firing, t)
	}
	// The server fires BEFORE triggers first, each kind by name.
	slices.SortStableFunc(firing, func(a, b catalog.Trigger) int {
		if c := int(b.Type&triggerBefore) - int(a.Type&triggerBefore); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, t := range firing {
		p.trigger(rel, act, t, row)
	}
}

// hasTrigger reports whether a partitioned table has the trigger that its
// partition has a copy of.
func hasTrigger(rel *catalog.Relation, t catalog.Trigger) bool {
	return slices.ContainsFunc(rel.Triggers, func(u catalog.Trigger) bool { return u.Name == t.Name && u.Function == t.Function && u.Type == t.Type })
}

func (p *part) trigger(rel *catalog.Relation, act Action, t catalog.Trigger, row newRow) {
	step := "trigger " + t.Name + " on " + relName(rel)
	f := p.a.snap.Function(t.Function)
	if f == nil {
		p.unknown("the function of "+step+" is not known", -1)
		p.effect(Dynamic, "fires the "+step+", whose function is not known")
		return
	}
	rows := triggerRows{rel: rel, rows: p.newAndOld(rel, act, row)}
	q := p.through(step+" calls "+funcName(f), rel.OID, rowVariables{rows.rows})
	if t.When != "" {
		if n := p.a.expression(t.When); n != nil {
			d := *q
			d.defined = true
			d.test(d.expr(n, &scope{}).src)
		} else {
			q.unknown("the condition of "+step+" could not be parsed", -1)
		}
	}
	def := p.a.statementOf(t.Definition).GetCreateTrigStmt()
	rows.args = strs(def.GetArgs())
	for _, n := range def.GetTransitionRels() {
		rows.transitions = append(rows.transitions, n.GetTriggerTransition().GetName())
	}
	q.vars = nil
	if f.Language != "plpgsql" {
		q.nativeTrigger(f, def, rel, row)
		return
	}
	if len(p.stack) >= maxNesting {
		p.unknown("triggers nest too deep at "+step, -1)
		return
	}
	// The same function may run for another table in between: where it leads is
	// bounded by the writes, see fire.
	v := q.plpgsql(f, nil, &rows)
	if t.Type&(triggerBefore|triggerInstead) == 0 || act != Insert && act != Update {
		return
	}
	// What the function returns is the row that is written.
	i := 0
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		w := derived(v)
		w.fields = nil
		if i < len(v.fields) {
			w = v.fields[i].value
		} else if v.how == Constant {
			break // NULL: the row is skipped
		}
		i++
		if old := columnValue(rel, c, row); !old.src.ContainsAll(w.src) || w.how == Opaque {
			q.flow(Column{rel.OID, c.Num}, "", w)
			row[c.Num] = p.either(c.Type, old, w)
		}
	}
}

// nativeTrigger records what a trigger function in another language does.
func (p *part) nativeTrigger(f *catalog.Function, def *pg.CreateTrigStmt, rel *catalog.Relation, row newRow) {
	args := strs(def.GetArgs())
	if p.isBuiltin(f) && strings.HasPrefix(f.Name, "tsvector_update_trigger") && len(args) > 2 {
		var from []value
		for _, name := range args[2:] {
			if c := rel.ColumnNamed(name); c != nil {
				from = append(from, columnValue(rel, *c, row))
			}
		}
		if c := rel.ColumnNamed(args[0]); c != nil {
			v := p.combine(c.Type, from...)
			p.flow(Column{rel.OID, c.Num}, "", v)
			row[c.Num] = v
		}
		return
	}
	if p.isBuiltin(f) && f.Name == "triggered_change_notification" {
		p.effect(Notify, "notifies other sessions of keys of "+relName(rel))
		p.flow(Column{}, "notification", p.rowOf(rel, row))
		return
	}
	p.call(f, nil, -1)
}

// foreignKeys records the actions of foreign keys that refer to rel.
func (p *part) foreignKeys(rel *catalog.Relation, act Action, row newRow, assigned map[int16]value, parent *catalog.Relation) {
	if act != Delete && act != Update {
		return
	}
	for _, fk := range p.referring(rel, parent) {
		from := p.a.snap.Relation(fk.From)
		if from == nil {
			continue
		}
		action := fk.OnDelete
		if act == Update {
			action = fk.OnUpdate
			if !slices.ContainsFunc(fk.ToCols, func(c int16) bool { _, ok := assigned[c]; return ok }) {
				continue
			}
		}
		q := p.through(foreignKeyStep(fk, rel), from.OID, nil)
		q.keySupport(from.OID, rowScope(p, from, nil))
		set := map[int16]value{}
		switch {
		case action == 'c' && act == Delete:
			q.use(from.OID, Delete, nil)
			q.fire(from, Delete, nil, nil)
			continue
		case action == 'c':
			for i, c := range fk.FromCols {
				if v, ok := row[at(fk.ToCols, i)]; ok {
					set[c] = v
					q.flow(Column{from.OID, c}, "", v)
				}
			}
		case action == 'n' || action == 'd':
			cols := fk.FromCols
			if act == Delete && fk.OnDeleteCols != nil {
				cols = fk.OnDeleteCols
			}
			for _, c := range cols {
				set[c] = constant(0)
				if col := from.Column(c); action == 'd' && col != nil && p.defaultOf(*col) != "" {
					set[c] = p.check("default of "+relName(from)+"."+col.Name, from.OID, p.defaultOf(*col), &scope{}, nil)
					q.flow(Column{from.OID, c}, "", set[c])
				}
			}
		default: // NO ACTION, RESTRICT: an error, which tells that something refers to it
			q.test(columnsIn(fk.From, fk.FromCols))
			continue
		}
		q.use(from.OID, Update, slices.AppendSeq([]int16{}, maps.Keys(set)))
		q.fire(from, Update, set, nil)
	}
}

func at(cols []int16, i int) int16 {
	if i < len(cols) {
		return cols[i]
	}
	return 0
}

// referring returns the foreign keys that refer to rel, or to what it is a part
// of, without those that refer to parent.
func (p *part) referring(rel, parent *catalog.Relation) []catalog.ForeignKey {
	list := slices.Clone(rel.ReferredBy)
	seen := func(fk catalog.ForeignKey, in []catalog.ForeignKey) bool {
		return slices.ContainsFunc(in, func(g catalog.ForeignKey) bool { return g.From == fk.From && slices.Equal(g.FromCols, fk.FromCols) })
	}
	if parent != nil {
		return slices.DeleteFunc(list, func(fk catalog.ForeignKey) bool { return seen(fk, parent.ReferredBy) })
	}
	if rel.IsPartition {
		for _, a := range p.a.snap.Ancestors(rel.OID) {
			for _, fk := range a.ReferredBy {
				if !seen(fk, list) {
					fk.ToCols = sameColumns(a, rel, fk.ToCols)
					list = append(list, fk)
				}
			}
		}
	}
	return list
}

// sameColumns returns the numbers in rel of columns of other: parents and
// children number their columns differently, but name them alike.
func sameColumns(other, rel *catalog.Relation, cols []int16) []int16 {
	out := make([]int16, 0, len(cols))
	for _, n := range cols {
		if c := other.Column(n); c != nil {
			if d := rel.ColumnNamed(c.Name); d != nil {
				out = append(out, d.Num)
			}
		}
	}
	return out
}

func sameRow(other, rel *catalog.Relation, row map[int16]value) map[int16]value {
	out := map[int16]value{}
	for n, v := range row {
		if cols := sameColumns(other, rel, []int16{n}); len(cols) == 1 {
			out[cols[0]] = v
		}
	}
	return out
}

func foreignKeyStep(fk catalog.ForeignKey, to *catalog.Relation) string {
	return "foreign key " + fk.Name + " cascades from " + relName(to)
}

func childStep(child, parent *catalog.Relation) string {
	if child.IsPartition {
		return "partition " + relName(child) + " of " + relName(parent)
	}
	return "child " + relName(child) + " of " + relName(parent)
}

func parentStep(parent, child *catalog.Relation) string {
	if child.IsPartition {
		return relName(child) + " is a partition of " + relName(parent)
	}
	return relName(child) + " is a child of " + relName(parent)
}

// related records the write to partitions and children, and that it shows in
// what rel is a part of.
func (p *part) related(rel *catalog.Relation, act Action, row newRow, assigned map[int16]value) {
	columns := func(other *catalog.Relation) []int16 {
		if act == Delete {
			return nil
		}
		return sameColumns(rel, other, slices.Collect(maps.Keys(assigned)))
	}
	for _, a := range p.a.snap.Ancestors(rel.OID) {
		p.through(parentStep(a, rel), a.OID, nil).use(a.OID, act, columns(a))
	}
	moves := act == Update && p.movesRows(rel, assigned)
	if moves {
		p.moved(rel, row)
	}
	if act == Insert && rel.Kind != 'p' {
		return // children get rows of their own only
	}
	for _, c := range p.a.snap.Descendants(rel.OID) {
		if !p.step() {
			return
		}
		q := p.through(childStep(c, rel), c.OID, nil)
		q.use(c.OID, act, columns(c))
		q.touchRow(c)
		childRow := newRow(sameRow(rel, c, row))
		q.consequences(c, act, childRow, sameRow(rel, c, assigned), rel)
		if moves {
			q.moved(c, childRow)
		}
	}
}

// movesRows reports whether an UPDATE may move rows to another partition, which
// deletes and inserts them.
func (p *part) movesRows(rel *catalog.Relation, assigned map[int16]value) bool {
	parts := append(p.a.snap.Ancestors(rel.OID), p.a.snap.Descendants(rel.OID)...)
	for _, r := range append(parts, rel) {
		for n := range assigned {
			if c := rel.Column(n); c != nil && strings.Contains(r.PartitionKey, c.Name) {
				return true
			}
		}
	}
	return false
}

func (p *part) moved(rel *catalog.Relation, row newRow) {
	p.triggers(rel, Delete, nil, nil, nil)
	p.triggers(rel, Insert, row, row, nil)
}
