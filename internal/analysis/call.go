package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

func funcName(f *catalog.Function) string { return f.Schema + "." + f.Name }

// funcCall analyzes a call in function notation.
func (p *part) funcCall(fc *pg.FuncCall, sc *scope) value {
	if _, own := p.a.numbers[fc]; own {
		return constant(int8OID)
	}
	name := strs(fc.Funcname)
	loc := int(fc.Location)
	var args []value
	argNames := make([]string, 0, len(fc.Args))
	for _, n := range fc.Args {
		an := ""
		if na := n.GetNamedArgExpr(); na != nil {
			an = na.Name
		}
		argNames = append(argNames, an)
		args = append(args, p.expr(n, sc))
	}
	// What decides which rows an aggregate or a window function sees.
	frame := constant(0)
	for _, n := range fc.AggOrder {
		sb := n.GetSortBy()
		if sb == nil {
			continue
		}
		if fc.AggWithinGroup {
			// The ordered values are what the aggregate computes with.
			v := p.expr(sb.Node, sc)
			p.compared(v)
			p.sortOperator(sb, sc)
			args = append(args, v)
			argNames = append(argNames, "")
			continue
		}
		frame = p.combine(0, frame, p.sortKeyExpr(sb.Node, sc))
		p.sortOperator(sb, sc)
	}
	if fc.AggDistinct {
		for _, a := range args {
			p.compared(a)
		}
		p.test(p.combine(0, args...).src)
	}
	if fc.AggFilter != nil {
		frame = p.combine(0, frame, p.predicate(fc.AggFilter, sc))
	}
	if fc.Over != nil {
		frame = p.combine(0, frame, p.over(fc.Over, sc))
	}
	p.a.called = nil
	if fc.AggStar {
		return p.framed(p.starAggregate(name, loc), frame, sc)
	}
	if len(name) == 1 && len(args) == 1 && argNames[0] == "" && fc.Funcformat != pg.CoercionForm_COERCE_SQL_SYNTAX {
		// f(x) is also x.f for a row x (manual, section 8.16.5); a column wins.
		if v := args[0]; v.fields != nil || p.rowRelation(v.typ) != nil {
			for _, f := range p.parts(v) {
				if f.name == name[0] {
					f.value.set = v.set
					return f.value
				}
			}
		}
	}
	fs := p.names.functions(name)
	if len(fs) == 0 {
		// A type's name in function notation is a cast.
		if t := p.names.typ(name); t != 0 && len(args) == 1 {
			return p.cast(args[0], t, nil, 'e')
		}
		p.unknown("the function "+qualified(name)+" does not exist", loc)
		v := p.combine(0, args...)
		v.how, v.known = Opaque, false
		return v
	}
	p.setting(name, fc.Args)
	defer p.calling(fc, sc)()
	passed := p.a.passed
	p.a.passed = passedQueries(name, fc)
	v := p.document(p.callNamed(name, fs, args, argNames, loc), name, fc, args)
	p.a.passed = passed
	if p.keepsDefinition(fc, args) {
		v.how = Plain
	}
	v.intact = p.intactDefinition(fc, args, v)
	if slices.ContainsFunc(p.a.called, p.counts) {
		v = p.framed(v, frame, sc)
	} else if len(frame.src) > 0 {
		v = p.chosen(v, frame)
	}
	return v
}

// counts reports whether the result of an aggregate or a window function says
// how many rows it saw, or stood before. That of the others is the same however
// often each row comes.
func (p *part) counts(f *catalog.Function) bool {
	if f.Kind != 'a' {
		return f.Kind == 'w'
	}
	return !p.isBuiltin(f) || !slices.Contains([]string{"min", "max", "any_value", "avg", "bool_and", "bool_or", "every", "bit_and", "bit_or"}, f.Name)
}

