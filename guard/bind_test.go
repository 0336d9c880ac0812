package guard

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
	"github.com/guardedpg/guardedpg/mask"
)

func compile(t testing.TB, text string) *Engine {
	var p Policy
	require.NoError(t, strictyaml.Decode([]byte(text), "p.yaml", &p))
	e, err := Compile(p)
	require.NoError(t, err)
	return e
}

func bind(t testing.TB, e *Engine, s schema, derived map[string]string, prev *Bound) *Bound {
	b, err := e.bind(s, s.lineage(t, derived), prev)
	require.NoError(t, err)
	return b
}

func protected(b *Bound) map[string]string {
	all := map[string]string{}
	for _, p := range b.Protected() {
		all[p.Column] = p.Mask
	}
	return all
}

const onlyBaseline = "include: [baseline]\n"

func customers() []caseTable {
	return []caseTable{
		{Name: "public.customers", Columns: []string{"id", "email", "name"}, Comments: map[string]string{"name": "@mask(name)"}},
		{Name: "public.archive", Columns: []string{"id", "email"}},
		{Name: "public.payments", Columns: []string{"id"}},
	}
}

func TestProtectionSurvivesRenames(t *testing.T) {
	e := compile(t, onlyBaseline+"protect: [{column: public.customers.email, mask: email}]\ncritical: [public.payments]")
	s := newSchema(t, customers())
	derived := map[string]string{"public.archive.email": "public.customers.email"}
	before := bind(t, e, s, derived, nil)
	require.Equal(t, map[string]string{"public.customers.email": "email", "public.archive.email": "redact", "public.customers.name": "name"}, protected(before))
	require.Empty(t, before.Warnings())

	// A migration renames all, removes the tag, and what derived derives no longer.
	s = newSchema(t, customers())
	s[0].Name, s[0].Columns[1].Name, s[0].Columns[2].Comment = "clients", "mail", ""
	s[2].Name = "receipts"
	after := bind(t, e, s, nil, before)
	require.Equal(t, map[string]string{"public.clients.mail": "email", "public.archive.email": "redact", "public.clients.name": "name"}, protected(after))
	require.True(t, after.critical[s[2].OID])
	require.Len(t, after.Warnings(), 2)
	again := bind(t, e, s, nil, after)
	require.Equal(t, protected(after), protected(again))

	// A process that starts now does not know: the warning says so.
	fresh := bind(t, e, s, nil, nil)
	require.Empty(t, fresh.Protected())
	require.True(t, fresh.Protecting())
	require.Equal(t, []string{
		`p.yaml:2: protect[0].column: public.customers.email matches no column`,
		`p.yaml:3: critical[0]: public.payments matches no table`,
	}, fresh.Warnings())

	// A policy that still has the pattern keeps what it found, with its new
	// mask; one that has not lets go.
	other := compile(t, onlyBaseline+"protect: [{column: public.customers.email, mask: 'null'}]")
	require.Equal(t, map[string]string{"public.clients.mail": "null", "public.archive.email": "null"}, protected(bind(t, other, s, nil, after)))
	require.Empty(t, protected(bind(t, compile(t, onlyBaseline), s, nil, after)))

	// A dropped relation that comes back with a rollback.
	gone := bind(t, e, newSchema(t, nil), nil, after)
	require.Equal(t, protected(after), protected(bind(t, e, s, nil, gone)))
}

func TestStrict(t *testing.T) {
	e := compile(t, "strict: true\nprotect: [{column: public.customers.emial}, {column: public.customer.email}, {column: public.customers.email}]")
	s := newSchema(t, customers())
	_, err := e.bind(s, s.lineage(t, nil), nil)
	require.EqualError(t, err, `p.yaml:2: protect[0].column: public.customers.emial matches no column; did you mean "email"
p.yaml:2: protect[1].column: public.customer.email matches no column; did you mean a column of public.customers?`)
}

