package guard

import (
	"fmt"
	"slices"

	"github.com/guardedpg/guardedpg/internal/analysis"
)

// Aggregates returns the outputs that may be results over many rows which the
// policy gives in the clear. Nil where there is none.
func (p *Plan) Aggregates() []analysis.LeastRows {
	if len(p.statements) != 1 {
		return nil
	}
	st := p.statements[0].st
	if st.Kind != "SELECT" || len(st.Reads) != 1 || len(st.Reads[0].Path) > 0 || len(st.Unknown) > 0 || st.Inner != nil {
		return nil
	}
	rel := p.bound.cat.Relation(st.Reads[0].Rel)
	if rel == nil || rel.Kind != 'r' && rel.Kind != 'p' {
		return nil
	}
	var list []analysis.LeastRows
	for i, o := range p.statements[0].outputs {
		if st.Outputs[i].How != analysis.Aggregate || len(o.sources) != 1 || len(st.Outputs[i].Sources) != 1 {
			continue
		}
		s := o.sources[0]
		if col := rel.Column(s.column.Att); s.column.Rel == rel.OID && col != nil && len(s.allowed.Functions) > 0 {
			list = append(list, analysis.LeastRows{Output: i, Column: col.Name, Functions: s.allowed.Functions, Rows: s.allowed.Rows})
		}
	}
	return list
}

// Release plans f, the facts of a text in which these outputs are under the
// conditions that [Plan.Aggregates] gave: they are given in the clear.
func (p *Plan) Release(f *analysis.Facts, outputs []int) *Plan {
	out := p.bound.Plan(f)
	for i := range out.statements[0].outputs {
		if slices.Contains(outputs, i) {
			s := p.statements[0].outputs[i].sources[0]
			out.statements[0].outputs[i].released = fmt.Sprintf("aggregates of %s over %d rows or more", s.name, s.allowed.Rows)
		}
	}
	return out
}