// callNamed calls what a name with these arguments may mean: every overload
// that the server could choose.
func (p *part) callNamed(name []string, fs []*catalog.Function, args []value, argNames []string, loc int) value {
	if p.castsToItself(name, fs, args, argNames) {
		return args[0]
	}
	candidates := p.match(fs, args, argNames)
	if len(candidates) == 0 {
		if t := p.names.typ(name); t != 0 && len(args) == 1 {
			return p.cast(args[0], t, nil, 'e')
		}
		p.unknown("no function "+qualified(name)+" takes arguments of these types", loc)
		v := p.combine(0, args...)
		v.how, v.known = Opaque, false
		return v
	}
	var results []value
	for _, f := range candidates {
		results = append(results, p.call(f, arrange(p, f, args, argNames), loc))
	}
	p.a.called = candidates
	if len(results) == 1 {
		return results[0]
	}
	v := p.either(commonType(results), results...)
	for _, r := range results {
		if len(r.fields) != len(v.fields) {
			v.fields = nil // a row or not: the server knows, we do not
		}
	}
	return v
}

// castsToItself reports whether a call like date(d) is of a value that has the
// named type: the server returns it, unless a function takes exactly that type.
func (p *part) castsToItself(name []string, fs []*catalog.Function, args []value, argNames []string) bool {
	if len(args) != 1 || len(argNames) != 1 || argNames[0] != "" || args[0].untyped || args[0].typ == 0 || p.names.typ(name) != args[0].typ {
		return false
	}
	return p.rowRelation(args[0].typ) == nil && !slices.ContainsFunc(fs, func(f *catalog.Function) bool {
		params, ok := parameters(f, 1, argNames)
		return ok && (params[0] == args[0].typ || params[0] == 0)
	})
}

// match returns the functions among fs that the server could choose for these
// arguments (manual, section 10.3): fewer only where the types are known to
// rule the others out.
func (p *part) match(fs []*catalog.Function, args []value, argNames []string) []*catalog.Function {
	var out []*catalog.Function
	var exactness []int
	allKnown := true
	for _, a := range args {
		if a.typ == 0 && !a.untyped {
			allKnown = false
		}
	}
	for _, f := range fs {
		params, ok := parameters(f, len(args), argNames)
		if !ok {
			continue
		}
		exact, fits := 0, true
		for i, a := range args {
			if params[i] == a.typ && a.typ != 0 || a.typ != 0 && params[i] == p.baseType(a.typ) {
				exact++
				continue
			}
			if !p.coercible(a, params[i]) {
				fits = false
				break
			}
		}
		if fits {
			out = append(out, f)
			if f.Variadic != 0 {
				exact = 0
			}
			exactness = append(exactness, exact)
		}
	}
	if allKnown && len(out) > 1 {
		// The server keeps those with the most exact matches. How exact variadic
		// arguments match depends on VARIADIC before the last.
		best := slices.Max(exactness)
		kept := out[:0:0]
		for i, f := range out {
			if exactness[i] == best || f.Variadic != 0 {
				kept = append(kept, f)
			}
		}
		out = kept
	}
	// A signature hidden by the same one earlier in the path is kept: both count.
	return out
}

// parameters returns the parameter type for each argument, or false where the
// function cannot take that many, or these names.
func parameters(f *catalog.Function, n int, argNames []string) ([]catalog.OID, bool) {
	params := make([]catalog.OID, n)
	fixed := len(f.Args)
	if f.Variadic != 0 {
		fixed--
	}
	for i := range n {
		if i < len(argNames) && argNames[i] != "" {
			at := slices.Index(f.ArgNames, argNames[i])
			if at < 0 || at >= len(f.Args) {
				return nil, false
			}
			params[i] = f.Args[at]
			continue
		}
		switch {
		case i < fixed:
			params[i] = f.Args[i]
		case f.Variadic != 0:
			// Either an element, or the array itself after VARIADIC.
			params[i] = 0
		default:
			return nil, false
		}
	}
	if n < fixed-f.Defaults || n == 0 && fixed > f.Defaults {
		return nil, false
	}
	return params, true
}

