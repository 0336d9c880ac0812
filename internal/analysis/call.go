package analysis

import (
	"slices"
	"strings"

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

// parameterValues are the arguments of an SQL function: $1 and names.
type parameterValues struct {
	function string
	names    []string
	values   []value
}

func (v parameterValues) numbered(n int) (value, bool) {
	if n < 1 || n > len(v.values) {
		return value{}, false
	}
	return v.values[n-1], true
}

func (v parameterValues) named(parts []string) (value, bool) {
	if len(parts) == 2 && parts[0] == v.function {
		parts = parts[1:]
	}
	if len(parts) != 1 || parts[0] == "" {
		return value{}, false
	}
	if i := slices.Index(v.names, parts[0]); i >= 0 && i < len(v.values) {
		return v.values[i], true
	}
	return value{}, false
}

// bodyPath returns the search path of a function's body, and of what it calls:
// what it sets itself, or the caller's.
func (p *part) bodyPath(f *catalog.Function) []string {
	for _, s := range f.Settings {
		if path, ok := strings.CutPrefix(s, "search_path="); ok {
			return splitPath(path, p.a.sess.Path, p.userOf(f))
		}
	}
	if p.search != nil {
		return p.search
	}
	return p.a.sess.Path
}

// userOf returns the role as which a function runs that is called from here.
func (p *part) userOf(f *catalog.Function) string {
	switch {
	case f.SecurityDefiner:
		return f.Owner
	case p.user != "":
		return p.user
	}
	return p.a.sess.User
}

// splitPath parses the value of a search_path setting under a role.
func splitPath(s string, session []string, user string) []string {
	var path []string
	for _, e := range strings.Split(s, ",") {
		e = strings.TrimSpace(e)
		if strings.HasPrefix(e, `"`) {
			e = strings.ReplaceAll(strings.Trim(e, `"`), `""`, `"`)
		} else {
			e = strings.ToLower(e)
		}
		switch e {
		case "":
		case "$user":
			if user != "" {
				path = append(path, user)
			}
		case "pg_temp":
			for _, t := range session {
				if strings.HasPrefix(t, "pg_temp_") {
					path = append(path, t)
				}
			}
		default:
			path = append(path, e)
		}
	}
	// The temporary schema is searched first unless the path names it.
	if !slices.ContainsFunc(path, func(s string) bool { return strings.HasPrefix(s, "pg_temp_") }) {
		for _, t := range session {
			if strings.HasPrefix(t, "pg_temp_") {
				path = append([]string{t}, path...)
			}
		}
	}
	return path
}

// sqlFunction analyzes the body of a function in language sql with its
// arguments in place of the parameters.
func (p *part) sqlFunction(f *catalog.Function, args []value, loc int) value {
	if p.expanding(f.OID) {
		return p.recursion(f, args)
	}
	body, path := f.Source, p.bodyPath(f)
	names := p.a.pathNames(path)
	if f.Body != "" {
		body, names = f.Body, definitionNames(p.a.snap)
	}
	stmts := p.a.body(f, body)
	if stmts == nil {
		p.unknown("the body of "+funcName(f)+" could not be parsed", loc)
		p.effect(Dynamic, "calls "+funcName(f)+", whose body could not be parsed")
		v := p.result(f, args)
		v.how, v.known = Opaque, false
		return v
	}
	typed := make([]value, len(args))
	for i, a := range args {
		a.untyped = false
		if i < len(f.Args) && !anyTypes[f.Args[i]] && f.Args[i] != recordOID {
			a.typ = f.Args[i] // the body sees the parameter, to which the argument was cast
		}
		a.origin, a.known = Column{}, true
		typed[i] = a
	}
	if f.Variadic != 0 && len(args) >= len(f.Args) && len(f.Args) > 0 {
		// The last parameter is an array of all that is left.
		n := len(f.Args)
		rest := derived(p.combine(f.Args[n-1], typed[n-1:]...))
		typed = append(slices.Clip(typed[:n-1]), rest)
	}
	q := p.within(functionStep+funcName(f), f.OID, names, parameterValues{f.Name, f.ArgNames, typed})
	q.search, q.user = path, p.userOf(f)
	q.loops = p.perRow(f)
	q.underSettings(f)
	var cols []field
	returns := false
	p.a.rows = nil
	for _, s := range stmts {
		cols, returns = q.statement(s)
	}
	rows := p.a.rows
	v := p.result(f, nil)
	if !returns || f.Result == 2278 { // void
		return constant(f.Result)
	}
	if len(cols) == 1 {
		c := q.coerce(cols[0].value, f.Result, 'a')
		if c.fields != nil && (v.fields != nil || p.rowRelation(f.Result) != nil) {
			cols = c.fields
		} else if v.fields == nil && p.rowRelation(f.Result) == nil {
			c.set, c.rows = f.ReturnsSet, nil
			if c.set {
				c.rows = rows
			}
			typ := p.resultType(f, args)
			if typ == 0 {
				typ = c.typ
			}
			c = derived(c)
			c.typ = typ
			return c
		}
	}
	cols = slices.Clone(cols)
	for i, t := range p.partTypes(f, v) {
		if i < len(cols) {
			cols[i].value = q.coerce(cols[i].value, t, 'a')
		}
	}
	r := p.row(f.Result, cols)
	r.set, r.rows = f.ReturnsSet, nil
	if r.set {
		r.rows = rows
	}
	if rel := p.rowRelation(f.Result); rel != nil {
		i := 0
		for _, c := range rel.Columns {
			if c.Dropped {
				continue
			}
			if i < len(r.fields) {
				r.fields[i].name = c.Name
				r.fields[i].value = derived(r.fields[i].value)
			}
			i++
		}
	} else {
		for i := range r.fields {
			if i < len(v.fields) {
				r.fields[i].name = v.fields[i].name
			}
			r.fields[i].value = derived(r.fields[i].value)
		}
	}
	if r.how == Plain {
		r.how = Expression
	}
	return r
}

// operator calls what an operator with one operand (prefix) or two may mean.
func (p *part) operator(name []string, args []value, loc int) value {
	ops := p.names.operators(name)
	bare := name[len(name)-1]
	if bare == "<>" || bare == "!=" {
		ops = append(slices.Clip(ops), p.names.operators(append(slices.Clone(name[:len(name)-1]), "<>"))...)
	}
	var fits []*catalog.Operator
	best := -1
	known := true
	for _, a := range args {
		known = known && (a.typ != 0 || a.untyped)
	}
	if len(args) == 2 && known && args[0].untyped != args[1].untyped {
		// With one operand of unknown type the server first tries the other's
		// type for both (manual, section 10.2).
		if args[0].untyped {
			if o := exactOperator(ops, p.baseType(args[1].typ), p.baseType(args[1].typ)); o != nil {
				ops = []*catalog.Operator{o}
			}
		} else if o := exactOperator(ops, p.baseType(args[0].typ), p.baseType(args[0].typ)); o != nil {
			ops = []*catalog.Operator{o}
		}
	}
	for _, o := range ops {
		params := []catalog.OID{o.Left, o.Right}
		if len(args) == 1 {
			if o.Left != 0 {
				continue
			}
			params = params[1:]
		} else if o.Left == 0 {
			continue
		}
		exact, ok := 0, true
		for i, a := range args {
			if a.typ != 0 && (params[i] == a.typ || params[i] == p.baseType(a.typ)) {
				exact++
			} else if !p.coercible(a, params[i]) {
				ok = false
				break
			}
		}
		if !ok {
			continue
		}
		if known && exact > best {
			best, fits = exact, nil
		}
		if !known || exact == best {
			fits = append(fits, o)
		}
	}
	if len(fits) == 0 {
		v := derived(p.combine(0, args...))
		if len(ops) == 0 || !p.anyRow(args) {
			p.unknown("no operator "+qualified(name)+" takes operands of these types", loc)
			v.how, v.known = Opaque, false
		} else {
			v.typ = boolOID // rows are compared part by part
			for _, a := range args {
				p.compared(a)
			}
		}
		return v
	}
	if known && len(fits) > 1 {
		fits = p.preferOperators(fits, args)
	}
	// Built-in functions only compute: one look at all of them is enough.
	typ, pure := fits[0].Result, true
	for _, o := range fits {
		if o.Result != typ {
			typ = 0
		}
		if f := p.a.snap.Function(o.Function); f == nil || !p.isBuiltin(f) {
			pure = false
		}
	}
	if anyTypes[typ] {
		typ = 0
		if f := p.a.snap.Function(fits[0].Function); f != nil {
			typ = p.resultType(f, args)
		}
	}
	for _, o := range fits {
		// An index, a sort or a merge evaluates it by what is behind its class.
		p.supported(p.a.snap.Support(o.OID), derived(p.combine(0, args...)))
	}
	if pure {
		for _, a := range args { // rows, arrays and ranges are compared part by part
			p.compared(a)
		}
		vs := args
		for _, o := range fits {
			vs = append(slices.Clip(vs), p.coercions(p.a.snap.Function(o.Function), args)...)
		}
		v := derived(p.combine(typ, vs...))
		if !compares[bare] && !(bare == "||" && typ == textOID) {
			p.probe(v.src)
		}
		return v
	}
	var vs []value
	for _, o := range fits {
		f := p.a.snap.Function(o.Function)
		if f == nil {
			p.unknown("the function behind the operator "+qualified(name)+" is not known", loc)
			vs = append(vs, opaque(p.combine(0, args...).src))
			continue
		}
		vs = append(vs, p.call(f, args, loc))
	}
	return derived(p.combine(typ, vs...))
}

// preferOperators leaves of operators that fit those that the server may choose
// (func_select_candidate in parse_func.c; manual, section 10.2, steps 3.d and
// 3.e): by preferred types, and by what operands of unknown type can be.
func (p *part) preferOperators(ops []*catalog.Operator, args []value) []*catalog.Operator {
	param := func(o *catalog.Operator, i int) *catalog.Type {
		if i == 0 && len(args) == 2 {
			return p.a.snap.Type(p.baseType(o.Left))
		}
		return p.a.snap.Type(p.baseType(o.Right))
	}
	matches := make([]int, len(ops))
	for j, o := range ops {
		for i, a := range args {
			t, from := param(o, i), p.a.snap.Type(p.baseType(a.typ))
			if t == nil || !a.untyped && from == nil {
				return ops
			}
			if !a.untyped && (t.OID == from.OID || t.Category == from.Category && preferredTypes[t.OID]) {
				matches[j]++
			}
		}
	}
	best := slices.Max(matches)
	var kept []*catalog.Operator
	for j, o := range ops {
		if matches[j] == best {
			kept = append(kept, o)
		}
	}
	categories, preferred := make([]byte, len(args)), make([]bool, len(args))
	for i, a := range args {
		if !a.untyped {
			continue
		}
		conflict := false
		for _, o := range kept {
			t := param(o, i)
			switch {
			case categories[i] == 0, t.Category == 'S' && categories[i] != 'S':
				categories[i], preferred[i] = t.Category, preferredTypes[t.OID]
			case t.Category == categories[i]:
				preferred[i] = preferred[i] || preferredTypes[t.OID]
			default:
				conflict = true
			}
		}
		if conflict && categories[i] != 'S' {
			return kept
		}
	}
	of := slices.DeleteFunc(slices.Clone(kept), func(o *catalog.Operator) bool {
		for i, a := range args {
			if t := param(o, i); a.untyped && (t.Category != categories[i] || preferred[i] && !preferredTypes[t.OID]) {
				return true
			}
		}
		return false
	})
	if len(of) == 0 {
		return kept
	}
	return of
}

// compares are operators that do not fail, whatever they compare.
var compares = setOfNames("= <> != < > <= >=")

func (p *part) anyRow(args []value) bool {
	for _, a := range args {
		if a.fields != nil || a.typ == recordOID || p.rowRelation(a.typ) != nil {
			return true
		}
	}
	return false
}

func exactOperator(ops []*catalog.Operator, left, right catalog.OID) *catalog.Operator {
	var found *catalog.Operator
	for _, o := range ops {
		if o.Left == left && o.Right == right {
			if found != nil {
				return nil // the same in two schemas: leave both
			}
			found = o
		}
	}
	return found
}

// cast returns v as a value of type to. name is for the report of an unknown
// type and may be nil. context is that of catalog.Cast.
func (p *part) cast(v value, to catalog.OID, name *pg.TypeName, context byte) value {
	if to == 0 {
		if name != nil {
			p.unknown("the type "+qualified(strs(name.Names))+" does not exist", int(name.Location))
		}
		v = derived(v)
		v.typ = 0
		return v
	}
	if v.typ == to && !v.untyped {
		if name != nil && len(name.Typmods) > 0 {
			// A length is applied, unless it is the column's own.
			v = derived(v)
			v.known = false
		}
		return v
	}
	fields := v.fields
	vs := []value{v}
	if casts := p.casts(v, to, context); len(casts) > 0 {
		vs, fields = append(vs, casts...), nil
	}
	rel := p.rowRelation(to)
	if rel != nil && fields != nil {
		fields = p.castParts(v, rel, context)
		vs = append(vs, fieldValues(fields)...)
	}
	if t := p.a.snap.Type(to); t != nil && !v.untyped && (v.typ == 0 || v.typ == recordOID || v.typ == recordArrayOID) {
		of := rel
		if t.Element != 0 {
			of = p.rowRelation(t.Element)
		}
		switch {
		case of == nil:
		case v.fields != nil:
			vs = append(vs, fieldValues(p.castParts(v, of, context))...)
		default: // parts that are not known may be of any type
			unknown := derived(v)
			unknown.typ = 0
			for _, c := range of.Columns {
				if !c.Dropped {
					vs = append(vs, p.casts(unknown, c.Type, context)...)
				}
			}
		}
	}
	p.domainChecks(to, v)
	r := derived(p.combine(to, vs...))
	switch to {
	case textOID, varcharOID, nameOID, bpcharOID:
	default:
		p.probe(r.src)
	}
	if rel != nil || to == recordOID {
		r.fields = fields
	}
	return r
}

// castParts returns the parts of a row as a cast to rel's row type makes them:
// by their names where v is of a type that inherits from it, else by their
// places.
func (p *part) castParts(v value, rel *catalog.Relation, context byte) []field {
	var from []string // the names of v's parts, in their order
	if child := p.rowRelation(v.typ); p.inherits(child, rel) {
		for _, c := range child.Columns {
			if !c.Dropped {
				from = append(from, c.Name)
			}
		}
	}
	var parts []field
	i := 0
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		at := i
		if from != nil {
			at = slices.Index(from, c.Name)
		}
		if at >= 0 && at < len(v.fields) {
			f := derived(p.coerce(v.fields[at].value, c.Type, context))
			f.typ = c.Type
			parts = append(parts, field{c.Name, f})
		}
		i++
	}
	return parts
}

