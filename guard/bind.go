package guard

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
	"github.com/guardedpg/guardedpg/mask"
)

// A Bound is a policy bound to the definitions of one database at one moment.
// It is immutable and safe for concurrent use. The zero Bound denies everything.
type Bound struct {
	engine    *Engine
	cat       definitions
	protected map[analysis.Column]*protection
	byRel     map[catalog.OID][]*protection // by attribute number
	critical  map[catalog.OID]bool
	// named is which relations the patterns under critical found, now or before.
	named    map[catalog.OID]string
	warnings strictyaml.Errors
}

// A protection is a protected column.
type protection struct {
	column analysis.Column
	name   string
	spec   mask.Spec
	// rule says why: the pattern, "comment", or the seeds.
	rule string
	// origin is the pattern's text, tagOrigin, or "" for a derived one.
	origin string
	seeds  analysis.Columns // of a derived one
	// computed is true where a pattern names a view's column that is computed from this one.
	computed bool
	// unless are the conditions that must all hold for the clear value; never is
	// true when none can.
	unless []*clearance
	never  bool
	// allowed are the results over many rows that are given in the clear.
	allowed Aggregates
}

const tagOrigin = "comment"

// definitions is what guard needs of a [catalog.Snapshot].
type definitions interface {
	Relation(catalog.OID) *catalog.Relation
	Relations() iter.Seq[*catalog.Relation]
	Descendants(catalog.OID) []*catalog.Relation
	Ancestors(catalog.OID) []*catalog.Relation
}

// lineage is what guard asks the analysis about definitions.
type lineage struct {
	derived func(seeds analysis.Columns) map[analysis.Column]analysis.Columns
	// view returns the outputs of a view, one per column, or nil when it is not
	// understood.
	view func(*catalog.Relation) []analysis.Output
	// system returns what the system catalogs tell that no pattern names; nil
	// is nothing.
	system func() map[analysis.Column]analysis.SystemData
	// compared returns the columns that definitions compare with constants, by
	// what shows the definitions.
	compared func() map[analysis.SystemData]analysis.Columns
}

// Bind finds what the policy names among the definitions. What prev protected
// stays protected by (OID, attribute number) as long as the policy still has
// the pattern that named it; nil means that there was nothing before. The error,
// under strict, holds what [Bound.Warnings] returns otherwise.
func (e *Engine) Bind(snap *catalog.Snapshot, prev *Bound) (*Bound, error) {
	return e.bind(snap, lineage{
		derived: func(seeds analysis.Columns) map[analysis.Column]analysis.Columns {
			return analysis.Derived(snap, seeds)
		},
		view: func(r *catalog.Relation) []analysis.Output {
			text := "SELECT * FROM " + quoteName(r.Schema) + "." + quoteName(r.Name)
			facts, err := analysis.Analyze(context.Background(), text, snap, analysis.Session{Path: []string{"pg_catalog"}, Trusted: e.Trusts})
			if err != nil || len(facts.Statements) != 1 || len(facts.Statements[0].Unknown) > 0 {
				return nil
			}
			return facts.Statements[0].Outputs
		},
		system:   func() map[analysis.Column]analysis.SystemData { return analysis.System(snap) },
		compared: func() map[analysis.SystemData]analysis.Columns { return analysis.Compared(snap) },
	}, prev)
}

func (e *Engine) bind(cat definitions, lin lineage, prev *Bound) (*Bound, error) {
	b := &Bound{
		engine: e, cat: cat,
		protected: map[analysis.Column]*protection{}, byRel: map[catalog.OID][]*protection{},
		critical: map[catalog.OID]bool{}, named: map[catalog.OID]string{},
	}
	relations := slices.SortedFunc(cat.Relations(), func(a, b *catalog.Relation) int {
		return strings.Compare(a.Schema+"\x00"+a.Name, b.Schema+"\x00"+b.Name)
	})
	b.bindColumns(relations, lin)
	b.keep(prev)
	b.bindDerived(lin, prev)
	b.bindSystem(lin)
	b.bindCritical(relations, prev)
	for _, p := range b.protected {
		b.byRel[p.column.Rel] = append(b.byRel[p.column.Rel], p)
	}
	for _, list := range b.byRel {
		slices.SortFunc(list, func(p, q *protection) int { return int(p.column.Att) - int(q.column.Att) })
	}
	if e.policy.Strict && len(b.warnings) > 0 {
		return nil, b.warnings
	}
	return b, nil
}