// Pseudo-types that take any argument.
var anyTypes = map[catalog.OID]bool{
	2276: true, // any
	2283: true, // anyelement
	2277: true, // anyarray
	2776: true, // anynonarray
	3500: true, // anyenum
	3831: true, // anyrange
	4537: true, // anymultirange
	5077: true, // anycompatible
	5078: true, // anycompatiblearray
	5079: true, // anycompatiblenonarray
	5080: true, // anycompatiblerange
	4538: true, // anycompatiblemultirange
	2281: true, // internal
}

// coercible reports whether the server could pass v where a t is wanted. True
// unless it certainly cannot.
func (p *part) coercible(v value, t catalog.OID) bool {
	from := v.typ
	if from == 0 || t == 0 || v.untyped || from == t || from == unknownOID {
		return true
	}
	if anyTypes[t] {
		ft := p.a.snap.Type(p.baseType(from))
		if ft == nil {
			return true
		}
		switch t {
		case 2277, 5078: // anyarray, anycompatiblearray
			return ft.Element != 0
		case 2776, 5079: // anynonarray, anycompatiblenonarray
			return ft.Element == 0
		case 3500: // anyenum
			return ft.Kind == 'e'
		case 3831, 5080: // anyrange, anycompatiblerange
			return ft.Kind == 'r'
		case 4537, 4538: // anymultirange, anycompatiblemultirange
			return ft.Kind == 'm'
		}
		return true
	}
	from, to := p.baseType(from), p.baseType(t)
	if from == to {
		return true
	}
	if c := p.a.snap.Cast(from, to); c != nil {
		return c.Context == 'i'
	}
	ft, tt := p.a.snap.Type(from), p.a.snap.Type(to)
	if ft == nil || tt == nil {
		return true
	}
	switch {
	case to == recordOID || from == recordOID:
		return ft.Relation != 0 || tt.Relation != 0 || from == recordOID && tt.Kind == 'c'
	case ft.Kind == 'c' && tt.Kind == 'c':
		return true // perhaps by inheritance
	case ft.Element != 0 && tt.Element != 0:
		return p.coercible(value{typ: ft.Element}, tt.Element)
	case to == recordArrayOID:
		return ft.Element != 0
	}
	return false
}

// arrange puts arguments in the order of the function's parameters; what is
// not given is the default.
func arrange(p *part, f *catalog.Function, args []value, argNames []string) []value {
	if !slices.ContainsFunc(argNames, func(s string) bool { return s != "" }) {
		return args
	}
	out := make([]value, len(f.Args))
	given := make([]bool, len(f.Args))
	for i, a := range args {
		at := i
		if argNames[i] != "" {
			at = slices.Index(f.ArgNames, argNames[i])
		}
		if at >= 0 && at < len(out) {
			out[at], given[at] = a, true
		}
	}
	missing := slices.Contains(given, false)
	var defaults []field
	if missing && f.DefaultExprs != "" && !p.isBuiltin(f) {
		defaults = p.defaultExprs(f)
	}
	for i := range out {
		if given[i] {
			continue
		}
		out[i] = value{how: Constant, known: true, typ: f.Args[i]}
		if at := i - len(f.Args) + len(defaults); at >= 0 && at < len(defaults) {
			out[i] = defaults[at].value
		}
	}
	return out
}

