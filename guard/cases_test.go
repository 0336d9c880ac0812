package guard

import (
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

// A caseFile is a schema, a policy, and statements as facts with what is
// decided on them.
type caseFile struct {
	Tables  []caseTable       `yaml:"tables"`
	Derived map[string]string `yaml:"derived"` // column: seeds
	Policy  Policy            `yaml:"policy"`
	Warn    []string          `yaml:"warnings"`
	Cases   []decisionCase    `yaml:"cases"`
}

type caseTable struct {
	Name     string            `yaml:"name"`
	Kind     string            `yaml:"kind"` // default r
	Columns  []string          `yaml:"columns"`
	Comments map[string]string `yaml:"comments"`
	Parent   string            `yaml:"parent"`
	// Refers is a foreign key of the first column: to a table's first.
	Refers string `yaml:"refers"`
}

type decisionCase struct {
	Name       string      `yaml:"name"`
	Statement  *caseFacts  `yaml:"statement"`
	Statements []caseFacts `yaml:"statements"`
	Groups     []string    `yaml:"groups"`
	Attributes attributes  `yaml:"attributes"`
	InTx       bool        `yaml:"in_transaction"`
	Rows       int64       `yaml:"rows"` // 0: not known
	At         string      `yaml:"at"`   // default: 2026-01-02T03:04:05Z
	Want       want        `yaml:"want"`
}

type attributes = map[string]string

type caseFacts struct {
	Kind    string       `yaml:"kind"`
	Classes string       `yaml:"classes"`
	Outputs []caseOutput `yaml:"outputs"`
	Returns bool         `yaml:"returns"`
	Tests   string       `yaml:"tests"`
	Defined string       `yaml:"defined_tests"`
	Reads   string       `yaml:"reads"`
	Writes  []caseWrite  `yaml:"writes"`
	Bounds  []caseBound  `yaml:"bounds"`
	Flows   []caseFlow   `yaml:"flows"`
	Effects []caseEffect `yaml:"effects"`
	Unknown string       `yaml:"unknown"`
	Touched string       `yaml:"touched"`
	Inner   *caseFacts   `yaml:"inner"`
}

type caseOutput struct {
	From string `yaml:"from"`
	How  string `yaml:"how"` // default plain
}

type caseWrite struct {
	Table  string   `yaml:"table"`
	Action string   `yaml:"action"`
	Path   []string `yaml:"path"`
}

type caseBound struct {
	Table   string `yaml:"table"`
	Action  string `yaml:"action"`
	Limited bool   `yaml:"limited"`
	OneRow  bool   `yaml:"one_row"`
	Why     string `yaml:"why"`
}

type caseFlow struct {
	To   string `yaml:"to"`
	Into string `yaml:"into"`
	From string `yaml:"from"`
	Same bool   `yaml:"same"`
}

type caseEffect struct {
	Class string   `yaml:"class"`
	What  string   `yaml:"what"`
	Path  []string `yaml:"path"`
}

type want struct {
	Verdict   Verdict   `yaml:"verdict"`
	Rule      string    `yaml:"rule"`
	Reason    string    `yaml:"reason"`
	Masks     []string  `yaml:"masks"`
	Scrub     *bool     `yaml:"scrub"`
	Tests     []string  `yaml:"tests"`
	Approvers Approvers `yaml:"approvers"`
	Ticket    *bool     `yaml:"ticket"`
	Payload   Payload   `yaml:"payload"`
}

// schema is a catalog made of a case file's tables.
type schema []*catalog.Relation

func (s schema) Relation(oid catalog.OID) *catalog.Relation {
	for _, r := range s {
		if r.OID == oid {
			return r
		}
	}
	return nil
}

func (s schema) Relations() iter.Seq[*catalog.Relation] { return slices.Values(s) }

func (s schema) Descendants(oid catalog.OID) []*catalog.Relation {
	return s.follow(oid, func(r *catalog.Relation) []catalog.OID { return r.Children })
}

func (s schema) Ancestors(oid catalog.OID) []*catalog.Relation {
	return s.follow(oid, func(r *catalog.Relation) []catalog.OID { return r.Parents })
}

func (s schema) follow(oid catalog.OID, next func(*catalog.Relation) []catalog.OID) []*catalog.Relation {
	var all []*catalog.Relation
	if r := s.Relation(oid); r != nil {
		for _, n := range next(r) {
			all = append(append(all, s.Relation(n)), s.follow(n, next)...)
		}
	}
	return all
}

const textType = 25

func newSchema(t testing.TB, tables []caseTable) schema {
	var s schema
	for i, table := range tables {
		p, err := parsePattern(table.Name, 2, "schema.table")
		require.NoError(t, err)
		r := &catalog.Relation{OID: catalog.OID(1000 + i), Schema: p.parts[0][0], Name: p.parts[1][0], Kind: 'r'}
		if table.Kind != "" {
			r.Kind = table.Kind[0]
		}
		for j, name := range table.Columns {
			r.Columns = append(r.Columns, catalog.Column{Num: int16(j + 1), Name: name, Type: textType, Comment: table.Comments[name]})
		}
		s = append(s, r)
	}
	for i, table := range tables {
		if table.Parent != "" {
			parent := s.named(t, table.Parent)
			parent.Children = append(parent.Children, s[i].OID)
			s[i].Parents = append(s[i].Parents, parent.OID)
		}
		if table.Refers != "" {
			to := s.named(t, table.Refers)
			key := catalog.ForeignKey{From: s[i].OID, FromCols: []int16{1}, To: to.OID, ToCols: []int16{1}}
			s[i].ForeignKeys = append(s[i].ForeignKeys, key)
			to.ReferredBy = append(to.ReferredBy, key)
		}
	}
	return s
}

func (s schema) named(t testing.TB, name string) *catalog.Relation {
	p, err := parsePattern(name, 2, "schema.table")
	require.NoError(t, err)
	for _, r := range s {
		if p.match(r.Schema, r.Name) {
			return r
		}
	}
	t.Fatalf("the case has no table %s", name)
	return nil
}

// columns reads "public.t.a public.t.b public.u.*".
func (s schema) columns(t testing.TB, text string) analysis.Columns {
	var all analysis.Columns
	for word := range strings.FieldsSeq(text) {
		all = all.Union(analysis.Columns{s.column(t, word)})
	}
	return all
}

func (s schema) column(t testing.TB, text string) analysis.Column {
	p, err := parsePattern(text, 3, "schema.table.column")
	require.NoError(t, err)
	r := s.named(t, text[:strings.LastIndexByte(text, '.')])
	if !p.parts[2].literal() {
		return analysis.Column{Rel: r.OID}
	}
	for _, c := range r.Columns {
		if p.parts[2].match(c.Name) {
			return analysis.Column{Rel: r.OID, Att: c.Num}
		}
	}
	t.Fatalf("the case has no column %s", text)
	return analysis.Column{}
}

func (s schema) lineage(t testing.TB, derived map[string]string) lineage {
	return lineage{
		derived: func(seeds analysis.Columns) map[analysis.Column]analysis.Columns {
			all := map[analysis.Column]analysis.Columns{}
			for column, from := range derived {
				for _, seed := range s.columns(t, from) {
					if seeds.Contains(seed) {
						c := s.column(t, column)
						all[c] = all[c].Union(analysis.Columns{seed})
					}
				}
			}
			return all
		},
		// A view's column derives unchanged from the column of that name in the
		// first table.
		view: func(v *catalog.Relation) []analysis.Output {
			var outputs []analysis.Output
			for _, c := range v.Columns {
				out := analysis.Output{Name: c.Name, How: analysis.Constant}
				for _, base := range s[0].Columns {
					if base.Name == c.Name {
						out.How, out.Sources = analysis.Plain, analysis.Columns{{Rel: s[0].OID, Att: base.Num}}
					}
				}
				outputs = append(outputs, out)
			}
			return outputs
		},
	}
}

var derivations = map[string]analysis.Derivation{"": analysis.Plain, "plain": analysis.Plain, "expression": analysis.Expression,
	"aggregate": analysis.Aggregate, "count": analysis.Count, "constant": analysis.Constant, "opaque": analysis.Opaque}

var actions = map[string]analysis.Action{"select": analysis.Select, "insert": analysis.Insert, "update": analysis.Update,
	"delete": analysis.Delete, "truncate": analysis.Truncate}

func (s schema) statement(t testing.TB, f caseFacts) *analysis.Statement {
	st := &analysis.Statement{
		Kind: f.Kind, Returns: f.Returns || f.Outputs != nil, Tests: s.columns(t, f.Tests), DefinedTests: s.columns(t, f.Defined),
		Touched: s.columns(t, f.Touched),
	}
	for c := range strings.FieldsSeq(f.Classes) {
		require.NotZero(t, analysis.ClassNamed(c), "class %s", c)
		st.Classes |= analysis.ClassNamed(c)
	}
	for _, o := range f.Outputs {
		how, ok := derivations[o.How]
		require.True(t, ok, "derivation %s", o.How)
		st.Outputs = append(st.Outputs, analysis.Output{Sources: s.columns(t, o.From), How: how})
	}
	for name := range strings.FieldsSeq(f.Reads) {
		st.Reads = append(st.Reads, analysis.Use{Rel: s.named(t, name).OID, Action: analysis.Select})
	}
	for _, w := range f.Writes {
		require.NotZero(t, actions[w.Action])
		st.Writes = append(st.Writes, analysis.Use{Rel: s.named(t, w.Table).OID, Action: actions[w.Action], Path: w.Path})
	}
	for _, b := range f.Bounds {
		st.Bounds = append(st.Bounds, analysis.Bound{Rel: s.named(t, b.Table).OID, Action: actions[b.Action], Limited: b.Limited, OneRow: b.OneRow, Why: b.Why})
	}
	for _, fl := range f.Flows {
		flow := analysis.Flow{Into: fl.Into, From: s.columns(t, fl.From), Same: fl.Same}
		if fl.To != "" {
			flow.To = s.column(t, fl.To)
		}
		st.Flows = append(st.Flows, flow)
	}
	for _, e := range f.Effects {
		st.Effects = append(st.Effects, analysis.Effect{Class: analysis.ClassNamed(e.Class), What: e.What, Path: e.Path})
	}
	if f.Unknown != "" {
		st.Unknown = []analysis.Unknown{{What: f.Unknown, Position: -1}}
	}
	if f.Inner != nil {
		st.Inner = s.statement(t, *f.Inner)
	}
	return st
}

func loadCases(t testing.TB, path string) (caseFile, schema, *Bound) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var file caseFile
	require.NoError(t, strictyaml.Decode(data, filepath.Base(path), &file))
	engine, err := Compile(file.Policy)
	require.NoError(t, err)
	s := newSchema(t, file.Tables)
	bound, err := engine.bind(s, s.lineage(t, file.Derived), nil)
	require.NoError(t, err)
	return file, s, bound
}