// inherits reports whether rows of child are rows of parent too.
func (p *part) inherits(child, parent *catalog.Relation) bool {
	return child != nil && parent != nil && child != parent && slices.Contains(p.a.snap.Ancestors(child.OID), parent)
}

// coerce returns v where the server makes it a value of a type by itself: by
// the casts of a context, which may call functions. Nothing else of v changes.
func (p *part) coerce(v value, to catalog.OID, context byte) value {
	if v.typ == to || anyTypes[to] {
		return v
	}
	if to >= firstUserOID && p.inherits(p.rowRelation(v.typ), p.rowRelation(to)) {
		return p.cast(v, to, nil, context)
	}
	if to >= firstUserOID && !v.untyped && (v.typ == recordOID || v.typ == recordArrayOID) && len(p.a.ownCasts()) > 0 {
		return p.cast(v, to, nil, context) // part by part
	}
	casts := p.casts(v, to, context)
	if len(casts) == 0 {
		return v
	}
	return derived(p.combine(to, append(casts, v)...))
}

// casts calls the functions that a cast of v to a type may call.
func (p *part) casts(v value, to catalog.OID, context byte) []value {
	var results []value
	for _, f := range p.castFunctions(v, to, context) {
		of := v
		if of.typ == 0 && len(f.Args) > 0 {
			of.typ = f.Args[0]
		}
		results = append(results, p.call(f, []value{of}, -1))
	}
	return results
}

