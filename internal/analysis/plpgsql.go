package analysis

import (
	"maps"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A plFrame is one run through the body of a PL/pgSQL function.
type plFrame struct {
	name    string // of the function, for a person
	f       *catalog.Function
	scope   *plScope
	params  []*plVar
	outs    []*plVar // OUT, INOUT and TABLE parameters, in order
	trigger *triggerRows

	result  value // what RETURN gives
	returns bool  // there is a RETURN with a value

	// control is what the branches taken around a statement depend on; after
	// says the same of all that follows a conditional RETURN or EXIT.
	control []value
	after   value
	counted Columns // what decides how many rows the statements so far gave
	rows    Columns // what decides how many rows the function returns

	changed bool                // a variable got a value that it did not have before
	memo    bool                // the text lives with the snapshot
	parsed  map[string]*pg.Node // of a text that does not
	quoted  *numbers            // collects the values that EXECUTE quotes into a text; nil elsewhere
	linear  bool                // there is no loop and no handler: each statement runs once at most, in order
}

// maxRounds bounds how often a body with loops is run through.
const maxRounds = 30

// plpgsql returns what a function in PL/pgSQL gives for arguments, and records
// what it does. trigger is nil for a function that is not called as a trigger.
func (p *part) plpgsql(f *catalog.Function, args []value, trigger *triggerRows) value {
	body := p.a.block(f)
	if body == nil {
		what := "the body of " + funcName(f) + " is not understood"
		p.unknown(what, -1)
		p.effect(Dynamic, "calls "+funcName(f)+", whose body is not understood")
		v := p.result(f, args)
		v.how, v.known = Opaque, false
		return v
	}
	path := p.bodyPath(f)
	names := p.a.pathNames(path)
	step := functionStep + funcName(f)
	q := p.within(step, f.OID, names, nil)
	q.search, q.user = path, p.userOf(f)
	q.loops = p.perRow(f)
	q.underSettings(f)
	if trigger != nil {
		q.path = p.path // it names the function already
		if len(trigger.transitions) > 0 {
			q.names = transitionNames{names, trigger.rel, trigger.transitions}
		}
	}
	q.defined = false
	run := func() *plFrame { return newFrame(q, f, args, trigger) }
	fr := q.runBlock(body, run)
	v := fr.finish(q, p.result(f, nil))
	v.rows = fr.rows
	return v
}

type blockKey struct{ oid catalog.OID }

// block returns the parsed body of a PL/pgSQL function, or nil.
func (a *analyzer) block(f *catalog.Function) *plBlock {
	return a.snap.Memo(blockKey{f.OID}, func() any {
		b, err := parseBlock(f.Source)
		if err != nil {
			return (*plBlock)(nil)
		}
		return b
	}).(*plBlock)
}

// block analyzes a DO block.
func (p *part) block(text string) {
	if !p.charge(text) {
		return
	}
	body, err := parseBlock(text)
	if err != nil {
		p.unknown("the DO block is not understood", -1)
		p.effect(Dynamic|Code, "runs a DO block that is not understood")
		return
	}
	if len(p.stack) >= maxNesting {
		p.unknown("DO blocks nest too deep", -1)
		return
	}
	q := *p
	q.path = append(slices.Clip(p.path), doStep)
	q.stack = append(slices.Clip(p.stack), 0)
	q.text, q.vars = false, nil
	q.names = codeNames{p.names, p.a}
	q.runBlock(body, func() *plFrame {
		fr := &plFrame{name: "the DO block", scope: &plScope{vars: map[string]*plVar{}}}
		fr.scope.declare("found", &plVar{typ: boolOID, unknownText: true})
		return fr
	})
}

// transitionNames adds the transition tables of a trigger to names.
type transitionNames struct {
	namer
	rel    *catalog.Relation
	tables []string
}

func (n transitionNames) relation(parts []string) *catalog.Relation {
	if len(parts) == 1 && slices.Contains(n.tables, parts[0]) {
		return n.rel
	}
	return n.namer.relation(parts)
}

func newFrame(q *part, f *catalog.Function, args []value, trigger *triggerRows) *plFrame {
	fr := &plFrame{name: funcName(f), f: f, trigger: trigger, memo: true}
	fr.scope = &plScope{label: f.Name, vars: map[string]*plVar{}}
	fr.scope.declare("found", &plVar{typ: boolOID, unknownText: true})
	if f.Variadic != 0 && len(f.Args) > 0 && len(args) >= len(f.Args) {
		n := len(f.Args)
		rest := derived(q.combine(f.Args[n-1], args[n-1:]...))
		args = append(slices.Clip(args[:n-1]), rest)
	}
	for i, t := range f.Args {
		v := q.variable(t)
		name := ""
		if i < len(f.ArgNames) {
			name = f.ArgNames[i]
		}
		if i < len(args) {
			a := args[i]
			if v.typ == 0 || anyTypes[v.typ] || v.typ == recordOID {
				v.typ = a.typ
				v.record = v.rel == nil && (a.fields != nil || a.typ == recordOID || a.typ == 0)
			}
			q.assignVar(v, a)
		} else {
			q.assignVar(v, constant(t))
		}
		v.unknownText = true
		fr.params = append(fr.params, v)
		if name != "" {
			fr.scope.declare(name, v)
		}
	}
	for i, t := range f.OutTypes {
		name := ""
		if i < len(f.OutNames) {
			name = f.OutNames[i]
		}
		if at := slices.Index(f.ArgNames, name); name != "" && at >= 0 && at < len(fr.params) {
			fr.outs = append(fr.outs, fr.params[at]) // INOUT
			continue
		}
		v := q.variable(t)
		if anyTypes[t] {
			v.typ = 0
		}
		fr.outs = append(fr.outs, v)
		if name != "" {
			fr.scope.declare(name, v)
		}
	}
	if trigger != nil {
		fr.declareTrigger(q)
	}
	return fr
}

// declareTrigger declares NEW, OLD and TG_ variables.
func (fr *plFrame) declareTrigger(q *part) {
	for _, name := range []string{"new", "old"} {
		v := &plVar{typ: fr.trigger.rel.RowType, rel: fr.trigger.rel, unknownText: true}
		for _, row := range fr.trigger.rows {
			if row.name == name {
				q.assignVar(v, row.value)
			}
		}
		fr.scope.declare(name, v)
	}
	for name, text := range map[string]string{"tg_table_name": fr.trigger.rel.Name, "tg_relname": fr.trigger.rel.Name, "tg_table_schema": fr.trigger.rel.Schema} {
		fr.scope.declare(name, &plVar{typ: textOID, texts: []string{text}})
	}
	for _, name := range []string{"tg_name", "tg_when", "tg_level", "tg_op", "tg_nargs", "tg_relid"} {
		fr.scope.declare(name, &plVar{typ: textOID, unknownText: true})
	}
	fr.scope.declare("tg_argv", &plVar{typ: textOID, unknownText: true, elements: fr.trigger.args})
}

// variable makes a variable of a type.
func (p *part) variable(typ catalog.OID) *plVar {
	return &plVar{typ: typ, rel: p.rowRelation(typ), record: typ == recordOID}
}

// runBlock runs through a body until no variable's value grows any more. Values
// only grow, and without a loop each is assigned before it is used, so that one
// run is enough.
func (p *part) runBlock(body *plBlock, newFrame func() *plFrame) *plFrame {
	fr := newFrame()
	if !hasLoop(body) {
		fr.linear = true
		p.blockIn(fr, body)
		return fr
	}
	for range maxRounds {
		fr.changed, fr.control = false, nil
		var q part
		st := p.apart(func(r *part) {
			q = *r
			q.blockIn(fr, body)
		})
		if !fr.changed {
			p.absorb(st)
			return fr
		}
	}
	p.unknown("the body of "+fr.name+" does not settle", -1)
	p.blockIn(fr, body)
	fr.result.how = Opaque
	return fr
}

func hasLoop(b *plBlock) bool {
	found := len(b.handlers) > 0
	var visit func([]plStmt)
	visit = func(list []plStmt) {
		for _, s := range list {
			switch s.kind {
			case plLoop, plWhile, plForInteger, plForQuery, plForDynamic, plForCursor, plForeach:
				found = true
			case plBlockStmt:
				found = found || hasLoop(s.block)
			}
			visit(s.body)
			for _, a := range s.arms {
				visit(a.body)
			}
		}
	}
	visit(b.body)
	return found
}

// in returns p with the frame's variables in scope.
func (p *part) in(fr *plFrame) *part {
	q := *p
	n := plNames{scope: fr.scope, params: fr.params}
	if fr.f != nil && len(fr.outs) > 0 && len(fr.params) > 0 {
		n.outs = fr.outs
	}
	q.vars, q.coarse = n, true
	if fr.f == nil {
		// A block is the author's own: by what it writes in which branch it could
		// spell a value out. A function's branches are its owner's.
		q.branches = q.branches.Union(fr.after.src)
		for _, c := range fr.control {
			q.branches = q.branches.Union(c.src)
		}
	}
	return &q
}

// parsed returns the statement that a text holds, or nil.
func (p *part) parsed(fr *plFrame, text string) *pg.Node {
	if fr.memo {
		return p.a.statementOf(text)
	}
	if n, ok := fr.parsed[text]; ok {
		return n
	}
	if !p.charge(text) {
		return nil
	}
	if fr.parsed == nil {
		fr.parsed = map[string]*pg.Node{}
	}
	tree, err := parseSQL(text)
	if err != nil || len(tree.Stmts) != 1 {
		fr.parsed[text] = nil
		return nil
	}
	fr.parsed[text] = tree.Stmts[0].Stmt
	return tree.Stmts[0].Stmt
}

// eval analyzes an expression of the body.
func (p *part) eval(fr *plFrame, expr string) value {
	n := p.parsed(fr, "SELECT "+expr)
	sel := n.GetSelectStmt()
	if sel == nil {
		p.unknown("an expression in "+fr.name+" is not understood", -1)
		return opaque(nil)
	}
	cols := p.in(fr).query(sel, nil)
	if len(cols) == 1 {
		v := cols[0].value
		v.lits = nil
		return v
	}
	return p.row(recordOID, cols)
}

// condition analyzes an expression that decides what happens next.
func (p *part) condition(fr *plFrame, expr string) value {
	v := p.coerce(p.eval(fr, expr), boolOID, 'a')
	p.test(v.src)
	if v.how == Count {
		return constant(boolOID)
	}
	return v
}

// under runs through statements that are executed depending on cond.
func (p *part) under(fr *plFrame, cond value, list []plStmt) {
	fr.control = append(fr.control, cond)
	p.run(fr, list)
	fr.control = fr.control[:len(fr.control)-1]
}

// often runs through a body that is executed as often as rows say.
func (p *part) often(fr *plFrame, rows Columns, body func()) {
	fr.control = append(fr.control, value{src: rows, how: Expression, known: true})
	body()
	fr.control = fr.control[:len(fr.control)-1]
}

// counting analyzes a statement of the body, and returns what decides how many
// rows it gives, which FOUND and ROW_COUNT tell.
func (p *part) counting(fr *plFrame, statement func() []field) ([]field, Columns) {
	var cols []field
	p.a.rows = nil
	rows := p.testsOf(func() { cols = statement() })
	rows = rows.Union(p.a.rows)
	if found, rest := fr.scope.find([]string{"found"}); found != nil && len(rest) == 0 && len(rows) > 0 {
		if p.assignVar(found, value{src: rows, how: Expression, typ: boolOID, known: true}) {
			fr.changed = true
		}
	}
	fr.counted = fr.counted.Union(rows)
	return cols, rows
}

// leaves records that what follows depends on the branches taken so far.
func (p *part) leaves(fr *plFrame) {
	for _, c := range fr.control {
		if !fr.after.src.ContainsAll(c.src) {
			fr.after.src = fr.after.src.Union(c.src)
			fr.changed = true
		}
	}
}

// influenced adds to v what decides that it is assigned at all.
func (p *part) influenced(fr *plFrame, v value) value {
	src := fr.after.src
	for _, c := range fr.control {
		src = src.Union(c.src)
	}
	if len(src) == 0 || v.src.ContainsAll(src) {
		return v
	}
	by := value{src: src, how: Expression, known: true}
	fields := v.fields
	v = p.combine(v.typ, v, by)
	v.lits = nil
	for _, f := range fields {
		f.value = p.combine(f.typ, f.value, by)
		f.lits = nil
		v.fields = append(v.fields, f)
	}
	return v
}

func (p *part) blockIn(fr *plFrame, b *plBlock) {
	outer := fr.scope
	fr.scope = &plScope{up: outer, label: b.label, vars: map[string]*plVar{}}
	// A second run must find the variables of the first.
	if known := fr.scopeOf(b); known != nil {
		fr.scope.vars = known
		for _, d := range b.decls {
			p.initialize(fr, d)
		}
	} else {
		for _, d := range b.decls {
			p.declare(fr, d)
		}
		fr.remember(b)
	}
	before := p.rec.probes
	if len(b.handlers) > 0 {
		p.rec.probes = map[Column]struct{}{}
	}
	p.run(fr, b.body)
	if len(b.handlers) > 0 {
		// Where the block ends depends on what fails in it.
		if failed := setOf(p.rec.probes); !fr.after.src.ContainsAll(failed) {
			fr.after.src, fr.changed = fr.after.src.Union(failed), true
		}
		maps.Copy(p.rec.probes, before)
		// What an error message may say, and so SQLERRM.
		message := value{src: setOf(p.rec.touched), how: Expression, typ: textOID, known: true}
		if len(message.src) == 0 {
			message.how = Constant
		}
		inner := fr.scope
		for _, h := range b.handlers {
			fr.scope = &plScope{up: inner, vars: map[string]*plVar{
				"sqlerrm":  {typ: textOID, val: message, set: true, unknownText: true},
				"sqlstate": {typ: textOID, val: message, set: true, unknownText: true},
			}}
			p.run(fr, h)
		}
	}
	fr.scope = outer
}

// scopeOf and remember keep the variables of a block between runs.
func (fr *plFrame) scopeOf(b *plBlock) map[string]*plVar { return fr.root().blocks()[b] }

func (fr *plFrame) remember(b *plBlock) { fr.root().blocks()[b] = fr.scope.vars }

func (fr *plFrame) root() *plScope {
	s := fr.scope
	for s.up != nil {
		s = s.up
	}
	return s
}

func (s *plScope) blocks() map[*plBlock]map[string]*plVar {
	if s.known == nil {
		s.known = map[*plBlock]map[string]*plVar{}
	}
	return s.known
}

func (p *part) declare(fr *plFrame, d plDecl) {
	if d.alias != nil {
		var v *plVar
		if n := parameter(d.alias[0]); n > 0 {
			if n <= len(fr.params) && len(fr.outs) == 0 {
				v = fr.params[n-1]
			}
		} else if found, rest := fr.scope.find(d.alias); len(rest) == 0 {
			v = found
		}
		if v == nil {
			p.unknown("an alias in "+fr.name+" is not understood", -1)
			v = &plVar{unknownText: true, val: opaque(nil), set: true}
		}
		fr.scope.declare(d.name, v)
		return
	}
	v := p.typed(fr, d.typ)
	v.query = d.cursor
	for _, a := range d.args {
		v.args = append(v.args, p.typed(fr, a.typ))
	}
	fr.scope.declare(d.name, v)
	p.initialize(fr, d)
}

// initialize evaluates the default of a declaration.
func (p *part) initialize(fr *plFrame, d plDecl) {
	v := fr.scope.vars[d.name]
	if v == nil {
		return
	}
	if d.def == "" {
		if t := p.a.snap.Type(v.typ); t != nil && t.Kind == 'd' {
			p.domainChecks(v.typ, constant(v.typ)) // NULL is checked too
		}
		return
	}
	p.store(fr, v, p.eval(fr, d.def))
	p.storeText(fr, v, d.def)
	v.gets(d.def)
}

// typed makes a variable of a type that is given as text.
func (p *part) typed(fr *plFrame, text string) *plVar {
	lower := asciiLower(strings.Join(strings.Fields(text), " "))
	if lower == "record" {
		return &plVar{record: true, typ: recordOID}
	}
	if i := strings.LastIndexByte(lower, '%'); i >= 0 {
		kind := strings.TrimSpace(lower[i+1:])
		parts := splitName(text[:strings.LastIndexByte(text, '%')])
		switch kind {
		case "rowtype":
			if rel := p.names.relation(parts); rel != nil {
				return &plVar{typ: rel.RowType, rel: rel}
			}
		case "type":
			if v, rest := fr.scope.find(parts); v != nil {
				if len(rest) == 0 {
					return &plVar{typ: v.typ, rel: v.rel, record: v.record}
				}
				if v.rel != nil {
					if c := v.rel.ColumnNamed(rest[0]); c != nil {
						return p.variable(c.Type)
					}
				}
			}
			if len(parts) > 1 {
				if rel := p.names.relation(parts[:len(parts)-1]); rel != nil {
					if c := rel.ColumnNamed(parts[len(parts)-1]); c != nil {
						return p.variable(c.Type)
					}
				}
			}
		}
		// Of an unknown type: anything, a row too.
		return &plVar{record: true}
	}
	n := p.parsed(fr, "SELECT NULL::"+text)
	if list := n.GetSelectStmt().GetTargetList(); len(list) == 1 {
		if c := list[0].GetResTarget().GetVal().GetTypeCast(); c != nil {
			if t := p.typeOf(c.TypeName); t != 0 {
				return p.variable(t)
			}
		}
	}
	return &plVar{record: true}
}

// splitName takes a written name apart.
func splitName(s string) []string {
	var parts []string
	for _, part := range strings.Split(s, ".") {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, `"`) {
			part = strings.ReplaceAll(strings.Trim(part, `"`), `""`, `"`)
		} else {
			part = asciiLower(part)
		}
		parts = append(parts, truncateName(part))
	}
	return parts
}

