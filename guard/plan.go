package guard

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/mask"
)

// A Plan is what a policy says of a text, as far as it does not depend on who
// runs it. It is safe for concurrent use. The zero Plan denies.
type Plan struct {
	bound      *Bound
	facts      *analysis.Facts
	statements []*statementPlan
	// What a decision depends on besides the plan.
	usesIdentity, usesSession, usesEstimate bool
	// moving are the conditions that depend on the time or an estimate, and can
	// say something else each time.
	moving []moving

	mu    sync.RWMutex
	known map[decisionKey]*Decision
}

// A moving condition is one of a statement, or of none where statement is nil.
type moving struct {
	when      *condition
	statement *statementPlan
}

// A statementPlan is one statement of a text.
type statementPlan struct {
	st        *analysis.Statement
	vars      *statementVars
	findings  []finding
	matched   []int // rules that match whoever runs it
	open      []int // rules that depend on who runs it, and when
	outputs   []output
	tests     []*protection
	testNames []string // of tests
	touched   []*protection
	opaque    bool // errors and notices can show anything
	payload   Payload
	detail    string // what the statement does, for an error text
}

// A finding is a verdict that comes before the rules.
type finding struct {
	verdict Verdict
	code    Code
	rule    string
	reason  string
	hint    string
	// cols, where not nil, are what the finding is about: it does not count for
	// an identity that may see them all.
	cols []*protection
}

// An output is one column of a result.
type output struct {
	sources []*protection
	names   []string    // of sources
	masks   []mask.Spec // parallel to sources: own, or derived
	redact  bool        // not understood: shown to nobody
	// released says why the values are given in the clear, "" where they are not.
	released string
}

// Plan computes what does not depend on who runs f. A nil Facts or Bound gives
// a plan that denies.
func (b *Bound) Plan(f *analysis.Facts) *Plan {
	if b == nil || b.engine == nil || f == nil {
		return &Plan{}
	}
	p := &Plan{bound: b, facts: f}
	for _, st := range f.Statements {
		if st == nil {
			return &Plan{}
		}
		s := &statementPlan{st: st}
		s.vars = b.variables(st)
		b.find(s, f.Depends)
		b.outputs(s)
		p.judge(s)
		p.statements = append(p.statements, s)
	}
	return p
}

// Facts returns what was planned.
func (p *Plan) Facts() *analysis.Facts { return p.facts }

// NeedsEstimate reports whether a rule asks how many rows the planner expects,
// so that [Input.Rows] is worth a round trip.
func (p *Plan) NeedsEstimate() bool { return p.usesEstimate }

// pure are the classes of statements that leave nothing behind.
const pure = analysis.Read | analysis.Cursor | analysis.CopyOut | analysis.TextMeta | analysis.ProtectedMeta

// Pure reports whether the text only reads: its intent need not be durable
// before it is sent.
func (p *Plan) Pure() bool {
	for _, s := range p.statements {
		if s.st.Classes&^pure != 0 || len(s.st.Writes) > 0 || len(s.st.Unknown) > 0 {
			return false
		}
	}
	return len(p.statements) > 0
}