type ownCastsKey struct{}

// ownCasts returns the casts by functions that are not built in, by target.
func (a *analyzer) ownCasts() map[catalog.OID][]*catalog.Cast {
	return a.snap.Memo(ownCastsKey{}, func() any {
		p, all := &part{a: a}, map[catalog.OID][]*catalog.Cast{}
		for c := range a.snap.Casts() {
			if f := a.snap.Function(c.Function); f != nil && !p.isBuiltin(f) {
				all[c.Target] = append(all[c.Target], c)
			}
		}
		return all
	}).(map[catalog.OID][]*catalog.Cast)
}

// castFunctions returns the functions that are not built in and that a cast of
// v to a type may call. A value of unknown type may be of any type that has one.
func (p *part) castFunctions(v value, to catalog.OID, context byte) []*catalog.Function {
	own := p.a.ownCasts()
	if v.untyped || len(own) == 0 {
		return nil
	}
	from, base := p.baseType(v.typ), p.baseType(to)
	if ft, tt := p.a.snap.Type(from), p.a.snap.Type(base); ft != nil && tt != nil && ft.Element != 0 && tt.Element != 0 {
		from, base = p.baseType(ft.Element), p.baseType(tt.Element)
	}
	var out []*catalog.Function
	for _, c := range own[base] {
		if v.typ != 0 && c.Source != from && c.Source != v.typ || context != 'e' && c.Context != 'i' && c.Context != context {
			continue
		}
		out = append(out, p.a.snap.Function(c.Function))
	}
	return out
}