// Warnings returns what the policy names and the database does not have, and
// the like, each with file, line and key.
func (b *Bound) Warnings() []string {
	var all []string
	for _, w := range b.warnings {
		all = append(all, w.Error())
	}
	return all
}

// Engine returns the policy that is bound.
func (b *Bound) Engine() *Engine { return b.engine }

// A ProtectedColumn is a protected column, for people to read.
type ProtectedColumn struct {
	Column string // "public.customers.email"
	Mask   string // as a policy writes it
	Rule   string // the pattern, "comment", or "derives from ..."
}

// Protected returns every protected column, sorted.
func (b *Bound) Protected() []ProtectedColumn {
	var all []ProtectedColumn
	for _, p := range b.protected {
		if p.rule == "guard.catalog" {
			continue // the same for every policy
		}
		all = append(all, ProtectedColumn{p.name, p.spec.String(), p.rule})
	}
	slices.SortFunc(all, func(p, q ProtectedColumn) int { return strings.Compare(p.Column, q.Column) })
	return all
}

func (b *Bound) warn(at strictyaml.Place, key, format string, args ...any) {
	b.warnings = append(b.warnings, &strictyaml.Error{Place: at, Key: key, What: fmt.Sprintf(format, args...)})
}

// bindColumns protects what patterns and comments name.
func (b *Bound) bindColumns(relations []*catalog.Relation, lin lineage) {
	matched := make([]bool, len(b.engine.protect))
	for _, rel := range relations {
		var outputs []analysis.Output
		for _, col := range rel.Columns {
			if col.Dropped {
				continue
			}
			var found *protect
			for i := range b.engine.protect {
				p := &b.engine.protect[i]
				if p.pattern.match(rel.Schema, rel.Name, col.Name) && !skipped(rel, p.pattern) {
					matched[i] = true
					if found == nil {
						found = p
					}
				}
			}
			column := analysis.Column{Rel: rel.OID, Att: col.Num}
			switch {
			case found == nil && stores(rel.Kind):
				b.bindTag(rel, &col)
			case found == nil:
			case stores(rel.Kind):
				b.protected[column] = b.protectionBy(column, rel, &col, found)
			case rel.Kind == 'v':
				if outputs == nil {
					outputs = lin.view(rel)
				}
				b.bindView(rel, &col, outputs, found)
			}
		}
	}
	for i, p := range b.engine.protect {
		if !matched[i] && p.pattern.parts != nil {
			b.warn(p.at, p.key+".column", "%s matches no column%s", p.pattern.text, b.nearest(relations, p.pattern))
		}
	}
}

// stores reports whether a relation of that kind has rows of its own.
func stores(kind byte) bool { return kind == 'r' || kind == 'p' || kind == 'f' || kind == 'm' }

// skipped keeps patterns with a star in the schema out of the system's schemas:
// nobody who protects *.*.name means pg_catalog.
func skipped(rel *catalog.Relation, p pattern) bool {
	system := rel.Schema == "pg_catalog" || rel.Schema == "information_schema" || rel.Schema == "pg_toast"
	return system && !p.parts[0].literal()
}

func (b *Bound) protectionBy(column analysis.Column, rel *catalog.Relation, col *catalog.Column, p *protect) *protection {
	out := &protection{column: column, name: columnName(rel, col), spec: p.spec, rule: p.pattern.text, origin: p.pattern.text, never: p.unless == nil, allowed: p.allowed}
	if p.unless != nil {
		out.unless = []*clearance{p.unless}
	}
	return out
}

