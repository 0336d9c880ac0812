package analysis

import (
	"iter"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A scope is what names of columns mean at one query level.
type scope struct {
	outer   *scope
	items   []*item
	ctes    *cteList
	windows map[string]*pg.WindowDef
	query   *pg.SelectStmt // whose scope it is; nil for another statement's
	// targets are the output columns, which ORDER BY and GROUP BY may name.
	targets []field
	// rows are the base columns whose values make rows: what set-returning
	// functions are given, and LIMIT. Predicates, which only choose, are not.
	rows Columns
}

// An item is one entry of FROM, a join tree included.
type item struct {
	sources []*source
	visible []field // what * gives, and what an unqualified name finds
}

// A source is one alias of FROM.
type source struct {
	alias string
	rel   *catalog.Relation // nil for what is no relation
	cols  []field
	whole value
	rows  Columns // as in scope
}

// A cteList is the WITH names that are visible, innermost first.
type cteList struct {
	cte  *cte
	next *cteList
}

type cte struct {
	name    string
	node    *pg.CommonTableExpr
	state   int // 0 to do, 1 under way, 2 done
	cols    []field
	rows    Columns  // as in scope
	ctes    *cteList // what its query sees, itself included when recursive
	outer   *scope
	looping bool // referred to itself
	depth   int  // how many others it goes through
}

// withQuery returns the WITH query of that name, or nil.
func (p *part) withQuery(l *cteList, name string) *cte {
	for n := 0; l != nil; l, n = l.next, n+1 {
		if l.cte.name == name {
			return l.cte
		}
		if n%8 == 7 && !p.step() {
			return nil
		}
	}
	return nil
}

// systemColumns are the attribute numbers that every table has.
var systemColumns = map[string]struct {
	num int16
	typ catalog.OID
}{"ctid": {-1, 27}, "xmin": {-2, 28}, "cmin": {-3, 29}, "xmax": {-4, 28}, "cmax": {-5, 29}, "tableoid": {-6, 26}}

// column returns what the parts of a column reference mean: [alias.]column,
// schema.table.column or database.schema.table.column, in sc or around it.
func (p *part) column(parts []string, sc *scope) (value, bool) {
	var found []value
	for s := sc; s != nil && len(found) == 0; s = s.outer {
		if !p.spend(s.size() / 8) {
			return value{}, true
		}
		found = s.lookup(p, parts)
	}
	if len(found) == 0 && len(parts) == 1 {
		// The whole row of an alias.
		for s := sc; s != nil && len(found) == 0; s = s.outer {
			for src := range s.all() {
				if src.alias == parts[0] {
					p.reference(src.whole)
					p.meets(src, "")
					found = append(found, src.whole)
				}
			}
		}
	}
	if p.vars != nil {
		// A name that is a column and a variable is an error of the server
		// unless the function says which wins: take both.
		if v, ok := p.vars.named(parts); ok {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return value{}, false
	case 1:
		return found[0], true
	}
	return p.either(found[0].typ, found...), true
}

// all gives every alias at one query level.
func (s *scope) all() iter.Seq[*source] {
	return func(yield func(*source) bool) {
		for _, it := range s.items {
			for _, src := range it.sources {
				if !yield(src) {
					return
				}
			}
		}
	}
}

// has reports whether the level has an alias.
func (s *scope) has(alias string) bool {
	for src := range s.all() {
		if src.alias == alias {
			return true
		}
	}
	return false
}

// size says how much there is to search.
func (s *scope) size() int {
	n := 0
	for _, it := range s.items {
		n += 1 + len(it.sources) + len(it.visible)/8
	}
	return n
}

// lookup finds a column at one query level.
func (s *scope) lookup(p *part, parts []string) []value {
	name := parts[len(parts)-1]
	var found []value
	if len(parts) == 1 {
		for _, it := range s.items {
			for _, f := range it.visible {
				if f.name == name {
					found = append(found, f.value)
					if f.gen != given {
						for _, src := range it.sources {
							p.meets(src, name)
						}
					}
				}
			}
		}
	}
	if len(found) == 0 {
		sys, isSystem := systemColumns[name]
		for src := range s.all() {
			if len(parts) > 1 && !src.is(parts[:len(parts)-1]) {
				continue
			}
			if len(parts) > 1 {
				for _, f := range src.cols {
					if f.name == name {
						found = append(found, f.value)
						p.meets(src, name)
					}
				}
			}
			if len(found) == 0 && isSystem && src.rel != nil && src.rel.Kind != 'v' {
				found = append(found, value{src: Columns{{src.rel.OID, sys.num}}, how: Plain, typ: sys.typ, origin: Column{src.rel.OID, sys.num}, known: true})
			}
		}
	}
	for _, v := range found {
		p.reference(v)
		p.computes(v)
	}
	return found
}

// is reports whether a qualifier (alias, schema.table, database.schema.table)
// names the source.
func (src *source) is(q []string) bool {
	if len(q) == 1 {
		return src.alias == q[0]
	}
	return src.rel != nil && src.alias == src.rel.Name && src.rel.Name == q[len(q)-1] && src.rel.Schema == q[len(q)-2]
}

// reference records that a column is used by the text.
func (p *part) reference(v value) {
	for _, c := range v.src {
		if _, ok := p.rec.touched[c]; ok {
			continue
		}
		p.rec.touched[c] = struct{}{}
		p.meta(c)
	}
}

// everything returns a value that derives from all that is in scope: what an
// expression that is not understood could return.
func (p *part) everything(sc *scope) value {
	var vs []value
	for s := sc; s != nil && p.spend(4*s.size()); s = s.outer {
		for src := range s.all() {
			p.reference(src.whole)
			vs = append(vs, src.whole)
		}
	}
	v := p.combine(0, vs...)
	v.how, v.known = Opaque, false
	return v
}

// star expands * or alias.*.
func (p *part) star(qualifier []string, sc *scope) ([]field, bool) {
	if len(qualifier) == 0 {
		var out []field
		for _, it := range sc.items {
			if !p.spend(len(it.visible)) {
				break
			}
			for _, f := range it.visible {
				p.reference(f.value)
				out = append(out, f)
			}
		}
		return out, true
	}
	for s := sc; s != nil; s = s.outer {
		for src := range s.all() {
			if src.is(qualifier) {
				p.meets(src, "")
				for _, f := range src.cols {
					p.reference(f.value)
				}
				return src.cols, true
			}
		}
	}
	// A composite variable or column: v.*
	if v, ok := p.column(qualifier, sc); ok {
		return p.parts(v), true
	}
	return nil, false
}

// parts returns the fields of a composite value; when they are not known one
// by one, each derives from the whole.
func (p *part) parts(v value) []field {
	if v.fields != nil {
		return v.fields
	}
	rel := p.rowRelation(v.typ)
	if rel == nil {
		return nil
	}
	var out []field
	for _, c := range rel.Columns {
		if !c.Dropped {
			f := derived(v)
			f.typ, f.fields, f.set = c.Type, nil, false
			out = append(out, field{c.Name, f})
		}
	}
	return out
}

// rowRelation returns the relation whose rows are of type t (through domains),
// or nil.
func (p *part) rowRelation(t catalog.OID) *catalog.Relation {
	for range 8 {
		typ := p.a.snap.Type(t)
		if typ == nil {
			return nil
		}
		if typ.Kind == 'd' {
			t = typ.Base
			continue
		}
		if typ.Relation == 0 {
			return nil
		}
		return p.a.snap.Relation(typ.Relation)
	}
	return nil
}

// source makes the source of a relation in FROM.
func (p *part) relationSource(rel *catalog.Relation, alias string) *source {
	if alias == "" {
		alias = rel.Name
	}
	src := &source{alias: alias, rel: rel}
	if rel.Kind == 'v' && systemRelation(rel) == "" {
		src.cols = p.viewColumns(rel)
		src.rows = p.a.rows
	} else {
		for _, c := range rel.Columns {
			if c.Dropped {
				continue
			}
			col := Column{rel.OID, c.Num}
			src.cols = append(src.cols, field{c.Name, value{src: Columns{col}, how: Plain, typ: c.Type, origin: col, known: true, intact: written(rel, c.Name)}})
		}
	}
	src.whole = p.row(rel.RowType, src.cols)
	src.whole.origin = Column{rel.OID, 0}
	src.whole.known = true
	if src.whole.how == Constant {
		src.whole.how = Expression
	}
	return src
}

func isSystemSchema(s string) bool {
	return s == "pg_catalog" || s == "information_schema" || s == "pg_toast"
}

// viewColumns expands a view: what its columns derive from.
func (p *part) viewColumns(rel *catalog.Relation) []field {
	if p.expanding(rel.OID) {
		p.unknown("the view "+relName(rel)+" refers to itself or nests too deep", -1)
		return p.opaqueColumns(rel)
	}
	q := p.within(viewStep+relName(rel), rel.OID, definitionNames(p.a.snap), nil)
	q.defined = true
	sel := p.a.definition(rel)
	if sel == nil {
		p.unknown("the definition of the view "+relName(rel)+" could not be parsed", -1)
		return p.opaqueColumns(rel)
	}
	cols := q.query(sel, nil)
	var out []field
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		if len(out) >= len(cols) {
			break
		}
		v := cols[len(out)].value
		v.origin, v.known = Column{rel.OID, c.Num}, true
		v.typ = c.Type
		v.lits = nil
		out = append(out, field{c.Name, v})
	}
	if len(out) != len(cols) || len(out) == 0 && len(rel.Columns) > 0 {
		p.unknown("the definition of the view "+relName(rel)+" does not match its columns", -1)
		return p.opaqueColumns(rel)
	}
	return out
}

func (p *part) opaqueColumns(rel *catalog.Relation) []field {
	var out []field
	for _, c := range rel.Columns {
		if !c.Dropped {
			out = append(out, field{c.Name, value{typ: c.Type, src: Columns{{rel.OID, c.Num}}, origin: Column{rel.OID, c.Num}, known: true}})
		}
	}
	return out
}

func relName(r *catalog.Relation) string { return r.Schema + "." + r.Name }

// qualified joins the parts of a name for a person to read.
func qualified(parts []string) string { return strings.Join(parts, ".") }

// rename applies the column names of an alias.
func rename(cols []field, names []string) []field {
	if len(names) == 0 {
		return cols
	}
	cols = slices.Clone(cols)
	for i := range min(len(cols), len(names)) {
		cols[i].name = names[i]
	}
	return cols
}
