package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/mask"
)

// find sets what comes before the rules.
func (b *Bound) find(s *statementPlan, depends []catalog.OID) {
	st := s.st
	add := func(f finding) { s.findings = append(s.findings, f) }
	s.detail = b.detail(st)
	s.touched = b.touched(st)
	s.payload = b.payload(st)

	if st.Classes&analysis.SessionForbidden != 0 {
		add(finding{verdict: Deny, code: CodeSession, rule: "guard.setting",
			reason: "the setting would change how the server reads statements",
			hint:   "leave the setting as it is"})
	}
	if b.own(st, depends) {
		add(finding{verdict: Deny, code: CodeOwn, rule: "guard.own",
			reason: "it touches what the guard itself keeps in the database: requests for approval, or the trail's anchor",
			hint:   "leave the schemas guardedpg_* alone; people decide with \"guardedpg approve\""})
	}
	guarding := b.Protecting() || len(b.engine.critical) > 0
	if len(st.Unknown) > 0 && guarding {
		f := finding{verdict: b.engine.policy.Unknown, code: CodeUnknown, rule: "guard.unknown",
			reason: "the statement could not be wholly understood: " + st.Unknown[0].What,
			hint:   "write it more plainly: name tables and columns, and leave out what is not understood"}
		if !st.Returns && !slices.ContainsFunc(st.Unknown, func(u analysis.Unknown) bool { return !u.Later }) {
			// What a text makes and then uses: whoever reads all of it can judge.
			f.verdict = Hold
			f.hint = "send the statements one by one"
		}
		add(f)
	}
	if !b.Protecting() {
		return
	}
	s.opaque = len(st.Unknown) > 0 || st.Classes&^narrow != 0
	opaque := st.Returns && st.Outputs == nil
	for _, o := range st.Outputs {
		opaque = opaque || o.How > analysis.Count || o.How == analysis.Opaque
	}
	if opaque {
		s.opaque = true
		add(finding{verdict: b.engine.policy.Unknown, code: CodeUnknown, rule: "guard.unknown",
			reason: "what a column of the result derives from could not be found",
			hint:   "name the columns, and leave out functions whose definition cannot be read"})
	}
	b.findFlows(s, add)
	b.findReads(s, add)
	if st.Classes&analysis.Code != 0 {
		reason := "it defines what runs later, which could give out protected values"
		if s.detail != "" {
			reason += " (" + s.detail + ")"
		}
		add(finding{verdict: Hold, code: CodeDefinition, rule: "guard.code", reason: reason,
			hint: "run the query itself instead of defining it"})
	}
	s.tests = b.expand(st.Tests)
	verdict := map[Predicates]Verdict{HoldTests: Hold, DenyTests: Deny}
	if v, ok := verdict[b.engine.policy.Predicates]; ok {
		if len(s.tests) > 0 {
			add(finding{verdict: v, code: CodePredicate, rule: "guard.predicates", cols: s.tests,
				reason: "protected columns decide which rows come: " + few(names(s.tests)),
				hint:   "select by other columns"})
		}
		if probes := b.expand(st.Probes); len(probes) > 0 {
			add(finding{verdict: v, code: CodePredicate, rule: "guard.predicates", cols: probes,
				reason: "whether what it computes is NULL or an error tells of protected columns: " + few(names(probes)),
				hint:   "select the columns as they are"})
		}
	}
}

// ownSchemas are where approvers' decisions and the heads of trails are kept.
var ownSchemas = []string{"guardedpg_approve", "guardedpg_anchor"}

// own reports whether a statement touches one of those schemas: whoever writes
// there could approve his own statements, and whoever reads there sees the
// statements of others, constants included.
func (b *Bound) own(st *analysis.Statement, depends []catalog.OID) bool {
	is := func(rel *catalog.Relation) bool { return rel != nil && slices.Contains(ownSchemas, rel.Schema) }
	// A child's rows are rows of its parent.
	any := func(oid catalog.OID) bool {
		return is(b.cat.Relation(oid)) || slices.ContainsFunc(b.cat.Ancestors(oid), is)
	}
	used := func(u analysis.Use) bool { return any(u.Rel) }
	names := func(text string) bool {
		return slices.ContainsFunc(ownSchemas, func(s string) bool { return strings.Contains(text, s) })
	}
	named := func(e analysis.Effect) bool { return names(e.What) }
	if st.Classes&^narrow != 0 && names(strings.ToLower(st.Text)) {
		// Definitions name what the facts need not: a trigger's function, what
		// default privileges are for.
		return true
	}
	return slices.ContainsFunc(st.Writes, used) || slices.ContainsFunc(st.Reads, used) ||
		slices.ContainsFunc(st.Effects, named) || slices.ContainsFunc(depends, any) ||
		st.Inner != nil && b.own(st.Inner, nil)
}

// narrow are the classes whose errors and notices show nothing but what the
// facts call touched.
const narrow = analysis.Read | analysis.Write | analysis.Unbounded | analysis.Transaction | analysis.SessionHarmless |
	analysis.Cursor | analysis.RowLock | analysis.CopyOut | analysis.TextMeta | analysis.Sequence | analysis.Lock |
	analysis.Sleep | analysis.Temporary