// store assigns a value to a variable, with the casts and checks of its type.
func (p *part) store(fr *plFrame, dst *plVar, v value) {
	if dst.typ != 0 && v.typ != 0 && v.typ != dst.typ && !dst.record && dst.rel == nil {
		v = p.cast(v, dst.typ, nil, 'a')
	} else {
		v = p.converted(dst.typ, v)
	}
	if p.assignVar(dst, p.influenced(fr, v)) {
		fr.changed = true
	}
}

// converted returns v as it is when it becomes a part of a variable, or a row,
// of type t.
func (p *part) converted(t catalog.OID, v value) value {
	if t == 0 || t == recordOID {
		return v
	}
	p.domainChecks(t, v)
	if v.typ != t {
		if c := p.cast(v, t, nil, 'a'); !v.src.ContainsAll(c.src) {
			return c
		}
	}
	return v
}

func (p *part) storeText(fr *plFrame, dst *plVar, expr string) {
	if texts := p.texts(fr, expr); fr.linear && len(fr.control) == 0 && dst.typ == textOID {
		// Nothing that it held before is left.
		dst.texts, dst.unknownText = texts, texts == nil
		return
	}
	if dst.addTexts(p.texts(fr, expr)) {
		fr.changed = true
	}
}

// assign assigns a value to a target.
func (p *part) assignTarget(fr *plFrame, t plTarget, v value) {
	dst, rest := p.find(fr, t.name)
	if dst == nil {
		p.unknown("a variable in "+fr.name+" is not understood", -1)
		return
	}
	for _, s := range t.subscripts {
		if s != "NULL" {
			p.test(p.subscript(fr, s).src)
		}
		v = derived(v)
		v.fields = nil
	}
	dst.markText(fr)
	dst.moved, dst.other = true, true
	if len(rest) > 0 {
		v = derivedUnlessPlain(v)
		if dst.rel != nil {
			if c := dst.rel.ColumnNamed(rest[0]); c != nil && len(t.subscripts) == 0 && len(rest) == 1 {
				v = p.converted(c.Type, v)
			} else if c != nil {
				p.domainChecks(c.Type, v)
			}
		}
		if p.assignField(dst, rest[0], p.influenced(fr, v)) {
			fr.changed = true
		}
		return
	}
	if len(t.subscripts) > 0 {
		// A part: the rest of the old value stays.
		if array := p.a.snap.Type(p.baseType(dst.typ)); array != nil {
			v = p.converted(array.Element, v)
		}
		p.domainChecks(dst.typ, v)
		v.typ = dst.typ
		v = p.join2(dst.current(), v)
		if p.assignVar(dst, p.influenced(fr, v)) {
			fr.changed = true
		}
		return
	}
	p.store(fr, dst, v)
}