// coerceArgs brings arguments to the types of the parameters.
func (p *part) coerceArgs(f *catalog.Function, args []value) []value {
	if out := p.coercions(f, args); out != nil {
		return out
	}
	return args
}

// coercions is coerceArgs where nil says that no cast of somebody's own is
// called for that.
func (p *part) coercions(f *catalog.Function, args []value) []value {
	var out []value
	for i, a := range args {
		param, context := catalog.OID(0), byte('i')
		switch last := len(f.Args) - 1; {
		case i > last && f.Variadic == 0:
			continue
		case f.Variadic == 0 || i < last || p.a.isArray(a.typ):
			param = f.Args[min(i, last)]
		default:
			param = f.Variadic
		}
		if anyTypes[param] {
			if f.Language != "sql" || !p.isBuiltin(f) {
				continue
			}
			// anytextcat, textanycat, quote_literal and quote_nullable: their
			// bodies cast it to text.
			param, context = textOID, 'e'
		}
		if c := p.coerce(a, param, context); c.typ != a.typ {
			if out == nil {
				out = slices.Clone(args)
			}
			out[i] = c
		}
	}
	return out
}

func (a *analyzer) isArray(t catalog.OID) bool {
	typ := a.snap.Type(t)
	return typ != nil && typ.Element != 0
}