// bindView protects what a column of a view derives from: facts are about
// columns that store values.
func (b *Bound) bindView(rel *catalog.Relation, col *catalog.Column, outputs []analysis.Output, p *protect) {
	name := columnName(rel, col)
	visible := 0
	for _, c := range rel.Columns[:col.Num] {
		if !c.Dropped {
			visible++
		}
	}
	if visible == 0 || visible > len(outputs) || outputs[visible-1].How == analysis.Opaque {
		b.warn(p.at, p.key+".column", "%s is a column of a view, and what it derives from could not be found: protect that by name", name)
		return
	}
	out := outputs[visible-1]
	var added []string
	for _, source := range out.Sources {
		base := b.cat.Relation(source.Rel)
		if base == nil || b.protected[source] != nil {
			continue
		}
		for i := range base.Columns {
			c := &base.Columns[i]
			if c.Dropped || source.Att != 0 && source.Att != c.Num {
				continue
			}
			column := analysis.Column{Rel: source.Rel, Att: c.Num}
			protection := b.protectionBy(column, base, c, p)
			protection.allowed = Aggregates{} // they were named for the view
			if protection.computed = out.How != analysis.Plain; protection.computed {
				protection.spec = p.spec.Derived()
			}
			// A pattern that names the base column itself counts for more.
			if b.directly(base, c) == nil {
				b.protected[column] = protection
				added = append(added, protection.name)
			}
		}
	}
	if len(added) > 0 {
		b.warn(p.at, p.key+".column", "%s is a column of a view: what it derives from is protected, %s", name, strings.Join(added, ", "))
	}
}

// directly returns the pattern that names a column, or nil.
func (b *Bound) directly(rel *catalog.Relation, col *catalog.Column) *protect {
	for i := range b.engine.protect {
		if p := &b.engine.protect[i]; p.pattern.match(rel.Schema, rel.Name, col.Name) && !skipped(rel, p.pattern) {
			return p
		}
	}
	return nil
}

var tag = regexp.MustCompile(`@mask(\(|\b)`)

// bindTag protects a column whose comment says so. A tag that is not understood
// protects with redact.
func (b *Bound) bindTag(rel *catalog.Relation, col *catalog.Column) {
	at := tag.FindStringIndex(col.Comment)
	if at == nil {
		return
	}
	column := analysis.Column{Rel: rel.OID, Att: col.Num}
	p := &protection{column: column, name: columnName(rel, col), rule: tagOrigin, origin: tagOrigin, never: true}
	spec, err := parseTag(col.Comment[at[0]:])
	if err != nil {
		b.warn(strictyaml.Place{}, "comment of "+p.name, "its tag is not understood, so the column is redacted: %v", err)
	}
	p.spec = spec
	b.protected[column] = p
}

// parseTag reads "@mask", "@mask(email)" or "@mask(partial: {last: 4})" at the
// beginning of text. With an error comes redact.
func parseTag(text string) (mask.Spec, error) {
	inner, ok := strings.CutPrefix(text, "@mask(")
	if !ok {
		return mask.Redact, nil
	}
	depth := 1
	for i := range len(inner) {
		switch inner[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			var m Mask
			if err := strictyaml.Decode([]byte(inner[:i]), "tag", &m); err != nil {
				if all, ok := err.(strictyaml.Errors); ok && len(all) > 0 {
					return mask.Redact, fmt.Errorf("%s", all[0].What)
				}
				return mask.Redact, err
			}
			return m.Spec, nil
		}
	}
	return mask.Redact, fmt.Errorf("a parenthesis is not closed")
}