func derivedUnlessPlain(v value) value {
	v.origin, v.known = Column{}, true
	return v
}

// markText records that a variable may hold a string that is not known.
func (v *plVar) markText(fr *plFrame) {
	if v.addTexts(nil) {
		fr.changed = true
	}
}

func (p *part) subscript(fr *plFrame, s string) value {
	return p.eval(fr, "(NULL::text[])["+s+"]")
}

func (p *part) find(fr *plFrame, name []string) (*plVar, []string) {
	if len(name) == 0 {
		return nil, nil
	}
	if n := parameter(name[0]); n > 0 {
		if n <= len(fr.params) && len(fr.outs) == 0 {
			return fr.params[n-1], name[1:]
		}
		return nil, nil
	}
	return fr.scope.find(name)
}

// assignRow assigns the columns of a row to INTO targets.
func (p *part) assignRow(fr *plFrame, targets []plTarget, cols []field) {
	if len(targets) == 1 {
		if dst, rest := p.find(fr, targets[0].name); dst != nil && len(rest) == 0 && (dst.record || dst.rel != nil) {
			dst.markText(fr)
			row := p.row(recordOID, slices.Clone(cols))
			if dst.rel != nil && len(cols) == 1 && (cols[0].fields != nil || cols[0].typ == dst.typ) {
				row = cols[0].value // a composite column fills the whole row
			}
			if dst.rel != nil {
				row = p.converted(dst.typ, row)
			}
			if p.assignVar(dst, p.influenced(fr, row)) {
				fr.changed = true
			}
			return
		}
	}
	for i, t := range targets {
		v := constant(0)
		if i < len(cols) {
			v = cols[i].value
		}
		p.assignTarget(fr, t, v)
	}
}