// inJSON returns values as they stand in JSON that is made of them: the server
// calls the casts to json of their types, and of what these are made of, where
// somebody has made such casts.
func (p *part) inJSON(vs []value) []value {
	var out []value
	for i, v := range vs {
		parts := []value{v}
		for _, c := range p.jsonCasts(v) {
			of := derived(v)
			of.typ, of.fields, of.set = c.Source, nil, false
			parts = append(parts, p.call(p.a.snap.Function(c.Function), []value{of}, -1))
		}
		if len(parts) == 1 {
			continue
		}
		if out == nil {
			out = slices.Clone(vs)
		}
		out[i] = p.combine(v.typ, parts...)
	}
	if out == nil {
		return vs
	}
	return out
}

// jsonCasts returns the casts to json that are not built in and that JSON made
// of v may call. Where types are not known, it may call any.
func (p *part) jsonCasts(v value) []*catalog.Cast {
	all := p.a.ownCasts()[jsonOID]
	if len(all) == 0 || v.untyped {
		return nil
	}
	made := map[catalog.OID]bool{}
	unknown := false
	var look func(v value)
	look = func(v value) {
		unknown = unknown || v.fields == nil && (v.typ == 0 || v.typ == recordOID || v.typ == recordArrayOID)
		p.a.madeOf(v.typ, func(t *catalog.Type) { made[t.OID] = true })
		for _, f := range v.fields {
			look(f.value)
		}
	}
	look(v)
	return slices.DeleteFunc(slices.Clone(all), func(c *catalog.Cast) bool { return !unknown && !made[c.Source] })
}

// domainChecks records what the server evaluates when v becomes of type t: t
// itself, its elements or its parts may be of a domain with check constraints, or
// ranges.
func (p *part) domainChecks(t catalog.OID, v value) {
	if t == 0 {
		return
	}
	p.supported(p.a.ranges(t), v)
	for _, typ := range p.a.checkedTypes(t) {
		v := v
		if typ.OID != t {
			v.fields = nil
		} else if v.fields != nil && v.typ != typ.Base {
			v = p.cast(v, typ.Base, nil, 'a') // names the parts
		}
		v.typ, v.untyped = typ.Base, false
		for _, c := range typ.Checks {
			p.check("domain "+typ.Schema+"."+typ.Name, typ.OID, c.Expr, &scope{}, checkedValue{v})
		}
	}
}

// compared records what comparing values like v calls: sorting, grouping and
// indexes do so without naming an operator.
func (p *part) compared(v value) {
	if !p.a.snap.HasSupport() {
		return
	}
	if v.fields == nil && !v.untyped && (v.typ == 0 || v.typ == recordOID || v.typ == recordArrayOID) {
		p.supported(p.a.snap.AllSupport(), v) // it may be of any type
		return
	}
	p.supported(p.a.comparisons(v.typ), v)
	for _, f := range v.fields {
		p.compared(f.value)
	}
}