// touched are the protected columns that an error or notice could show.
func (b *Bound) touched(st *analysis.Statement) []*protection {
	all := st.Touched.Union(st.Tests).Union(st.DefinedTests)
	for _, o := range st.Outputs {
		all = all.Union(o.Sources)
	}
	for _, f := range st.Flows {
		all = all.Union(f.From)
	}
	return b.expand(all)
}

// findFlows finds writes of protected values to where they are not protected.
func (b *Bound) findFlows(s *statementPlan, add func(finding)) {
	for _, f := range s.st.Flows {
		if rel := b.cat.Relation(f.To.Rel); f.To.Rel != 0 && rel != nil && rel.Kind == 'v' {
			continue // the flow into the table behind the view is there too
		}
		for _, from := range b.expand(f.From) {
			if b.covered(f, from) {
				continue
			}
			into := f.Into
			if f.To.Rel != 0 {
				into = b.relation(f.To.Rel)
				if rel := b.cat.Relation(f.To.Rel); rel != nil && rel.Column(f.To.Att) != nil {
					into = columnName(rel, rel.Column(f.To.Att))
				}
			}
			reason := fmt.Sprintf("it copies the protected column %s into %s, which is not protected likewise", from.name, into)
			if f.To == from.column {
				reason = fmt.Sprintf("it rewrites the protected column %s from its own values, which would move them to where its mask shows them", from.name)
			}
			add(finding{verdict: b.engine.policy.Declassify, code: CodeDeclassify, rule: "guard.declassify",
				reason: withPath(reason, f.Path),
				hint:   "leave the protected column out of what is written"})
			return // one sentence is enough
		}
	}
	// What COPY gives out passes no mask.
	if s.st.Classes&(analysis.CopyOut|analysis.File|analysis.Program) != 0 {
		outputs := s.st.Outputs
		if s.st.Inner != nil {
			outputs = append(slices.Clip(outputs), s.st.Inner.Outputs...)
		}
		for _, o := range outputs {
			if o.How == analysis.Constant || o.How == analysis.Count {
				continue
			}
			if from := b.expand(o.Sources); len(from) > 0 || o.How == analysis.Opaque {
				reason := "COPY gives out values without a mask"
				if len(from) > 0 {
					reason += ", and " + few(names(from)) + " is protected"
				}
				add(finding{verdict: Deny, code: CodeCopy, rule: "guard.copy", reason: reason,
					hint: "SELECT the columns instead, or leave the protected ones out"})
				return
			}
		}
	}
}

// covered reports whether what f writes is protected at least as strictly as
// from is. A value that is not written unchanged could show any part of itself
// under a mask that shows a part.
func (b *Bound) covered(f analysis.Flow, from *protection) bool {
	to := b.protected[f.To]
	if to == nil { // also where f.To is no single column
		return false
	}
	if !to.never && !sameClearances(to, from) {
		return false
	}
	spec := from.spec
	unchanged := f.Same && len(f.From) > 0 && f.From[0] == from.column
	if !unchanged {
		spec = spec.Derived()
	}
	return mask.Strictest(to.spec, spec).String() == to.spec.String()
}

// sameClearances reports whether everybody who may see a may see b.
func sameClearances(a, b *protection) bool {
	if b.never {
		return a.never
	}
	for _, c := range b.unless {
		if !slices.ContainsFunc(a.unless, func(d *clearance) bool { return d.text == c.text }) {
			return false
		}
	}
	return true
}

// findReads finds what shows table data around the columns.
func (b *Bound) findReads(s *statementPlan, add func(finding)) {
	for _, u := range s.st.Reads {
		if rel := b.cat.Relation(u.Rel); rel != nil && (rel.Kind == 't' || rel.Schema == "pg_toast") {
			add(finding{verdict: Deny, code: CodeCatalog, rule: "guard.toast",
				reason: "it reads the stored form of long values, which no mask fits",
				hint:   "read the table that the values belong to"})
			return
		}
	}
}

// detail says in a few words what makes the statement one to judge.
func (b *Bound) detail(st *analysis.Statement) string {
	for _, bound := range st.Bounds {
		if !bound.Limited {
			return fmt.Sprintf("%s of %s: %s", bound.Action, b.relation(bound.Rel), bound.Why)
		}
	}
	for _, w := range st.Writes {
		if b.critical[w.Rel] {
			return withPath(w.Action.String()+" on "+b.relation(w.Rel), w.Path)
		}
	}
	if len(st.Unknown) > 0 {
		return st.Unknown[0].What
	}
	if len(st.Effects) > 0 {
		return withPath(st.Effects[0].What, st.Effects[0].Path)
	}
	return ""
}

// payload returns what is kept where every table that is read has a setting of
// its own: the most of them.
func (b *Bound) payload(st *analysis.Statement) Payload {
	most := PayloadDefault
	for _, u := range st.Reads {
		rel := b.cat.Relation(u.Rel)
		i := -1
		if rel != nil {
			i = slices.IndexFunc(b.engine.payloads, func(p payload) bool { return p.table.match(rel.Schema, rel.Name) })
		}
		if i < 0 {
			return PayloadDefault
		}
		most = max(most, b.engine.payloads[i].keep)
	}
	return most
}