// assignUnknown assigns what is not known to targets.
func (p *part) assignUnknown(fr *plFrame, targets []plTarget, from value) {
	for _, t := range targets {
		p.assignTarget(fr, t, opaque(from.src))
	}
}

func (p *part) run(fr *plFrame, list []plStmt) {
	for i := range list {
		if !p.step() {
			return
		}
		p.plStatement(fr, &list[i])
	}
}

func (p *part) plStatement(fr *plFrame, s *plStmt) {
	switch s.kind {
	case plBlockStmt:
		p.blockIn(fr, s.block)
	case plAssign:
		p.assignTarget2(fr, s)
	case plIf:
		var cond value
		cond.how = Constant
		for _, a := range s.arms {
			for _, c := range a.conds {
				cond = p.combine(boolOID, cond, p.condition(fr, c))
			}
			p.under(fr, cond, a.body)
		}
	case plCase:
		p.plCaseStatement(fr, s)
	case plLoop:
		p.looping(fr, s).run(fr, s.body)
	case plWhile:
		p.looping(fr, s).under(fr, p.condition(fr, s.exprs[0]), s.body)
	case plForInteger:
		v := constant(int4OID)
		for _, e := range s.exprs {
			v = p.combine(int4OID, v, p.coerce(p.eval(fr, e), int4OID, 'a'))
		}
		p.test(v.src)
		// The loop variable is declared by the loop.
		p.often(fr, v.src, func() { p.loopVariable(fr, s, func() { p.assignTarget(fr, s.targets[0], v) }) })
	case plForQuery:
		cols, rows := p.counting(fr, func() []field { return p.sql(fr, s.sql) })
		p.often(fr, rows, func() { p.loopRows(fr, s, cols) })
	case plForDynamic:
		cols, rows := p.counting(fr, func() []field { return p.dynamic(fr, s.sql, s.using) })
		p.often(fr, rows, func() { p.loopRows(fr, s, cols) })
	case plForCursor:
		cols, rows := p.counting(fr, func() []field { return p.openCursor(fr, s) })
		p.often(fr, rows, func() { p.loopRows(fr, s, cols) })
	case plForeach:
		v := p.eval(fr, s.exprs[0])
		e := p.elementOf(v)
		e.fields = v.fields
		p.often(fr, v.src, func() {
			p.assignRow(fr, s.targets, []field{{"", e}})
			p.looping(fr, s).run(fr, s.body)
		})
	case plExit:
		for _, c := range s.exprs {
			fr.control = append(fr.control, p.condition(fr, c))
		}
		p.leaves(fr)
		fr.control = fr.control[:len(fr.control)-len(s.exprs)]
	case plReturn:
		if len(s.exprs) > 0 {
			p.giveRow(fr, p.eval(fr, s.exprs[0]))
		}
		p.leaves(fr)
	case plReturnNext:
		if len(s.exprs) > 0 {
			p.giveRow(fr, p.eval(fr, s.exprs[0]))
		}
		fr.gives(nil)
	case plReturnQuery:
		p.a.rows = nil
		p.give(fr, p.sql(fr, s.sql))
		fr.gives(p.a.rows)
	case plReturnDynamic:
		p.a.rows = nil
		p.give(fr, p.dynamic(fr, s.sql, s.using))
		fr.gives(p.a.rows)
	case plRaise:
		p.plRaiseStatement(fr, s)
	case plAssert:
		p.condition(fr, s.exprs[0])
		for _, e := range s.exprs[1:] {
			p.flow(Column{}, "message", p.eval(fr, e))
		}
	case plSQL:
		cols, _ := p.counting(fr, func() []field { return p.sql(fr, s.sql) })
		if len(s.targets) > 0 {
			done := p.selected(fr, s, cols)
			p.assignRow(fr, s.targets, cols)
			done()
		}
	case plDynamic:
		cols, _ := p.counting(fr, func() []field { return p.dynamic(fr, s.sql, s.using) })
		if len(s.targets) > 0 {
			p.assignRow(fr, s.targets, cols)
		}
	case plPerform:
		p.counting(fr, func() []field { return p.sql(fr, s.sql) })
	case plCall:
		p.plCallStatement(fr, s)
	case plDiagnostics:
		for _, o := range s.options {
			v := constant(textOID)
			switch o.name {
			case "row_count":
				if len(fr.counted) > 0 {
					v = value{src: fr.counted, how: Expression, typ: int8OID, known: true}
				}
			case "pg_context", "pg_routine_oid":
			default: // of the error that is being handled
				v = value{src: setOf(p.rec.touched), how: Expression, typ: textOID, known: true}
			}
			p.assignTarget(fr, o.target, v)
		}
	case plOpen, plOpenQuery, plOpenDynamic:
		p.openCursor(fr, s)
		p.effect(Cursor, "opens a cursor")
	case plFetch:
		for _, e := range s.exprs {
			p.test(p.eval(fr, e).src)
		}
		c, rest := p.find(fr, s.cursor)
		if c == nil || len(rest) > 0 || !c.opened || c.moved {
			p.unknown("a cursor that "+fr.name+" did not open itself", -1)
			p.assignUnknown(fr, s.targets, value{})
			return
		}
		p.assignRow(fr, s.targets, c.rows)
	case plMove:
		for _, e := range s.exprs {
			p.test(p.eval(fr, e).src)
		}
	case plClose:
		if c, rest := p.find(fr, s.cursor); c == nil || len(rest) > 0 || !c.opened || c.moved {
			p.hiddenName("a cursor is closed", Cursor)
		}
	case plNull:
	case plEndTransaction:
		p.effect(Transaction, "ends the transaction")
	default:
		p.unknown("a statement in "+fr.name+" is not understood", -1)
	}
}