// keep protects what prev protected directly and no pattern finds any more.
func (b *Bound) keep(prev *Bound) {
	if prev == nil {
		return
	}
	for column, old := range prev.protected {
		if old.origin == "" || b.protected[column] != nil {
			continue
		}
		p := *old
		switch i := slices.IndexFunc(b.engine.protect, func(p protect) bool { return p.pattern.text == old.origin }); {
		case old.origin == tagOrigin && b.engine.hash == prev.engine.hash:
		case old.origin == tagOrigin || i < 0:
			continue
		default:
			now := &b.engine.protect[i]
			p.unless, p.never = nil, now.unless == nil
			if now.unless != nil {
				p.unless = []*clearance{now.unless}
			}
			if p.spec = now.spec; p.computed {
				p.spec = now.spec.Derived()
			}
			if len(p.allowed.Functions) > 0 {
				p.allowed = now.allowed
			}
		}
		// Kept also while the relation is not there: a rolled back DROP brings it back.
		if rel := b.cat.Relation(column.Rel); rel != nil {
			if col := rel.Column(column.Att); col != nil {
				p.name = columnName(rel, col)
			}
		}
		b.protected[column] = &p
	}
}

// bindDerived protects the columns that carry values of protected ones.
func (b *Bound) bindDerived(lin lineage, prev *Bound) {
	if len(b.protected) == 0 {
		return
	}
	seeds := columnsOf(maps.Keys(b.protected))
	derived := map[analysis.Column]analysis.Columns{}
	if prev != nil {
		for column, old := range prev.protected {
			if old.origin == "" {
				derived[column] = old.seeds
			}
		}
	}
	for column, from := range lin.derived(seeds) {
		derived[column] = derived[column].Union(from)
	}
	for _, column := range columnsOf(maps.Keys(derived)) {
		if b.protected[column] != nil && b.protected[column].origin != "" {
			continue
		}
		rel := b.cat.Relation(column.Rel)
		if rel == nil {
			if old := prev.at(column); len(old) == 1 && len(b.expandDirect(old[0].seeds)) > 0 {
				b.protected[column] = old[0]
			}
			continue
		}
		for i := range rel.Columns {
			col := &rel.Columns[i]
			if col.Dropped || column.Att != 0 && column.Att != col.Num {
				continue
			}
			if p := b.derive(rel, col, derived[column]); p != nil && b.protected[p.column] == nil {
				b.protected[p.column] = p
			}
		}
	}
}

// derive returns the protection of a column that carries values of seeds, or
// nil when none of them is protected any more.
func (b *Bound) derive(rel *catalog.Relation, col *catalog.Column, seeds analysis.Columns) *protection {
	p := &protection{column: analysis.Column{Rel: rel.OID, Att: col.Num}, name: columnName(rel, col), seeds: seeds}
	var from []string
	for _, s := range b.expandDirect(seeds) {
		spec := s.spec
		if !b.sameValue(rel, col, s.column) {
			spec = spec.Derived()
		}
		if len(from) == 0 {
			p.spec = spec
		} else {
			p.spec = mask.Strictest(p.spec, spec)
		}
		p.never = p.never || s.never
		p.unless = append(p.unless, s.unless...)
		from = append(from, s.name)
	}
	if len(from) == 0 {
		return nil
	}
	p.rule = "derives from " + strings.Join(from, ", ")
	return p
}

// codeMask shows a function's body without constants, which may hold what no
// column holds; textMask shows a comment without what looks like personal
// data.
var codeMask, textMask = mustParse("code"), mustParse("text")

func mustParse(name string) mask.Spec {
	spec, err := mask.Parse(name, nil)
	if err != nil {
		panic(err)
	}
	return spec
}

// bindSystem protects what the system catalogs tell of tables' values, other
// sessions' statements and secrets, as soon as anything is protected.
func (b *Bound) bindSystem(lin lineage) {
	if len(b.protected) == 0 || lin.system == nil {
		return
	}
	bare := b.bare(lin)
	for column, kind := range lin.system() {
		if b.protected[column] != nil || bare[kind] {
			continue
		}
		p := &protection{column: column, rule: "guard.catalog", never: true, name: "a result of a function of the server"}
		switch kind {
		case analysis.SystemValues:
		case analysis.SystemComment:
			p.spec = textMask
		default:
			p.spec = codeMask
		}
		if rel := b.cat.Relation(column.Rel); rel != nil && column.Att != analysis.ResultAtt && rel.Column(column.Att) != nil {
			p.name = columnName(rel, rel.Column(column.Att))
		}
		b.protected[column] = p
	}
}