// call returns what a function gives for arguments in the order of its
// parameters, and records what it does.
func (p *part) call(f *catalog.Function, args []value, loc int) value {
	args = p.coerceArgs(f, args)
	if (f.Result == jsonOID || f.Result == jsonbOID) && p.isBuiltin(f) {
		args = p.inJSON(args)
	}
	switch {
	case f.Kind == 'a':
		return p.aggregate(f, args, loc)
	case p.isBuiltin(f):
		return p.builtinCall(f, args, loc)
	case p.constructsRange(f):
		p.probe(p.combine(0, args...).src)
		v := p.result(f, args)
		p.domainChecks(f.Result, v)
		return v
	}
	p.a.depends[f.OID] = struct{}{}
	if p.a.sess.Trusted != nil && p.a.sess.Trusted(f.Schema, f.Name) {
		return p.result(f, args)
	}
	if len(args) < len(f.Args) && f.DefaultExprs != "" {
		args = p.defaults(f, args)
	}
	for i, a := range args {
		if i < len(f.Args) && a.typ != f.Args[i] {
			p.domainChecks(f.Args[i], a)
		}
	}
	switch f.Language {
	case "sql":
		v := p.sqlFunction(f, args, loc)
		p.domainChecks(f.Result, v)
		return v
	case "plpgsql":
		if p.expanding(f.OID) {
			return p.recursion(f, args)
		}
		v := p.plpgsql(f, args, nil)
		p.domainChecks(f.Result, v)
		if v.set {
			v.rows = v.rows.Union(p.combine(0, args...).src)
		}
		return v
	}
	p.effect(Dynamic, "calls "+funcName(f)+", which is written in "+f.Language+" and cannot be analyzed")
	p.unknown("the function "+funcName(f)+" is written in "+f.Language+" and cannot be analyzed", loc)
	v := p.result(f, args)
	v.how, v.known = Opaque, false
	return v
}

// constructsRange reports whether f was made with a range type to construct its
// values (manual, section 8.17.6): no other function can have that name, schema
// and arguments.
func (p *part) constructsRange(f *catalog.Function) bool {
	t := p.a.snap.Type(f.Result)
	if f.Language != "internal" || t == nil || t.Schema != f.Schema || t.Name != f.Name {
		return false
	}
	switch t.Kind {
	case 'r':
		return (len(f.Args) == 2 || len(f.Args) == 3 && f.Args[2] == textOID) && f.Args[0] == t.Subtype && f.Args[1] == t.Subtype
	case 'm':
		if len(f.Args) == 0 {
			return true
		}
		of := p.a.snap.Type(f.Args[0])
		return len(f.Args) == 1 && of != nil && (of.Kind == 'r' && of.Subtype == t.Subtype || f.Variadic != 0)
	}
	return false
}

// recursion is the result of a function within itself: what its other branches
// read is recorded by them.
func (p *part) recursion(f *catalog.Function, args []value) value {
	if len(p.stack) >= maxNesting {
		p.unknown("functions nest too deep at "+funcName(f), -1)
	}
	return p.result(f, args)
}

// defaults fills in the default expressions of the last parameters.
func (p *part) defaults(f *catalog.Function, args []value) []value {
	cols := p.defaultExprs(f)
	args = slices.Clone(args)
	for len(args) < len(f.Args) {
		at := len(args) - len(f.Args) + len(cols)
		if at < 0 || at >= len(cols) {
			break
		}
		args = append(args, cols[at].value)
	}
	return args
}

// defaultExprs returns the defaults of the last parameters.
func (p *part) defaultExprs(f *catalog.Function) []field {
	tree, err := parseSQL("SELECT " + f.DefaultExprs)
	if err != nil || len(tree.Stmts) != 1 {
		p.unknown("the defaults of "+funcName(f)+" could not be parsed", -1)
		return nil
	}
	q := p.within("defaults of function "+funcName(f), f.OID, definitionNames(p.a.snap), nil)
	q.defined = true
	cols := slices.Clone(q.query(tree.Stmts[0].Stmt.GetSelectStmt(), nil))
	for i := range cols {
		if at := len(f.Args) - len(cols) + i; at >= 0 {
			cols[i].value = q.coerce(cols[i].value, f.Args[at], 'a')
		}
	}
	return cols
}

// result returns a value of the function's result type computed from args.
func (p *part) result(f *catalog.Function, args []value) value {
	v := derived(p.combine(p.resultType(f, args), args...))
	v.set = f.ReturnsSet
	if f.ReturnsSet {
		v.gen = max(v.gen, p.generates(f, v))
	}
	if f.Kind == 'w' && v.how == Constant {
		v.how = Count // row_number() and its kin say where a row stands
		v.gen = counted
	}
	if len(f.OutTypes) > 0 && (len(f.OutTypes) > 1 || f.Result == recordOID) {
		for i, t := range f.OutTypes {
			o := v
			o.typ, o.set, o.fields = t, false, nil // a row of rows would double with each column
			name := ""
			if i < len(f.OutNames) {
				name = f.OutNames[i]
			}
			if name == "" {
				name = "column" + itoa(i+1)
			}
			v.fields = append(v.fields, field{name, o})
		}
		v.typ = recordOID
	}
	if f.ReturnsSet {
		v.rows = v.src
	}
	return v
}