func (p *part) assignTarget2(fr *plFrame, s *plStmt) {
	t := s.targets[0]
	v := p.eval(fr, s.exprs[0])
	if dst, rest := p.find(fr, t.name); dst != nil && len(rest) == 0 && len(t.subscripts) == 0 {
		dst.moved = true
		p.store(fr, dst, v)
		p.storeText(fr, dst, s.exprs[0])
		dst.gets(s.exprs[0])
		return
	}
	p.assignTarget(fr, t, v)
}

func (p *part) plCaseStatement(fr *plFrame, s *plStmt) {
	cond := constant(boolOID)
	operand := ""
	for _, e := range s.exprs {
		operand = e
		cond = p.combine(boolOID, cond, p.condition(fr, e))
	}
	for _, a := range s.arms {
		for _, c := range a.conds {
			if operand != "" {
				c = "(" + operand + ") IN (" + c + ")"
			}
			cond = p.combine(boolOID, cond, p.condition(fr, c))
		}
		p.under(fr, cond, a.body)
	}
}

// loopVariable runs through the body of an integer loop, which declares its
// variable.
func (p *part) loopVariable(fr *plFrame, s *plStmt, assign func()) {
	outer := fr.scope
	fr.scope = &plScope{up: outer, label: s.label, vars: map[string]*plVar{}}
	fr.scope.declare(s.targets[0].name[0], &plVar{typ: int4OID, unknownText: true})
	changed := fr.changed
	assign()
	fr.changed = changed // the variable is new in every run
	p.looping(fr, s).run(fr, s.body)
	fr.scope = outer
}