// epoch is when the cases happen.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestDecisions(t *testing.T) {
	files, err := filepath.Glob("testdata/decisions/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		file, s, bound := loadCases(t, path)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			var warnings []string
			for _, w := range bound.Warnings() {
				_, after, _ := strings.Cut(w, ": ")
				warnings = append(warnings, after)
			}
			require.Equal(t, file.Warn, warnings)
			for _, c := range file.Cases {
				t.Run(c.Name, func(t *testing.T) { check(t, s, bound, c) })
			}
		})
	}
}

func check(t *testing.T, s schema, bound *Bound, c decisionCase) {
	facts := &analysis.Facts{}
	if c.Statement != nil {
		facts.Statements = append(facts.Statements, s.statement(t, *c.Statement))
	}
	for _, f := range c.Statements {
		facts.Statements = append(facts.Statements, s.statement(t, f))
	}
	in := Input{
		Identity:      identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent", Groups: c.Groups, Attributes: c.Attributes}),
		InTransaction: c.InTx, Database: "shop", User: "app", Now: epoch, Rows: c.Rows, RowsKnown: c.Rows > 0,
	}
	if c.At != "" {
		at, err := time.Parse(time.RFC3339, c.At)
		require.NoError(t, err)
		in.Now = at
	}
	plan := bound.Plan(facts)
	got := plan.Decide(in)
	require.Equal(t, got, plan.Decide(in), "the second time")
	require.Equal(t, c.Want.Verdict.String(), got.Verdict.String(), "%s: %s", got.Rule, got.Reason)
	require.Equal(t, c.Want.Rule, got.Rule, got.Reason)
	if c.Want.Reason != "" {
		require.Equal(t, c.Want.Reason, got.Reason)
	}
	if got.Verdict != Allow {
		require.NotEmpty(t, got.Reason)
		require.NotEmpty(t, got.Hint)
	}
	if c.Want.Masks != nil {
		var masks []string
		for _, list := range got.Masks {
			for _, m := range list {
				masks = append(masks, describe(m))
			}
		}
		require.Equal(t, c.Want.Masks, masks)
	}
	if c.Want.Scrub != nil {
		require.Equal(t, *c.Want.Scrub, got.Scrub, "scrub")
	}
	if c.Want.Ticket != nil {
		require.Equal(t, *c.Want.Ticket, got.Ticket, "ticket")
	}
	require.Equal(t, c.Want.Tests, got.Tests)
	require.Equal(t, c.Want.Payload, got.Payload)
	if !c.Want.Approvers.isZero() {
		require.Equal(t, c.Want.Approvers, got.Approvers)
	}
}

func describe(m OutputMask) string {
	switch {
	case m.Pass:
		return "pass"
	case m.Clear:
		return "clear: " + m.Rule
	}
	return m.Spec.String()
}