// resultType resolves a polymorphic result (manual, section 38.2.5), or
// returns 0.
func (p *part) resultType(f *catalog.Function, args []value) catalog.OID {
	if !anyTypes[f.Result] && f.Result != recordOID {
		return f.Result
	}
	if f.Result == recordOID {
		return recordOID
	}
	element := catalog.OID(0)
	for i, t := range f.Args {
		if i >= len(args) || args[i].typ == 0 {
			continue
		}
		switch t {
		case 2283, 2776, 3500, 5077, 5079:
			element = args[i].typ
		case 2277, 5078:
			if at := p.a.snap.Type(p.baseType(args[i].typ)); at != nil {
				element = at.Element
			}
		case 3831, 5080, 4537, 4538:
			if f.Result == t {
				return args[i].typ
			}
			if at := p.a.snap.Type(p.baseType(args[i].typ)); at != nil {
				element = at.Subtype
			}
		}
	}
	switch f.Result {
	case 2283, 2776, 3500, 5077, 5079:
		return element
	case 2277, 5078:
		if t := p.a.snap.Type(element); t != nil {
			return t.Array
		}
	}
	return 0
}

// starAggregate is count(*) and its kin: aggregates without arguments.
func (p *part) starAggregate(name []string, loc int) value {
	var results []value
	for _, f := range p.names.functions(name) {
		if f.Kind == 'a' && len(f.Args) == 0 {
			results = append(results, p.call(f, nil, loc))
		}
	}
	switch len(results) {
	case 0:
		p.unknown("no aggregate "+qualified(name)+" takes *", loc)
		return opaque(nil)
	case 1:
		return results[0]
	}
	return p.either(commonType(results), results...)
}

// aggregate returns what an aggregate computes: its functions called with the
// state and the arguments.
func (p *part) aggregate(f *catalog.Function, args []value, loc int) value {
	v := p.result(f, args)
	if f.Schema == "pg_catalog" && f.Name == "count" {
		v.how = Count
		return v
	}
	if !p.isBuiltin(f) && f.Aggregate != nil {
		p.a.depends[f.OID] = struct{}{}
		state := v
		for range 2 {
			for _, oid := range []catalog.OID{f.Aggregate.Transition, f.Aggregate.Combine, f.Aggregate.Serial, f.Aggregate.Deserial,
				f.Aggregate.MovingTransition, f.Aggregate.MovingInverse, f.Aggregate.MovingFinal, f.Aggregate.Final} {
				g := p.a.snap.Function(oid)
				if g == nil {
					continue
				}
				state = p.combine(0, state, p.call(g, append([]value{state}, args...), loc))
			}
		}
		typ := v.typ
		v = state
		v.typ = typ
	} else if p.isBuiltin(f) {
		p.builtinCall(f, args, loc)
	}
	switch {
	case v.how == Opaque:
	case v.how == Constant || v.how == Count:
		v.how = Count
	case f.Schema == "pg_catalog" && f.Name == "array_agg" && p.definitions(args):
		v.how = Plain // each element is one of them
	default:
		v.how = Aggregate
	}
	v.known, v.origin = true, Column{}
	return v
}

// partTypes returns the types of the columns of a function that returns rows,
// of which v is one.
func (p *part) partTypes(f *catalog.Function, v value) []catalog.OID {
	var types []catalog.OID
	if rel := p.rowRelation(f.Result); rel != nil {
		for _, c := range rel.Columns {
			if !c.Dropped {
				types = append(types, c.Type)
			}
		}
		return types
	}
	for _, o := range v.fields {
		types = append(types, o.typ)
	}
	return types
}
