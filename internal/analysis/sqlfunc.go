package analysis

import (
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

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