// constant matches a string constant that says something.
var constant = regexp.MustCompile(`'[^']*[\pL\pN][^']*'`)

// bare returns the kinds of definitions that hold no string constants where they
// are those of relations with protected columns, and so no values of these; of
// comments, that hold nothing that looks like one.
func (b *Bound) bare(lin lineage) map[analysis.SystemData]bool {
	holds, comments := map[analysis.SystemData]bool{}, ""
	for column := range b.protected {
		rel := b.cat.Relation(column.Rel)
		if rel == nil {
			continue
		}
		add := func(kind analysis.SystemData, text string) { holds[kind] = holds[kind] || constant.MatchString(text) }
		for _, i := range rel.Indexes {
			add(analysis.SystemIndex, i.Predicate)
			for _, e := range i.Expressions {
				add(analysis.SystemIndex, e)
			}
		}
		for _, c := range rel.Checks {
			add(analysis.SystemCheck, c.Expr)
		}
		for _, p := range rel.Policies {
			add(analysis.SystemPolicy, p.Using)
			add(analysis.SystemPolicy, p.Check)
		}
		for _, t := range rel.Triggers {
			add(analysis.SystemTrigger, t.Definition)
		}
		comments += rel.Comment + "\n"
		for _, c := range rel.Columns {
			comments += c.Comment + "\n"
		}
		if c := rel.Column(column.Att); c != nil {
			if c.Generated == 0 { // else see Compared
				add(analysis.SystemDefault, c.Default)
			}
			if strings.Contains(rel.PartitionKey, c.Name) {
				holds[analysis.SystemBound] = true // of the partitions
			}
		}
	}
	bare := map[analysis.SystemData]bool{analysis.SystemComment: len(mask.Entities(comments)) == 0}
	for kind, columns := range lin.compared() {
		holds[kind] = holds[kind] || slices.ContainsFunc(columns, func(c analysis.Column) bool { return b.protected[c] != nil })
	}
	for _, kind := range []analysis.SystemData{analysis.SystemIndex, analysis.SystemCheck, analysis.SystemPolicy, analysis.SystemTrigger,
		analysis.SystemDefault, analysis.SystemBound, analysis.SystemView} {
		bare[kind] = !holds[kind]
	}
	return bare
}

// expandDirect is expand before byRel is made.
func (b *Bound) expandDirect(columns analysis.Columns) []*protection {
	var all []*protection
	for _, c := range columns {
		all = append(all, b.at(c)...)
	}
	return all
}

// at returns the protections of a column, or of all of a relation. A nil Bound
// has none.
func (b *Bound) at(column analysis.Column) []*protection {
	if b == nil {
		return nil
	}
	if column.Att != 0 {
		if p := b.protected[column]; p != nil {
			return []*protection{p}
		}
		return nil
	}
	var all []*protection
	for _, c := range columnsOf(maps.Keys(b.protected)) {
		if c.Rel == column.Rel {
			all = append(all, b.protected[c])
		}
	}
	return all
}