func TestViewColumns(t *testing.T) {
	s := newSchema(t, append(customers(),
		caseTable{Name: "public.v", Kind: "v", Columns: []string{"email", "other"}}))
	b := bind(t, compile(t, "protect: [{column: public.v.email, mask: email}]"), s, nil, nil)
	require.Equal(t, "email", protected(b)["public.customers.email"])
	require.Equal(t, []string{"p.yaml:1: protect[0].column: public.v.email is a column of a view: what it derives from is protected, public.customers.email"}, b.Warnings())

	// The base column's own pattern counts for more.
	b = bind(t, compile(t, "protect: [{column: public.v.email, mask: email}, {column: public.customers.email, mask: hash}]"), s, nil, nil)
	require.Equal(t, "hash", protected(b)["public.customers.email"])
}

func TestSystemSchemasNeedTheirName(t *testing.T) {
	s := newSchema(t, []caseTable{{Name: "pg_catalog.pg_authid", Columns: []string{"rolname"}}, {Name: "public.roles", Columns: []string{"rolname"}}})
	require.Len(t, bind(t, compile(t, `protect: [{column: "*.*.rolname"}]`), s, nil, nil).Protected(), 1)
	require.Len(t, bind(t, compile(t, `protect: [{column: "pg_catalog.*.rolname"}]`), s, nil, nil).Protected(), 1)
}

func TestTags(t *testing.T) {
	for text, want := range map[string]string{
		"@mask":                         "redact",
		"@mask()":                       "redact",
		"@mask(email)":                  "email",
		"@mask(email) and more (text)":  "email",
		"@mask(partial: {last: 4})":     "{partial: {first: 0, last: 4}}",
		"@mask({partial: {last: 4}})":   "{partial: {first: 0, last: 4}}",
		"@mask(constant: {value: (x)})": `{constant: {value: "(x)"}}`,
		"@mask(null)":                   "null",
	} {
		spec, err := parseTag(text)
		require.NoError(t, err, text)
		require.Equal(t, want, spec.String())
	}
	for _, text := range []string{"@mask(", "@mask(emial)", "@mask(email", "@mask([a])", "@mask(a: {}, b: {})"} {
		spec, err := parseTag(text)
		require.Error(t, err, text)
		require.Equal(t, mask.Redact.String(), spec.String())
	}
	require.False(t, tag.MatchString("@masked"))
}

func FuzzTag(f *testing.F) {
	for _, s := range []string{"@mask", "@mask(email)", "@mask(partial: {last: 4})", "@mask(", "@mask((((", "@mask(jsonpath: {paths: {$.a: email}})"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if spec, err := parseTag(text); err != nil {
			require.Equal(t, mask.Redact.String(), spec.String())
		}
	})
}

// FuzzPolicy sees that no text of a policy makes the compiler panic.
func FuzzPolicy(f *testing.F) {
	f.Add("rules:\n  - {name: a, when: statement.is_ddl, then: hold, approvers: {groups: [dba], quorum: 2}}\ninclude: [read-only]")
	f.Add("protect: [{column: a.b.c, mask: {partial: {last: 4}}, unless: \"'x' in identity.groups\"}]\ncritical: [a.b]\ndefault: hold")
	f.Fuzz(func(t *testing.T, text string) {
		var p Policy
		if strictyaml.Decode([]byte(text), "p.yaml", &p) != nil {
			return
		}
		e, err := Compile(p)
		if err != nil {
			return
		}
		s := newSchema(t, customers())
		b, err := e.bind(s, s.lineage(t, nil), nil)
		if err != nil {
			return
		}
		// Whatever the policy says, nobody is refused, and an opaque result is
		// never in clear while something is protected.
		facts := &analysis.Facts{Statements: []*analysis.Statement{{Kind: "SELECT", Classes: analysis.Read, Returns: true,
			Outputs: []analysis.Output{{}, {How: analysis.Plain, Sources: analysis.Columns{{Rel: catalog.OID(1000), Att: 2}}}}}}}
		plan := b.Plan(facts)
		require.Equal(t, Deny, plan.Decide(Input{Now: epoch}).Verdict)
		got := plan.Decide(someone())
		if b.Protecting() {
			require.True(t, got.Masks[0][0].Masked())
			require.NotEqual(t, Allow, got.Verdict)
		}
		require.Equal(t, b.Protects(facts.Statements[0].Outputs[1].Sources[0]), !got.Masks[0][1].Pass)
	})
}
