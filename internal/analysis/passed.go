package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// queriesIn says which arguments of the functions that run a query hold one. The
// others of them put theirs together.
var queriesIn = map[string][]int{
	"query_to_xml": {0}, "query_to_xmlschema": {0}, "query_to_xml_and_xmlschema": {0}, "ts_stat": {0},
	"crosstab": {0, 1}, "crosstab2": {0}, "crosstab3": {0}, "crosstab4": {0},
}

// passedQueries returns the queries that a call passes as constants, or nil.
func passedQueries(name []string, fc *pg.FuncCall) []string {
	at, ok := queriesIn[name[len(name)-1]]
	if !ok || fc.FuncVariadic {
		return nil
	}
	var texts []string
	for _, i := range at {
		if i >= len(fc.Args) || i > 0 && fc.Args[i].GetAConst().GetIval() != nil {
			continue // crosstab(text, int)
		}
		s := fc.Args[i].GetAConst().GetSval()
		if s == nil {
			return nil
		}
		texts = append(texts, s.Sval)
	}
	return texts
}

// runPassed analyzes the queries that a call of f passes, if they are known, and
// returns v, its result, with what they give.
func (p *part) runPassed(f *catalog.Function, args []value, v value) (value, bool) {
	if _, ok := queriesIn[f.Name]; !ok || len(p.a.passed) == 0 || len(p.stack) >= maxNesting {
		return v, false
	}
	var selects []*pg.Node
	for _, text := range p.a.passed {
		if !p.charge(text) {
			return v, false
		}
		tree, err := parseSQL(text)
		if err != nil || len(tree.Stmts) != 1 {
			return v, false
		}
		if sel := tree.Stmts[0].Stmt.GetSelectStmt(); sel == nil || sel.IntoClause != nil {
			return v, false
		}
		selects = append(selects, tree.Stmts[0].Stmt)
	}
	// The names mean what they mean when it runs.
	p.a.pathUsed = true
	q := *p
	q.text, q.vars, q.coarse = false, nil, true
	q.stack = append(slices.Clip(p.stack), 0)
	given := constant(0)
	tests := p.testsOf(func() {
		for _, n := range selects {
			cols := q.subquery(n, nil)
			given = p.combine(0, append(fieldValues(cols), given)...)
			if len(p.a.rows) > 0 {
				given = p.combine(0, given, counting(p.a.rows, Expression))
			}
		}
	})
	p.meet(p.combine(0, args...).lits, tests.Union(given.src))
	r := derived(p.combine(v.typ, v, given))
	r.set, r.rows = f.ReturnsSet, nil
	if r.set {
		r.rows = given.src
		p.makes(r.rows)
	}
	for _, o := range v.fields {
		o.value = p.combine(o.typ, o.value, given)
		r.fields = append(r.fields, o)
	}
	return r, true
}