func (p *part) loopRows(fr *plFrame, s *plStmt, cols []field) {
	if s.kind == plForCursor {
		outer := fr.scope
		fr.scope = &plScope{up: outer, vars: map[string]*plVar{}}
		fr.scope.declare(s.targets[0].name[0], &plVar{record: true, typ: recordOID, unknownText: true})
		changed := fr.changed
		p.assignRow(fr, s.targets[:1], cols)
		fr.changed = changed
		p.looping(fr, s).run(fr, s.body)
		fr.scope = outer
		return
	}
	p.assignRow(fr, s.targets, cols)
	p.looping(fr, s).run(fr, s.body)
}

// sql analyzes a statement of the body and returns its columns.
func (p *part) sql(fr *plFrame, text string) []field {
	n := p.parsed(fr, text)
	if n == nil {
		p.unknown("a statement in "+fr.name+" is not understood", -1)
		p.effect(Dynamic, "runs a statement in "+fr.name+" that is not understood")
		return []field{{"", opaque(nil)}}
	}
	cols, _ := p.in(fr).statement(n)
	return cols
}

// dynamic analyzes EXECUTE: every text that the expression may come to, where
// that is known.
func (p *part) dynamic(fr *plFrame, expr string, using []string) []field {
	args := make(numbers, len(using))
	for i, e := range using {
		args[i] = p.eval(fr, e)
	}
	query := p.eval(fr, expr)
	fr.quoted = &args
	texts := p.texts(fr, expr)
	fr.quoted = nil
	if len(texts) == 0 && texts != nil {
		return nil // no text yet: a later run has it
	}
	if texts == nil || len(p.stack) >= maxNesting {
		p.effect(Dynamic, "runs SQL that "+fr.name+" puts together")
		p.unknown("SQL that "+fr.name+" puts together", -1)
		v := opaque(p.combine(0, append([]value{query}, args...)...).src)
		return []field{{"", v}}
	}
	q := *p
	q.vars = args
	q.stack = append(slices.Clip(p.stack), 0)
	var cols []field
	for _, t := range texts {
		if !p.charge(t) {
			return []field{{"", opaque(nil)}}
		}
		tree, err := parseSQL(t)
		if err != nil {
			p.effect(Dynamic, "runs SQL in "+fr.name+" that is not understood")
			p.unknown("SQL in "+fr.name+" that is not understood", -1)
			return []field{{"", opaque(nil)}}
		}
		for _, s := range tree.Stmts {
			c, returns := q.statement(s.Stmt)
			if !returns {
				continue
			}
			if cols == nil {
				cols = slices.Clone(c)
				continue
			}
			for i := range cols {
				if i < len(c) {
					cols[i].value = p.join2(cols[i].value, c[i].value)
				}
			}
			if len(c) > len(cols) {
				cols = append(cols, c[len(cols):]...)
			}
		}
	}
	return cols
}

