package analysis

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// locks records that a query locks the rows that it reads; where nothing limits
// these, the lock is of the whole table in all but name.
func (p *part) locks(sel *pg.SelectStmt, sc *scope) {
	p.effect(RowLock, "locks the rows that it reads")
	if !p.own() || sel == p.cursor { // a cursor locks row by row
		return
	}
	t := &limits{p: p, sc: sc}
	if !t.unlimited(sel) || sel.HavingClause != nil {
		return
	}
	var rels []*catalog.Relation
	for _, f := range sel.FromClause {
		walk(f, func(n *pg.Node) {
			rv := n.GetRangeVar()
			if rv == nil || rv.Schemaname == "" && p.withQuery(sc.ctes, rv.Relname) != nil {
				return
			}
			if rel := p.names.relation(rangeVarParts(rv)); rel != nil {
				rels = append(rels, rel)
			}
		})
		if f.GetRangeVar() == nil && f.GetJoinExpr() == nil {
			return // it may limit them
		}
	}
	switch {
	case len(rels) == 0:
	case sel.WhereClause == nil:
		p.effect(Lock, "locks all rows of "+relName(rels[0]))
	case len(rels) == 1 && sel.FromClause[0].GetRangeVar() != nil:
		if !p.boundOf(rels[0], Update, sel.WhereClause, sc).Limited {
			p.effect(Lock, "locks all rows of "+relName(rels[0]))
		}
	}
}