// Effects says what the text would do, each line with its path, for people to
// read. It holds no literal of the text.
func (p *Plan) Effects() []string {
	var all []string
	for _, s := range p.statements {
		for _, w := range s.st.Writes {
			all = append(all, withPath(w.Action.String()+" on "+p.bound.relation(w.Rel), w.Path))
		}
		for _, e := range s.st.Effects {
			all = append(all, withPath(e.What, e.Path))
		}
		for _, u := range s.st.Unknown {
			all = append(all, "not understood: "+u.What)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func withPath(what string, path []string) string {
	if len(path) == 0 {
		return what
	}
	return what + " (through " + strings.Join(path, ", ") + ")"
}

// HidesParam reports whether parameter n, from 1, meets a protected column, so
// that its value is shown only to whoever may see the column.
func (p *Plan) HidesParam(n int) bool {
	for _, s := range p.statements {
		for _, l := range s.st.Literals {
			if l.Param == n && len(p.bound.expand(l.Meets)) > 0 {
				return true
			}
		}
	}
	return false
}

// An Overwrite is a constant or parameter that a statement may write to a
// protected column: one that looks like the column's mask would destroy data.
type Overwrite struct {
	Statement  int // index in the text
	Param      int // from 1, or 0 for a constant
	Start, End int // byte offsets of a constant in the text
	Column     string
	Type       catalog.OID // of the column
	Spec       mask.Spec
}

// Overwrites returns what is to be compared with masks before it is written.
func (p *Plan) Overwrites() []Overwrite {
	var all []Overwrite
	for i, s := range p.statements {
		for _, l := range s.st.Literals {
			for _, c := range p.bound.expand(l.Meets) {
				rel := p.bound.cat.Relation(c.column.Rel)
				if !writes(s.st, c.column) || rel == nil || rel.Column(c.column.Att) == nil {
					continue
				}
				all = append(all, Overwrite{i, l.Param, l.Start, l.End, c.name, rel.Column(c.column.Att).Type, c.spec})
			}
		}
	}
	return all
}

func writes(st *analysis.Statement, c analysis.Column) bool {
	return slices.ContainsFunc(st.Writes, func(w analysis.Use) bool {
		return w.Rel == c.Rel && (w.Action == analysis.Insert || w.Action == analysis.Update) &&
			(w.Columns == nil || slices.Contains(w.Columns, c.Att))
	})
}

// expand returns the protected ones of some columns.
func (b *Bound) expand(columns analysis.Columns) []*protection {
	var all []*protection
	for _, c := range columns {
		if c.Att == 0 {
			all = append(all, b.byRel[c.Rel]...)
		} else if p := b.protected[c]; p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Guarding reports whether any table is critical.
func (b *Bound) Guarding() bool { return len(b.critical) > 0 }

// Protects reports whether a column is protected; with attribute number 0,
// whether any of the relation is.
func (b *Bound) Protects(c analysis.Column) bool {
	if c.Att == 0 {
		return len(b.byRel[c.Rel]) > 0
	}
	return b.protected[c] != nil
}

// Protecting reports whether there is anything to protect, also where a pattern
// matches nothing yet.
func (b *Bound) Protecting() bool { return len(b.protected) > 0 || len(b.engine.protect) > 0 }

func (b *Bound) relation(oid catalog.OID) string {
	if rel := b.cat.Relation(oid); rel != nil {
		return relationName(rel)
	}
	return "relation " + strconv.FormatUint(uint64(oid), 10)
}

// variables describes a statement to the rules.
func (b *Bound) variables(st *analysis.Statement) *statementVars {
	v := &statementVars{
		Kind: st.Kind, Classes: st.Classes.Names(),
		IsRead:  st.Classes&^pure == 0 && st.Classes != 0 && len(st.Writes) == 0 && len(st.Unknown) == 0,
		IsWrite: st.Classes&analysis.Write != 0 || len(st.Writes) > 0,
		IsDDL:   st.Classes&analysis.DDL != 0, IsDCL: st.Classes&analysis.DCL != 0,
		Bounded: st.Classes&analysis.Unbounded == 0, OneRow: true,
		Unknown: len(st.Unknown) > 0,
	}
	reads, writes, columns := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, u := range st.Reads {
		rel := b.cat.Relation(u.Rel)
		reads[b.relation(u.Rel)] = true
		for i := range relColumns(rel) {
			if c := &rel.Columns[i]; !c.Dropped && (u.Columns == nil || slices.Contains(u.Columns, c.Num)) {
				columns[columnName(rel, c)] = true
			}
		}
	}
	critical := map[string]bool{}
	for _, u := range st.Writes {
		writes[b.relation(u.Rel)] = true
		if b.critical[u.Rel] {
			critical[b.relation(u.Rel)] = true
		}
	}
	v.Reads, v.Writes, v.Columns = sorted(reads), sorted(writes), sorted(columns)
	maps.Copy(reads, writes)
	v.Tables = sorted(reads)
	v.CriticalTables, v.Critical = sorted(critical), len(critical) > 0
	for _, bound := range st.Bounds {
		v.Bounded = v.Bounded && bound.Limited
		v.OneRow = v.OneRow && bound.OneRow
	}
	for _, e := range st.Effects {
		for _, class := range e.Class.Names() {
			v.Effects = append(v.Effects, effectVars{class, e.What, e.Path})
		}
	}
	flowing := map[string]bool{}
	for _, o := range st.Outputs {
		for _, p := range b.expand(o.Sources) {
			if o.How != analysis.Count && o.How != analysis.Constant {
				flowing[p.name] = true
			}
		}
	}
	v.ProtectedColumns, v.Protected = sorted(flowing), len(flowing) > 0
	v.TestsProtected = len(b.expand(st.Tests)) > 0
	return v
}

func relColumns(rel *catalog.Relation) []catalog.Column {
	if rel == nil {
		return nil
	}
	return rel.Columns
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// outputs computes the masks of a result's columns.
func (b *Bound) outputs(s *statementPlan) {
	for _, o := range s.st.Outputs {
		out := output{}
		switch o.How {
		case analysis.Constant, analysis.Count:
		case analysis.Plain, analysis.Expression, analysis.Aggregate:
			out.sources = b.expand(o.Sources)
			for _, p := range out.sources {
				spec := p.spec
				if o.How != analysis.Plain {
					spec = spec.Derived()
				}
				out.masks = append(out.masks, spec)
			}
		default:
			out.redact = b.Protecting()
		}
		out.names = names(out.sources)
		s.outputs = append(s.outputs, out)
	}
}

// judge evaluates the rules as far as they do not depend on who runs the
// statement.
func (p *Plan) judge(s *statementPlan) {
	vars := map[string]any{"statement": s.vars}
	unknown := []*cel.AttributePatternType{
		cel.AttributePattern("identity"), cel.AttributePattern("session"), cel.AttributePattern("time"),
		cel.AttributePattern("statement").QualString("estimate"),
	}
	here := newSituation(vars, nil, unknown...)
	for i, r := range p.bound.engine.rules {
		switch r.when.in(here) {
		case yes:
			s.matched = append(s.matched, i)
		case unclear:
			dependent := r.when.mentions["identity"] || r.when.mentions["session"] || r.when.mentions["time"] || r.when.estimates
			if !dependent {
				// It failed, and always will.
				if r.then != Allow {
					s.matched = append(s.matched, i)
				}
				continue
			}
			s.open = append(s.open, i)
			p.depend(r.when, s)
		}
	}
	s.testNames = names(s.tests)
	for _, list := range [][]*protection{s.tests, s.touched} {
		p.dependOn(list)
	}
	for _, o := range s.outputs {
		p.dependOn(o.sources)
	}
}

// depend notes what a condition of statement s, or of none, depends on.
func (p *Plan) depend(c *condition, s *statementPlan) {
	if m := (moving{c, s}); (c.mentions["time"] || c.estimates) && !slices.Contains(p.moving, m) {
		p.moving = append(p.moving, m)
	}
	p.usesIdentity = p.usesIdentity || c.mentions["identity"]
	p.usesSession = p.usesSession || c.mentions["session"]
	p.usesEstimate = p.usesEstimate || c.estimates
}

func (p *Plan) dependOn(list []*protection) {
	for _, one := range list {
		for _, c := range one.unless {
			p.depend(c.when, nil)
		}
	}
}

// names of protections, sorted, each once.
func names(list []*protection) []string {
	set := map[string]bool{}
	for _, p := range list {
		set[p.name] = true
	}
	return sorted(set)
}

// few names at most three of a list, for a sentence.
func few(list []string) string {
	if len(list) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:3], ", "), len(list)-3)
	}
	return strings.Join(list, ", ")
}