// supported records calls of what operator classes and ranges are made of, with
// arguments that come from v.
func (p *part) supported(functions []catalog.OID, v value) {
	for _, oid := range functions {
		f := p.a.snap.Function(oid)
		if f == nil {
			p.unknown("a function of an operator class is not known", -1)
			continue
		}
		args := make([]value, len(f.Args))
		for i, t := range f.Args {
			args[i] = derived(v)
			args[i].typ, args[i].fields, args[i].untyped, args[i].set = t, nil, false, false
		}
		p.call(f, args, -1)
	}
}

type comparedKey struct{ typ catalog.OID }

// comparisons returns the functions of the default operator classes of a type
// and what it is made of.
func (a *analyzer) comparisons(t catalog.OID) []catalog.OID {
	if !a.snap.HasSupport() {
		return nil
	}
	return a.snap.Memo(comparedKey{t}, func() any {
		var list []catalog.OID
		a.madeOf(t, func(typ *catalog.Type) { list = append(list, a.snap.Support(typ.OID)...) })
		return list
	}).([]catalog.OID)
}

type rangesKey struct{ typ catalog.OID }

// ranges returns what makes the ranges that a type is made of: their bounds are
// compared.
func (a *analyzer) ranges(t catalog.OID) []catalog.OID {
	if !a.snap.HasSupport() {
		return nil
	}
	return a.snap.Memo(rangesKey{t}, func() any {
		var list []catalog.OID
		a.madeOf(t, func(typ *catalog.Type) {
			if typ.Kind == 'r' || typ.Kind == 'm' {
				list = append(list, a.snap.Support(typ.OID)...)
			}
		})
		return list
	}).([]catalog.OID)
}

type checkedKey struct{ typ catalog.OID }

// checkedTypes returns the domains with checks that a type is made of.
func (a *analyzer) checkedTypes(t catalog.OID) []*catalog.Type {
	return a.snap.Memo(checkedKey{t}, func() any {
		var list []*catalog.Type
		a.madeOf(t, func(typ *catalog.Type) {
			if typ.Kind == 'd' && len(typ.Checks) > 0 {
				list = append(list, typ)
			}
		})
		return list
	}).([]*catalog.Type)
}

type checkedDomainsKey struct{}

// checkedDomains returns all domains with checks.
func (a *analyzer) checkedDomains() []catalog.OID {
	return a.snap.Memo(checkedDomainsKey{}, func() any {
		var list []catalog.OID
		for t := range a.snap.Types() {
			if t.Kind == 'd' && len(t.Checks) > 0 {
				list = append(list, t.OID)
			}
		}
		slices.Sort(list)
		return list
	}).([]catalog.OID)
}

// madeOf visits a type, and the types of its base, elements and parts.
func (a *analyzer) madeOf(t catalog.OID, visit func(*catalog.Type)) {
	seen := map[catalog.OID]bool{}
	var look func(t catalog.OID)
	look = func(t catalog.OID) {
		typ := a.snap.Type(t)
		if typ == nil || seen[t] {
			return
		}
		seen[t] = true
		visit(typ)
		for _, part := range []catalog.OID{typ.Base, typ.Element, typ.Subtype} {
			look(part)
		}
		if rel := a.snap.Relation(typ.Relation); rel != nil {
			for _, c := range rel.Columns {
				if !c.Dropped {
					look(c.Type)
				}
			}
		}
	}
	look(t)
}

// checkedValue is VALUE in a domain's check.
type checkedValue struct{ v value }

func (c checkedValue) numbered(int) (value, bool) { return value{}, false }
func (c checkedValue) named(parts []string) (value, bool) {
	return c.v, len(parts) == 1 && strings.EqualFold(parts[0], "value")
}

// check analyzes an expression of a definition: a check constraint, an index
// expression, a default.
func (p *part) check(step string, object catalog.OID, expr string, sc *scope, vars variables) value {
	n := p.a.expression(expr)
	if n == nil {
		p.unknown("an expression of "+step+" could not be parsed", -1)
		return opaque(nil)
	}
	if p.expanding(object) && len(p.stack) >= maxNesting {
		p.unknown("definitions nest too deep at "+step, -1)
		return opaque(nil)
	}
	q := p.within(step, object, definitionNames(p.a.snap), vars)
	q.defined = true
	return q.expr(n, sc)
}
