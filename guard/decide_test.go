package guard

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

func someone(groups ...string) Input {
	return Input{Identity: identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent", Groups: groups}), Now: epoch}
}

func reading(outputs ...analysis.Output) *analysis.Facts {
	return &analysis.Facts{Statements: []*analysis.Statement{{Kind: "SELECT", Classes: analysis.Read, Returns: true, Outputs: outputs}}}
}

// The zero value denies.
func TestZeroValues(t *testing.T) {
	allowAll, err := Compile(Policy{Default: Allow})
	require.NoError(t, err)
	s := newSchema(t, customers())
	bound := bind(t, allowAll, s, nil, nil)
	facts := reading(analysis.Output{How: analysis.Constant})
	require.Equal(t, Allow, bound.Plan(facts).Decide(someone()).Verdict)

	var noPlan *Plan
	for name, d := range map[string]Decision{
		"decision":         {},
		"plan":             (&Plan{}).Decide(someone()),
		"no plan":          noPlan.Decide(someone()),
		"bound":            (&Bound{}).Plan(facts).Decide(someone()),
		"no bound":         (*Bound)(nil).Plan(facts).Decide(someone()),
		"no facts":         bound.Plan(nil).Decide(someone()),
		"no statement":     bound.Plan(&analysis.Facts{Statements: []*analysis.Statement{nil}}).Decide(someone()),
		"nobody":           bound.Plan(facts).Decide(Input{Now: epoch}),
		"no time":          bound.Plan(facts).Decide(Input{Identity: someone().Identity}),
		"the zero policy":  bind(t, compile(t, ""), s, nil, nil).Plan(facts).Decide(someone()),
		"an expired proof": bound.Plan(facts).Decide(Input{Identity: identity.New(identity.Claims{Issuer: "i", Subject: "s", Expires: epoch}), Now: epoch}),
	} {
		require.Equal(t, Deny, d.Verdict, name)
	}
	require.True(t, OutputMask{}.Masked())
	require.Equal(t, "redact", OutputMask{}.Spec.String())
	require.False(t, (&Plan{}).Pure())
}

// One plan serves many identities at once, each with its own masks.
func TestDecideForMany(t *testing.T) {
	s := newSchema(t, customers())
	e := compile(t, onlyBaseline+"protect: [{column: public.customers.email, mask: email, unless: \"'pii' in identity.groups\"}]")
	plan := bind(t, e, s, nil, nil).Plan(reading(analysis.Output{How: analysis.Plain, Sources: s.columns(t, "public.customers.email")}))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2 * maxDecisions {
				in := someone()
				cleared := (i+g)%2 == 0
				if cleared {
					in = someone("pii")
				}
				got := plan.Decide(in)
				if got.Masks[0][0].Clear != cleared || got.Scrub == cleared || got.Verdict != Allow {
					t.Error("the masks of another identity")
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(plan.known), maxDecisions)
}

func TestApproversOfSeveralRules(t *testing.T) {
	s := newSchema(t, customers())
	rule := func(name string, groups string) string {
		return fmt.Sprintf("  - {name: %s, when: statement.is_ddl, then: hold, approvers: {groups: [%s], quorum: 2}}\n", name, groups)
	}
	ddl := &analysis.Facts{Statements: []*analysis.Statement{{Kind: "DROP TABLE", Classes: analysis.DDL}}}
	d := bind(t, compile(t, "rules:\n"+rule("a", "dba, security")+rule("b", "security, oncall")), s, nil, nil).Plan(ddl).Decide(someone())
	require.Equal(t, Hold, d.Verdict)
	require.Equal(t, Approvers{Groups: []string{"security"}, Quorum: 2}, d.Approvers)
	d = bind(t, compile(t, "rules:\n"+rule("a", "dba")+rule("b", "security")), s, nil, nil).Plan(ddl).Decide(someone())
	require.Equal(t, Deny, d.Verdict)
	require.Equal(t, CodeApproval, d.Code)
}

func TestInTransaction(t *testing.T) {
	s := newSchema(t, customers())
	ddl := &analysis.Facts{Statements: []*analysis.Statement{{Kind: "DROP TABLE", Classes: analysis.DDL}}}
	decide := func(approval string) Decision {
		in := someone()
		in.InTransaction = true
		return bind(t, compile(t, onlyBaseline+"approval: "+approval), s, nil, nil).Plan(ddl).Decide(in)
	}
	require.True(t, decide("{wait: 1m}").Ticket)
	require.Zero(t, decide("{wait: 1m}").Wait)
	d := decide("{wait: 1m, in_transaction: wait}")
	require.False(t, d.Ticket)
	require.Equal(t, time.Minute, d.Wait)
	require.Equal(t, Deny, decide("{wait: 1m, in_transaction: deny}").Verdict)
}

// Who decides what several rules hold satisfies all of them.
func TestApproversSatisfyAllRules(t *testing.T) {
	s := newSchema(t, customers())
	ddl := &analysis.Facts{Statements: []*analysis.Statement{{Kind: "DROP TABLE", Classes: analysis.DDL}}}
	decide := func(one, two string) Decision {
		e := compile(t, "approval: {approvers: {groups: [all], issuers: [i]}}\nrules:\n  - {name: a, when: 'true', then: hold, approvers: "+one+
			"}\n  - {name: b, when: 'true', then: hold, approvers: "+two+"}\n")
		return bind(t, e, s, nil, nil).Plan(ddl).Decide(someone())
	}
	d := decide("{groups: [x, y], quorum: 2, break_glass: [g, h], claims: {team: t}}", "{groups: [y, z], issuers: [j, k], break_glass: [h], claims: {level: '2'}}")
	require.Equal(t, Hold, d.Verdict)
	require.Equal(t, Approvers{Groups: []string{"y"}, Quorum: 2, BreakGlass: []string{"h"}, Issuers: []string{"j", "k"},
		Claims: map[string]string{"team": "t", "level": "2"}}, d.Approvers)
	require.Equal(t, []string{"i"}, decide("{groups: [x]}", "{groups: [x]}").Approvers.Issuers, "the policy's own, where no rule says")
	require.Equal(t, []string{"all"}, decide("{}", "{}").Approvers.Groups)
	for one, two := range map[string]string{
		"{groups: [x]}": "{groups: [y]}", "{issuers: [x]}": "{issuers: [y]}", "{claims: {team: a}}": "{claims: {team: b}}",
	} {
		d := decide(one, two)
		require.Equal(t, Deny, d.Verdict, one)
		require.Equal(t, CodeApproval, d.Code)
		require.Equal(t, Approvers{}, d.Approvers)
	}
}

func TestPredicates(t *testing.T) {
	s := newSchema(t, customers())
	facts := reading(analysis.Output{How: analysis.Plain, Sources: s.columns(t, "public.customers.id")})
	facts.Statements[0].Tests = s.columns(t, "public.customers.email")
	for knob, want := range map[string]Verdict{"record": Allow, "allow": Allow, "hold": Hold, "deny": Deny} {
		e := compile(t, onlyBaseline+"predicates: "+knob+"\nprotect: [{column: public.customers.email, unless: \"'pii' in identity.groups\"}]")
		plan := bind(t, e, s, nil, nil).Plan(facts)
		d := plan.Decide(someone())
		require.Equal(t, want, d.Verdict, knob)
		require.Equal(t, knob != "allow", len(d.Tests) == 1, knob)
		require.Equal(t, Allow, plan.Decide(someone("pii")).Verdict, knob)
	}
}

func TestUnknownHeld(t *testing.T) {
	s := newSchema(t, customers())
	facts := reading(analysis.Output{})
	facts.Statements[0].Unknown = []analysis.Unknown{{What: "x"}}
	d := bind(t, compile(t, onlyBaseline+"unknown: hold\nprotect: [{column: public.customers.email}]"), s, nil, nil).Plan(facts).Decide(someone())
	require.Equal(t, Hold, d.Verdict)
	require.True(t, d.Masks[0][0].Masked(), "what is held and approved is still not in clear")
	require.True(t, d.Scrub)
	// With nothing to guard the rules decide.
	d = bind(t, compile(t, "default: allow"), newSchema(t, nil), nil, nil).Plan(facts).Decide(someone())
	require.Equal(t, Allow, d.Verdict)
	require.True(t, d.Masks[0][0].Pass)
}

// Decide with fifty rules must cost less than two microseconds and allocate
// nothing; allocations are checked here, time by the benchmark.
func TestDecideAllocations(t *testing.T) {
	plan, in := fifty(t)
	require.Equal(t, Allow, plan.Decide(in).Verdict)
	require.Zero(t, testing.AllocsPerRun(100, func() { plan.Decide(in) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { plan.decide(in) }), 15.0, "none is for a rule")
}

func BenchmarkDecide50Rules(b *testing.B) {
	plan, in := fifty(b)
	b.ReportAllocs()
	for b.Loop() {
		plan.Decide(in)
	}
}

func BenchmarkDecide50RulesFirst(b *testing.B) {
	plan, in := fifty(b)
	b.ReportAllocs()
	for b.Loop() {
		plan.decide(in)
	}
}

// One of the fifty asks for the time.
func BenchmarkDecide50RulesTime(b *testing.B) {
	plan, in := fifty(b, "  - {name: night, when: \"time.getHours() < 5 && 'night' in identity.groups\", then: hold}\n")
	b.ReportAllocs()
	for b.Loop() {
		plan.Decide(in)
	}
}

// A decision that depends on the time is remembered for as long as what asks for
// the time says the same.
func TestDecideMoves(t *testing.T) {
	s := newSchema(t, customers())
	facts := reading(analysis.Output{How: analysis.Plain, Sources: s.columns(t, "public.customers.email")})
	e := compile(t, onlyBaseline+`
protect: [{column: public.customers.email, unless: "time.getHours() == 12"}]
rules:
  - {name: night, when: "time.getHours() < 5", then: hold}
  - {name: many, when: "statement.estimate > 10", then: deny}
`)
	plan := bind(t, e, s, nil, nil).Plan(facts)
	at := func(hour int, rows int64) Decision {
		in := someone("g")
		in.Now, in.Rows, in.RowsKnown = time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC), rows, true
		return plan.Decide(in)
	}
	for range 2 {
		require.Equal(t, Hold, at(4, 1).Verdict)
		require.Equal(t, Allow, at(5, 1).Verdict)
		require.Equal(t, Deny, at(4, 11).Verdict)
		require.Equal(t, Deny, at(5, 11).Verdict)
		require.True(t, at(11, 1).Masks[0][0].Masked())
		require.False(t, at(12, 1).Masks[0][0].Masked())
	}
	require.LessOrEqual(t, len(plan.known), 6)
	in := someone("g")
	in.Now = time.Date(2026, 1, 2, 6, 0, 0, 0, time.UTC)
	require.Equal(t, Deny, plan.Decide(in).Verdict, "without an estimate the rule counts")
}

// fifty is a plan under a policy of fifty rules, half of which depend on who asks.
func fifty(t testing.TB, more ...string) (*Plan, Input) {
	text := onlyBaseline + "protect: [{column: public.customers.email, unless: \"'pii' in identity.groups\"}]\nrules:\n"
	n := len(compile(t, onlyBaseline).rules)
	for i := n; i < 50-len(more); i++ {
		when := fmt.Sprintf("statement.reads.exists(r, r == 'public.t%d')", i)
		if i%2 == 0 {
			when = fmt.Sprintf("'g%d' in identity.groups && session.database != 'x'", i)
		}
		text += fmt.Sprintf("  - {name: r%d, when: \"%s\", then: hold}\n", i, when)
	}
	e := compile(t, text+strings.Join(more, ""))
	require.Len(t, e.rules, 50)
	s := newSchema(t, customers())
	plan := bind(t, e, s, nil, nil).Plan(reading(analysis.Output{How: analysis.Plain, Sources: s.columns(t, "public.customers.email")}))
	in := someone("g1", "readers")
	in.Database, in.User = "shop", "app"
	return plan, in
}