// openCursor records the query of a cursor and returns its columns.
func (p *part) openCursor(fr *plFrame, s *plStmt) []field {
	c, rest := p.find(fr, s.cursor)
	if c == nil || len(rest) > 0 {
		p.unknown("a cursor in "+fr.name+" is not understood", -1)
		return []field{{"", opaque(nil)}}
	}
	var cols []field
	switch s.kind {
	case plOpenQuery:
		cols = p.sql(fr, s.sql)
	case plOpenDynamic:
		cols = p.dynamic(fr, s.sql, s.using)
	default:
		if c.query == "" {
			p.unknown("a cursor in "+fr.name+" is not understood", -1)
			return []field{{"", opaque(nil)}}
		}
		outer := fr.scope
		fr.scope = &plScope{up: outer, vars: map[string]*plVar{}}
		args := make([]value, 0, len(s.exprs))
		for _, e := range s.exprs {
			args = append(args, p.eval(fr, e))
		}
		if decl := p.cursorDecl(fr, s.cursor); decl != nil {
			for i, a := range decl.args {
				v := p.typed(fr, a.typ)
				v.unknownText = true
				given := args
				if v.typ != 0 && !v.record && v.rel == nil {
					given = make([]value, len(args))
					for j, arg := range args {
						given[j] = p.cast(arg, v.typ, nil, 'a')
						p.domainChecks(v.typ, arg)
					}
				}
				if i < len(given) && len(given) == 1 {
					p.assignVar(v, given[0])
				} else { // arguments may be given by name, in any order
					p.assignVar(v, p.combine(v.typ, given...))
				}
				fr.scope.declare(a.name, v)
			}
		}
		cols = p.sql(fr, c.query)
		fr.scope = outer
	}
	if !c.opened {
		c.opened, c.rows = true, slices.Clone(cols)
		fr.changed = true
		return c.rows
	}
	for i, f := range cols {
		if i >= len(c.rows) {
			c.rows = append(c.rows, f)
			fr.changed = true
			continue
		}
		joined := p.join2(c.rows[i].value, f.value)
		if !sameValue(joined, c.rows[i].value) {
			c.rows[i].value = joined
			fr.changed = true
		}
	}
	return c.rows
}

// cursorDecl finds the declaration of a cursor.
func (p *part) cursorDecl(fr *plFrame, name []string) *plDecl {
	v, _ := fr.scope.find(name)
	for b, vars := range fr.root().blocks() {
		for i, d := range b.decls {
			if d.cursor != "" && vars[d.name] == v {
				return &b.decls[i]
			}
		}
	}
	return nil
}

