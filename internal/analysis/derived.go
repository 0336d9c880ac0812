package analysis

import (
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// Derived returns the columns that carry values of the seeds, and of which: the
// seeds themselves; partitions, inheritance parents and children; both ends of
// foreign keys; generated columns; materialized views; columns that a trigger,
// a rule or a default fills; foreign tables whose remote column has the name of
// a seed; columns whose type is the row of a relation that has one.
//
// It looks at definitions only: what statements have copied is not seen.
func Derived(snap *catalog.Snapshot, seeds Columns) map[Column]Columns {
	d := &deriver{snap: snap, of: map[Column]Columns{}}
	for _, s := range seeds {
		d.add(s, Columns{s})
	}
	if len(seeds) == 0 {
		return d.of
	}
	edges := d.edges()
	for d.changed {
		d.changed = false
		for _, e := range edges {
			var from Columns
			for _, c := range e.from {
				from = from.Union(d.of[c])
			}
			if len(from) > 0 {
				d.add(e.to, from)
			}
		}
	}
	return d.of
}

type deriver struct {
	snap    *catalog.Snapshot
	of      map[Column]Columns
	changed bool
}

func (d *deriver) add(c Column, from Columns) {
	if u := d.of[c].Union(from); len(u) != len(d.of[c]) {
		d.of[c] = u
		d.changed = true
	}
}

// An edge says that values flow from columns to a column by a definition.
type edge struct {
	to   Column
	from Columns
}

type edgesKey struct{}

// edges are the same for all seeds: they are kept with the snapshot.
func (d *deriver) edges() []edge {
	return d.snap.Memo(edgesKey{}, func() any { return findEdges(d.snap) }).([]edge)
}

func findEdges(snap *catalog.Snapshot) []edge {
	var out []edge
	both := func(a, b Column) {
		out = append(out, edge{a, Columns{b}}, edge{b, Columns{a}})
	}
	for rel := range snap.Relations() {
		if isSystemSchema(rel.Schema) {
			continue
		}
		for _, oid := range rel.Children {
			child := snap.Relation(oid)
			if child == nil {
				continue
			}
			for _, c := range rel.Columns {
				if cc := child.ColumnNamed(c.Name); cc != nil && !c.Dropped {
					both(Column{rel.OID, c.Num}, Column{oid, cc.Num})
				}
			}
		}
		for _, fk := range rel.ForeignKeys {
			for i := range min(len(fk.FromCols), len(fk.ToCols)) {
				both(Column{fk.From, fk.FromCols[i]}, Column{fk.To, fk.ToCols[i]})
			}
		}
		out = append(out, computed(snap, rel)...)
		out = append(out, remote(snap, rel)...)
		out = append(out, ofRows(snap, rel)...)
	}
	return out
}

// ofRows are the columns that hold rows of other relations, as their types say.
func ofRows(snap *catalog.Snapshot, rel *catalog.Relation) []edge {
	var out []edge
	for _, c := range rel.Columns {
		if !c.Dropped && rel.Kind != 'v' && rel.Kind != 'c' {
			if from := rowColumns(snap, c.Type, 0); len(from) > 0 {
				out = append(out, edge{Column{rel.OID, c.Num}, from})
			}
		}
	}
	return out
}

// rowColumns returns the columns of the relations whose rows a type is made of:
// through domains, arrays, ranges and the fields of composites.
func rowColumns(snap *catalog.Snapshot, typ catalog.OID, depth int) Columns {
	t := snap.Type(typ)
	if t == nil || depth > maxNesting {
		return nil
	}
	var all Columns
	for _, inner := range []catalog.OID{t.Base, t.Element, t.Subtype} {
		if inner != 0 {
			all = all.Union(rowColumns(snap, inner, depth+1))
		}
	}
	rel := snap.Relation(t.Relation)
	if rel == nil {
		return all
	}
	if rel.Kind == 'v' {
		a := &analyzer{snap: snap, sess: Session{}, depends: map[catalog.OID]struct{}{}}
		p := &part{a: a, rec: newRecorder(&Statement{}), names: definitionNames(snap)}
		for _, c := range p.viewColumns(rel) {
			all = all.Union(c.src)
		}
		return all
	}
	for _, c := range rel.Columns {
		switch {
		case c.Dropped:
		case rel.Kind == 'c':
			all = all.Union(rowColumns(snap, c.Type, depth+1))
		default:
			all = all.Union(Columns{{rel.OID, c.Num}})
		}
	}
	return all
}

// computed are the flows of the relation's own definitions: its generated
// columns, defaults, triggers and rules, and its query if it is materialized.
func computed(snap *catalog.Snapshot, rel *catalog.Relation) []edge {
	st := &Statement{}
	a := &analyzer{snap: snap, sess: Session{Path: []string{"pg_catalog", "public"}}, depends: map[catalog.OID]struct{}{}}
	p := &part{a: a, rec: newRecorder(st), names: definitionNames(snap)}
	var out []edge
	add := func(to Column, from Columns) {
		if len(from) > 0 {
			out = append(out, edge{to, from})
		}
	}
	if rel.Kind == 'm' {
		if sel := a.definition(rel); sel != nil {
			cols := p.query(sel, nil)
			i := 0
			for _, c := range rel.Columns {
				if c.Dropped {
					continue
				}
				if i < len(cols) {
					add(Column{rel.OID, c.Num}, cols[i].src)
				}
				i++
			}
		}
		return out
	}
	interesting := len(rel.Triggers) > 0 || len(rel.Rules) > 0
	for _, c := range rel.Columns {
		if c.Default == "" || c.Dropped {
			continue
		}
		if c.Generated == 0 && !strings.Contains(c.Default, "(") {
			continue
		}
		sc := &scope{}
		if c.Generated != 0 {
			sc.items = []*item{single(p.relationSource(rel, rel.Name))}
		}
		v := p.check("default of "+relName(rel)+"."+c.Name, rel.OID, c.Default, sc, nil)
		add(Column{rel.OID, c.Num}, p.coerce(v, c.Type, 'a').src)
	}
	if !interesting {
		return out
	}
	// What every kind of write leads to, with each column written from itself.
	for _, act := range []Action{Insert, Update, Delete} {
		assigned := map[int16]value{}
		if act != Delete {
			for _, c := range rel.Columns {
				if !c.Dropped && c.Generated == 0 {
					col := Column{rel.OID, c.Num}
					assigned[c.Num] = value{src: Columns{col}, how: Plain, typ: c.Type, known: true, origin: col}
				}
			}
		}
		p.fire(rel, act, assigned, &scope{})
	}
	for _, f := range st.Flows {
		if f.To.Rel == 0 {
			continue
		}
		if f.To.Att != 0 {
			add(f.To, f.From)
			continue
		}
		if to := snap.Relation(f.To.Rel); to != nil {
			for _, c := range to.Columns {
				if !c.Dropped {
					add(Column{to.OID, c.Num}, f.From)
				}
			}
		}
	}
	return out
}

// remoteRelation returns the relation of this database that a foreign table has
// the name of, or nil.
func remoteRelation(snap *catalog.Snapshot, rel *catalog.Relation) *catalog.Relation {
	if rel.Foreign == nil {
		return nil
	}
	schema, table := rel.Foreign.Options["schema_name"], rel.Foreign.Options["table_name"]
	if schema == "" {
		schema = rel.Schema
	}
	if table == "" {
		table = rel.Foreign.Options["table"]
	}
	if table == "" {
		table = rel.Name
	}
	target := snap.RelationNamed(schema, table)
	if target == nil || target.OID == rel.OID {
		return nil
	}
	return target
}

// remote are the columns of a foreign table that stand for a column of the same
// name in this database: the server may be this one, and a namesake elsewhere
// deserves the same care.
func remote(snap *catalog.Snapshot, rel *catalog.Relation) []edge {
	target := remoteRelation(snap, rel)
	if target == nil {
		return nil
	}
	var all Columns
	var viewCols []field
	if target.Kind == 'v' {
		a := &analyzer{snap: snap, sess: Session{}, depends: map[catalog.OID]struct{}{}}
		p := &part{a: a, rec: newRecorder(&Statement{}), names: definitionNames(snap)}
		viewCols = p.viewColumns(target)
		for _, c := range viewCols {
			all = all.Union(c.src)
		}
	}
	var out []edge
	for _, c := range rel.Columns {
		if c.Dropped {
			continue
		}
		name := c.Foreign["column_name"]
		if name == "" {
			name = c.Name
		}
		tc := target.ColumnNamed(name)
		switch {
		case tc == nil:
			var from Columns
			for _, x := range target.Columns {
				if !x.Dropped {
					from = from.Union(Columns{{target.OID, x.Num}})
				}
			}
			out = append(out, edge{Column{rel.OID, c.Num}, from.Union(all)})
		case viewCols != nil:
			out = append(out, edge{Column{rel.OID, c.Num}, named(viewCols, name).src})
		default:
			out = append(out, edge{Column{rel.OID, c.Num}, Columns{{target.OID, tc.Num}}})
		}
	}
	return out
}

// Trace says by which columns a value gets from a seed to a column, for
// reports: the names of relations that define the way. It is nil for a seed.
func Trace(snap *catalog.Snapshot, c Column) []string {
	var out []string
	for _, e := range (&deriver{snap: snap}).edges() {
		if e.to == c {
			for _, f := range e.from {
				if rel := snap.Relation(f.Rel); rel != nil {
					if col := rel.Column(f.Att); col != nil {
						out = append(out, relName(rel)+"."+col.Name)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