// sameValue reports whether a column holds a seed's values unchanged: the same
// column of a partition, child or parent, or the other end of a foreign key.
func (b *Bound) sameValue(rel *catalog.Relation, col *catalog.Column, seed analysis.Column) bool {
	from := b.cat.Relation(seed.Rel)
	if from == nil || from.Column(seed.Att) == nil || from.Column(seed.Att).Type != col.Type {
		return false
	}
	isFrom := func(r *catalog.Relation) bool { return r.OID == from.OID }
	if from.Column(seed.Att).Name == col.Name &&
		(slices.ContainsFunc(b.cat.Ancestors(rel.OID), isFrom) || slices.ContainsFunc(b.cat.Descendants(rel.OID), isFrom)) {
		return true
	}
	linked := func(keys []catalog.ForeignKey) bool {
		for _, k := range keys {
			for i := range min(len(k.FromCols), len(k.ToCols)) {
				a, z := analysis.Column{Rel: k.From, Att: k.FromCols[i]}, analysis.Column{Rel: k.To, Att: k.ToCols[i]}
				here := analysis.Column{Rel: rel.OID, Att: col.Num}
				if a == here && z == seed || z == here && a == seed {
					return true
				}
			}
		}
		return false
	}
	return linked(rel.ForeignKeys) || linked(rel.ReferredBy)
}

// bindCritical finds the critical tables.
func (b *Bound) bindCritical(relations []*catalog.Relation, prev *Bound) {
	for i, p := range b.engine.critical {
		found := false
		for _, rel := range relations {
			if !p.match(rel.Schema, rel.Name) || skipped(rel, p) {
				continue
			}
			switch {
			case stores(rel.Kind):
				found = true
				b.named[rel.OID] = p.text
			case rel.Kind == 'v' && p.exact():
				found = true
				b.warn(b.engine.policy.Places.Key("critical"), fmt.Sprintf("critical[%d]", i),
					"%s is a view: name the tables that it shows", p.text)
			}
		}
		if !found {
			b.warn(b.engine.policy.Places.Key("critical"), fmt.Sprintf("critical[%d]", i), "%s matches no table%s", p.text, b.nearest(relations, p))
		}
	}
	if prev != nil {
		for oid, text := range prev.named {
			if b.named[oid] == "" && slices.ContainsFunc(b.engine.critical, func(p pattern) bool { return p.text == text }) {
				b.named[oid] = text
			}
		}
	}
	for oid := range b.named {
		b.critical[oid] = true
		for _, rel := range b.cat.Descendants(oid) {
			b.critical[rel.OID] = true
		}
		for _, rel := range b.cat.Ancestors(oid) {
			b.critical[rel.OID] = true
		}
	}
}

// nearest says what a pattern that matches nothing might mean.
func (b *Bound) nearest(relations []*catalog.Relation, p pattern) string {
	if !p.exact() {
		return ""
	}
	var tables []string
	for _, rel := range relations {
		if !stores(rel.Kind) || skipped(rel, pattern{parts: []patternPart{{"", ""}}}) {
			continue
		}
		tables = append(tables, quoteName(rel.Name))
		if len(p.parts) == 3 && p.parts[0].match(rel.Schema) && p.parts[1].match(rel.Name) {
			var columns []string
			for _, col := range rel.Columns {
				if !col.Dropped {
					columns = append(columns, quoteName(col.Name))
				}
			}
			return strictyaml.DidYouMean(quoteName(p.parts[2][0]), columns)
		}
	}
	near := strictyaml.Nearest(quoteName(p.parts[1][0]), tables)
	i := slices.IndexFunc(relations, func(rel *catalog.Relation) bool { return stores(rel.Kind) && quoteName(rel.Name) == near })
	if i < 0 {
		return ""
	}
	near = relationName(relations[i])
	if len(p.parts) == 3 {
		return "; did you mean a column of " + near + "?"
	}
	return "; did you mean " + near + "?"
}

func columnName(rel *catalog.Relation, col *catalog.Column) string {
	return relationName(rel) + "." + quoteName(col.Name)
}

func relationName(rel *catalog.Relation) string {
	return quoteName(rel.Schema) + "." + quoteName(rel.Name)
}

func columnsOf(seq iter.Seq[analysis.Column]) analysis.Columns {
	return slices.SortedFunc(seq, func(a, b analysis.Column) int {
		if a.Rel != b.Rel {
			if a.Rel < b.Rel {
				return -1
			}
			return 1
		}
		return int(a.Att) - int(b.Att)
	})
}
