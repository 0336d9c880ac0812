package analysis

import (
	"regexp"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A value is what is known of an expression's result.
type value struct {
	src    Columns     // base columns that flow in
	byRows Columns     // those of src that do so only by way of rows, see Output.ByRows
	how    Derivation  // Opaque is the zero value: forgetting to set it is seen as not known
	typ    catalog.OID // 0 when not known
	origin Column      // see Output.Origin
	known  bool        // origin is known
	fields []field     // of a row whose parts are known, else nil
	keys   []field     // of a JSON object whose members are known, else nil
	// named is true for a record that itself has the names of its fields. One that
	// is chosen among several has those of the one that it is.
	named bool
	// intact is true for a definition that the server wrote itself, and nothing
	// else: its quotes come in pairs.
	intact bool
	// orNull is true where the JSON object may be the null of JSON instead.
	orNull bool
	lits   *litNode // constants and parameters that flow in
	// untyped is true for a bare string constant or NULL: the server calls its
	// type unknown and gives it the type that the place wants.
	untyped bool
	// set is true for a result that has any number of rows (set-returning); rows
	// are the base columns that decide how many.
	set  bool
	rows Columns
	gen  generation // of the rows that it comes from
}

// A field is one named part of a row.
type field struct {
	name string
	value
}

// constant returns a value that derives from no column.
func constant(typ catalog.OID) value { return value{how: Constant, typ: typ, known: true} }

// opaque returns a value of unknown origin; src are columns that are known to
// flow in at least.
func opaque(src Columns) value { return value{src: src} }

// counting returns what rows, which are many because of cols, say of cols.
func counting(cols Columns, how Derivation) value {
	return value{src: cols, byRows: cols, how: how, known: true}
}

// byRows returns those of src, which is of vs, that flow in by way of rows only.
func byRows(src Columns, vs ...value) Columns {
	if !slices.ContainsFunc(vs, func(v value) bool { return len(v.byRows) > 0 }) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(src), func(c Column) bool {
		return slices.ContainsFunc(vs, func(v value) bool { return v.src.Contains(c) && !v.byRows.Contains(c) })
	})
}

// combine returns a value of type typ computed from all of vs, and records that
// their literals meet their columns.
func (p *part) combine(typ catalog.OID, vs ...value) value {
	r := value{how: Constant, typ: typ, known: true}
	for _, v := range vs {
		r.src = r.src.Union(v.src)
		r.lits = p.joinLits(r.lits, v.lits)
		r.set, r.rows = r.set || v.set, r.rows.Union(v.rows)
		r.gen = max(r.gen, v.gen)
		switch {
		case v.how == Opaque:
			r.how = Opaque
		case r.how == Opaque, v.how == Constant:
		case v.how == Aggregate, r.how == Aggregate:
			r.how = Aggregate
		case v.how == Count && r.how == Constant:
			r.how = Count
		case v.how == Count:
		default:
			r.how = Expression
		}
	}
	r.byRows = byRows(r.src, vs...)
	p.meet(r.lits, r.src)
	return r
}

// either returns a value that is one of vs, unchanged: what CASE, COALESCE and
// set operations give. It keeps the parts of rows where all have the same.
func (p *part) either(typ catalog.OID, vs ...value) value {
	r := p.combine(typ, vs...)
	if p.definitions(vs) {
		r.how = Plain
	}
	var rows []value
	for _, v := range vs {
		if v.fields == nil && p.rowRelation(v.typ) != nil {
			v.fields = p.parts(v)
		}
		if v.fields != nil {
			rows = append(rows, v)
		} else if len(v.src) > 0 || v.how == Opaque {
			return r
		}
	}
	if len(rows) == 0 {
		return r
	}
	n := len(rows[0].fields)
	for _, v := range rows {
		if len(v.fields) != n {
			return r
		}
	}
	r.fields = make([]field, n)
	for i := range n {
		parts := make([]value, len(rows))
		for j, v := range rows {
			parts[j] = v.fields[i].value
		}
		r.fields[i] = field{rows[0].fields[i].name, p.combine(rows[0].fields[i].typ, parts...)}
	}
	return r
}

// definitions reports whether the one of vs that is chosen is a definition as the
// system catalogs give it, or nothing that a mask is for.
func (p *part) definitions(vs []value) bool {
	found := false
	for _, v := range vs {
		switch {
		case v.how == Constant && len(v.src) == 0:
		case v.how == Opaque || v.fields != nil || p.userColumns(v.src):
			return false
		case !slices.ContainsFunc(v.src, p.tells):
		case v.how == Plain:
			found = true
		default:
			return false
		}
	}
	return found
}

