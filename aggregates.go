package guardedpg

import (
	"context"
	"slices"

	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

// A policy may give the result of an aggregate over enough rows. How many rows
// came to it only the server knows, so it is asked to give NULL for fewer: that
// is another text, which is analyzed like any.

// release makes the plan of that text, where there is one.
func (p *plan) release(ctx context.Context, session analysis.Session) error {
	list := p.policy.Aggregates()
	if len(list) == 0 {
		return nil
	}
	text, outputs, ok := analysis.AtLeast(p.sql, p.view.snap, list)
	if !ok || !samePlaceholders(text) {
		return nil
	}
	facts, err := analyze(ctx, text, p.view.snap, session)
	if err != nil {
		return err
	}
	if len(facts.Statements) != 1 || !slices.EqualFunc(facts.Statements[0].Outputs, p.facts.Statements[0].Outputs, sameShape) {
		return nil
	}
	p.released = &plan{
		sql: p.sql, sends: text, base: p, facts: facts, policy: p.policy.Release(facts, outputs), view: p.view, path: p.path,
		shared: p.shared, reads: p.reads, light: p.light, kind: p.kind, sqlRecord: p.sqlRecord, basis: p.basis,
	}
	return nil
}

func sameShape(a, b analysis.Output) bool { return a.Name == b.Name && a.Type == b.Type }

// decideReleased decides on the plan that gives results over many rows, where
// they would be masked otherwise.
func (r *run) decideReleased(in guard.Input) {
	if p := r.plan.released; p != nil && r.query && slices.ContainsFunc(r.outputMasks(), guard.OutputMask.Masked) {
		r.plan, r.decision = p, p.policy.Decide(in)
	}
}

// sending is what pgx is given to run.
func (r *run) sending() (sql string, pass []any) {
	if r.plan.sends == "" {
		return r.call.sql, r.call.pass
	}
	pass = slices.Clone(r.call.pass)
	if n := len(pass); n > 0 {
		if re, ok := pass[n-1].(rewritten); ok {
			pass[n-1] = rewritten{r.plan.sends, re.args}
		}
	}
	return r.plan.sends, pass
}