func (p *part) plRaiseStatement(fr *plFrame, s *plStmt) {
	for _, e := range s.exprs {
		p.flow(Column{}, "message", p.eval(fr, e))
	}
	for _, o := range s.options {
		into := "message"
		if o.name == "errcode" {
			into = "error code"
		}
		p.flow(Column{}, into, p.eval(fr, o.expr))
	}
	p.leaves(fr)
}

func (p *part) plCallStatement(fr *plFrame, s *plStmt) {
	n := p.parsed(fr, s.sql)
	if n == nil {
		p.unknown("a statement in "+fr.name+" is not understood", -1)
		return
	}
	cols, returns := p.in(fr).statement(n)
	if !returns {
		return
	}
	vs := fieldValues(cols)
	for _, a := range n.GetCallStmt().GetFunccall().GetArgs() {
		if na := a.GetNamedArgExpr(); na != nil {
			a = na.Arg
		}
		name := strs(a.GetColumnRef().GetFields())
		if len(name) == 0 {
			continue
		}
		if dst, _ := fr.scope.find(name); dst != nil {
			p.assignTarget(fr, plTarget{name: name}, p.combine(0, vs...))
		}
	}
}

// give adds a row to what the function returns.
func (p *part) give(fr *plFrame, cols []field) {
	row := p.row(recordOID, slices.Clone(cols))
	if fr.composite(p) || len(fr.outs) > 1 {
		p.giveRow(fr, row)
		return
	}
	if len(cols) == 1 {
		p.giveRow(fr, cols[0].value)
		return
	}
	p.giveRow(fr, row)
}

// composite reports whether the function returns rows.
func (fr *plFrame) composite(p *part) bool {
	return fr.f != nil && (fr.f.Result == recordOID || p.rowRelation(fr.f.Result) != nil)
}

// gives notes what decides that rows are returned here, or how many.
func (fr *plFrame) gives(rows Columns) {
	rows = rows.Union(fr.after.src)
	for _, c := range fr.control {
		rows = rows.Union(c.src)
	}
	if !fr.rows.ContainsAll(rows) {
		fr.rows, fr.changed = fr.rows.Union(rows), true
	}
}

func (p *part) giveRow(fr *plFrame, v value) {
	if fr.f != nil && fr.trigger == nil && len(fr.outs) == 0 && !fr.composite(p) {
		v = p.coerce(v, fr.f.Result, 'a')
	}
	v = p.influenced(fr, v)
	v.untyped, v.lits, v.set, v.rows = false, nil, false, nil
	v.origin, v.known = Column{}, true
	// The names of a row's parts are the function's, not those of the query.
	if v.fields != nil {
		v.fields = slices.Clone(v.fields)
		for i := range v.fields {
			v.fields[i].name = columnN(i)
		}
	}
	if !fr.returns {
		fr.result, fr.returns = v, true
		fr.changed = true
		return
	}
	joined := p.join2(fr.result, v)
	if !sameValue(joined, fr.result) {
		fr.changed = true
	}
	fr.result, fr.returns = joined, true
}

// finish returns the function's result, in the form of r.
func (fr *plFrame) finish(p *part, r value) value {
	names := make([]string, 0, len(r.fields))
	types := make([]catalog.OID, 0, len(r.fields))
	for _, f := range r.fields {
		names, types = append(names, f.name), append(types, f.typ)
	}
	if r.fields == nil {
		if rel := p.rowRelation(r.typ); rel != nil {
			for _, c := range rel.Columns {
				if !c.Dropped {
					names, types = append(names, c.Name), append(types, c.Type)
				}
			}
		}
	}
	if fr.trigger != nil {
		names = nil
		for _, c := range fr.trigger.rel.Columns {
			if !c.Dropped {
				names, types = append(names, c.Name), append(types, c.Type)
			}
		}
	}
	v := fr.result
	if !fr.returns {
		v = constant(0)
	}
	fields := v.fields
	if len(fr.outs) > 0 {
		outs := make([]field, len(fr.outs))
		for i, o := range fr.outs {
			outs[i] = field{columnN(i), o.current()}
			if i < len(fields) {
				outs[i].value = p.join2(fields[i].value, outs[i].value)
			} else if fr.returns {
				outs[i].value = p.join2(outs[i].value, derived(v))
			}
		}
		if len(outs) == 1 && r.fields == nil {
			v = outs[0].value
			fields = v.fields
		} else {
			v = p.combine(r.typ, v, p.row(r.typ, outs))
			fields = outs
		}
	}
	out := derived(v)
	out.fields, out.lits, out.untyped = nil, nil, false
	out.typ, out.set = r.typ, r.set
	out.origin, out.known = Column{}, out.how != Opaque
	if out.typ == 0 {
		out.typ = v.typ
	}
	for i, name := range names {
		f := derived(v)
		f.fields = nil
		if i < len(fields) {
			f = fields[i].value
		} else if fields != nil || v.how == Constant {
			f = constant(0)
		}
		f.typ, f.set = types[i], false
		f.origin, f.known = Column{}, f.how != Opaque
		out.fields = append(out.fields, field{name, f})
	}
	if names == nil && fr.composite(p) {
		out.fields = fields
	}
	out.fields = p.bounded(out.fields)
	return out
}