// glue is what can be cut off a definition, or stand between two, so that their
// constants are still found.
var glue = regexp.MustCompile(`^[\s;,"]*$`)

// keepsDefinition reports whether the call, which was just analyzed, cuts what is
// no part of a constant off a definition, or joins definitions.
func (p *part) keepsDefinition(fc *pg.FuncCall, args []value) bool {
	if len(p.a.called) != 1 || p.a.called[0].Schema != "pg_catalog" || fc.FuncVariadic || fc.Over != nil || len(args) == 0 || !p.definitions(args[:1]) {
		return false
	}
	text := " "
	if len(args) > 1 {
		s := fc.Args[1].GetAConst().GetSval()
		if s == nil {
			return false
		}
		text = s.Sval
	}
	switch p.a.called[0].Name {
	case "btrim", "ltrim", "rtrim":
		return glue.MatchString(text)
	case "string_agg":
		// A quote in one would turn those of the next inside out.
		return len(args) == 2 && glue.MatchString(text) && !strings.Contains(text, `"`) && args[0].intact
	}
	return false
}

// intactDefinition reports whether v, the result of the call that was just
// analyzed, is a definition as the server writes it, or several.
func (p *part) intactDefinition(fc *pg.FuncCall, args []value, v value) bool {
	if v.how != Plain || len(p.a.called) != 1 || p.a.called[0].Schema != "pg_catalog" {
		return false
	}
	switch name := p.a.called[0].Name; name {
	case "string_agg":
		return true // see keepsDefinition
	case "btrim", "ltrim", "rtrim":
		return args[0].intact && (len(args) == 1 || !strings.Contains(fc.Args[1].GetAConst().GetSval().GetSval(), `"`))
	default: // a function's body is its author's
		return strings.HasPrefix(name, "pg_get_") && name != "pg_get_functiondef"
	}
}

// written reports whether a column of a system view holds definitions that the
// server writes.
func written(rel *catalog.Relation, name string) bool {
	return rel.Kind == 'v' && isSystemSchema(rel.Schema) && (name == "definition" || name == "indexdef")
}

// beside returns v with what decides that it comes, and how often. A definition
// stays one where that is nothing that a mask is for.
func (p *part) beside(v, by value) value {
	r := p.combine(v.typ, v, by)
	tells := by.how == Opaque || by.how != Count && slices.ContainsFunc(by.src, p.tells)
	if v.how == Plain && !tells && !p.userColumns(by.src) && p.definitions([]value{v}) {
		r.how, r.intact = Plain, v.intact
	}
	return r
}

// chosen returns v where by decides whether it is this one. A definition stays
// one where names and numbers decide.
func (p *part) chosen(v, by value) value {
	r := p.beside(v, by)
	how := r.how
	if r = derived(r); how == Plain {
		r.how = Plain
	}
	return r
}

// row returns a composite value of fields.
func (p *part) row(typ catalog.OID, fields []field) value {
	vs := make([]value, len(fields))
	for i, f := range fields {
		vs[i] = f.value
	}
	r := p.combine(typ, vs...)
	r.fields, r.named = p.bounded(fields), true
	return r
}

// maxParts bounds the values in a row. A row can hold another one twice, which
// holds another one twice, and so on: whatever goes through the parts would go
// through twice as many with each.
const maxParts = 10_000

// bounded returns the parts of a row, or nil where they are too many for the
// statement to be understood.
func (p *part) bounded(fields []field) []field {
	n := countParts(fields, maxParts)
	if n > maxParts {
		p.exhaust(tooLarge)
	}
	if !p.spend(n / 8) {
		return nil
	}
	return fields
}

// countParts counts the values in a row, up to one more than limit.
func countParts(fields []field, limit int) int {
	n := len(fields)
	for _, f := range fields {
		if n > limit {
			return limit + 1
		}
		if f.fields != nil {
			n += countParts(f.fields, limit-n)
		}
	}
	return n
}

// derived returns v as an expression of itself: same sources, not unchanged.
func derived(v value) value {
	if v.how == Plain {
		v.how = Expression
	}
	v.origin, v.known = Column{}, true
	v.untyped = false
	return v
}
